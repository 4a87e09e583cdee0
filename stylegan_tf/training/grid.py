"""The image grids of a run: real images, and those of fixed latents."""

import numpy as np
import tensorflow as tf

from datasets.pipeline import indices_of_items
from stylegan_tf.images import from_uint8
from stylegan_tf.networks.interface import growth_arguments
from stylegan_tf.runtime.draws import Purpose, normal, seed_of

_MAX_ROWS = 16
_BATCH, _PIXELS = 16, 2**19  # images at a time: so many, or as many small ones as have so many pixels


class ImageGrid:
    """What the run's pictures show; with labels, one class a row, each column with the same latent.

    Args:
        data: MultiResolutionDataset.
        config: TrainingConfig with a known resolution.
        latent_size: Length of z.

    Attributes:
        columns: Images in a row.
    """

    def __init__(self, data, config, latent_size):
        self.data = data
        self.config = config
        self.columns, rows = grid_size(config.resolution)
        # One-hot labels in the order of their classes, which is descending as numbers are compared.
        self.classes = np.unique(data.labels, axis=0)[::-1] if data.label_size else None
        if self.classes is not None:
            rows = min(len(self.classes), max(2160 // config.resolution, 2), _MAX_ROWS)
            self.classes = self.classes[:rows]
        draws = self.columns if data.label_size else self.columns * rows
        z = normal([draws, latent_size], seed_of(config.seed, Purpose.GRID))
        self.z = tf.tile(z, [rows, 1]) if data.label_size else z
        self.labels = tf.constant(self.classes.repeat(self.columns, axis=0)) if data.label_size else None

    def reals(self):
        """The first images of the run's stream (of each class), float [N, R, R, C] in [-1, 1]."""
        indices_of = indices_of_items(self.data, self.config.seed, self.config.shuffle_megabytes)
        if self.classes is None:
            indices = indices_of(np.arange(len(self.z)))
        else:
            epoch = indices_of(np.arange(self.data.num_images))
            labels = self.data.labels[epoch]
            # A class with few images shows them again.
            indices = np.concatenate(
                [np.resize(epoch[(labels == label).all(axis=1)], self.columns) for label in self.classes]
            )
        return from_uint8(self.data.read_images(self.config.resolution, indices))

    def fakes(self, generator, resolution, fade):
        """The fixed latents' images without truncation, enlarged to the full resolution, NumPy [N, R, R, C]."""
        batch = max(_BATCH, _PIXELS // generator.resolution**2)
        images = [
            generator(
                self.z[i : i + batch],
                None if self.labels is None else self.labels[i : i + batch],
                truncation_psi=None,
                **growth_arguments(generator, resolution=resolution, fade=fade),
            ).numpy()
            for i in range(0, len(self.z), batch)
        ]
        factor = generator.resolution // resolution
        return np.concatenate(images).repeat(factor, axis=1).repeat(factor, axis=2)


def grid_size(resolution):
    """Columns and rows of a grid without labels, for about 1920 x 1080 pixels."""
    return min(max(1920 // resolution, 3), 16), min(max(1080 // resolution, 2), 8)

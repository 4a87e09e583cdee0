"""Videos that go from seed to seed."""

import numpy as np
from tqdm import tqdm

from dnnlib.image_files import image_grid
from dnnlib.videos import save_video
from stylegan_tf.pictures.interpolation import lerp, slerp
from stylegan_tf.pictures.sampler import latents

SPACES = ("z", "w")
# Frames from one seed to the next, at most: half a day at 24 a second.
_MOST_STEPS = 1_000_000


class Interpolation:
    """The frames of a video from seed to seed, an iterable with a length. It makes them a minibatch at a time.

    A frame is uint8 [rows * R, columns * R, C], or shorter on one side for data of another aspect. The first one shows
    the first seed; each `steps` frames later it is the next one's turn. A loop ends one frame before it comes back to
    the first seed, other videos with the last seed.

    Args:
        sampler: Sampler.
        look: Look; with its noise "random", every image of every frame has noise of its own.
        seeds: Seeds to go to, at least two for each cell of the grid: first all of the first cell, and so on.
        steps: Frames from one seed to the next.
        space: "z": on the arc between two latents, at constant speed; "w": on the line between two styles.
        loop: Whether to go from the last seed back to the first.
        grid: (columns, rows) of cells, which show an interpolation each.

    Raises:
        ValueError: There are too few seeds or steps, or the seeds cannot be divided among the cells.
    """

    def __init__(self, sampler, look, seeds, steps, *, space="z", loop=True, grid=(1, 1)):
        columns, rows = grid
        cells = columns * rows
        if len(seeds) < 2 * cells or len(seeds) % cells:
            raise ValueError(
                f"An interpolation needs at least two seeds{f', as many in each of the {cells} cells' * (cells > 1)}; "
                f"received {len(seeds)}."
            )
        if not 1 <= steps <= _MOST_STEPS:
            raise ValueError(f"From one seed to the next there are 1 to {_MOST_STEPS:,} frames; received {steps}.")
        if space not in SPACES:
            raise ValueError(f"An interpolation is in {' or '.join(SPACES)}; received {space!r}.")
        look.check(sampler)
        self.sampler, self.look = sampler, look
        self.steps, self.space, self.loop, self.columns, self.cells = steps, space, loop, columns, cells
        self.keys = len(seeds) // cells
        by_key = np.reshape(seeds, (cells, self.keys)).T.ravel()
        if space == "z":
            self.z, self.labels = latents(by_key, sampler.latent_size), look.labels(sampler, by_key)
        else:
            self.w = look.styles(sampler, by_key)

    def __len__(self):
        return self.keys * self.steps if self.loop else (self.keys - 1) * self.steps + 1

    def __iter__(self):
        at_once = max(1, self.sampler.batch // self.cells)
        for start in range(0, len(self), at_once):
            numbers = np.arange(start, min(start + at_once, len(self)))
            # Noise seeds, should they be needed: the number of the image in the video.
            images = np.arange(start * self.cells, (numbers[-1] + 1) * self.cells)
            pictures = self.sampler.synthesis(self.styles(numbers), self.look.noise, images)
            for cells in np.split(pictures, len(numbers)):
                yield self.sampler.pictures(image_grid(cells, self.columns))

    def save(self, path, fps, scale=None, background="white"):
        """Writes the video; see `save_video`."""
        save_video(path, tqdm(self, unit="frame", disable=None), fps, scale, background)

    def styles(self, numbers):
        """Styles of the images of frames, truncated, float32 [N * cells, num_layers, dlatent_size].

        Args:
            numbers: Which frames, integers [N] from 0.
        """
        if self.space == "w":
            return lerp(*self._ends(self.w, numbers))
        labels = None if self.labels is None else lerp(*self._ends(self.labels, numbers))
        w = self.sampler.mapping(arc(*self._ends(self.z, numbers)), labels)
        return self.sampler.truncate(w, self.look.psi, self.look.cutoff)

    def _ends(self, values, numbers):
        """What the images of frames lie between, and where.

        Args:
            values: Those of all seeds, key by key, [keys * cells, ...].
            numbers: Which frames, [N].

        Returns:
            a and b, [N * cells, ...] each, and the fraction of the way from a to b, [N * cells, 1, ...].
        """
        keys, t = np.divmod(numbers, self.steps)
        values = values.reshape(self.keys, self.cells, *values.shape[1:])
        a, b = (np.concatenate(values[key % self.keys]) for key in (keys, keys + 1))
        t = np.repeat(t / self.steps, self.cells).astype(np.float32)
        return a, b, t.reshape(-1, *[1] * (a.ndim - 1))


def arc(a, b, t):
    """The point at fraction `t` of the arc between latents, which may be equal; its length is between theirs.

    Args:
        a, b: float32 [N, D].
        t: [N, 1]; 0 gives `a` itself.

    Returns:
        float32 [N, D].
    """
    length = lerp(*(np.linalg.norm(z, axis=1, keepdims=True) for z in (a, b)), t)
    still = (t == 0) | (a == b).all(axis=1, keepdims=True)
    return np.where(still, a, length * np.asarray(slerp(a, b, t)))

"""What a run shows: a progress bar, log.txt, TensorBoard events, image grids."""

import resource
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dnnlib.images import image_grid, save_image, to_uint8_rounded

GRID_BATCH = 16


class Reporter:
    """Writes the log, the events and the bar of a run; a context manager.

    Args:
        run_dir: Folder of the run.
        total_kimg: Length of the run.
        kimg: Where it starts.
    """

    def __init__(self, run_dir, total_kimg, kimg=0.0):
        self.run_dir = Path(run_dir)
        self.log = (self.run_dir / "log.txt").open("a", buffering=1)
        self.events = tf.summary.create_file_writer(str(run_dir))
        # disable=None: no bar where the output is no terminal.
        self.bar = tqdm(total=total_kimg, initial=kimg, unit="kimg", disable=None, bar_format=BAR)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()
        self.events.close()
        self.log.close()

    def line(self, text):
        """Prints one line, and appends it to log.txt."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
        self.log.write(text + "\n")

    def advance(self, kimg, phase):
        """Moves the bar to `kimg` and shows the phase in it."""
        self.bar.set_description(f"{phase.resolution}x{phase.resolution} lod {phase.lod:.2f}", refresh=False)
        self.bar.update(kimg - self.bar.n)

    def scalars(self, values, images_seen):
        """Writes {name: number} to TensorBoard, counted in images."""
        with self.events.as_default(step=images_seen):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self.events.flush()

    def grid(self, name, images, columns, images_seen):
        """Saves images, float [N, R, R, C] in [-1, 1], as NAME.png and in TensorBoard."""
        grid = to_uint8_rounded(image_grid(np.asarray(images), columns))
        save_image(self.run_dir / f"{name}.png", grid)
        with self.events.as_default(step=images_seen):
            tf.summary.image("".join(c for c in name if c.isalpha()), grid.reshape(1, *grid.shape[:2], -1))
        self.events.flush()


BAR = "{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} kimg [{elapsed}<{remaining}{postfix}]"


def grid_size(resolution):
    """(columns, rows) of a grid that fills about one screen of 1920 x 1080."""
    return min(max(1920 // resolution, 3), 16), min(max(1080 // resolution, 2), 8)


def generate_grid(generator, z, labels, resolution, fade):
    """Images of fixed latents without truncation, enlarged to the generator's full resolution, NumPy [N, R, R, C]."""
    images = [
        generator(
            z[i : i + GRID_BATCH],
            labels[i : i + GRID_BATCH] if generator.label_size else None,
            truncation_psi=None,
            resolution=resolution,
            fade=fade,
        ).numpy()
        for i in range(0, len(z), GRID_BATCH)
    ]
    factor = generator.resolution // resolution
    return np.concatenate(images).repeat(factor, axis=1).repeat(factor, axis=2)


def peak_memory_gb():
    """Largest memory use so far: of the first GPU, or of this process where there is none."""
    if tf.config.list_physical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def format_time(seconds):
    """1d 02h 03m 04s, without leading zero parts."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{value:02d}{unit}" if i else f"{value}{unit}" for i, (value, unit) in enumerate(parts))

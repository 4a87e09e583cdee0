"""What a run shows: a progress bar, log.txt, TensorBoard events, image grids."""

import contextlib
import resource
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dnnlib.image_files import image_grid, save_image, straight, to_uint8_rounded
from stylegan_tf.images import unsqueeze


class Reporter:
    """Writes the log, the events and the bar of a run; a context manager.

    Args:
        run_dir: Folder of the run.
        total_kimg: Length of the run.
        kimg: Where it starts.

    Attributes:
        tracker: A `WandB` that gets the same numbers and pictures, or None.
    """

    def __init__(self, run_dir, total_kimg, kimg=0.0):
        self.run_dir = Path(run_dir)
        self.log = (self.run_dir / "log.txt").open("a", buffering=1)
        self.events = tf.summary.create_file_writer(str(run_dir))
        self.tracker = None
        # disable=None: no bar where the output is no terminal.
        self.bar = tqdm(total=total_kimg, initial=kimg, unit="kimg", disable=None, bar_format=BAR)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()
        with contextlib.suppress(OSError, tf.errors.OpError):  # what a full disk has not taken is written once more
            self.log.close()
            self.events.close()
        if self.tracker:
            self.tracker.finish()

    def line(self, text):
        """Prints one line, and appends it to log.txt; a full disk does not end the run."""
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
        with contextlib.suppress(OSError):
            self.log.write(text + "\n")

    def advance(self, kimg, phase):
        """Moves the bar to `kimg` and shows the phase in it."""
        self.bar.set_description(f"{phase.resolution}x{phase.resolution} lod {phase.lod:.2f}", refresh=False)
        self.bar.update(kimg - self.bar.n)

    @contextlib.contextmanager
    def write_events(self, images_seen):
        """What is written in this block goes to TensorBoard; a full disk does not end the run."""
        with contextlib.suppress(tf.errors.OpError), self.events.as_default(step=images_seen):
            yield
            self.events.flush()

    def scalars(self, values, images_seen):
        """Writes {name: number} to TensorBoard, counted in images."""
        with self.write_events(images_seen):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        if self.tracker:
            self.tracker.scalars(values, images_seen)

    def grid(self, name, images, columns, images_seen, aspect=None):
        """Saves images, float [N, R, R, C] in [-1, 1], as NAME.png and in TensorBoard, with the aspect of the data."""
        grid = straight(to_uint8_rounded(image_grid(np.asarray(images), columns)))
        grid = np.asarray(unsqueeze(grid, images.shape[1], aspect))
        path = self.run_dir / f"{name}.png"
        save_image(path, grid)
        tag = "".join(c for c in name if c.isalpha())
        with self.write_events(images_seen):
            tf.summary.image(tag, grid.reshape(1, *grid.shape[:2], -1))
        if self.tracker:
            self.tracker.image(tag, path, images_seen)


BAR = "{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} kimg [{elapsed}<{remaining}{postfix}]"


class Profile:
    """Writes a TensorBoard profile of some steps; counts them by itself.

    Args:
        steps: (first step, number of steps), counted from 0, or None for no profile.
    """

    def __init__(self, steps):
        self.first, self.end = (steps[0], sum(steps)) if steps else (None, None)
        self.count = 0
        self.running = False

    def step(self, run_dir):
        """Call it before every step."""
        if self.count == self.first:
            tf.profiler.experimental.start(str(run_dir))
            self.running = True
        if self.count == self.end:
            self.stop()
        self.count += 1

    def stop(self):
        """Ends the profile if it still runs, as when the run is shorter."""
        if self.running:
            tf.profiler.experimental.stop()
            self.running = False


def tick_line(progress, phase, values, timing, loss, times):
    """The line of a tick.

    Args:
        progress: Progress.
        phase: Phase.
        values: {name: number} of `tick_values`.
        timing: What `timing_of` returns.
        loss: LossConfig.
        times: {part: how often it was due}.
    """
    skipped = "".join(
        f"  {part} skipped {number:.0f} of {count} ({number / count:.1%})"
        for part, count in times.items()
        if (number := values[f"{part}_skipped"])
    )
    p = f"  p {values['ada/p']:.4f} signs {values['signs/real']:.2f}" if "ada/p" in values else ""
    return (
        f"tick {progress.tick + 1:<4d} kimg {progress.images_seen / 1000:<8.1f} lod {phase.lod:<5.2f} "
        f"minibatch {phase.minibatch:<4d} time {format_time(progress.seconds):<12s} "
        f"sec/kimg {timing['seconds_per_kimg']:<7.2f} memory {timing['memory_gb']:.1f} GB  "
        f"data wait {timing['data_wait']:.0%}  "
        f"G {values['G_loss']:<6.3f} D {values['D_loss']:<6.3f} {penalty_text(loss, values)}{p}{skipped}"
    )


def timing_of(progress, waited):
    """What a tick took: {"seconds_per_kimg", "seconds_per_tick", "data_wait", "memory_gb": number}.

    Args:
        progress: Progress.
        waited: Seconds of the tick in which the step had no images.
    """
    images, seconds = progress.images_seen - progress.tick_images, progress.seconds - progress.tick_seconds
    return {
        "seconds_per_kimg": seconds / images * 1000,
        "seconds_per_tick": seconds,
        "data_wait": waited / seconds,
        "memory_gb": peak_memory_gb(),
    }


class Stopwatch:
    """Measures the time between laps."""

    def __init__(self):
        self.last = time.perf_counter()

    def lap(self):
        """Seconds since the last lap, or the start."""
        last, self.last = self.last, time.perf_counter()
        return self.last - last


def penalty_text(loss, values):
    """What the line of a tick says of D's penalties: "R1 0.123" where they are R1 and R2 alone."""
    if loss.lazy_r1:
        return f"R1 {values['R1']:.3f}"
    simple = (loss.r1_gamma or loss.r2_gamma) and not (loss.gradient_penalty or loss.drift)
    return f"{'R1' if simple else 'penalty'} {values['penalty']:.3f}"


def peak_memory_gb():
    """Largest memory use so far: of the first GPU, or of this process where there is none."""
    if tf.config.list_logical_devices("GPU"):
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

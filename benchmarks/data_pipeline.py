"""How fast data sets are made and read, in how much memory, and what the encodings save.

    python benchmarks/data_pipeline.py

Reading is measured beside a bare tf.data.TFRecordDataset over the same file in the same run, which neither shuffles nor
decodes: the faster one of reading record by record and in batches. All files are in the system's page cache.
"""

import collections
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

from datasets.convert import create_dataset
from datasets.image_folder import from_images
from datasets.pipeline import training_pipeline
from datasets.pool import num_cores
from datasets.pyramid import ENCODINGS
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from dnnlib.cli import UserPath
from stylegan_tf.runtime.processor import describe_processor

# Side: (images, minibatch).
READ = {32: (60_000, 64), 256: (3_000, 16), 1024: (300, 8)}
ROUNDS = 5


def photographs(count, side, seed=0):
    """Yields squares from scikit-learn's two photographs, enlarged or reduced to `side`."""
    random = np.random.default_rng(seed)
    pictures = [Image.fromarray(image) for image in load_sample_images().images]
    for number in range(count):
        picture = pictures[number % 2]
        size = int(random.integers(200, 427))
        left, top = (int(random.integers(0, length - size + 1)) for length in picture.size)
        square = picture.crop((left, top, left + size, top + size))
        yield np.asarray(square.resize((side, side), Image.Resampling.BICUBIC))


def bare_batches(path, minibatch):
    """The records of a file in batches, neither shuffled nor decoded."""
    return tf.data.TFRecordDataset(path).batch(minibatch, drop_remainder=True).prefetch(2)


def rate(iterator, images, minibatch):
    """Images per second of an iterator over batches, over so many images."""
    start = time.perf_counter()
    for _ in range(0, images, minibatch):
        next(iterator)
    return images / (time.perf_counter() - start)


def measure_reading(folder):
    """Prints rates of reading beside those of a bare TFRecordDataset."""
    click.echo("Reading, images/s              bare    stream           in memory        first batch, ms: cold, warm")
    for side, (count, minibatch) in READ.items():
        name = folder / f"noise{side}"
        with MultiResolutionWriter(name) as writer:
            random = np.random.default_rng(0)
            for _ in range(count):
                writer.add_image(random.integers(0, 256, (side, side, 3), np.uint8))
        dataset = MultiResolutionDataset(name)
        path, images = dataset.level(side).files[0].path, count // minibatch * minibatch
        streams = [iter(stream(dataset, side, minibatch, megabytes)) for megabytes in (0, 2**20)]
        for iterator in streams:
            next(iterator)  # the second one has read everything then
        # In turns, so that a slow moment of the machine meets all; the best of each counts.
        best = np.zeros(4)
        for _ in range(ROUNDS):
            records, batches = tf.data.TFRecordDataset(path), bare_batches(path, minibatch)
            rates = [rate(iter(records), images, 1), rate(iter(batches), images, minibatch)]
            best = np.maximum(best, rates + [rate(iterator, images, minibatch) for iterator in streams])
        bare = max(best[:2])
        cold, warm = (first_batch(dataset, side, minibatch, seconds) for seconds in (0, 1))
        rates = "".join(f"{best_rate:10.0f} {best_rate / bare:5.0%}" for best_rate in best[2:])
        title = f"{side}x{side}, minibatch {minibatch}"
        click.echo(f"{title:<25} {bare:9.0f} {rates}    {cold * 1000:10.1f} {warm * 1000:6.1f}")
        shutil.rmtree(name)


def stream(dataset, side, minibatch, cache_megabytes):
    return training_pipeline(dataset, side, minibatch, seed=0, cache_megabytes=cache_megabytes)


def first_batch(dataset, side, minibatch, seconds):
    """Time until a stream that was opened so many seconds ago gives its first batch."""
    iterator = iter(stream(dataset, side, minibatch, 0))
    time.sleep(seconds)
    start = time.perf_counter()
    next(iterator)
    return time.perf_counter() - start


def measure_encodings(folder):
    """Prints what the encodings take and how fast they are read."""
    click.echo("\nEncodings, 60 squares of photographs enlarged to 1024x1024; and at the camera's own pixels, 256x256")
    native = [
        image[top : top + 256, left : left + 256]
        for image in load_sample_images().images
        for top in (0, 171)
        for left in (0, 192, 384)
    ]
    for encoding in ENCODINGS:
        sizes = []
        for side, images in ((1024, photographs(60, 1024)), (256, native)):
            with MultiResolutionWriter(folder / f"{encoding}{side}", encoding=encoding) as writer:
                for image in images:
                    writer.add_image(image)
            dataset = MultiResolutionDataset(folder / f"{encoding}{side}")
            sizes.append(sum(dataset.level(side).num_bytes for side in dataset.resolutions) / dataset.num_images)
        dataset = MultiResolutionDataset(folder / f"{encoding}1024")
        iterator = iter(stream(dataset, 1024, 4, 0))
        best = max(rate(iterator, 120, 4) for _ in range(3))
        click.echo(
            f"{encoding:<5} {sizes[0] / 2**20:6.2f} MiB an image, {best:5.0f} images/s;    {sizes[1] / 2**10:6.1f} KiB"
        )
        shutil.rmtree(folder / f"{encoding}1024")


def measure_conversion(folder):
    """Prints how fast PNG files become a data set with one process, and with one a core."""
    pictures = save_pictures(folder / "pictures", 300, 1024)
    click.echo(
        f"\nConversion of 300 PNG files of 1024x1024, images/s, with the start of the processes ({num_cores()} cores)"
    )
    for encoding in ENCODINGS:
        best = {}
        for workers in (1, num_cores()) * 2:
            start = time.perf_counter()
            create_dataset(folder / "made", from_images(pictures), workers=workers, encoding=encoding)
            best[workers] = min(best.get(workers, 1e9), time.perf_counter() - start)
            shutil.rmtree(folder / "made")
        one, all_cores = (300 / best[workers] for workers in (1, num_cores()))
        click.echo(
            f"{encoding:<5} one process {one:6.1f}    one a core {all_cores:6.1f}    {all_cores / one:.2f} times"
        )


def save_pictures(folder, count, side):
    folder.mkdir()
    for number, image in enumerate(photographs(count, side)):
        Image.fromarray(image).save(folder / f"{number:05d}.png")
    return folder


def measure_memory(folder):
    """Prints the peak memory of converting 1,000 and 10,000 images, each in a process of its own."""
    click.echo("\nPeak memory of a conversion to 128x128 on all cores, MiB: main process, its children together")
    pictures = save_pictures(folder / "many", 10_000, 128)
    for count in (1_000, 10_000):
        command = [sys.executable, __file__, f"--memory-of={count}", f"--folder={pictures}"]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        click.echo(f"{count:6,} images {result.stdout.strip()}")


def convert_and_print_memory(pictures, count):
    """The work of a process of its own: converts, watching itself and its workers."""
    peaks, done = collections.Counter(), threading.Event()

    def watch():
        # What a process has inherited at its start counts in ru_maxrss, but not here.
        while not done.wait(0.05):
            for process in ("self", *Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()):
                with contextlib.suppress(OSError):
                    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
                    peaks[process] = max(peaks[process], int(found[1]) if found else 0)

    watcher = threading.Thread(target=watch)
    watcher.start()
    create_dataset(pictures.parent / f"made{count}", from_images(pictures), max_images=count, workers=num_cores())
    done.set()
    watcher.join()
    main, workers = peaks.pop("self"), sum(peaks.values())
    click.echo(f"{main / 2**10:8.0f} {workers / 2**10:8.0f}")


@click.command()
@click.option("--folder", type=UserPath(path_type=Path), help="Where to write.  [default: a temporary folder]")
@click.option("--memory-of", type=int, hidden=True)
def main(folder, memory_of):
    """Measure reading, encodings, conversion and memory; needs 3 GB of disk and some minutes."""
    if memory_of:
        convert_and_print_memory(folder, memory_of)
        return
    print(describe_processor())
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for measure in (measure_reading, measure_encodings, measure_conversion, measure_memory):
            measure(Path(temporary))


if __name__ == "__main__":
    main()

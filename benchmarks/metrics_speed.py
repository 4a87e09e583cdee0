"""How fast, and in how much memory, metrics are computed from features and from latents.

    python benchmarks/metrics_speed.py

Beside each stage runs, on the same data, what it replaces: scipy.linalg.sqrtm for the Frechet distance; one dual
LinearSVC after the other, and tables counted in Python, for linear separability. Networks take no part: features,
latents and logits are synthetic.
"""

import contextlib
import math
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
from scipy.linalg import sqrtm
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC

from datasets.pool import num_cores
from dnnlib.cli import UserPath
from metrics.frechet import frechet_distance, mean_and_covariance
from metrics.linear_separability import separability
from metrics.precision_recall import precision_recall
from metrics.rows import Rows
from stylegan_tf.runtime.processor import describe_processor

FEATURES = (10_000, 2048)
# Samples, of which half are kept, and dimensions; attributes.
LATENTS, ATTRIBUTES = (20_000, 512), 4


def make_features(count, dim, seed):
    """float32 [count, dim]: correlated, not negative and skewed, as Inception's are."""
    random = np.random.default_rng(seed)
    mix = np.random.default_rng(0).standard_normal((dim, dim), np.float32) / np.sqrt(dim)
    mix *= np.exp(-4 * np.arange(dim, dtype=np.float32) / dim)[:, None]
    return np.maximum(random.standard_normal((count, dim), np.float32) @ mix + 0.2 + 0.05 * seed, 0)


def make_latents(count, dim, attributes, seed=0):
    """Latents like w, float32 [count, dim], and logits, float32 [count, attributes].

    A logit follows a direction in latent space, bent a little, but for noise: SVMs tell most of it, and not all.
    """
    random = np.random.default_rng(seed)
    mix = random.standard_normal((dim, dim), np.float32) / np.sqrt(dim)
    mix *= np.exp(-5 * np.arange(dim, dtype=np.float32) / dim)[:, None]
    z = random.standard_normal((count, dim), np.float32)
    w = z @ mix
    w = np.where(w > 0, w, 0.2 * w) * np.float32(np.sqrt(2))

    def standardized_directions():
        values = (w - w.mean(axis=0)) @ random.standard_normal((dim, attributes), np.float32)
        return values / values.std(axis=0)

    logits = 3 * standardized_directions() + 0.9 * (standardized_directions() ** 2 - 1)
    return w, logits + 2.1 * random.standard_normal((count, attributes), np.float32)


def timed(function, *arguments):
    """(result, seconds)."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def measure_frechet(count, dim):
    """Prints the times of the Frechet stage beside scipy.linalg.sqrtm of the product, and both distances."""
    statistics, seconds = [], []
    for seed in (1, 2):
        found, taken = timed(mean_and_covariance, make_features(count, dim, seed))
        statistics += found
        seconds.append(taken)
    ours, ours_seconds = timed(frechet_distance, *statistics)
    theirs, theirs_seconds = timed(distance_by_sqrtm, *statistics)
    click.echo(f"Frechet distance of twice {count:,} x {dim:,} features")
    click.echo(f"  mean and covariance of one  {min(seconds):7.2f} s")
    click.echo(f"  distance                    {ours_seconds:7.2f} s   {ours:.6f}")
    click.echo(f"  distance by sqrtm           {theirs_seconds:7.2f} s   {theirs:.6f}")
    click.echo(f"  {theirs_seconds / ours_seconds:.1f} times faster, values differ by {abs(ours / theirs - 1):.1e}")
    return ours, theirs


def distance_by_sqrtm(mean_a, cov_a, mean_b, cov_b):
    root = np.real(sqrtm(cov_a @ cov_b))
    return float(np.square(mean_a - mean_b).sum() + np.trace(cov_a + cov_b - 2 * root))


def measure_separability(count, dim, attributes):
    """Prints the times of linear separability beside the original procedure's, and both scores."""
    latents, logits = make_latents(count, dim, attributes)
    names = [f"attribute {number}" for number in range(attributes)]
    ours, ours_seconds = timed(separability, latents, logits, names, count // 2)
    (theirs, stopped), theirs_seconds = timed(original_separability, latents, logits, count // 2)
    accuracies = [attribute.accuracy for attribute in ours.attributes]
    click.echo(f"\nLinear separability of {attributes} attributes, {count:,} x {dim:,} latents, half of them kept")
    click.echo(f"  primal SVMs on {num_cores()} cores     {ours_seconds:7.2f} s   score {ours.score:.4f}")
    click.echo(f"  dual SVMs one by one        {theirs_seconds:7.2f} s   score {theirs:.4f}", nl=False)
    click.echo(f" ({stopped} of {attributes} stopped before they converged)")
    click.echo(
        f"  {theirs_seconds / ours_seconds:.1f} times faster, scores differ by {abs(ours.score / theirs - 1):.2%}, "
        f"SVMs are right for {min(accuracies):.1%} to {max(accuracies):.1%}"
    )
    return ours.score, theirs


def original_separability(latents, logits, num_keep):
    """(score, number of SVMs that did not converge), by the reference's procedure (paper, section 4.2)."""
    bits, stopped = 0, 0
    for column in logits.T:
        exponentials = np.exp(np.stack([column, -column], axis=1))
        confidence = exponentials / exponentials.sum(axis=1, keepdims=True)
        kept = np.argsort(-confidence.max(axis=1), kind="stable")[:num_keep]
        classes = confidence[kept].argmax(axis=1)
        svm = LinearSVC(dual=True, random_state=0, max_iter=1000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            outputs = svm.fit(latents[kept], classes).predict(latents[kept])
        stopped += int(svm.n_iter_ >= svm.max_iter)
        bits += conditional_entropy_in_python(outputs, classes)
    return 2**bits, stopped


def conditional_entropy_in_python(outputs, classes):
    counts = [[0, 0], [0, 0]]
    for output, actual in zip(outputs, classes, strict=True):
        counts[output][actual] += 1
    return -sum(cell / len(classes) * math.log2(cell / sum(row)) for row in counts for cell in row if cell)


def frechet_stage(reals, fakes):
    return frechet_distance(*mean_and_covariance(reals), *mean_and_covariance(fakes))


STAGES = {"Frechet distance": frechet_stage, "precision and recall": precision_recall}


def measure_memory(folder, count, dim):
    """Prints the peak memory of each stage from features on disk, each in a process of its own; {stage: MiB}."""
    for name, seed in (("reals", 1), ("fakes", 2)):
        make_features(count, dim, seed).astype("<f4").tofile(folder / name)
    size = count * dim * 4 / 2**20
    click.echo(
        f"\nPeak memory beyond the imports, from twice {count:,} x {dim:,} features on disk ({size:.0f} MiB each)"
    )
    peaks = {}
    for stage in STAGES:
        command = [sys.executable, __file__, f"--memory-of={stage}", f"--folder={folder}", f"--shape={count}", str(dim)]
        result = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks[stage] = float(result.stdout)
        click.echo(f"  {stage:<27} {peaks[stage]:7.0f} MiB")
    return peaks


def print_memory(stage, folder, count, dim):
    """The work of a process of its own: prints how far its memory rose above what it was at first, MiB."""
    # A tiny run first, as libraries take memory when they are first used.
    tiny = make_features(64, 8, 1), make_features(64, 8, 2)
    STAGES[stage](*tiny)
    before = resident("VmRSS")
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak of the imports
    STAGES[stage](*(Rows(folder / name, count, dim) for name in ("reals", "fakes")))
    click.echo(f"{resident('VmHWM') - before:.1f}")


def resident(what):
    """Memory of this process in MiB: VmRSS now, VmHWM at its peak."""
    return int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10


@click.command()
@click.option("--memory-of", hidden=True)
@click.option("--folder", type=UserPath(path_type=Path), help="Where to write.  [default: a temporary folder]")
@click.option("--shape", type=(int, int), hidden=True)
def main(memory_of, folder, shape):
    """Measure the Frechet and separability stages and memory; needs 200 MB of disk and some minutes."""
    if memory_of:
        print_memory(memory_of, folder, *shape)
        return
    print(describe_processor())
    measure_frechet(*FEATURES)
    measure_separability(*LATENTS, ATTRIBUTES)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        measure_memory(Path(temporary), *FEATURES)


if __name__ == "__main__":
    main()

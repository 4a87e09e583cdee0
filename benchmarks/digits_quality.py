"""How many of a run's digits does a classifier recognise that has only seen real ones?

    python benchmarks/digits_quality.py results/00000-digits

Support vector machines are trained on real digits, and their scores calibrated to probabilities. An image counts as
recognised when the probability of one class reaches 0.9. The calibration is chosen so that about 84% of the real digits
that the machines have not seen are recognised, the share to compare a generator with, but no noise and no empty image.
The shares of the classes tell whether the generator has forgotten any.
"""

import json
import pathlib
import re
import sys

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import keras
import numpy as np
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from tqdm import tqdm

import stylegan_tf.networks  # noqa: F401, registers the classes that a .keras file names
from datasets.digits import enlarge
from dnnlib.cli import UserPath
from dnnlib.files import atomic_file
from stylegan_tf.images import to_uint8

NUM_IMAGES = 1000
BATCH = 100
CONFIDENCE = 0.9
MIN_ACCURACY = 0.97
SIDE = 8


def features(images):
    """Reduces digits to what scikit-learn's scans are: 8x8 box means, 0 to 16.

    Args:
        images: uint8 [N, R, R, 1], R a multiple of 8.

    Returns:
        float64 [N, 64].
    """
    box = images.shape[1] // SIDE
    means = images.reshape(-1, SIDE, box, SIDE, box).mean(axis=(2, 4))
    return means.reshape(-1, SIDE**2) * (16 / 255)


def split_digits():
    """Returns the real digits as the data set stores them: features, held-out ones, classes, held-out ones."""
    digits = load_digits()
    images = np.stack([enlarge(image) for image in digits.images])
    return train_test_split(features(images), digits.target, test_size=0.3, random_state=0, stratify=digits.target)


def train_classifier(x, classes):
    """Trains ten machines, each to tell one class from all others, on features [N, 64] and classes [N].

    The ten probabilities need not sum to one. Were they normalised, as scikit-learn does for a classifier of ten
    classes, the class that an image is least unlike would win, and such a classifier was sure of a black image.

    Sigmoids fitted to three parts of the data and averaged are cautious. With one sigmoid for all data, isotonic or
    temperature calibration, over 90% of real digits are recognised, but also a quarter to half of the means of two
    different ones, against a tenth here.
    """
    machine = CalibratedClassifierCV(SVC(C=10, gamma="scale"), method="sigmoid", ensemble=True, cv=3)
    return [clone(machine).fit(x, classes == digit) for digit in range(10)]


def probabilities(classifier, x):
    """Returns the probability of each class for features [N, 64], [N, 10]; a row need not sum to one."""
    return np.stack([machine.predict_proba(x)[:, 1] for machine in classifier], axis=1)


def recognised(probs):
    """Returns the share of images, given as probabilities [N, 10], of which one class is confident."""
    return float((probs.max(axis=1) >= CONFIDENCE).mean())


def class_shares(probs):
    """Returns for each class the share of images of which it is the most probable, [10]."""
    return np.bincount(probs.argmax(axis=1), minlength=10) / len(probs)


def generate(generator, count, seed):
    """Draws images without truncation, latents, noise and labels at random.

    Returns:
        uint8 [count, R, R, C].
    """
    random = np.random.RandomState(seed)
    images = []
    for start in tqdm(range(0, count, BATCH), desc="Generating", unit="batch", disable=None):
        batch = min(BATCH, count - start)
        z = random.standard_normal((batch, generator.latent_size)).astype(np.float32)
        noise = [
            keras.ops.convert_to_tensor(random.standard_normal((batch, *shape[1:])).astype(np.float32))
            for shape in generator.synthesis.noise_shapes
        ]
        labels = None
        if generator.label_size:
            labels = np.eye(generator.label_size, dtype=np.float32)[random.randint(generator.label_size, size=batch)]
        images.append(keras.ops.convert_to_numpy(to_uint8(generator(z, labels, truncation_psi=None, noise=noise))))
    return np.concatenate(images)


def newest_generator(run):
    """Returns the path of the newest Gs.keras in a run folder, or None."""
    snapshots = {
        int(match[1]): path
        for path in run.glob("network-snapshot-*/Gs.keras")
        if (match := re.fullmatch(r"network-snapshot-(\d+)", path.parent.name))
    }
    return snapshots[max(snapshots)] if snapshots else None


@click.command()
@click.argument("run", type=UserPath(exists=True, file_okay=False, path_type=pathlib.Path))
@click.option("--output", type=UserPath("file", path_type=pathlib.Path), help="JSON file of the shares.")
def main(run, output):
    """Tells how many of the digits that RUN's newest network makes a classifier recognises."""
    path = newest_generator(run)
    if path is None:
        raise click.UsageError(f"{run} holds no network-snapshot-*/Gs.keras. Give the folder of a training run.")
    generator = keras.saving.load_model(path)
    if generator.synthesis.num_channels != 1 or generator.resolution % SIDE:
        raise click.UsageError(f"{path} makes no greyscale images of at least 8x8. Give a run trained on digits.")

    x, held_out, classes, held_out_classes = split_digits()
    classifier = train_classifier(x, classes)
    reals = probabilities(classifier, held_out)
    accuracy = (reals.argmax(axis=1) == held_out_classes).mean()
    click.echo(f"Accuracy on held-out digits:    {accuracy:.1%}   ({len(held_out)} real ones)")
    if accuracy <= MIN_ACCURACY:
        raise click.ClickException(f"The classifier must exceed {MIN_ACCURACY:.0%} to judge others.")
    click.echo(f"Recognised of held-out digits:  {recognised(reals):.1%}")

    fakes = probabilities(classifier, features(generate(generator, NUM_IMAGES, seed=0)))
    click.echo(f"Recognised of generated digits: {recognised(fakes):.1%}   ({NUM_IMAGES} from {path})")
    shares = class_shares(fakes)
    click.echo("Classes of generated digits:    " + "  ".join(f"{digit}: {x:.1%}" for digit, x in enumerate(shares)))
    if output:
        with atomic_file(output) as temporary:
            temporary.write_text(json.dumps({"recognised": recognised(fakes), "classes": shares.tolist()}) + "\n")


if __name__ == "__main__":
    main()

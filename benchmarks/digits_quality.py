"""How many of a run's digits does a classifier recognise that has only seen real ones?

    python benchmarks/digits_quality.py results/00000-digits

A support vector machine is trained on real digits, and its scores are calibrated to probabilities. A digit counts as
recognised when its most probable class has a probability of 0.9, which about 84% of real digits that the classifier has not
seen reach: the share to compare a generator with. The classes' shares tell whether the generator has forgotten any.
"""

import pathlib
import re
import sys

import click
import keras
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from tqdm import tqdm

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import stylegan_tf.networks  # noqa: F401, registers the classes that a .keras file names
from datasets.digits import enlarge
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
    """Returns (features, held-out features, classes, held-out classes) of the real digits, as the data set stores them."""
    digits = load_digits()
    images = np.stack([enlarge(image) for image in digits.images])
    return train_test_split(
        features(images), digits.target, test_size=0.4, random_state=0, stratify=digits.target
    )


def train_classifier(x, classes):
    """Trains the classifier on features [N, 64] and classes [N].

    Sigmoid calibration of one machine is deliberately cautious: isotonic and temperature calibration give 0.9 to nearly
    every digit, real or not quite, and then the share could not tell good generators from better ones.
    """
    machine = SVC(C=10, gamma="scale")
    return CalibratedClassifierCV(machine, method="sigmoid", ensemble=False, cv=5).fit(x, classes)


def recognised(classifier, x):
    """Returns the share of digits, given as features, that reach the confidence."""
    return float((classifier.predict_proba(x).max(axis=1) >= CONFIDENCE).mean())


def class_shares(classifier, x):
    """Returns the share of each class among the most probable ones, [10]."""
    return np.bincount(classifier.predict(x), minlength=10) / len(x)


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
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=pathlib.Path))
def main(run):
    """Tells how many of the digits that RUN's newest network makes a classifier recognises."""
    path = newest_generator(run)
    if path is None:
        raise click.UsageError(f"{run} holds no network-snapshot-*/Gs.keras. Give the folder of a training run.")
    generator = keras.saving.load_model(path)
    if generator.num_channels != 1 or generator.resolution % SIDE:
        raise click.UsageError(f"{path} makes no greyscale images of at least 8x8. Give a run trained on digits.")

    x, held_out, classes, held_out_classes = split_digits()
    classifier = train_classifier(x, classes)
    accuracy = classifier.score(held_out, held_out_classes)
    click.echo(f"Classifier's accuracy on {len(held_out)} held-out real digits: {accuracy:.1%}")
    if accuracy <= MIN_ACCURACY:
        raise click.ClickException(f"The classifier must exceed {MIN_ACCURACY:.0%} to judge others.")
    click.echo(f"Recognised of real digits:      {recognised(classifier, held_out):.1%}")

    fakes = features(generate(generator, NUM_IMAGES, seed=0))
    click.echo(f"Recognised of generated digits: {recognised(classifier, fakes):.1%}   ({NUM_IMAGES} from {path})")
    shares = class_shares(classifier, fakes)
    click.echo("Classes of generated digits:    " + "  ".join(f"{i}: {share:.1%}" for i, share in enumerate(shares)))


if __name__ == "__main__":
    main()

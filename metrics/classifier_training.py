"""Trains the attribute classifiers of a labelled data set (Karras et al., 2018, section 4.2)."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock
from tqdm import tqdm

from datasets.fingerprint import fingerprint
from datasets.summary import is_one_hot
from dnnlib.files import acquired
from metrics.attribute_classifier import TRUNK, classifier_logits, read_metadata, save_classifier
from metrics.classifier_data import LabelledImages, images_seen, make_jobs, training_parts
from stylegan_tf.networks import Discriminator
from stylegan_tf.recipes.presets import is_mirrored, split_size
from stylegan_tf.runtime.devices import make_strategy
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.runtime.optimizer import Adam


@dataclass(frozen=True)
class ClassifierSettings:
    """How classifiers are trained; the defaults are the paper's.

    Attributes:
        total_kimg: Images that each is trained on, in thousands.
        minibatch, learning_rate: Of Adam, whose other numbers are those of the GAN's training.
        seed: With the attribute's column, it decides weights, order and mirroring.
        mirror: Whether half of the images, chosen at random, are mirrored.
        fmap_base, fmap_max: Feature maps, see `Discriminator`.
    """

    total_kimg: float = 150
    minibatch: int = 8
    learning_rate: float = 1e-3
    seed: int = 0
    mirror: bool = True
    fmap_base: int = 8192
    fmap_max: int = 512


# Ours, for 1,797 digits of 32x32 and 10,000 avatars of 64x64, on two CPU cores: one classifier an attribute or factor,
# and a shared trunk.
RECIPES = {
    "digits": {"total_kimg": 30, "minibatch": 32, "learning_rate": 0.01, "fmap_base": 64, "fmap_max": 32},
    "avatars": {"total_kimg": 60, "minibatch": 32, "learning_rate": 0.005, "fmap_base": 128, "fmap_max": 64},
}
TRUNK_RECIPES = {
    "digits": {"total_kimg": 60, "minibatch": 32, "learning_rate": 0.005, "fmap_base": 128, "fmap_max": 64},
    "avatars": {"total_kimg": 100, "minibatch": 32, "learning_rate": 0.005, "fmap_base": 256, "fmap_max": 64},
}


def settings_of(dataset_name, shared_trunk=False):
    """The `ClassifierSettings` for a data set: the paper's, but for those of `RECIPES`; mirrored if its GAN is."""
    name, _ = split_size(dataset_name)
    recipe = (TRUNK_RECIPES if shared_trunk else RECIPES).get(name, {})
    return ClassifierSettings(mirror=is_mirrored(dataset_name), **recipe)


def train_classifiers(dataset, folder, settings, attributes=None, num_gpus=0, shared_trunk=False, progress=None):
    """Trains the classifiers that a folder has not yet, one on each device at a time; whatever is finished is kept.

    Processes that want classifiers in the same folder wait for one another: what one has trained, the other finds.

    The weights of each depend on data, settings and its column only: neither on the other attributes nor on the number
    of devices.

    Args:
        dataset: MultiResolutionDataset with all its labels.
        folder: Folder of the files, created if necessary.
        settings: ClassifierSettings.
        attributes: Names, of factors where the data set has these; None for all.
        num_gpus: GPUs to use; 0 for the CPU.
        shared_trunk: Whether to train one network for all attributes (ours) instead of one each (the paper's).
        progress: Function of the share that is done, called by the threads that train; what it raises ends them.

    Returns:
        What is known of each network, a list of dicts, see `read_metadata`.

    Raises:
        ValueError: The data set has no such attributes, or the folder has classifiers of other data or settings.
        OSError: A file cannot be read or written.
    """
    jobs = make_jobs(dataset, attributes, shared_trunk)
    images = LabelledImages(dataset)
    origin = {
        "dataset": dataset.name,
        "fingerprint": fingerprint(dataset, images.resolution),
        "resolution": images.resolution,
        "num_channels": dataset.num_channels,
        **asdict(settings),
    }
    folder = Path(folder)
    found = read_metadata(folder)
    _check_origin(folder, found, origin, jobs)
    if not found.keys() >= {job.file for job in jobs}:
        devices = make_devices(num_gpus)
        folder.mkdir(parents=True, exist_ok=True)
        waiting = (lambda: progress(0.0)) if progress else (lambda: None)
        with acquired(FileLock(folder.with_name(f".{folder.name}.lock")), f"training classifiers in {folder}", waiting):
            found = read_metadata(folder)
            _check_origin(folder, found, origin, jobs)
            if missing := [job for job in jobs if job.file not in found]:
                found |= _train_and_save(missing, folder, images, settings, origin, devices, progress)
    return [found[job.file] for job in jobs]


def _train_and_save(jobs, folder, images, settings, origin, devices, progress):
    """Trains the classifiers of `jobs` and writes their files; returns what is known of each, {file: dict}."""
    if len(jobs) < len(devices):
        print(
            f"Only {len(jobs)} of {len(devices)} devices work, as that many networks are left to train.",
            file=sys.stderr,
            flush=True,
        )
    trained = {}

    def save(job, network, results):
        trained[job.file] = save_classifier(folder, job.file, network, origin | results)
        return trained[job.file]

    _train_on_devices(jobs, images, settings, devices, save, progress)
    return trained


def _check_origin(folder, found, origin, jobs):
    """Raises ValueError if the folder has networks of the same kind, one an attribute or a trunk, of another origin."""
    shared_trunk = jobs[0].file == TRUNK
    if shared_trunk:
        origin = origin | {"attributes": jobs[0].attributes}
    for name, metadata in found.items():
        differing = [key for key, value in origin.items() if metadata.get(key) != value]
        if differing and (name == TRUNK) == shared_trunk:
            values = ", ".join(f"{key} {metadata.get(key)} instead of {origin[key]}" for key in differing)
            raise ValueError(
                f"{folder / name}.json says {values}, but classifiers in one folder are trained alike; "
                "remove them, or choose another folder with --outdir."
            )


def make_devices(num_gpus):
    """Names of the devices to train on: the first GPUs, or for 0 the CPU, or all logical ones that it was divided into.

    Raises:
        ValueError: There are not as many GPUs.
    """
    gpus = make_strategy(num_gpus, Hosts()).extended.worker_devices
    return gpus if num_gpus else [cpu.name for cpu in tf.config.list_logical_devices("CPU")]


def _train_on_devices(jobs, images, settings, devices, save, progress=None):
    """Trains networks, one on each device at a time, and saves each; when interrupted, it stops after a few steps.

    Args:
        jobs: List of Job.
        images: LabelledImages.
        settings: ClassifierSettings.
        devices: Names of devices.
        save: Function of (job, network, results) that returns the metadata.
        progress: See `train_classifiers`.
    """
    idle, stop, lock = SimpleQueue(), threading.Event(), threading.Lock()
    for device in devices[: len(jobs)]:
        idle.put({size: DeviceTraining(device, images, size, settings) for size in {len(job.columns) for job in jobs}})

    def advance(count):
        nonlocal done
        with lock:
            bar.update(count)
            done += count  # which a bar that is not shown does not count
            if progress:
                progress(done / total)

    def train(job):
        trainings = idle.get()
        training = trainings[len(job.columns)]
        try:
            if training.run(job.columns, advance, stop):
                return save(job, training.network, _results(job, training))
        finally:
            idle.put(trainings)

    done, total = 0, len(jobs) * images_seen(settings)
    with tqdm(total=total, unit="img", unit_scale=True, disable=None) as bar, ThreadPoolExecutor(idle.qsize()) as pool:
        try:
            for future in as_completed([pool.submit(train, job) for job in jobs]):
                for line in accuracy_lines(future.result()):
                    tqdm.write(line, file=sys.stdout)
                sys.stdout.flush()
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def _results(job, training):
    held_out = training.images.present[training.images.held_out][:, job.columns]
    accuracy, told = training.accuracy(job.columns)
    factor = {"factor": job.factor, "factor_accuracy": told, "largest_value": float(held_out.mean(axis=0).max())}
    return {
        "attributes": job.attributes,
        "columns": job.columns,
        "exclusive": job.factor is not None or is_one_hot(training.images.present),
        "label_size": training.images.present.shape[1],
        "images_seen": images_seen(training.settings),
        "held_out_images": len(held_out),
        "held_out_accuracy": accuracy.tolist(),
        "larger_class": np.maximum(held_out.mean(axis=0), 1 - held_out.mean(axis=0)).tolist(),
        **(factor if job.factor else {}),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def accuracies(metadata):
    """[(name, accuracy on held-out images, what guessing gives)] of a network's factor or each of its attributes."""
    if metadata.get("factor"):
        return [(metadata["factor"], metadata["factor_accuracy"], metadata["largest_value"])]
    return list(zip(*(metadata[key] for key in ("attributes", "held_out_accuracy", "larger_class")), strict=True))


def accuracy_lines(metadata):
    """A line for each of `accuracies`."""
    return [
        f"{name}: {accuracy:.2%} of {metadata['held_out_images']:,} held-out images are right, {share:.2%} by guessing"
        for name, accuracy, share in accuracies(metadata)
    ]


class DeviceTraining:
    """A network on a device and the step that trains it, used for one classifier after the other.

    Args:
        device: Name of the device.
        images: LabelledImages.
        num_outputs: Attributes that the network classifies.
        settings: ClassifierSettings.
    """

    def __init__(self, device, images, num_outputs, settings):
        self.device, self.images, self.settings = device, images, settings
        with tf.device(device):
            self.network = Discriminator(
                images.resolution,
                images.shape[-1],
                label_size=num_outputs if num_outputs > 1 else 0,
                fmap_base=settings.fmap_base,
                fmap_max=settings.fmap_max,
                mbstd_group_size=0,
                name="classifier",
            )
            self.optimizer = Adam(self.network.trainable_variables)
        minibatches = [
            tf.TensorSpec([None, settings.minibatch, *images.shape], tf.uint8),
            tf.TensorSpec([None, settings.minibatch, num_outputs], tf.bool),
        ]
        self.train = tf.function(self._train, input_signature=minibatches)
        self.classify = tf.function(self._classify, input_signature=[tf.TensorSpec([None, *images.shape], tf.uint8)])

    def run(self, columns, advance, stop):
        """Trains a classifier from the start; returns whether it came to the end.

        Args:
            columns: Columns of the labels, one an output.
            advance: Function that is told how many images were gone through.
            stop: threading.Event that ends the training early.
        """
        # RandomState and SeedSequence promise the same numbers in every NumPy.
        random = np.random.RandomState(np.random.MT19937(np.random.SeedSequence([self.settings.seed, *columns])))
        with tf.device(self.device), ThreadPoolExecutor(1) as reader:
            self._initialize(random)
            parts = training_parts(self.images, columns, self.settings, random)
            ahead = reader.submit(next, parts, None)
            while (part := ahead.result()) and not stop.is_set():
                ahead = reader.submit(next, parts, None)
                self.train(*part)
                advance(part[0].shape[0] * part[0].shape[1])
        return part is None

    def _initialize(self, random):
        """As a new network, kernels standard normal and biases 0 (`EqualizedLayer`), but drawn from `random`."""
        for variable in self.network.trainable_variables:
            new = random.standard_normal if variable.name == "kernel" else np.zeros
            variable.assign(new(variable.shape))
        self.optimizer.reset()

    def _train(self, images, present):
        variables = [variable.value for variable in self.network.trainable_variables]
        for step in tf.range(tf.shape(images)[0]):
            with tf.GradientTape() as tape:
                losses = classifier_loss(classifier_logits(self.network, images[step]), present[step])
                loss = tf.reduce_sum(losses) / self.settings.minibatch
            gradients = tape.gradient(loss, variables)
            self.optimizer.apply(tf.distribute.get_strategy(), gradients, self.settings.learning_rate)

    def _classify(self, images):
        return classifier_logits(self.network, images)

    def accuracy(self, columns):
        """Share of the held-out images that are classified rightly.

        Returns:
            (of each column by itself, float [columns]; by the column with the largest logit, a float).
        """
        right, told = np.zeros(len(columns)), 0
        for indices in self.images.parts(self.images.held_out, self.settings.minibatch):
            with tf.device(self.device):
                logits = self.classify(self.images.read(indices)).numpy()
            present = self.images.present[indices][:, columns]
            right += ((logits > 0) == present).sum(axis=0)
            told += int(present[np.arange(len(present)), logits.argmax(axis=1)].sum())
        return right / len(self.images.held_out), told / len(self.images.held_out)


def classifier_loss(logits, present):
    """Cross-entropy of softmax([logit, -logit]), whose first class is "present": softplus(-2 s logit), s = 1 or -1.

    Args:
        logits: float [N, attributes].
        present: bool [N, attributes].

    Returns:
        float [N, attributes].
    """
    return tf.nn.softplus(tf.where(present, -2.0, 2.0) * logits)

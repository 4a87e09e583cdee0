"""Attribute classifiers: networks that say whether a face smiles, or whether a digit is a seven.

A classifier is the discriminator's network without minibatch standard deviation, whose score is a logit, positive where
the attribute is present: the softmax of [logit, -logit] is the probability of [present, absent] (Karras et al., 2018,
section 4.2). `run_classifiers.py` trains them into a folder, each as two files:

    FOLDER/Smiling.keras     the network
    FOLDER/Smiling.json      what it was trained on and how, its accuracy, and the SHA-256 of the other file

or, which is ours and not the paper's, one network for all attributes, shared-trunk.keras and .json.
"""

import hashlib
import json
import shlex
import urllib.parse
from pathlib import Path

import numpy as np
import tensorflow as tf

from dnnlib.files import atomic_file
from stylegan_tf.files.keras_file import open_network
from stylegan_tf.images import from_uint8
from stylegan_tf.layers import downsample

# Images are reduced to this side before they are classified (paper, section 4.2).
MAX_RESOLUTION = 256
TRUNK = "shared-trunk"
_TRAIN = "train it again with run_classifiers.py"


def classifiers_folder(cache_dir, dataset_name):
    """Where the classifiers of a data set are kept, a path."""
    return Path(cache_dir) / "classifiers" / dataset_name


def classifier_logits(network, images):
    """Logits of a classifier, or of a trunk with one output an attribute.

    Args:
        network: `Discriminator` without minibatch standard deviation.
        images: uint8 [N, R, R, C].

    Returns:
        float32 [N, outputs], positive where the attribute is present.
    """
    return network.output_layer(network.features(from_uint8(images)))


def file_name(attribute):
    """Name of an attribute's files without suffix; different ones for different attributes."""
    name = urllib.parse.quote(attribute, safe="")
    if name.startswith("."):
        return f"%2E{name[1:]}"  # files with a dot are incomplete ones
    return name.replace("-", "%2D") if name == TRUNK else name


def save_classifier(folder, name, network, metadata):
    """Writes FOLDER/NAME.keras and then FOLDER/NAME.json, the sign that the classifier is complete.

    Args:
        folder: Existing folder.
        name: File name without suffix.
        network: The trained network.
        metadata: dict for the .json; the SHA-256 is added.

    Returns:
        The metadata as written.
    """
    folder = Path(folder)
    with atomic_file(folder / f"{name}.keras", durable=True) as path:
        network.save(path)
        metadata = {**metadata, "sha256": _sha256(path)}
    with atomic_file(folder / f"{name}.json", durable=True) as path:
        path.write_text(json.dumps(metadata, indent=2) + "\n")
    return metadata


def read_metadata(folder):
    """What is known of the complete classifiers in a folder: {file name without suffix: dict}, by column of the labels.

    Raises:
        ValueError: A .json file is damaged, or its network is missing or not the one that it describes.
    """
    paths = [path for path in Path(folder).glob("*.json") if not path.name.startswith(".")]
    found = {path.stem: _read(path) for path in paths}
    return dict(sorted(found.items(), key=lambda item: item[1]["columns"]))


def has_classifiers(folder, shared_trunk=False):
    """Whether a folder has a classifier for every label column of its data set, or else a shared trunk."""
    found = read_metadata(folder)
    trunk = found.pop(TRUNK, None)
    columns = sum(len(item["columns"]) for item in found.values())
    return bool(trunk if shared_trunk else found and columns == next(iter(found.values()))["label_size"])


def _read(path):
    try:
        metadata = json.loads(path.read_text())
        columns, digest = metadata["columns"], metadata["sha256"]
        whole = len(columns) == len(metadata["attributes"]) == len(metadata["held_out_accuracy"])
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(f"{path} does not describe a classifier, or is damaged; remove it and {_TRAIN}.")
    network = path.with_suffix(".keras")
    if not network.exists() or _sha256(network) != digest:
        raise ValueError(f"{network} is missing or damaged: {path} has another SHA-256; remove both and {_TRAIN}.")
    return metadata


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class AttributeClassifiers:
    """The classifiers of a data set as one function; call it inside tf.function, on any replica.

    Args:
        networks: Networks, each with one output or more.
        metadata: What is known of each, see `read_metadata`.

    Attributes:
        names: The attributes, a list; outputs are in this order.
        accuracies: Accuracy of each on images that were held out, a list.
        resolution: Side of the images.
        exclusive: Whether each image that they learnt from has one of the data set's attributes only, as a digit has,
            or one value of each factor.
        groups: {name: its columns of the logits} of each network's attribute or factor.
        hash: SHA-256 of what it computes with and of `exclusive`, hexadecimal.

    Call arguments:
        images: uint8 [N, resolution, resolution, C].

    Returns:
        Logits, float32 [N, attributes], positive where the attribute is present.
    """

    def __init__(self, networks, metadata):
        self.networks = networks
        self.names = [name for item in metadata for name in item["attributes"]]
        ends = np.cumsum([len(item["columns"]) for item in metadata]).tolist()
        self.groups = {
            item.get("factor") or item["attributes"][0]: range(end - len(item["columns"]), end)
            for item, end in zip(metadata, ends, strict=True)
        }
        self.accuracies = [accuracy for item in metadata for accuracy in item["held_out_accuracy"]]
        self.resolution = metadata[0]["resolution"]
        # Classifiers that were trained before this was noted do not say it.
        self.exclusive = all(item.get("exclusive", False) for item in metadata)
        hashed = "".join(item["sha256"] for item in metadata) + ("exclusive" if self.exclusive else "")
        self.hash = hashlib.sha256(hashed.encode()).hexdigest()

    def __call__(self, images):
        if images.shape[1] != self.resolution:  # the networks would take smaller ones for a level of their growth
            raise ValueError(f"Classifiers take images of side {self.resolution}; received {tuple(images.shape)}.")
        return tf.concat([classifier_logits(network, images) for network in self.networks], axis=1)


def feature_maps(network, images):
    """What a classifier computes at each resolution of images like those that it was trained on.

    Args:
        network: See `classifier_logits`.
        images: float [N, R, R, C] in [0, 255].

    Returns:
        A list of float [N, H, W, maps], finest first.
    """
    x = network.activation(network.from_rgb[0](images / 127.5 - 1.0))
    found = [x]
    for block in network.blocks:
        x = network.halve(x, *block)
        found.append(x)
    return found


class TrunkFeatures:
    """Features of a shared trunk: what its output layer sees. A feature network of `metrics.features`.

    Args:
        classifiers: `AttributeClassifiers` of a shared trunk.

    Attributes:
        dim: Length of a feature vector.
        hash: SHA-256 of what it computes with, hexadecimal.

    Call arguments:
        images: uint8 [N, R, R, C], R the trunk's resolution or a multiple, which is reduced by box means.

    Returns:
        float32 [N, dim].
    """

    def __init__(self, classifiers):
        (self.network,) = classifiers.networks
        self.resolution = classifiers.resolution
        self.dim = self.network.dense.units
        self.hash = classifiers.hash

    def __call__(self, images):
        factor, rest = divmod(images.shape[1], self.resolution)
        if rest or not factor:
            raise ValueError(f"The trunk takes images of side {self.resolution}; received {tuple(images.shape)}.")
        images = from_uint8(images)
        return self.network.features(downsample(images, factor) if factor > 1 else images)


def load_classifiers(folder, resolution, num_channels, shared_trunk=False):
    """Opens the classifiers in a folder; call it in the strategy's scope.

    Args:
        folder: See `classifiers_folder`.
        resolution: Side of the images that they will see.
        num_channels: Colour channels of these.
        shared_trunk: Whether to open the one network for all attributes instead of one an attribute.

    Returns:
        AttributeClassifiers.

    Raises:
        ValueError: There are none, a file is damaged, or they were trained on images of another shape.
    """
    found = find_classifiers(folder, resolution, num_channels, shared_trunk)
    paths = [Path(folder) / f"{name}.keras" for name in found]
    networks = [open_network(path, f"remove it and its .json and {_TRAIN}") for path in paths]
    return AttributeClassifiers(networks, list(found.values()))


def find_classifiers(folder, resolution, num_channels, shared_trunk=False):
    """What is known of the classifiers that `load_classifiers` would open, as `read_metadata` returns it.

    Raises:
        ValueError: As there.
    """
    folder = Path(folder)
    found = {name: item for name, item in read_metadata(folder).items() if (name == TRUNK) == shared_trunk}
    if not found:
        what, option = (
            ("is no shared trunk", " --shared-trunk") if shared_trunk else ("are no attribute classifiers", "")
        )
        raise ValueError(
            f"There {what} in {folder}; train them with "
            f"python run_classifiers.py {shlex.join([f'--dataset={folder.name}', f'--outdir={folder}'])}{option}."
        )
    for name, item in found.items():
        if (item["resolution"], item["num_channels"]) != (resolution, num_channels):
            raise ValueError(
                f"{folder / name}.keras was trained on images of {item['resolution']}x{item['resolution']} with "
                f"{item['num_channels']} channels, but those to be classified are {resolution}x{resolution} with "
                f"{num_channels}; train classifiers on images like these with run_classifiers.py."
            )
    return found

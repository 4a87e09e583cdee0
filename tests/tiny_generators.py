"""A tiny generator to measure, its run, and tiny networks that metrics look at its images with."""

import json
from types import SimpleNamespace

import numpy as np
import tensorflow as tf
from tiny_networks import scattered
from tiny_torch import save_tensors

from metrics.attribute_classifier import TRUNK, classifier_logits, save_classifier
from stylegan_tf.networks import Discriminator, Generator, StyleGAN2Generator
from stylegan_tf.perception.lpips import CONVOLUTIONS
from stylegan_tf.recipes.settings import TrainingConfig, to_dict
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.snapshot import save_snapshot

SIZES = dict(
    fmap_base=64, fmap_max=8, latent_size=16, dlatent_size=16, mapping_fmaps=16, mapping_layers=2, mapping_lrmul=1.0
)


# What the tests of all that is done with a generator go through.
FAMILIES = {"stylegan": Generator, "stylegan2": StyleGAN2Generator}
# How much smaller their toRGB layers are made, so that pixels are well inside [-1, 1].
SCALES = {"stylegan": 0.3, "stylegan2": 0.1}


def tiny_generator(seed=0, resolution=8, num_channels=3, family="stylegan", **arguments):
    """A generator whose images differ, with noise that shows, and a w average."""
    generator = scattered(FAMILIES[family](resolution, num_channels, **SIZES, **arguments), seed)
    for to_rgb in generator.synthesis.to_rgb:
        to_rgb.kernel.assign(to_rgb.kernel * SCALES[family])
        to_rgb.bias.assign(to_rgb.bias * 0.1)
    return generator


def tiny_run(folder, data_dir, family="stylegan"):
    """Writes a run on the data set `tiny` with two snapshots: after 1,234 images, growing to 8x8, and after 2,345.

    The discriminator is StyleGAN's in each family.
    """
    config = TrainingConfig(
        dataset="tiny", data_dir=str(data_dir), resolution=8, mirror=True, networks=family, generator=SIZES
    )
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(to_dict(config)))
    D = Discriminator(8, 3, fmap_base=64, fmap_max=8, name="D")
    for seed, images_seen, resolution, fade in ((0, 1234, 8, 0.5), (1, 2345, 8, 1.0)):
        G, Gs = (tiny_generator(s, family=family, name=name) for s, name in ((seed + 10, "G"), (seed, "Gs")))
        models = SimpleNamespace(G=G, D=D, Gs=Gs)
        phase = SimpleNamespace(resolution=resolution, fade=fade)
        save_snapshot(folder, models, Progress(images_seen=images_seen), phase, config)


def tiny_classifiers(folder, images, names=("first", "second", "third")):
    """Writes a classifier for each attribute and a shared trunk, untrained, that divide some images in halves.

    Args:
        folder: New folder.
        images: uint8 [N, R, R, C].
        names: Names of the attributes.
    """
    folder.mkdir(parents=True)
    columns = list(range(len(names)))
    for name, outputs in [*((name, [column]) for column, name in enumerate(names)), (TRUNK, columns)]:
        label_size = len(outputs) if len(outputs) > 1 else 0
        sizes = dict(fmap_base=64, fmap_max=8, mbstd_group_size=0)
        network = Discriminator(images.shape[1], images.shape[3], label_size=label_size, **sizes)
        scattered(network, seed=len(outputs) + outputs[0])
        logits = classifier_logits(network, tf.constant(images))
        network.output_layer.bias.assign_sub(np.median(logits, axis=0))
        facts = {
            "attributes": [names[column] for column in outputs],
            "columns": outputs,
            "label_size": len(names),
            "held_out_accuracy": [0.5] * len(outputs),
            "resolution": images.shape[1],
            "num_channels": images.shape[3],
        }
        save_classifier(folder, name, network, facts)


def tiny_lpips(folder, seed=0):
    """Writes narrow weights as torchvision's VGG16 and LPIPS publish theirs; returns both paths."""
    random = np.random.RandomState(seed)
    vgg, heads, channels = {}, {}, 3
    for i, (indices, width) in enumerate(zip(CONVOLUTIONS, (4, 6, 8, 10, 12), strict=True)):
        for index in indices:
            kernel = random.standard_normal((width, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
            vgg[f"features.{index}.weight"] = kernel.astype("float32")
            vgg[f"features.{index}.bias"] = random.normal(0, 0.1, width).astype("float32")
            channels = width
        heads[f"lin{i}.model.1.weight"] = random.uniform(0, 1, (1, width, 1, 1)).astype("float32")
    paths = folder / "vgg16.pth", folder / "lpips.pth"
    for path, tensors in zip(paths, (vgg, heads), strict=True):
        save_tensors(path, tensors)
    return paths


class Means:
    """A feature network: the mean of each channel, of some columns.

    Attributes:
        traced: How often it was called to be traced.
    """

    def __init__(self, dim=3, columns=slice(None)):
        self.dim, self.columns, self.traced = dim, columns, 0
        self.hash = f"means of {columns}"

    def __call__(self, images):
        self.traced += 1
        return tf.reduce_mean(tf.cast(images[:, :, self.columns], tf.float32), axis=[1, 2])

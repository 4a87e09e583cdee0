"""Whole metrics: equal to what NumPy makes of the same samples, with any minibatch, and on any number of devices."""

import dataclasses
import functools
import hashlib
import pathlib
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from processes import finish, start
from scipy import linalg
from tiny_generators import FAMILIES, tiny_classifiers, tiny_generator, tiny_lpips
from tiny_metrics import tiny_inception
from tiny_training import create_dataset

from datasets.tfrecords import MultiResolutionDataset
from metrics import METRICS
from metrics.attribute_classifier import TrunkFeatures, feature_maps, load_classifiers
from metrics.linear_separability import separability
from metrics.options import Options
from metrics.samples import Purpose, Samples
from stylegan_tf.perception import weights
from stylegan_tf.perception.lpips import LPIPS
from stylegan_tf.runtime.draws import uniform

SIDE, REALS, PATHS, LABELLED = 16, 50, 24, 120
SCRIPT = pathlib.Path(__file__).with_name("two_devices_measure.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of a data set of 16x16, data/tiny, of classifiers, and of files as they are published."""
    folder = tmp_path_factory.mktemp("measuring")
    create_dataset(folder / "data", SIDE)
    tiny_inception(folder / "inception.pb")
    tiny_lpips(folder)
    images = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 3), np.uint8)
    tiny_classifiers(folder / "classifiers", images)
    return folder


@pytest.fixture(scope="module", autouse=True)
def two_devices(folder):
    """The script at work, beside which the other tests have a core of their own."""
    process = start("-W", "error", SCRIPT, folder)
    yield process
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def dataset(folder):
    return MultiResolutionDataset(folder / "data" / "tiny")


@functools.cache
def generator_of(family):
    generator = tiny_generator(resolution=SIDE, family=family)
    if family == "stylegan2":
        # Noise, as in the data set's images: StyleGAN2's are smooth, and would be far from them all.
        for variable in generator.synthesis.variables:
            variable.assign(variable * (0 if variable.path.endswith("bias") else 1))
        for layer in generator.synthesis.layers_by_resolution[-1]:
            layer.noise.strength.assign(10)
        for to_rgb in generator.synthesis.to_rgb:
            to_rgb.kernel.assign(to_rgb.kernel * 0.5)
    return generator


@pytest.fixture
def generator(request):
    """A generator of one of `tiny_generators.FAMILIES`, the same one in all tests."""
    return generator_of(request.param)


def measures(*cases):
    """The test measures generators of these families, in minibatches of these sizes: [(family, size)]."""
    return pytest.mark.parametrize(("generator", "minibatch"), cases, indirect=["generator"])


class Draws(NamedTuple):
    """What the first samples draw, arrays; `mixed`: styles of two latents."""

    z: np.ndarray
    second_z: np.ndarray
    time: np.ndarray
    mixed: np.ndarray
    noise: list

    def first(self, count):
        return tf.nest.map_structure(lambda array: array[:count], self)


@functools.cache
def draws_of(generator):
    samples = Samples(generator, None, seed=0)

    @tf.function
    def draw(indices):
        z, second_z = (samples.z(indices, purpose) for purpose in (Purpose.Z, Purpose.SECOND_Z))
        time = samples.draw(uniform, [], indices, Purpose.TIME)
        return Draws(z, second_z, time, samples.w(indices, latents=2), samples.noise(indices))

    return tf.nest.map_structure(lambda tensor: tensor.numpy(), draw(tf.range(LABELLED, dtype=tf.int64)))


@pytest.fixture
def draws(generator):
    return draws_of(generator)


@pytest.fixture(scope="module", autouse=True)
def published(folder):
    """The hashes that count are those of the tiny files."""
    files = {"INCEPTION": "inception.pb", "VGG16": "vgg16.pth", "LPIPS": "lpips.pth"}
    with pytest.MonkeyPatch.context() as patch:
        for name, path in files.items():
            digest = hashlib.sha256((folder / path).read_bytes()).hexdigest()
            patch.setattr(weights, name, dataclasses.replace(getattr(weights, name), size=None, sha256=digest))
        yield


@pytest.fixture(scope="module")
def options(folder, tmp_path_factory):
    """Function that makes Options with a cache of their own."""

    def make(**values):
        files = {"inception": "inception.pb", "vgg16": "vgg16.pth", "lpips": "lpips.pth"}
        paths = {name: str(folder / path) for name, path in files.items()}
        return Options(cache_dir=str(tmp_path_factory.mktemp("cache")), **paths, **values)

    return make


def pixels(images):
    """What the paper's metrics see of images in [-1, 1]."""
    return np.floor(np.clip(images * 127.5 + 127.5, 0, 255) + 0.5).clip(0, 255).astype(np.uint8)


# FID, KID, precision and recall, through the code that loads the published graph.


def pool_3(folder, images):
    """Features of images by the graph as it stands, in a session as in 2015, an image at a time."""
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString((folder / "inception.pb").read_bytes())
    with tf.Graph().as_default():
        tf.graph_util.import_graph_def(graph, name="")
        with tf.compat.v1.Session() as session:
            rows = [session.run("pool_3:0", {"ExpandDims:0": image[None].astype(np.float32)}) for image in images]
    return np.reshape(rows, [len(images), -1]).astype(np.float64)


@pytest.fixture(scope="module")
def reals(folder, dataset):
    """Features of all real images."""
    return pool_3(folder, dataset.read_images(SIDE, range(REALS)))


@functools.cache
def fakes_of(generator, folder):
    few = draws_of(generator).first(REALS)
    return pool_3(folder, pixels(generator(few.z, truncation_psi=None, noise=few.noise).numpy()))


@pytest.fixture
def fakes(folder, generator):
    """Features of as many generated ones."""
    return fakes_of(generator, folder)


def frechet(a, b):
    """The Frechet distance by its formula."""
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T))
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root.real)


@measures(("stylegan", 1), ("stylegan", 7), ("stylegan2", 7), ("stylegan2", 16))
def test_fid(generator, dataset, options, reals, fakes, minibatch):
    result = METRICS["fid50k"](generator, dataset, options=options(num_samples=REALS, minibatch=minibatch))
    # Convolutions of other minibatches round in other ways, and a pixel that is just between two values may become
    # either of them: one value of 50 images of 768 values each.
    assert result == {"fid50": pytest.approx(frechet(reals, fakes), rel=1e-3)}
    assert result["fid50"] > 0.1


@pytest.mark.parametrize("generator", FAMILIES, indirect=True)
def test_fid_of_truncated_images(folder, generator, dataset, draws, options, reals):
    few = draws.first(REALS)
    # In the first 8 layers, or, of StyleGAN2, in all.
    images = generator(few.z, truncation_psi=0.7, noise=few.noise)
    expected = frechet(reals, pool_3(folder, pixels(images.numpy())))
    result = METRICS["fid50k"](generator, dataset, options=options(num_samples=REALS, truncation_psi=0.7))
    assert result == {"fid50_psi0.7": pytest.approx(expected, rel=1e-3)}


@pytest.mark.parametrize("generator", FAMILIES, indirect=True)
def test_fid_of_mixed_latents(folder, generator, dataset, draws, options, reals, fakes):
    few = draws.first(REALS)
    images = generator.synthesis(few.mixed, noise=few.noise)
    expected = frechet(reals, pool_3(folder, pixels(images.numpy())))
    result = METRICS["fid50k_mix2"](generator, dataset, options=options(num_samples=REALS))
    assert result == {"fid50_mix2": pytest.approx(expected, rel=1e-3)}
    assert expected != pytest.approx(frechet(reals, fakes), rel=0.01)


@measures(("stylegan", 3), ("stylegan2", 16))
def test_kid(generator, dataset, options, reals, fakes, minibatch):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def without_diagonal(table):
        return table[~np.eye(REALS, dtype=bool)].mean()

    # With fewer samples than there are in a subset, every one takes part.
    expected = without_diagonal(kernel(reals, reals)) + without_diagonal(kernel(fakes, fakes))
    expected -= 2 * kernel(reals, fakes).mean()
    result = METRICS["kid50k"](generator, dataset, options=options(num_samples=REALS, minibatch=minibatch))
    assert result == {"kid50": pytest.approx(expected, rel=1e-3)}


@measures(("stylegan", 3), ("stylegan2", 16))
def test_precision_and_recall(generator, dataset, options, reals, fakes, minibatch):
    def distances(a, b):
        return np.linalg.norm(a[:, None] - b[None], axis=-1)

    def covered(a, b):
        return (distances(a, b) <= np.sort(distances(b, b))[:, 3]).any(axis=1).mean()

    expected = {"precision50": covered(fakes, reals), "recall50": covered(reals, fakes)}
    result = METRICS["pr50k"](generator, dataset, options=options(num_samples=REALS, minibatch=minibatch))
    # One image may be as near to a border as its features are rounded.
    assert result == pytest.approx(expected, abs=1.01 / REALS)
    assert 0.1 < expected["precision50"] < 0.9 and 0.1 < expected["recall50"] < 0.9


# Path lengths, through the code that reads PyTorch's files.


def slerp(a, b, t):
    """float64."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    angle = np.arccos(np.sum(a * b, axis=1, keepdims=True))
    return (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)


def path_length(distance, generator, draws, space, ends):
    """Its definition, with points on the paths in float64. No path is left out where there are fewer than a hundred."""
    few = draws.first(PATHS)
    start = np.zeros(PATHS) if ends else few.time.astype(np.float64)

    def images(t):
        if space == "z":
            points = slerp(few.z.astype(np.float64), few.second_z.astype(np.float64), t[:, None])
            w = generator.mapping(points.astype(np.float32))
        else:
            w0, w1 = (generator.mapping(z).numpy().astype(np.float64) for z in (few.z, few.second_z))
            w = (w0 + (w1 - w0) * t[:, None, None]).astype(np.float32)
        return generator.synthesis(w, noise=few.noise) * 127.5 + 127.5

    distances = distance(images(start), images(start + 1e-4))
    return float(np.mean(distances)) * 1e8


@pytest.mark.parametrize(
    ("generator", "name"),
    [
        *(("stylegan", name) for name in ("ppl_zfull", "ppl_wfull", "ppl_zend", "ppl_wend")),
        *(("stylegan2", name) for name in ("ppl_zfull", "ppl2_wend")),
    ],
    indirect=["generator"],
)
def test_path_length(folder, generator, draws, options, name):
    kind, where = name.split("_")
    lpips = LPIPS(folder / "vgg16.pth", folder / "lpips.pth")
    expected = path_length(lpips, generator, draws, where[0], ends=where.endswith("end"))
    # StyleGAN2's looks at whole images, of faces as well.
    crop = {"crop": "face"} if kind == "ppl2" else {}
    for minibatch in (1, 7):
        result = METRICS[name](generator, None, options=options(num_samples=PATHS, minibatch=minibatch, **crop))
        # Two images that differ in their fourth digit, in float32, which knows seven.
        assert result == {name: pytest.approx(expected, rel=0.01)}


@pytest.mark.parametrize(
    ("generator", "name"),
    [("stylegan", "pl_classifier_zfull"), ("stylegan2", "pl_classifier_wend")],
    indirect=["generator"],
)
def test_path_length_by_a_classifier(folder, generator, draws, options, name):
    """The distance of what the trunk sees at each of its resolutions, each pixel's maps scaled to length 1."""
    (trunk,) = load_classifiers(folder / "classifiers", SIDE, 3, shared_trunk=True).networks

    def distance(a, b):
        total = 0.0
        for maps_a, maps_b in zip(feature_maps(trunk, a), feature_maps(trunk, b), strict=True):
            maps_a, maps_b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in map(np.asarray, (maps_a, maps_b)))
            total += np.mean(np.sum(np.square(maps_a - maps_b), axis=-1), axis=(1, 2))
        return total

    where = name.removeprefix("pl_classifier_")
    expected = path_length(distance, generator, draws, where[0], ends=where.endswith("end"))
    given = options(num_samples=PATHS, minibatch=7, classifiers=str(folder / "classifiers"))
    assert METRICS[name](generator, None, options=given) == {name: pytest.approx(expected, rel=0.02)}


# Linear separability.


@measures(("stylegan", 7), ("stylegan2", 64))
def test_linear_separability(generator, draws, options, minibatch, tmp_path):
    images = pixels(generator(draws.z, truncation_psi=None, noise=draws.noise).numpy())
    tiny_classifiers(tmp_path / "classifiers", images[:20])
    classifiers = load_classifiers(tmp_path / "classifiers", SIDE, 3)
    logits = classifiers(tf.constant(images))
    latents = {"ls_z": draws.z, "ls_w": generator.mapping(draws.z)[:, 0]}
    expected = {name: separability(x, logits, classifiers.names, LABELLED // 2).score for name, x in latents.items()}
    given = options(num_samples=LABELLED, minibatch=minibatch, classifiers=str(tmp_path / "classifiers"))
    # Where images differ by a value of a pixel, other samples may be the most confident.
    assert METRICS["ls"](generator, None, options=given) == pytest.approx(expected, rel=0.02)
    assert min(expected.values()) > 1.1


# In a classifier's features.


@measures(("stylegan", 16), ("stylegan2", 7))
def test_classifiers_features(folder, generator, dataset, draws, options, minibatch):
    trunk = TrunkFeatures(load_classifiers(folder / "classifiers", SIDE, 3, shared_trunk=True))
    few = draws.first(REALS)
    images = pixels(generator(few.z, truncation_psi=None, noise=few.noise).numpy())
    real, fake = (np.float64(trunk(tf.constant(x))) for x in (dataset.read_images(SIDE, range(REALS)), images))
    given = options(num_samples=REALS, minibatch=minibatch, classifiers=str(folder / "classifiers"))
    result = METRICS["fd_classifier"](generator, dataset, options=given)
    assert result == {"fd50": pytest.approx(frechet(real, fake), rel=1e-3)}
    assert result["fd50"] > 0.01
    mixed = METRICS["fd_classifier_mix2"](generator, dataset, options=given)
    assert list(mixed) == ["fd50_mix2"] and mixed["fd50_mix2"] != result["fd50"]


# Devices.


@pytest.fixture(scope="module")
def tables(folder, two_devices):
    """{DEVICES-MINIBATCH/table: rows} of the script."""
    finish(two_devices)
    with np.load(folder / "tables.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize(
    ("table", "tolerance"),
    [
        ("reals", dict(rtol=1e-5)),
        # A value of a pixel may have been rounded to the one beside it.
        ("features", dict(rtol=1e-4, atol=1e-4)),
        ("attributes", dict(rtol=1e-4, atol=1e-3)),
        # Roots of the distances, to which rounding adds about the same whatever their size.
        ("ppl_zfull", dict(atol=0.03)),
        ("pictures", dict(atol=1)),
    ],
)
def test_two_devices(tables, table, tolerance):
    """And another minibatch than on one."""
    expected, rows = tables[f"1-8/{table}"], tables[f"2-3/{table}"]
    assert len(expected) == 20 and np.ptp(expected, axis=0).min() > 0.05
    if table == "ppl_zfull":
        expected, rows = np.sqrt(expected), np.sqrt(rows)
    np.testing.assert_allclose(rows, expected, **tolerance)

"""LPIPS on files of weights: equal to NumPy's and PyTorch's, on any strategy, and clear about wrong files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.lib.stride_tricks import sliding_window_view
from tiny_torch import save_tensors

from stylegan_tf.perception.lpips import CONVOLUTIONS, LPIPS, SCALE, SHIFT, head_distance

NARROW = (4, 6, 8, 10, 12)
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])


def random_weights(widths, seed=0):
    """He-scaled VGG16 with so many channels at each resolution, and heads: two state dicts of arrays."""
    random = np.random.RandomState(seed)
    vgg, channels = {}, 3
    for indices, width in zip(CONVOLUTIONS, widths, strict=True):
        for index in indices:
            kernel = random.standard_normal((width, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
            vgg[f"features.{index}.weight"] = kernel.astype("float32")
            vgg[f"features.{index}.bias"] = random.normal(0, 0.1, width).astype("float32")
            channels = width
    vgg["classifier.0.weight"] = np.zeros((2, 3), "float32")
    shapes = {f"lin{i}.model.1.weight": (1, width, 1, 1) for i, width in enumerate(widths)}
    return vgg, {name: random.uniform(0, 1, shape).astype("float32") for name, shape in shapes.items()}


def random_pairs(count=3, height=40, width=52, channels=3):
    """Pairs of images in [0, 255] that are more or less alike."""
    random = np.random.RandomState(1)
    images_a = random.uniform(0, 255, (count, height, width, channels))
    noise = random.uniform(-1, 1, images_a.shape) * np.array([1, 10, 100])[:count, None, None, None]
    return images_a.astype("float32"), np.clip(images_a + noise, 0, 255).astype("float32")


@pytest.fixture
def files(tmp_path):
    """Paths of narrow weights, and the weights."""
    paths = tmp_path / "vgg16.pth", tmp_path / "lpips.pth"
    weights = random_weights(NARROW)
    for path, tensors in zip(paths, weights, strict=True):
        save_tensors(path, tensors)
    return paths, weights


def numpy_distances(vgg, heads, images_a, images_b):
    """LPIPS by its definition, in float64."""

    def features(image):
        x = ((image.astype("float64") / 127.5 - 1 - np.array(SHIFT)) / np.array(SCALE)).transpose(2, 0, 1)
        for i, indices in enumerate(CONVOLUTIONS):
            if i:
                height, width = x.shape[1] // 2, x.shape[2] // 2
                x = x[:, : 2 * height, : 2 * width].reshape(-1, height, 2, width, 2).max(axis=(2, 4))
            for index in indices:
                windows = sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), axis=(1, 2))
                x = np.einsum("chwij,ocij->ohw", windows, vgg[f"features.{index}.weight"])
                x = np.maximum(x + vgg[f"features.{index}.bias"][:, None, None], 0)
            yield x / (np.linalg.norm(x, axis=0) + 1e-10)

    def distance(a, b):
        terms = zip(features(a), features(b), heads.values(), strict=True)
        return sum(np.mean(np.sum((x - y) ** 2 * head[0], axis=0)) for x, y, head in terms)

    return np.array([distance(a, b) for a, b in zip(images_a, images_b, strict=True)])


@pytest.mark.parametrize("size", [(40, 52), (16, 16)])
def test_distances_equal_numpys(files, size):
    paths, weights = files
    images_a, images_b = random_pairs(3, *size)
    distances = LPIPS(*paths)(images_a, images_b)
    assert distances.dtype == "float32"
    expected = numpy_distances(*weights, images_a, images_b)
    assert (np.diff(expected) > 0).all()
    np.testing.assert_allclose(distances, expected, rtol=1e-4)


def test_grey_images_have_three_equal_channels(files):
    images_a, images_b = random_pairs(channels=1)
    lpips = LPIPS(*files[0])
    coloured = lpips(images_a.repeat(3, axis=-1), images_b.repeat(3, axis=-1))
    np.testing.assert_array_equal(lpips(images_a, images_b), coloured)


def test_equal_images_and_order(files):
    images_a, images_b = random_pairs()
    lpips = LPIPS(*files[0])
    np.testing.assert_array_equal(lpips(images_a, images_a), np.zeros(3))
    np.testing.assert_allclose(lpips(images_a, images_b), lpips(images_b, images_a), rtol=1e-5)
    black = np.zeros((1, 16, 16, 3), "float32")
    assert np.isfinite(lpips(black, black + 255)).all()


def test_head_arithmetic():
    random = np.random.RandomState(0)
    a, b = random.normal(size=(2, 4, 5, 7, 6)).astype("float32")
    a[0, 0, 0] = 0  # Features that are all zero have no direction.
    weights = random.uniform(size=6).astype("float32")

    def unit(x):
        return x / (np.sqrt(np.sum(x.astype("float64") ** 2, axis=-1, keepdims=True)) + 1e-10)

    expected = np.zeros(4)
    for n, y, x, c in np.ndindex(a.shape):
        expected[n] += weights[c] * (unit(a)[n, y, x, c] - unit(b)[n, y, x, c]) ** 2 / (5 * 7)
    np.testing.assert_allclose(head_distance(a, b, weights), expected, rtol=1e-5)


def test_on_replicas_and_under_any_policy(files):
    images_a, images_b = random_pairs()
    expected = LPIPS(*files[0])(images_a, images_b)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        with strategy.scope():
            lpips = LPIPS(*files[0])
    finally:
        keras.config.set_dtype_policy("float32")
    distances = tf.function(lambda *images: strategy.run(lpips, images))(images_a, images_b)
    np.testing.assert_allclose(strategy.gather(distances, 0), expected, rtol=1e-5)
    assert len(lpips.weights) == 2 * 13 + 5 and not lpips.trainable_weights


def test_hash_covers_both_files(files, tmp_path):
    (vgg_path, heads_path), (vgg, heads) = files
    first = LPIPS(vgg_path, heads_path).hash
    assert len(first) == 64 and first == LPIPS(vgg_path, heads_path).hash
    other = tmp_path / "other.pth"
    save_tensors(other, {**vgg, "features.0.bias": vgg["features.0.bias"] + 1})
    assert LPIPS(other, heads_path).hash != first
    save_tensors(other, {**heads, "lin4.model.1.weight": heads["lin4.model.1.weight"] * 2})
    assert LPIPS(vgg_path, other).hash != first


@pytest.mark.parametrize(
    ("which", "name", "change", "message"),
    [
        (0, "features.28.weight", None, r"vgg16\.pth has no features\.28\.weight; is it torchvision's VGG16"),
        (0, "features.7.bias", None, r"vgg16\.pth has no features\.7\.bias"),
        (1, "lin2.model.1.weight", None, r"lpips\.pth has no lin2\.model\.1\.weight"),
        (
            0,
            "features.0.weight",
            lambda x: x[:, :1],
            r"features\.0\.weight in .*vgg16\.pth has shape \(4, 1, 3, 3\), where ",
        ),
        (0, "features.5.weight", lambda x: x[:-1], r"features\.5\.bias in .* has shape \(6,\), where \(5,\) belongs"),
        (0, "features.5.weight", lambda x: x[..., :1], r"where \(any, 4, 3, 3\) belongs; the file is of another net"),
        (
            1,
            "lin0.model.1.weight",
            lambda x: x[:, :, 0],
            r"lin0\.model\.1\.weight in .*lpips\.pth has shape \(1, 4, 1\)",
        ),
        (1, "lin3.model.1.weight", lambda x: x[:, :-1], r"has shape \(1, 9, 1, 1\), where \(1, 10, 1, 1\) belongs"),
    ],
)
def test_files_of_something_else(files, which, name, change, message):
    paths, weights = files
    tensors = dict(weights[which])
    tensor = tensors.pop(name)
    save_tensors(paths[which], tensors if change is None else {**tensors, name: change(tensor)})
    with pytest.raises(ValueError, match=message):
        LPIPS(*paths)


def test_images_that_are_too_small(files):
    lpips = LPIPS(*files[0])
    with pytest.raises(ValueError, match=r"LPIPS needs images of at least 16x16; received 16x8\."):
        lpips(np.zeros((1, 16, 8, 3), "float32"), np.zeros((1, 16, 8, 3), "float32"))


def torch_vgg(torch, widths):
    """VGG16 with torchvision's layout and names."""
    layers, channels = [], 3
    for indices, width in zip(CONVOLUTIONS, widths, strict=True):
        for index in indices:
            assert index == len(layers)
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU()]
            channels = width
        layers.append(torch.nn.MaxPool2d(2))
    for layer in layers:
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
            torch.nn.init.normal_(layer.bias, std=0.1)
    classifier = torch.nn.Sequential(torch.nn.Linear(channels, 8), torch.nn.ReLU(), torch.nn.Dropout())
    return torch.nn.ModuleDict({"features": torch.nn.Sequential(*layers), "classifier": classifier})


def torch_distances(torch, vgg, heads, images_a, images_b):
    """LPIPS in PyTorch."""
    taps = [indices[-1] + 1 for indices in CONVOLUTIONS]
    x = torch.tensor(np.concatenate([images_a, images_b])).permute(0, 3, 1, 2) / 127.5 - 1
    x = (x - torch.tensor(SHIFT)[None, :, None, None]) / torch.tensor(SCALE)[None, :, None, None]
    total, heads = 0, iter(heads.values())
    for index, layer in enumerate(vgg["features"]):
        x = layer(x)
        if index in taps:
            a, b = (x / (x.norm(dim=1, keepdim=True) + 1e-10)).chunk(2)
            total += torch.nn.functional.conv2d((a - b) ** 2, next(heads)).mean(dim=(1, 2, 3))
    return total.detach().numpy()


def assert_distances_equal_pytorchs(tmp_path, widths, zipped, images):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    vgg = torch_vgg(torch, widths)
    heads = {f"lin{i}.model.1.weight": torch.rand(1, width, 1, 1) for i, width in enumerate(widths)}
    paths = tmp_path / "vgg16.pth", tmp_path / "lpips.pth"
    for path, state in zip(paths, (vgg.state_dict(), heads), strict=True):
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
    distances = LPIPS(*paths)(*images)
    np.testing.assert_allclose(distances, torch_distances(torch, vgg, heads, *images), rtol=1e-4)


@FORMATS
def test_distances_equal_pytorchs(tmp_path, zipped):
    assert_distances_equal_pytorchs(tmp_path, NARROW, zipped, random_pairs())


def test_distances_equal_pytorchs_at_full_width(tmp_path):
    assert_distances_equal_pytorchs(tmp_path, (64, 128, 256, 512, 512), False, random_pairs(2, 32, 32))

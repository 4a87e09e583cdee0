"""Images in and out: real images as the discriminator sees them, uint8 for metrics, grids for looking at."""

import json
import re

import keras
import numpy as np
import pytest
from PIL import Image
from reference_vectors import assert_close, enlarge, growth, nchw, nhwc

from dnnlib.image_files import image_grid, save_image, to_uint8_rounded
from stylegan_tf.images import fade_images, from_uint8, mirror_images, to_uint8


def real_images(x, fade, mirror=None):
    images = from_uint8(x)
    if mirror is not None:
        images = mirror_images(images, mirror)
    return keras.ops.convert_to_numpy(fade_images(images, fade))


@pytest.mark.vectors("process_reals")
def test_real_images(vector, run):
    key = run["key"]
    x, reference = nhwc(vector[f"inputs/x@{key}"]), nhwc(vector[f"outputs/reals@{key}"])
    resolution, fade = growth(reference.shape[1], run["lod"])
    assert x.shape[1] == resolution
    assert_close(enlarge(real_images(x, fade), reference.shape[1]), reference, 1e-6)

    if f"outputs/reals_drange01@{key}" in vector:  # Ranges are linear: ours, moved to [0, 1].
        images = enlarge(real_images(x, fade) + 1, reference.shape[1]) / 2
        assert_close(images, nhwc(vector[f"outputs/reals_drange01@{key}"]), 1e-6)

    if f"inputs/mirror_mask@{key}" in vector:
        mirror = vector[f"inputs/mirror_mask@{key}"].reshape(-1) >= 0.5
        images = enlarge(real_images(x, fade, mirror), reference.shape[1])
        assert_close(images, nhwc(vector[f"outputs/reals_mirror@{key}"]), 1e-6)


@pytest.mark.vectors("image_utils")
def test_grids(vector, tmp_path):
    for name, grid_config in vector.config["grids"].items():
        columns, rows = grid_config["grid_size"] or (None, None)
        reference = nhwc(vector[f"outputs/{name}/grid"][None])[0]
        grid = image_grid(nhwc(vector[f"inputs/{name}"]), columns)
        if rows is not None:  # The reference also takes a height; ours ends with the last image.
            assert not reference[len(grid) :].any()
            reference = reference[: len(grid)]
        np.testing.assert_array_equal(grid, reference)

        expected = vector[f"outputs/{name}/uint8"][: len(grid)]
        image = to_uint8_rounded(grid, grid_config["drange"])
        np.testing.assert_array_equal(image.squeeze(), expected)

        save_image(tmp_path / "grid.png", image)
        with Image.open(tmp_path / "grid.png") as file:
            np.testing.assert_array_equal(np.asarray(file), expected)
        assert [path.name for path in tmp_path.iterdir()] == ["grid.png"]


@pytest.mark.vectors("image_utils")
def test_uint8_for_metrics(vector):
    images = nhwc(vector["inputs/to_uint8"])
    for suffix, reference in vector.below("outputs/to_uint8").items():
        options = {name: json.loads(value) for name, value in re.findall(r"(\w+)=(\[.*?\]|[^,\[]+)", suffix)}
        result = keras.ops.convert_to_numpy(to_uint8(images, **options))
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, reference if "nhwc" in suffix else nhwc(reference))


@pytest.mark.vectors("image_utils")
def test_from_uint8(vector):
    # The helper of this name in the reference, unlike its training code (test_real_images), takes the lower end of the
    # range off before it scales, so that 0..255 becomes 1/127.5 .. 2 + 1/127.5. Ours is what training does.
    images = keras.ops.convert_to_numpy(from_uint8(vector["inputs/from_uint8_nhwc"]))
    assert_close(nchw(images) + 1 + 1 / 127.5, vector["outputs/from_uint8"], 1e-6)


def test_uint8_round_trip():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    images = keras.ops.convert_to_numpy(from_uint8(levels))
    assert images.min() == -1
    assert images.max() == 1
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(to_uint8(images)), levels)
    np.testing.assert_array_equal(to_uint8_rounded(images), levels)


def test_save_image_leaves_the_old_file_when_it_fails(tmp_path, monkeypatch):
    path = tmp_path / "grid.png"
    save_image(path, np.zeros((4, 4, 3), np.uint8))
    before = path.read_bytes()

    def disk_full(self, file, **options):
        file.write_bytes(b"half an image")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        save_image(path, np.ones((4, 4, 3), np.uint8))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4, 3)), "must be uint8; received float64"),
        (np.zeros((4, 4, 5), np.uint8), r"received shape \(4, 4, 5\)"),
    ],
)
def test_save_image_wants_images(image, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_image(tmp_path / "image.png", image)


def test_image_grid_wants_images():
    with pytest.raises(ValueError, match=r"received shape \(0, 4, 4, 3\)"):
        image_grid(np.zeros((0, 4, 4, 3)))
    with pytest.raises(ValueError, match="columns must be at least 1; received 0"):
        image_grid(np.zeros((2, 4, 4, 3)), columns=0)

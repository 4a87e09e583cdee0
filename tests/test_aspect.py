"""Pictures that are no squares: squeezed in data sets, stretched again where they are shown, known to the network."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image
from tiny_generators import tiny_generator

import dataset_tool
from datasets.convert import create_dataset
from datasets.errors import DatasetError
from datasets.image_folder import from_images
from datasets.pictures import find_aspect
from datasets.reshard import reshard
from datasets.tfrecords import MultiResolutionDataset
from datasets.views import describe
from stylegan_tf.export.model_card import architecture
from stylegan_tf.export.savedmodel import make_signatures
from stylegan_tf.images import picture_size, unsqueeze
from stylegan_tf.pictures.gallery import Look, write_images
from stylegan_tf.pictures.sampler import Sampler
from stylegan_tf.pictures.video import Interpolation


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("text", "aspect"),
    [("4:3", (4, 3)), ("1024:768", (4, 3)), ("9:16", (9, 16)), ("8:1", (8, 1))]
    + [(text, None) for text in ("1:1", "9:1", "4", "4:0", "4:3:2", "-4:3", "4.5:3", "")],
)
def test_aspects(text, aspect):
    assert find_aspect(text) == aspect


@pytest.mark.parametrize(
    ("side", "aspect", "size"),
    [
        (512, (4, 3), (512, 384)),
        (512, (3, 4), (384, 512)),
        (64, (16, 9), (64, 36)),
        (4, (8, 1), (4, 2)),
        (64, None, (64, 64)),
    ],
)
def test_sizes(side, aspect, size):
    assert picture_size(side, aspect) == size


def means(image, shorter):
    """The means of `shorter` equal parts of the rows of [H, W, C], half up."""
    repeated = image.repeat(shorter, axis=0).astype(float)
    return np.floor(repeated.reshape(shorter, len(image), *image.shape[1:]).mean(axis=1) + 0.5 + 1e-9)


@pytest.mark.parametrize("channels", [1, 3])
def test_areas(channels):
    image = noise(16, 16, channels)
    np.testing.assert_array_equal(unsqueeze(image, 16, (4, 3)), means(image, 12))
    np.testing.assert_array_equal(unsqueeze(image, 16, (5, 8)), means(image.swapaxes(0, 1), 10).swapaxes(0, 1))
    assert unsqueeze(image, 16, None) is image


def test_what_is_laid_out_is_as_its_cells():
    cells = noise(6, 16, 16, 3)
    grid = np.concatenate([np.concatenate(row, axis=1) for row in (cells[:3], cells[3:])])
    each = np.asarray(unsqueeze(cells, 16, (16, 10)))
    expected = np.concatenate([np.concatenate(row, axis=1) for row in (each[:3], each[3:])])
    np.testing.assert_array_equal(unsqueeze(grid, 16, (16, 10)), expected)


def test_transparent_colours_have_no_weight():
    image = np.zeros((4, 4, 4), np.uint8)
    image[1::2] = (0, 90, 200, 255)
    image[::2, :, :3] = 255  # which nobody can see
    halves = np.asarray(unsqueeze(image, 4, (2, 1)))
    assert (halves == (0, 90, 200, 128)).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """in/, pictures of 24x16 to 48x32; cars/, the data set that is made of them."""
    folder = tmp_path_factory.mktemp("aspect")
    (folder / "in").mkdir()
    for number, scale in enumerate((8, 12, 16, 8)):
        height, width = np.mgrid[: 2 * scale, : 3 * scale]
        ramp = np.stack([width * 255 // (3 * scale), height * 255 // (2 * scale), 0 * width], axis=2)
        Image.fromarray(ramp.astype(np.uint8)).save(folder / "in" / f"{number}.png")
    create_dataset(folder / "cars", from_images(folder / "in", resolution=16, aspect=(3, 2)), workers=1)
    return folder


def test_data_sets(folder):
    data = MultiResolutionDataset(folder / "cars")
    assert (data.aspect, data.resolution, data.num_images) == ((3, 2), 16, 4)
    assert "squeezed from pictures of 3:2" in describe(folder / "cars")
    # All show the same, whatever their sizes were.
    images = data.read_images(16, range(4)).astype(int)
    assert np.abs(images - images[0]).max() < 16
    assert (np.abs(np.diff(images[0, 8, :, 0]) - 16) < 4).all() and (np.abs(np.diff(images[0, :, 8, 1]) - 16) < 4).all()
    reshard(folder / "cars", folder / "two", 2)
    assert MultiResolutionDataset(folder / "two").aspect == (3, 2)


def test_damaged_aspect(folder):
    reshard(folder / "cars", folder / "damaged", 1)
    (folder / "damaged" / "damaged-aspect.txt").write_text("wide\n")
    with pytest.raises(DatasetError, match=r"damaged-aspect\.txt holds no aspect such as 4:3"):
        MultiResolutionDataset(folder / "damaged")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--aspect=3:2"], "say with --resolution of which side"),
        (["--aspect=wide"], "it has the form W:H, such as 4:3"),
        (["--aspect=1:1", "--resolution=16"], "two different numbers"),
        (["--aspect=4:3", "--resolution=16"], "it is 24x16, not of 4:3. Use --crop=center"),
        (["--aspect=3:2", "--resolution=32"], "it is 24x16, whose longer side is smaller than --resolution=32"),
        ([], "not square. Use --crop=center to cut out the middle, or --aspect=3:2"),
    ],
)
def test_wrong_options(folder, options, message):
    arguments = ["create-from-images", folder / "wrong", folder / "in", *options]
    result = CliRunner().invoke(dataset_tool.main, list(map(str, arguments)))
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (folder / "wrong").exists()


def test_crop(folder):
    source = from_images(folder / "in", resolution=8, aspect=(1, 2), crop="center")
    assert source.decode(source.fetch(0)).shape == (8, 8, 3)


def test_networks_and_what_they_make(tmp_path):
    generator = tiny_generator()
    generator.aspect = (4, 3)
    generator.save(tmp_path / "network.keras")
    generator = keras.saving.load_model(tmp_path / "network.keras")
    assert generator.aspect == (4, 3) and architecture(generator)["aspect"] == "4:3"
    sampler, look = Sampler(generator), Look("tiny", 1.0, 2)
    write_images(sampler, look, range(4), tmp_path / "images")
    files = [np.asarray(Image.open(tmp_path / "images" / f"seed000{seed}.png")) for seed in range(4)]
    np.testing.assert_array_equal(files, unsqueeze(look.images(sampler, range(4)), 8, (4, 3)))
    assert files[0].shape == (6, 8, 3)
    assert np.asarray(Image.open(tmp_path / "images" / "grid.png")).shape == (12, 16, 3)
    (first, *_) = Interpolation(sampler, look, [0, 1, 2, 3], 1, grid=(2, 1))
    np.testing.assert_array_equal(first, np.concatenate([files[0], files[2]], axis=1))
    exported = make_signatures(generator, 4, 2)["images_from_seeds"]
    inputs = {"seeds": range(4), "noise_seed": [-1] * 4}
    inputs = {name: tf.constant(list(values), tf.int64) for name, values in inputs.items()}
    images = exported(**inputs, truncation_psi=tf.ones(4))["images"]
    np.testing.assert_array_equal(images, files)
    assert json.dumps(architecture(generator))

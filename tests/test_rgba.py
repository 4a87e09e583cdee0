"""Images with transparency: multiplied by alpha inside, as PNG files have them outside, refused where RGB is needed."""

import dataclasses
import io

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import tiny_generator

import dataset_tool
from datasets.convert import create_dataset
from datasets.errors import DatasetError
from datasets.image_folder import from_images
from datasets.pictures import read_picture, resize
from datasets.pyramid import pyramid
from datasets.tfrecords import MultiResolutionDataset
from datasets.views import describe, extract, preview
from dnnlib.image_files import straight
from dnnlib.videos import check_colour, lay_over
from metrics import METRICS
from stylegan_tf.images import from_uint8, to_uint8_rounded
from stylegan_tf.pictures.gallery import Look, write_images
from stylegan_tf.pictures.sampler import Sampler
from stylegan_tf.recipes.settings import TrainingConfig
from stylegan_tf.training.checks import check_augmentation


def rgba(*shape, seed=0):
    """Random RGBA pixels, a quarter of them transparent, a quarter opaque."""
    image = np.random.default_rng(seed).integers(0, 256, (*shape, 4), np.uint8)
    image[..., 3] = np.where(image[..., 3] < 64, 0, np.where(image[..., 3] > 191, 255, image[..., 3]))
    return image


def multiplied(image):
    weight = image[..., 3:].astype(float) / 255
    return np.concatenate([np.floor(image[..., :3] * weight + 0.5), image[..., 3:]], axis=-1).astype(np.uint8)


def file_of(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def test_files_are_multiplied_by_alpha():
    image = rgba(6, 8)
    np.testing.assert_array_equal(read_picture(file_of(Image.fromarray(image)), channels=4), multiplied(image))
    grey = np.ascontiguousarray(image[:, :, [0, 3]])
    expected = multiplied(image[:, :, [0, 0, 0, 3]])
    np.testing.assert_array_equal(read_picture(file_of(Image.fromarray(grey, "LA")), channels=4), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_files_without_transparency_are_opaque(channels):
    image = rgba(6, 8)[:, :, :channels]
    read = read_picture(file_of(Image.fromarray(image.squeeze())), channels=4)
    np.testing.assert_array_equal(read[:, :, :3], np.broadcast_to(image, (6, 8, 3)))
    assert (read[:, :, 3] == 255).all()


def test_there_and_back():
    """What has been divided by alpha becomes the same again: every colour of every alpha."""
    alpha, colour = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    image = np.stack([np.minimum(colour, alpha)] * 3 + [alpha], axis=-1).astype(np.uint8)
    divided = straight(image)
    assert not divided[0].any() and (divided[..., 3] == alpha).all()
    np.testing.assert_array_equal(multiplied(divided), image)


def test_networks_give_what_files_hold():
    image = rgba(8, 8)  # also colours above alpha, as networks make them
    made = to_uint8_rounded(from_uint8(image[None]))
    np.testing.assert_array_equal(np.asarray(made)[0], straight(image))


@pytest.mark.parametrize("filter", ["box", "lanczos"])
def test_the_colour_of_what_is_transparent_does_not_bleed(filter):
    image = np.zeros((16, 16, 4), np.uint8)
    image[:, :, 0] = 255  # red, and all of it transparent but for a square
    image[4:12, 4:12] = (0, 0, 200, 255)
    small = resize(multiplied(image), 4, 4, filter)
    assert not small[:, :, 0].any()
    for level in [small, *pyramid(multiplied(image))]:
        assert (level[..., :3] <= level[..., 3:]).all() and level[..., 2].any()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """data/sprites, made of in/, five RGBA pictures and one that is opaque; the visible pixels of in/ by file name."""
    folder = tmp_path_factory.mktemp("rgba")
    (folder / "in").mkdir()
    images = [rgba(8, 8, seed=seed) for seed in range(5)] + [rgba(8, 8)[:, :, :3]]
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / "in" / f"{number}.png")
    return folder


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_data_sets(folder, encoding):
    out = folder / f"sprites-{encoding}"
    create_dataset(out, from_images(folder / "in", channels=4), workers=1, shuffle=False, encoding=encoding)
    data = MultiResolutionDataset(out)
    assert data.num_channels == 4 and "of 8x8, RGBA" in describe(out)
    inputs = [np.asarray(Image.open(folder / "in" / f"{n}.png").convert("RGBA")) for n in range(6)]
    np.testing.assert_array_equal(data.read_images(8, range(6)), multiplied(np.stack(inputs)))
    extract(out, folder / f"out-{encoding}")
    outputs = [np.asarray(Image.open(path)) for path in sorted((folder / f"out-{encoding}").rglob("*.png"))]
    np.testing.assert_array_equal(multiplied(np.stack(outputs)), multiplied(np.stack(inputs)))
    preview(out, folder / f"{encoding}.png", columns=3)
    with Image.open(folder / f"{encoding}.png") as sheet:
        assert (sheet.mode, sheet.size) == ("RGBA", (24, 16))


def test_transparency_is_refused_as_before(folder):
    with pytest.raises(DatasetError, match="transparent pixels"):
        create_dataset(folder / "refused", from_images(folder / "in"), workers=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--background=white"], "--channels=rgba keeps transparent pixels, and --background paints them"),
        (["--encoding=jpeg"], "JPEG files have no transparency"),
        (["--channels=cmyk"], "'cmyk'"),
    ],
)
def test_wrong_options(folder, options, message):
    arguments = ["create-from-images", folder / "wrong", folder / "in", "--channels=rgba", *options]
    result = CliRunner().invoke(dataset_tool.main, list(map(str, arguments)))
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (folder / "wrong").exists()


def test_pictures(tmp_path):
    sampler = Sampler(tiny_generator(num_channels=4))
    look = Look("tiny", 1.0, 2)
    write_images(sampler, look, range(4), tmp_path)
    images = look.images(sampler, range(4))
    assert images.shape == (4, 8, 8, 4) and np.ptp(images[..., 3])
    for seed, image in enumerate(images):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"seed000{seed}.png")), image)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    np.testing.assert_array_equal(grid[:8, 8:], images[1])


def test_videos_lie_over_a_colour():
    image = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
    over = lay_over(image, np.array([255, 255, 255]))
    assert over.tolist() == [[[200, 0, 0], [255, 255, 255], [244, 204, 204]]]
    with pytest.raises(ValueError, match="--background=blurple is no colour"):
        check_colour("blurple")


@pytest.mark.parametrize("name", ["fid50k", "ppl_wend"])
def test_metrics_that_need_rgb(name):
    with pytest.raises(ValueError, match="sees grey or RGB, and these have 4 channels"):
        METRICS[name].check_channels(4)
    METRICS[name].check_channels(1)
    METRICS["ls"].check_channels(4)


@pytest.mark.parametrize(
    ("augment", "message"),
    [("ada", "--set ada.pipeline=bg"), ("diffaugment", "--set diffaugment=translation,cutout")],
)
def test_augmentations_of_colour(augment, message):
    config = TrainingConfig(resolution=8, augment=augment)
    with pytest.raises(ValueError, match=f"1 or 3 channels, and these have 4.*{message}"):
        check_augmentation(config, channels=4)
    check_augmentation(config, channels=3)
    allowed = dataclasses.replace(config.ada, pipeline="bg")
    check_augmentation(dataclasses.replace(config, ada=allowed, diffaugment="translation"), channels=4)

"""One picture file: what is converted, what is refused, and cutting and resizing."""

import io
import warnings

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms

from datasets.errors import DatasetError
from datasets.pictures import crop_center, read_header, read_picture, resize

WIDTH, HEIGHT = 20, 12
NAMES = {"PNG": "a.png", "JPEG": "a.jpg", "BMP": "a.bmp", "WEBP": "a.webp", "TIFF": "a.tif", "GIF": "a.gif"}


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def file_of(picture, format="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def refused(data, *words, **options):
    with pytest.raises(DatasetError) as error:
        read_picture(data, **options)
    for word in (*words, "emove it."):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_formats_by_path_and_bytes(tmp_path, format):
    image = pixels(HEIGHT, WIDTH, 3)
    path = tmp_path / NAMES[format]
    Image.fromarray(image).save(path, lossless=True)
    for file in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(read_picture(file), image)
        assert read_header(file)[:3] == (WIDTH, HEIGHT, 3)
    with path.open("rb") as file:
        assert read_header(file)[:3] == (WIDTH, HEIGHT, 3)


def test_greyscale():
    grey = pixels(HEIGHT, WIDTH)
    data = file_of(Image.fromarray(grey))
    assert read_header(data)[:3] == (WIDTH, HEIGHT, 1)
    np.testing.assert_array_equal(read_picture(data), grey[:, :, None])
    np.testing.assert_array_equal(read_picture(data, channels=1), grey[:, :, None])
    np.testing.assert_array_equal(read_picture(data, channels=3), np.stack([grey] * 3, axis=2))


def test_colour_is_no_greyscale():
    refused(file_of(Image.fromarray(pixels(HEIGHT, WIDTH, 3))), "colour", channels=1)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit(format):
    bits = pixels(HEIGHT, WIDTH) > 127
    data = file_of(Image.fromarray(bits), format)
    assert read_header(data)[:3] == (WIDTH, HEIGHT, 1)
    np.testing.assert_array_equal(read_picture(data), bits[:, :, None] * np.uint8(255))


def blocks():
    """An image whose four corners differ, in steps that survive JPEG."""
    image = np.zeros((32, 64, 3), np.uint8)
    image[:16, :32] = (255, 0, 0)
    image[:16, 32:] = (0, 255, 0)
    image[16:, :32] = (0, 0, 255)
    image[16:, 32:] = (255, 255, 255)
    return image


# What each EXIF orientation asks a viewer to do with the stored pixels (EXIF 2.3, tag 0x0112).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation(orientation, format):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    data = file_of(Image.fromarray(blocks()), format, exif=exif, **options)
    expected = UPRIGHT[orientation](blocks())
    np.testing.assert_allclose(read_picture(data).astype(int), expected, atol=3)
    assert read_header(data)[:3] == (expected.shape[1], expected.shape[0], 3)


def test_exif_behind_the_pixels_of_a_png():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    data = file_of(Image.fromarray(blocks()), exif=exif)
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    np.testing.assert_array_equal(read_picture(moved), UPRIGHT[6](blocks()))


def test_cmyk_jpeg():
    data = file_of(Image.fromarray(blocks()).convert("CMYK"), "JPEG", quality=100)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.mode == "CMYK"
    np.testing.assert_allclose(read_picture(data).astype(int), blocks(), atol=5)
    assert read_header(data)[:3] == (64, 32, 3)


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow 12 cannot read the TIFF that it writes")
def test_ycbcr_tiff():
    data = file_of(Image.fromarray(blocks()).convert("YCbCr"), "TIFF")
    np.testing.assert_allclose(read_picture(data).astype(int), blocks(), atol=3)


def test_lab_tiff():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.fromarray(blocks() // 2 + 64), *profiles, outputMode="LAB")
    data = file_of(lab, "TIFF")
    np.testing.assert_allclose(read_picture(data).astype(int), blocks() // 2 + 64, atol=4)
    assert read_header(data)[:3] == (64, 32, 3)


@pytest.mark.parametrize("format, mode", [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "I;16B"), ("TIFF", "I")])
def test_16_bits(format, mode):
    values = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH))
    values[0, :8] = [0, 128, 129, 257, 385, 386, 65406, 65535]
    dtype = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    data = file_of(Image.frombytes(mode, (WIDTH, HEIGHT), values.astype(dtype).tobytes()), format)
    image = read_picture(data)
    assert (image.dtype, image.shape, read_header(data)[:3]) == (np.uint8, (HEIGHT, WIDTH, 1), (WIDTH, HEIGHT, 1))
    np.testing.assert_array_equal(image[:, :, 0], np.rint(values / 257))
    assert image[0, :8, 0].tolist() == [0, 0, 1, 1, 1, 2, 254, 255]


@pytest.mark.parametrize("value", [-1, 65536])
def test_values_of_more_than_16_bits(value):
    refused(file_of(Image.fromarray(np.full((4, 4), value, np.int32)), "TIFF"), "mode I ", str(value))


def test_floats():
    data = file_of(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")
    refused(data, "mode F")
    with pytest.raises(DatasetError, match="mode F"):
        read_header(data)


def test_palette():
    picture = Image.fromarray(pixels(HEIGHT, WIDTH, 3)).quantize(16)
    for format in ("PNG", "GIF", "BMP"):
        data = file_of(picture, format)
        np.testing.assert_array_equal(read_picture(data), np.asarray(picture.convert("RGB")))
        assert read_header(data)[:3] == (WIDTH, HEIGHT, 3)


def test_palette_with_a_transparent_colour():
    picture = Image.fromarray(blocks()).quantize(4)
    corner = picture.getpixel((0, 0))
    expected = np.where(np.asarray(picture)[:, :, None] == corner, 0, np.asarray(picture.convert("RGB")))
    assert (expected != np.asarray(picture.convert("RGB"))).any()
    for format in ("PNG", "GIF"):
        data = file_of(picture, format, transparency=corner)
        refused(data, "--background=white")
        np.testing.assert_array_equal(read_picture(data, background="black"), expected)


@pytest.mark.parametrize("mode", ["L", "RGB", "I;16"])
def test_one_transparent_colour(mode):
    values = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH)
    if mode == "I;16":
        picture, key, expected = Image.fromarray(values * 257), 5 * 257, values
    elif mode == "L":
        picture, key, expected = Image.fromarray(values.astype(np.uint8)), 5, values
    else:
        expected = np.stack([values, values // 2, values // 3], axis=2)
        picture, key = Image.fromarray(expected.astype(np.uint8)), (5, 2, 1)
    data = file_of(picture, transparency=key)
    refused(data, "--background=white")
    expected = expected.reshape(HEIGHT, WIDTH, -1).copy()
    expected[0, 5] = 255
    np.testing.assert_array_equal(read_picture(data, background="white"), expected)


@pytest.mark.parametrize("channels, format", [(2, "PNG"), (4, "PNG"), (4, "WEBP"), (4, "TIFF"), (2, "TIFF")])
def test_alpha(channels, format):
    image = pixels(HEIGHT, WIDTH, channels)
    image[0, :2, -1] = 0, 255
    picture = Image.fromarray(image)
    data = file_of(picture, format, lossless=True, exact=True)
    refused(data, "transparent", "--background=white")
    weight = image[:, :, -1:] / 255
    for background, value in (("white", 255), ("black", 0), ("#808080", 128)):
        expected = np.rint(image[:, :, :-1] * weight + value * (1 - weight))
        np.testing.assert_array_equal(read_picture(data, background=background), expected)
    assert read_header(data)[:3] == (WIDTH, HEIGHT, channels - 1)
    image[:, :, -1] = 255
    opaque = file_of(Image.fromarray(image), format, lossless=True)
    np.testing.assert_array_equal(read_picture(opaque), image[:, :, :-1])


def test_coloured_background():
    image = np.zeros((4, 4, 4), np.uint8)
    np.testing.assert_array_equal(read_picture(file_of(Image.fromarray(image)), background="red")[0, 0], [255, 0, 0])
    grey = file_of(Image.fromarray(image[:, :, :2]))
    assert read_picture(grey, background="red").shape == (4, 4, 1)
    assert read_picture(grey, background="white", channels=3).min() == 255


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_frames(format):
    frames = [Image.fromarray(pixels(HEIGHT, WIDTH, 3, seed=seed)) for seed in range(3)]
    data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
    refused(data, "3 frames")
    with pytest.raises(DatasetError, match="3 frames"):
        read_header(data)


def test_first_frame_of_a_gif():
    frames = [Image.fromarray(pixels(HEIGHT, WIDTH, seed=seed)) for seed in range(3)]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_header(data).frames == 3
    np.testing.assert_array_equal(read_picture(data)[:, :, 0], np.asarray(frames[0]))


def test_second_picture_of_a_camera_is_ignored():
    first = Image.fromarray(blocks())
    data = file_of(first, "MPO", save_all=True, append_images=[first.resize((8, 4))], quality=100, subsampling=0)
    with Image.open(io.BytesIO(data)) as picture:
        assert (picture.format, picture.n_frames) == ("MPO", 2)
    np.testing.assert_allclose(read_picture(data).astype(int), blocks(), atol=3)


@pytest.mark.parametrize("format", NAMES)
def test_truncated(tmp_path, format):
    path = tmp_path / NAMES[format]
    Image.fromarray(pixels(64, 64, 3)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path)
    with pytest.raises(DatasetError) as error:
        read_picture(path)
    assert str(tmp_path) not in str(error.value)


def test_what_is_no_picture(tmp_path):
    refused(b"")
    refused(b"no picture", "no image")
    refused(tmp_path / "missing.png", "No such file")
    # Pillow would start Ghostscript for it.
    refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", "no image")


@pytest.mark.parametrize("factor", [1.5, 4])
def test_decompression_bomb(monkeypatch, factor):
    """Pillow warns above its limit and raises above twice the limit."""
    data = file_of(Image.fromarray(pixels(HEIGHT, WIDTH, 3)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(WIDTH * HEIGHT / factor))
    refused(data, f"more than {int(WIDTH * HEIGHT / factor)} pixels")
    with pytest.raises(DatasetError, match="pixels"):
        read_header(data)


def test_corrupt_exif_is_no_warning():
    """Pillow warns of it; the pixels are sound."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x0f\x01\x02\0\xff\xff\0\0\xf0\xff\xff\x0f"
    data = file_of(Image.fromarray(blocks()), "JPEG", exif=exif)
    with pytest.warns(UserWarning), Image.open(io.BytesIO(data)) as picture:
        picture.getexif()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(data).shape == (32, 64, 3)


@pytest.mark.parametrize("format", NAMES)
def test_any_damage_is_refused_or_read(format):
    """Whatever bytes are wrong, there is an image or a DatasetError, and nothing else."""
    data = np.frombuffer(file_of(Image.fromarray(pixels(HEIGHT, WIDTH, 3)), format), np.uint8)
    generator = np.random.default_rng(0)
    outcomes = set()
    for _ in range(60):
        damaged = data.copy()
        # Headers suffer most; from the fifth byte on, so that most files are still what they were.
        damaged[generator.integers(4, min(len(data), 120), 2)] ^= generator.integers(1, 256, 2, np.uint8)
        try:
            outcomes.add(read_picture(damaged.tobytes()).dtype.name)
        except DatasetError:
            outcomes.add("refused")
    assert "refused" in outcomes
    assert outcomes <= {"uint8", "refused"}


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.sampled_from([1, 3]))
@settings(max_examples=50)
def test_crop_center(width, height, new_width, new_height, channels):
    image = pixels(height, width, channels)
    if new_width > width or new_height > height:
        with pytest.raises(DatasetError, match=f"{width}x{height}, too small to cut {new_width}x{new_height}"):
            crop_center(image, new_width, new_height)
        return
    cut = crop_center(image, new_width, new_height)
    assert cut.shape == (new_height, new_width, channels)
    top, left = (height - new_height) // 2, (width - new_width) // 2
    assert (height - new_height) - 2 * top in (0, 1)
    np.testing.assert_array_equal(cut, image[top:, left:][:new_height, :new_width])


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))
@settings(max_examples=50)
def test_box_by_whole_factors_is_the_exact_mean(width, height, across, down, channels):
    image = pixels(height * down, width * across, channels)
    sums = image.reshape(height, down, width, across, channels).sum(axis=(1, 3), dtype=int)
    count = across * down
    np.testing.assert_array_equal(resize(image, width, height, "box"), (2 * sums + count) // (2 * count))


@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3]), st.sampled_from(["box", "lanczos"]))
@settings(max_examples=50)
def test_resize_keeps_a_flat_image(width, height, channels, filter):
    image = np.broadcast_to(np.array([7, 100, 250][:channels], np.uint8), (17, 13, channels))
    resized = resize(image, width, height, filter)
    assert (resized.dtype, resized.shape) == (np.uint8, (height, width, channels))
    np.testing.assert_array_equal(resized, np.broadcast_to(image[0, 0], resized.shape))


@pytest.mark.parametrize("filter", ["box", "lanczos"])
def test_resize_by_a_fraction_is_pillows(filter):
    image = pixels(30, 45, 3)
    expected = Image.fromarray(image).resize((32, 16), getattr(Image.Resampling, filter.upper()))
    np.testing.assert_array_equal(resize(image, 32, 16, filter), np.asarray(expected))


def test_filters_differ():
    image = pixels(32, 32, 1)
    assert (resize(image, 8, 8, "box") != resize(image, 8, 8, "lanczos")).any()

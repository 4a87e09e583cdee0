"""One image at all resolutions of a data set, and the bytes that a record holds of each: raw pixels, PNG or JPEG.

Worker processes import this file; it needs NumPy and Pillow only. Files are NCHW, everything else is NHWC: the raw
pixels turn here.
"""

import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from datasets.errors import DatasetError

ENCODINGS = ("raw", "png", "jpeg")
# Of greyscale, RGB, and RGBA whose colours are multiplied by alpha. JPEG files have no alpha.
CHANNELS = {1: "greyscale", 3: "RGB", 4: "RGBA"}
# PNG's effort: 1 is several times faster than Pillow's 6 and leaves files a few percent larger (docs/datasets.md).
_PNG_EFFORT = 1


def check_image_shape(shape):
    """Raises DatasetError unless `shape` is [H, W, C] with H = W a power of two from 4 and C of `CHANNELS`."""
    if len(shape) != 3 or shape[2] not in CHANNELS:
        raise DatasetError(
            f"Images must be [H, W, C] with 1, 3 or 4 channels; received {list(shape)}. Convert them first."
        )
    height, width, _ = shape
    if height != width or height < 4 or height & (height - 1):
        raise DatasetError(
            f"Images must be square with a side that is a power of two, at least 4; received {describe_shape(shape)}. "
            "Crop or resize them first."
        )


def describe_shape(shape):
    """Returns an image shape [H, W, C] in words."""
    height, width, channels = shape
    return f"{width}x{height} with {channels} channel{'s' if channels > 1 else ''}"


def num_levels(side):
    """Returns the number of resolutions from 4x4 up to `side`."""
    return side.bit_length() - 2


def pyramid(image):
    """Returns an image at every resolution: the box means of 2x2 pixels, taken before rounding, half to even.

    Args:
        image: uint8 [R, R, C], R a power of two from 4.

    Returns:
        A list of uint8 arrays: [4, 4, C], [8, 8, C], ... [R, R, C].
    """
    levels = [image]
    # float32 is exact here: eight bits and two more for each of the eight halvings of 1024 fit its 24.
    pixels = image.astype(np.float32)
    while len(pixels) > 4:
        pixels = box_mean(pixels)
        levels.append(np.rint(pixels).astype(np.uint8))
    return levels[::-1]


def box_mean(pixels):
    """Returns the means of 2x2 pixels: float [H, W, C], H and W even, to [H / 2, W / 2, C]."""
    rows = pixels[0::2] + pixels[1::2]
    return (rows[:, 0::2] + rows[:, 1::2]) * 0.25


def encode(image, encoding="raw", quality=95):
    """Returns the bytes that a record holds of an image.

    Args:
        image: uint8 [H, W, C], C of `CHANNELS`.
        encoding: "raw" for the pixels, [C, H, W]; "png"; or "jpeg", with colours at full resolution (4:4:4).
        quality: Quality of a JPEG, 1 to 100.
    """
    if encoding == "raw":
        return image.transpose(2, 0, 1).tobytes()
    buffer = io.BytesIO()
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    if encoding == "png":
        picture.save(buffer, "png", compress_level=_PNG_EFFORT)
    else:
        picture.save(buffer, "jpeg", quality=quality, subsampling="4:4:4")
    return buffer.getvalue()


def decode(data, encoding):
    """Returns the image, uint8 [H, W, C], of a PNG or JPEG record; DatasetError if it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=[encoding]) as picture:
            if picture.mode not in ("L", "RGB", "RGBA"):
                raise DatasetError(f"holds pixels of mode {picture.mode} instead of L, RGB or RGBA")
            pixels = np.asarray(picture)
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError) as error:
        raise DatasetError(f"holds no readable {encoding} image ({error})") from error
    return pixels.reshape(*pixels.shape[:2], -1)

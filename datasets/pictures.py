"""One picture file to an array: what is converted on purpose, what is refused, and cutting and resizing.

Worker processes import this file; it needs NumPy and Pillow only.
"""

import contextlib
import functools
import io
import math
import re
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageColor, ImageOps, UnidentifiedImageError

from datasets.errors import DatasetError

# Pillow opens dozens of formats, some by starting other programs, some whatever a file begins with; these are what data
# sets come in, and are known by their first bytes. Not every build of Pillow has the last ones.
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF", "DIB", "PPM", "QOI", "AVIF", "JPEG2000")
SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("png", "apng", "jpg", "jpeg", "jpe", "jfif", "jif", "mpo", "bmp", "dib", "webp", "tif", "tiff", "gif"),
        *("avif", "avifs", "jp2", "j2k", "jpx", "jpf", "jpc", "j2c", "ppm", "pgm", "pbm", "pnm", "qoi"),
    )
)
# First bytes of the formats that pictures from the web have, which often lost their suffix. Not TIFF's, which cameras'
# raw files have as well, and not BMP's, two letters.
_BEGINNINGS = re.compile(
    rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP|....ftypavi[fs]|\0\0\0\x0cjP  \r\n\x87\n", re.DOTALL
)
_DEEP = re.compile(r";16[BLN]")  # in what Pillow calls the pixels of a file
# 16-bit files whose values span less than half of this hold fewer bits, as a rule.
_MOST = 65535
FULL_RANGE = (0, _MOST)
# How many times as long as wide pictures may be that are squeezed to squares.
MOST_ASPECT = 8
_GREY_MODES = ("1", "L", "LA", "La", "I")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV")
_FILTERS = {"box": Image.Resampling.BOX, "lanczos": Image.Resampling.LANCZOS}
_ON_THEIR_SIDE = (5, 6, 7, 8)  # values of EXIF's orientation
# What Pillow raises for damaged files: SyntaxError for chunks of PNG files, the others deep in the headers.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)


class Header(NamedTuple):
    """What the header of a picture file tells of what `read_picture` returns.

    Attributes:
        width, height, channels: Its size, upright, and 1 or 3 channels.
        is_deep: Whether the file has 16 bits a value.
        frames: Pictures in the file, of which the first is read.
    """

    width: int
    height: int
    channels: int
    is_deep: bool
    frames: int


def looks_like_a_picture(start):
    """Whether a file's first bytes, 32 or more, are those of a format that is known without its suffix."""
    return bool(_BEGINNINGS.match(start))


def read_picture(file, channels=None, background=None, value_range=None):
    """Returns a picture the way up that its EXIF orientation says; of an animated GIF the first frame.

    Palettes, CMYK, YCbCr, LAB and HSV become RGB. 16-bit greyscale becomes 8-bit by rounding, from `value_range` to 0
    to 255; of 16-bit colour Pillow reads the high bytes. Alpha that is opaque everywhere is dropped.

    Args:
        file: Path of a file, its bytes, or an open binary file.
        channels: 3 repeats greyscale to RGB; 1 refuses colour; 4 is RGBA, colours multiplied by alpha, opaque where
            the file has no transparency; None keeps what the file has, which is never RGBA.
        background: Colour ("white", "#808080", ...) to lay under transparent pixels; under greyscale, its grey.
        value_range: (lowest, highest) value that 16-bit files can have. None is (0, 65535), where the file's own values
            do not tell that they have fewer bits.

    Returns:
        uint8 [H, W, C], C of 1, 3 or 4.

    Raises:
        DatasetError: The file is no picture, is damaged or animated, or cannot be converted, or has 16 bits of whose
            range it uses less than half; the file is not named.
    """
    with _opened(file) as picture:
        is_deep = _is_deep(picture)
        ImageOps.exif_transpose(picture, in_place=True)
        pixels, alpha = _pixels_and_alpha(picture, value_range or FULL_RANGE, is_deep)
        if is_deep and value_range is None:
            check_span(*_extremes(picture))
    if channels == 1 and pixels.shape[2] == 3:
        raise DatasetError("it is a colour image, but greyscale is expected. Convert or remove it.")
    if channels == 4:
        return _multiplied_by_alpha(pixels, 255 if alpha is None else alpha)
    if alpha is not None and alpha.min() < 255:
        pixels = _lay_under(pixels, alpha, background)
    return np.repeat(pixels, 3, axis=2) if channels == 3 and pixels.shape[2] == 1 else pixels


def read_header(file):
    """Returns the Header of a file, without decoding its pixels.

    Args:
        file: Path of a file, its bytes, or an open binary file.

    Raises:
        DatasetError: As `read_picture`, as far as the header shows it.
    """
    with _opened(file) as picture:
        width, height = picture.size
        if width != height and _is_on_its_side(picture):
            width, height = height, width
        frames = getattr(picture, "n_frames", 1) if picture.format == "GIF" else 1
        return Header(width, height, 1 if _is_grey(picture) else 3, _is_deep(picture), frames)


def value_extremes(file):
    """Returns the lowest and the highest value of a 16-bit picture, of colour up to its low byte."""
    with _opened(file) as picture:
        return _extremes(picture)


def fills_range(lowest, highest):
    """Whether values of 16-bit files use at least half of the range."""
    return highest - lowest > _MOST // 2


def check_span(lowest, highest):
    """Raises DatasetError for values of 16-bit files that use less than half of the range: they would become dark.

    Args:
        lowest, highest: Extremes of the values, of one file or of all that belong together.
    """
    if fills_range(lowest, highest):
        return
    bits = max(1, highest.bit_length())
    likely = f"0-{2**bits - 1}" if bits < 16 else f"{lowest}-{highest}"
    raise DatasetError(
        f"16 bits a value, but values from {lowest} to {highest} only, of 65535, which would become "
        f"{(highest - lowest) // 257 + 1} levels of 256. In create-from-images, --levels={likely} would make the most "
        "of them, and --levels=0-65535 takes them as they are; or convert to 8 bits."
    )


def check_background(background):
    """Raises DatasetError unless `background` is None or a colour that Pillow knows."""
    try:
        ImageColor.getrgb(background or "white")
    except ValueError:
        raise DatasetError(
            f"--background={background} is no colour. Use a name or a number, as white, black or #808080."
        ) from None


def find_aspect(text):
    """(width, height), without a common divisor, of W:H; None for other texts, for squares and very long pictures."""
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", text)
    if not match:
        return None
    width, height = int(match[1]), int(match[2])
    divisor = math.gcd(width, height)
    allowed = 1 < max(width, height) / min(width, height) <= MOST_ASPECT
    return (width // divisor, height // divisor) if allowed else None


def largest_of_aspect(width, height, aspect):
    """(width, height) of the largest part of a picture that has an aspect, (W, H), rounded."""
    across, down = aspect
    return min(width, round(height * across / down)), min(height, round(width * down / across))


def crop_center(image, width, height):
    """Returns the centre of an image, uint8 [H, W, C], as [height, width, C]; DatasetError if it is smaller."""
    left, top = (image.shape[1] - width) // 2, (image.shape[0] - height) // 2
    if left < 0 or top < 0:
        raise DatasetError(
            f"it is {image.shape[1]}x{image.shape[0]}, too small to cut {width}x{height} out of it. Remove it."
        )
    return image[top : top + height, left : left + width]


def resize(image, width, height, filter):
    """Returns an image, uint8 [H, W, C], resized to [height, width, C].

    Args:
        image: uint8 [H, W, C], C of 1, 3 or 4; of 4, the colours are multiplied by alpha, and stay so.
        width: New width.
        height: New height.
        filter: "box" or "lanczos". Reduced by whole factors, "box" is the exact mean of the pixels, half rounded up.
    """
    if filter == "box" and image.shape[1] % width == 0 and image.shape[0] % height == 0:
        return _box_means(image, width, height)
    if image.shape[2] == 4:
        # Pillow would multiply RGBA by its alpha once more. Where Lanczos overshoots, colours stay below alpha.
        bands = [resize(image[:, :, band : band + 1], width, height, filter) for band in range(4)]
        resized = np.concatenate(bands, axis=2)
        return np.minimum(resized, resized[:, :, 3:])
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    return np.asarray(picture.resize((width, height), _FILTERS[filter])).reshape(height, width, -1)


def _box_means(image, width, height):
    # Pillow's `resize` rounds twice, once for each direction; its `reduce` is off by one where the count is odd.
    down, across = image.shape[0] // height, image.shape[1] // width
    sums = image.reshape(height, down, width, across, -1).sum(axis=(1, 3), dtype=np.uint32)
    return ((2 * sums + down * across) // (2 * down * across)).astype(np.uint8)


@functools.cache
def _known_formats():
    Image.init()
    return tuple(format for format in _FORMATS if format in Image.OPEN)


@contextlib.contextmanager
def _opened(file):
    """Yields a file as a Pillow picture of one frame and a known mode; what Pillow raises becomes DatasetError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file, formats=_known_formats()) as picture:
                _check_frames(picture)
                _check_mode(picture)
                yield picture
        except DatasetError:
            raise
        except UnidentifiedImageError as error:
            raise DatasetError("it is no image, or its first bytes are damaged. Repair or remove it.") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DatasetError(
                f"it has more than {Image.MAX_IMAGE_PIXELS:,} pixels, or is damaged. Repair or remove it."
            ) from error
        except _DAMAGE as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise DatasetError(f"it cannot be read ({reason}). Repair or remove it.") from error


def _check_frames(picture):
    # Cameras put a preview or a second exposure behind a JPEG (MPO); the first is the picture.
    frames = 1 if picture.format in ("MPO", "GIF") else getattr(picture, "n_frames", 1)
    if frames > 1:
        raise DatasetError(
            f"it is animated or has pages: {frames} frames. Save one as a file of its own, or remove it."
        )


def _check_mode(picture):
    if not _is_grey(picture) and picture.mode not in _COLOUR_MODES:
        raise DatasetError(f"it has mode {picture.mode}, whose range is not known. Convert it to 8 bits, or remove it.")


def _is_grey(picture):
    return picture.mode in _GREY_MODES or picture.mode.startswith("I;16")


def _is_on_its_side(picture):
    # Pillow turns TIFFs itself; and it would decode a whole PNG to look for EXIF data behind the pixels.
    if picture.format == "TIFF" or (picture.format == "PNG" and "exif" not in picture.info):
        return False
    return picture.getexif().get(ExifTags.Base.Orientation) in _ON_THEIR_SIDE


def _is_deep(picture):
    """Whether a file that is not decoded yet has 16 bits a value."""
    # What Pillow decodes from: the decoder's first argument, such as "RGB;16B".
    raw_modes = [tile[3] if isinstance(tile[3], str) else (tile[3] or [""])[0] for tile in picture.tile]
    return picture.mode.startswith("I") or any(_DEEP.search(str(mode)) for mode in raw_modes)


def _extremes(picture):
    """The lowest and highest 16-bit value of a picture; of colour, as far as the high bytes that Pillow reads tell."""
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        low, high = int(values.min()), int(values.max())
        if low < 0 or high > _MOST:
            raise DatasetError(
                f"it has mode {picture.mode} and values from {low} to {high}, not 0 to 65535. Convert it to 8 bits, or "
                "remove it."
            )
        return low, high
    bands = "L" if _is_grey(picture) else "RGB"
    values = np.asarray(picture.convert(bands))
    return 256 * int(values.min()), 256 * int(values.max()) + 255


def _pixels_and_alpha(picture, value_range, is_deep):
    """Returns uint8 [H, W, 1 or 3] and, for files with transparency, uint8 [H, W] or else None."""
    if picture.mode.startswith("I"):
        return _from_16_bits(picture, value_range)
    if is_deep and value_range != FULL_RANGE:
        raise DatasetError(
            "it has 16 bits a value in colour or with transparency, of which only the high ones can be read: --levels "
            "cannot scale them. Convert it to 8 bits, or remove it."
        )
    if picture.has_transparency_data:
        pixels = np.asarray(picture.convert("LA" if _is_grey(picture) else "RGBA"))
        return pixels[:, :, :-1], pixels[:, :, -1]
    pixels = np.asarray(picture.convert("L" if _is_grey(picture) else "RGB"))
    return pixels.reshape(*pixels.shape[:2], -1), None


def _from_16_bits(picture, value_range):
    (lowest, highest), (low, high) = _extremes(picture), value_range
    if lowest < low or highest > high:
        raise DatasetError(
            f"it has values from {lowest} to {highest}, beyond --levels={low}-{high}. Give levels that hold them, or "
            "remove it."
        )
    pixels = np.asarray(picture).astype(np.int64)
    transparent = picture.info.get("transparency")
    alpha = None if transparent is None else np.where(pixels == transparent, 0, 255)
    span = high - low
    return ((2 * 255 * (pixels - low) + span) // (2 * span)).astype(np.uint8)[:, :, None], alpha


def _multiplied_by_alpha(pixels, alpha):
    """Returns RGBA whose colours are multiplied by alpha / 255, rounded, uint8 [H, W, 4]; alpha is [H, W] or 255."""
    height, width, _ = pixels.shape
    alpha = np.broadcast_to(alpha, (height, width))[:, :, None].astype(np.int32)
    colours = (np.broadcast_to(pixels, (height, width, 3)) * alpha + 127) // 255
    return np.concatenate([colours, alpha], axis=2).astype(np.uint8)


def _lay_under(pixels, alpha, background):
    """Returns the pixels over a background colour, rounded."""
    if background is None:
        raise DatasetError(
            "it has transparent pixels. Give what to lay under them, e.g. --background=white, or remove it."
        )
    colour = np.atleast_1d(ImageColor.getcolor(background, "L" if pixels.shape[2] == 1 else "RGB"))
    weight = alpha[:, :, None].astype(np.int32)
    return ((pixels * weight + colour * (255 - weight) + 127) // 255).astype(np.uint8)

"""Image grids and image files."""

import math

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dnnlib.files import atomic_file


def image_grid(images, columns=None):
    """Lays images out in a grid, row by row.

    Args:
        images: [N, H, W, C], N at least 1.
        columns: Images in a row; by default as many as make the grid about square, ceil(sqrt(N)).

    Returns:
        [rows * H, columns * W, C], of the dtype of `images`; cells without an image are 0.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"Images must be [N, H, W, C] with at least one image; received shape {images.shape}.")
    if columns is None:
        columns = math.ceil(math.sqrt(len(images)))
    if columns < 1:
        raise ValueError(f"columns must be at least 1; received {columns}.")
    count, height, width, channels = images.shape
    rows = -(-count // columns)
    cells = np.zeros((rows * columns, height, width, channels), images.dtype)
    cells[:count] = images
    cells = cells.reshape(rows, columns, height, width, channels)
    return cells.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def to_uint8_rounded(images, drange=(-1, 1)):
    """Maps floats to uint8 for saving: rounded to nearest, half to even, saturated; `drange` becomes 0 and 255."""
    low, high = drange
    scale = 255 / (high - low)
    return np.clip(np.rint(np.asarray(images) * scale - low * scale), 0, 255).astype(np.uint8)


def straight(images):
    """RGBA with colours as PNG files hold them, uint8 [..., 4], of one whose colours are multiplied by alpha.

    Transparent pixels are black. Images of other channels are returned as they are.
    """
    if images.shape[-1] != 4:
        return images
    alpha = images[..., 3:].astype(np.int32)
    colours = (255 * images[..., :3].astype(np.int32) + alpha // 2) // np.maximum(alpha, 1)
    return np.concatenate([np.minimum(colours, 255) * (alpha > 0), alpha], axis=-1).astype(np.uint8)


def save_image(path, image, text=None):
    """Writes a PNG file whole or not at all: whoever looks for `path` never finds half an image.

    Args:
        path: File name; the folder must exist.
        image: uint8, [H, W, 3], [H, W, 1], [H, W] or, for RGBA as `straight` returns it, [H, W, 4].
        text: {keyword: value} for the file's text chunks, which `read_text` and other programs show.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8:
        raise ValueError(f"Images to be saved must be uint8; received {image.dtype}. Use to_uint8_rounded.")
    if image.ndim != 2 and not (image.ndim == 3 and image.shape[-1] in (1, 3, 4)):
        raise ValueError(f"An image must be [H, W] or [H, W, 1, 3 or 4]; received shape {image.shape}.")
    with atomic_file(path) as temporary:
        write_png(temporary, image, text)


def write_png(file, image, text=None, **options):
    """Writes a PNG file to a path or an open binary file: image and text as in `save_image`, options of Pillow's."""
    chunks = PngInfo()
    for keyword, value in (text or {}).items():
        chunks.add_itxt(keyword, str(value))
    pixels = image[:, :, 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    Image.fromarray(pixels).save(file, format="png", pnginfo=chunks, **options)


def read_text(path):
    """{keyword: value} of a PNG file's text chunks, those before the pixels; ValueError if it is no PNG file."""
    try:
        with Image.open(path, formats=["png"]) as image:
            return dict(image.info)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"{path} is no readable PNG file ({error}); remove it and start again.") from None

"""The kinds of the paper's figures: what styles, truncation and noise do, and images that nobody has chosen."""

import re

import numpy as np
from PIL import Image
from tqdm import tqdm

from dnnlib.image_files import image_grid

# Layers whose styles are coarse (4x4 and 8x8), middle (16x16 and 32x32) and fine (64x64 and up): Figure 3.
STYLES = {"coarse": (0, 3), "middle": (4, 7), "fine": (8, None)}
# Columns of Figure 8, and of Figure 5 (a) to (d).
PSIS = (1.0, 0.7, 0.5, 0.0, -0.5, -1.0)
COMPONENTS = ("fixed", "off", "fine", "coarse")
# Figure 4: noise is drawn so often for the standard deviation, which is shown so much brighter.
DRAWS, GAIN = 100, 10
# Larger pictures are refused: 16384x16384.
_MOST_PIXELS = 2**28


def style_mixing(sampler, look, row_seeds=None, column_seeds=(), styles=("coarse",), projected=None):
    """Figure 3: images of source A down the left and of source B along the top; a cell is A with some styles of B.

    Args:
        sampler: Sampler.
        look: Look.
        row_seeds, column_seeds: Seeds of A and of B.
        styles: What is copied from B: "coarse", "middle", "fine", or layers such as "2-5" or "3"; one for all rows, or
            one for each.
        projected: `editing.projected.Projected` pictures, which are source A, with their own noise, in the place of
            `row_seeds`.

    Returns:
        uint8 [(rows + 1) * R, (columns + 1) * R, C]; the corner is white.

    Raises:
        ValueError: The network does not have these styles, or they are not as many as the rows.
    """
    row_seeds = row_seeds if projected is None else range(len(projected.w))
    rows, columns = len(row_seeds), len(column_seeds)
    check_size((rows + 1) * (columns + 1) * sampler.resolution**2)
    if len(styles) not in (1, rows):
        raise ValueError(f"There are {rows} rows and {len(styles)} styles; give one for all rows, or one for each.")
    layers = [style_layers(name, sampler.num_layers) for name in styles]
    layers = layers * rows if len(layers) == 1 else layers
    w_a = look.styles(sampler, row_seeds) if projected is None else projected.w
    w_b = look.styles(sampler, column_seeds)
    pictures = [np.full((1, sampler.resolution, sampler.resolution, sampler.num_channels), 255, np.uint8)]
    pictures.append(sampler.synthesis(w_b, look.noise, column_seeds))
    for row, seed in enumerate(tqdm(row_seeds, unit="row", disable=None)):
        # All images of a row have A's noise: only styles differ.
        mixed = np.repeat(w_a[row : row + 1], columns + 1, axis=0)
        mixed[1:, layers[row]] = w_b[:, layers[row]]
        own = None if projected is None else [np.repeat(x[row : row + 1], columns + 1, axis=0) for x in projected.noise]
        pictures.append(sampler.synthesis(mixed, own or look.noise, [seed] * len(mixed)))
    return image_grid(np.concatenate(pictures), columns + 1)


def style_layers(name, num_layers):
    """The layers, a slice, that "coarse", "middle", "fine", "2-5" or "3" means; ValueError if they are not there."""
    if num_layers == 1:
        raise ValueError("The network has a single style (it was trained without style-based layers): nothing to mix.")
    match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", name)
    if name not in STYLES and not match:
        raise ValueError(f"Styles are {', '.join(STYLES)}, or layers such as 2-5; received {name!r}.")
    if match:
        first, last = int(match[1]), int(match[2] or match[1])
    else:
        first, last = STYLES[name]
        # A small network has some of the layers of its finest styles.
        last = num_layers - 1 if last is None or first < num_layers <= last else last
    if not first <= last < num_layers:
        begin = f" ({name} styles begin at layer {first})" if name in STYLES else ""
        raise ValueError(f"There are no {name} styles; the network's layers are 0 to {num_layers - 1}{begin}.")
    return slice(first, last + 1)


def truncation(sampler, look, seeds, psis=PSIS, cutoff=None):
    """Figure 8: a row for each seed, a column for each psi.

    Args:
        sampler: Sampler.
        look: Look, whose own psi and cutoff do not matter.
        seeds: Seeds.
        psis: Numbers, or sequences of one number a layer.
        cutoff: Number of layers that are truncated; None: all, so that with psi = 0 all seeds give the average image.

    Returns:
        uint8 [len(seeds) * R, len(psis) * R, C].
    """
    check_size(len(seeds) * len(psis) * sampler.resolution**2)
    cutoff = sampler.num_layers if cutoff is None else cutoff
    columns = [
        look._replace(psi=psi, cutoff=cutoff).images(sampler, seeds) for psi in tqdm(psis, unit="column", disable=None)
    ]
    return image_grid(np.concatenate(np.stack(columns, axis=1)), len(psis))


def noise_detail(sampler, look, seeds, crop=None):
    """Figure 4: what is left to chance. A row for each seed.

    It shows the image with the stored noise, a close-up of it, the same close-up with four other draws of the noise,
    and the standard deviation of each pixel over 100 draws.

    Args:
        sampler: Sampler.
        look: Look, whose own noise does not matter.
        seeds: Seeds.
        crop: (x, y, size) of the close-up in pixels; None: the middle, half as wide and high as the image.

    Returns:
        uint8 [len(seeds) * R, 4 * R, C]. The standard deviation, in grey levels and averaged over the channels, is
        multiplied by 10: white means 25.5 and more. Pixels of close-ups are repeated or left out, never blended.

    Raises:
        ValueError: The network has no noise, or the close-up is not in the image.
    """
    _check_noise(sampler)
    side = sampler.resolution
    check_size(len(seeds) * 4 * side**2)
    crop = (side // 4, side // 4, side // 2) if crop is None else crop
    _check_crop((*crop, crop[-1]), side)
    pictures = []
    for seed in tqdm(seeds, unit="row", disable=None):
        w = look.styles(sampler, [seed])
        image = sampler.synthesis(w)[0]
        others = sampler.synthesis(np.repeat(w, 4, axis=0), "random", range(4))
        details = image_grid([close_up(other, crop, side // 2) for other in others], 2)
        deviation = noise_deviation(noise_draws(sampler, w))
        grey = np.rint(np.minimum(deviation * GAIN, 255)).astype(np.uint8)
        deviations = np.repeat(grey[:, :, None], image.shape[-1], axis=2)
        deviations[:, :, 3:] = 255  # of RGBA
        pictures += [image, close_up(image, crop, side), details, deviations]
    return image_grid(pictures, 4)


def noise_draws(sampler, w):
    """Yields images of one w, [1, num_layers, dlatent_size], a minibatch at a time, each with other noise."""
    for start in range(0, DRAWS, sampler.batch):
        seeds = range(start, min(start + sampler.batch, DRAWS))
        yield sampler.synthesis(np.repeat(w, len(seeds), axis=0), "random", seeds)


def noise_deviation(batches):
    """The standard deviation of each pixel over all images of some minibatches, averaged over the channels.

    Args:
        batches: Iterable of uint8 [N, H, W, C]; one of them at a time is in memory.

    Returns:
        float64 [H, W] in grey levels, exact: the sums are of whole numbers.
    """
    count, total, squares = 0, 0, 0
    for images in batches:
        images = images.astype(np.int64)
        count, total, squares = count + len(images), total + images.sum(axis=0), squares + (images**2).sum(axis=0)
    return (np.sqrt(count * squares - total**2) / count).mean(axis=-1)


def noise_components(sampler, look, seeds, crop=None):
    """Figure 5: (a) noise in all layers, (b) in none, (c) in the fine ones only, (d) in the coarse ones only.

    Args:
        sampler: Sampler.
        look: Look, whose own noise does not matter.
        seeds: Seeds; a row each.
        crop: (x, y, size) in pixels of close-ups, in a row below each row of images; None: no close-ups.

    Returns:
        uint8 [rows * R, 4 * R, C].

    Raises:
        ValueError: The network has no noise, or the close-up is not in the image.
    """
    _check_noise(sampler)
    check_size(len(seeds) * 8 * sampler.resolution**2)
    if crop is not None:
        _check_crop((*crop, crop[-1]), sampler.resolution)
    pictures = []
    for seed in tqdm(seeds, unit="row", disable=None):
        w = look.styles(sampler, [seed])
        images = [sampler.synthesis(w, noise)[0] for noise in COMPONENTS]
        pictures += images
        if crop is not None:
            pictures += [close_up(image, crop, sampler.resolution) for image in images]
    return image_grid(pictures, len(COMPONENTS))


def close_up(image, crop, side):
    """The square (x, y, size) of an image, [side, side, C]: pixels are repeated or left out."""
    x, y, size = crop
    index = np.arange(side) * size // side
    return image[y + index[:, None], x + index]


def uncurated(sampler, look, seed, rows, lods, crop=None):
    """Figures 2 and 10 to 12: images of consecutive latents, in columns from top to bottom.

    Args:
        sampler: Sampler.
        look: Look. Image i is of class i, modulo their number, where it names none; random noise is that of seed i.
        seed: All latents are RandomState(seed).randn(images, latent_size).
        rows: Images of full size in the height of the picture.
        lods: Levels of detail, one a column: of lod k are rows * 2^k images, 2^k times smaller (boxes are averaged).
        crop: (x, y, width, height) in pixels of what is shown of an image; None: all.

    Returns:
        uint8 [rows * height, sum(width / 2^lod), C]. Beside it, a minibatch of images is in memory.

    Raises:
        ValueError: The crop is not in the image, or its sides cannot be divided by 2^lod.
    """
    x, y, width, height = crop = crop or (0, 0, sampler.resolution, sampler.resolution)
    _check_crop(crop, sampler.resolution)
    if not lods or width % 2 ** max(lods) or height % 2 ** max(lods):
        raise ValueError(f"Images of {width}x{height} cannot be shown at lods {', '.join(map(str, lods))}: too small.")
    canvas_width = sum(width >> lod for lod in lods)
    check_size(canvas_width * rows * height)
    canvas = np.zeros((rows * height, canvas_width, sampler.num_channels), np.uint8)
    places = _places(rows, lods, width, height)
    count = sum(rows << lod for lod in lods)
    random = np.random.RandomState(seed)
    for start in tqdm(range(0, count, sampler.batch), unit="minibatch", disable=None):
        indices = range(start, min(start + sampler.batch, count))
        z = random.randn(len(indices), sampler.latent_size)
        w = sampler.truncate(sampler.mapping(z, look.labels(sampler, indices)), look.psi, look.cutoff)
        images = sampler.synthesis(w, look.noise, indices)[:, y : y + height, x : x + width]
        # The images come first, so that zip takes no place too many at their end.
        for image, (top, left, lod) in zip(images, places, strict=False):
            cell = Image.fromarray(image.squeeze(-1) if sampler.num_channels == 1 else image).reduce(2**lod)
            cell = np.asarray(cell).reshape(height >> lod, width >> lod, -1)
            canvas[top : top + len(cell), left : left + cell.shape[1]] = cell
    return canvas


def _places(rows, lods, width, height):
    """Yields (top, left, lod) of each image, column by column."""
    left = 0
    for lod in lods:
        for row in range(rows << lod):
            yield row * (height >> lod), left, lod
        left += width >> lod


def _check_noise(sampler):
    if not sampler.noise_resolutions:
        raise ValueError(
            "The network has no noise, so there is nothing to see of it; give one that was trained with noise."
        )


def _check_crop(crop, side):
    """ValueError unless (x, y, width, height) lies in an image of this side."""
    x, y, width, height = crop
    if min(x, y) < 0 or min(width, height) < 1 or x + width > side or y + height > side:
        raise ValueError(f"The crop of {width}x{height} at {x},{y} is not inside the images of {side}x{side}.")


def check_size(pixels):
    """ValueError if a picture of so many pixels is too large."""
    if pixels > _MOST_PIXELS:
        raise ValueError(
            f"The picture would have {pixels:,} pixels; choose fewer seeds or rows (at most {_MOST_PIXELS:,})."
        )

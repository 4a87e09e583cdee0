"""Source: any picture files, in a folder, a .zip or a list."""

import collections
import functools
from typing import NamedTuple

from tqdm import tqdm

from datasets import pictures
from datasets.errors import DatasetError
from datasets.image_labels import Labels, find_labels
from datasets.listing import list_pictures, open_file
from datasets.source import Source


def from_images(
    source,
    *,
    resolution=None,
    crop="none",
    aspect=None,
    resize="lanczos",
    background=None,
    channels=None,
    labels="auto",
    value_range=None,
    max_images=None,
    on_error="stop",
):
    """Returns the Source of picture files, sorted by path; `datasets.listing.list_pictures` says which are taken.

    Every file's header is read, so that a misfit is found in the first minute. The images are greyscale if all files
    are, otherwise RGB, or RGBA if that is asked for.

    Args:
        source: A folder, a .zip or a text file that lists files; see `datasets.listing.list_pictures`.
        resolution: Side to reduce the images to, a power of two from 4. Without it they must be of one such side.
        crop: "center" cuts out the largest square in the middle; with "none" the images must be square.
        aspect: (width, height) that all pictures have, or that is cut out of them: they are squeezed to squares, whose
            side is the longer one's, and the data set's file NAME-aspect.txt tells to undo it. None: squares.
        resize: "lanczos" or "box", the filter that reduces.
        background: Colour to lay under transparent pixels; without it they are refused.
        channels: 4 for RGBA, which keeps them; colours are multiplied by alpha then. None: as the files have.
        labels: "auto" takes the labels of a dataset.json ({"labels": [[file, class], ...]}, classes as numbers, as
            names or as lists of numbers, with their names, if any, as "label_names"), or else the folders at the root
            as classes; see `datasets.image_labels.find_labels`. "none" takes no labels.
        value_range: (lowest, highest) value of 16-bit files, which become 0 and 255. None is (0, 65535), refused where
            all values together span less than half of it.
        max_images: How many of the first images will be wanted, so that no other headers are read; None for all.
        on_error: "stop" at the first header that cannot be used, or "skip" it: the conversion meets it again.

    Raises:
        DatasetError: An image, or a labels file, cannot be used; or there are no images.
    """
    if resolution is not None and (resolution < 4 or resolution & (resolution - 1)):
        raise DatasetError(f"--resolution must be a power of two, at least 4; received {resolution}.")
    pictures.check_background(background)
    listing = list_pictures(source)
    labels = find_labels(listing) if labels == "auto" else Labels(None, None, "--labels=none")
    found = _check_headers(listing, max_images, resolution, crop, aspect, value_range, on_error)
    decode = functools.partial(
        _decode, found.side, channels or found.channels, resolution, crop, aspect, resize, background, found.value_range
    )
    return Source(
        num_images=len(listing),
        name=listing.name,
        fetch=listing.fetch,
        decode=decode,
        labels=labels.values,
        label_names=labels.names,
        origin=labels.origin,
        notes=(*labels.notes, *found.notes),
        left_out=listing.left_out,
        num_unusable=found.num_unusable,
        files={"aspect.txt": "{}:{}\n".format(*aspect)} if aspect else {},
    )


def read_file(fetched, channels=None, background=None, value_range=None):
    """Returns a listed picture file as `pictures.read_picture` does: uint8 [H, W, C]."""
    with open_file(fetched) as file:
        data = file.read()
    return pictures.read_picture(data, channels, background, value_range)


def _decode(side, channels, resolution, crop, aspect, filter, background, value_range, fetched):
    """`Source.decode`; the header check has found what side and channels most images have."""
    image = read_file(fetched, channels, background, value_range)
    height, width, _ = image.shape
    found = _final_side(width, height, resolution, crop, aspect)
    if found != side:
        raise _other_side(found, side)
    part = pictures.crop_center(image, *pictures.largest_of_aspect(width, height, aspect or (1, 1)))
    return part if part.shape[:2] == (side, side) else pictures.resize(part, side, side, filter)


class _Found(NamedTuple):
    """What the header check has found.

    Attributes:
        side, channels: Of most images.
        value_range: See `from_images`.
        notes: Lines about it.
        num_unusable: Files that cannot be used.
    """

    side: int
    channels: int
    value_range: tuple | None
    notes: list
    num_unusable: int


def _check_headers(listing, max_images, resolution, crop, aspect, value_range, on_error):
    """Returns what all headers say together, as _Found."""
    kinds = collections.Counter()
    firsts, error = {}, None
    deep, animated = _DeepFiles(value_range), 0
    count = min(len(listing), max_images or len(listing))
    for index in tqdm(range(count), desc="Checking", unit="img", disable=None):
        try:
            with open_file(listing.fetch(index)) as file:
                header = pictures.read_header(file)
            side = _final_side(header.width, header.height, resolution, crop, aspect)
            if header.is_deep:
                deep.add(listing, index)
        except DatasetError as reason:
            error = error or DatasetError(f"{listing.name(index)}: {reason}")
            if on_error == "stop":
                raise error from reason
            continue
        kinds[side, header.channels] += 1
        animated += header.frames > 1
        firsts.setdefault(side, index)
    if not kinds:
        raise error
    expected = max(firsts, key=lambda side: kinds[side, 1] + kinds[side, 3])
    others = [side for side in firsts if side != expected]
    if others and on_error == "stop":
        raise DatasetError(f"{listing.name(firsts[others[0]])}: {_other_side(others[0], expected)}")
    notes = deep.check(listing)
    if animated:
        notes.append(f"animated GIFs of which the first frame was taken: {animated:,}")
    return _Found(
        expected,
        3 if kinds[expected, 3] else 1,
        deep.value_range,
        notes,
        count - kinds[expected, 1] - kinds[expected, 3],
    )


class _DeepFiles:
    """The files with 16 bits a value: whether all together use the range that they have, as far as need be read."""

    def __init__(self, value_range):
        self.given = value_range
        self.value_range = value_range or pictures.FULL_RANGE
        self.first, self.count = None, 0
        self.lowest, self.highest = pictures.FULL_RANGE[::-1]

    def add(self, listing, index):
        self.first, self.count = index if self.first is None else self.first, self.count + 1
        if self.given is None and not pictures.fills_range(self.lowest, self.highest):
            with open_file(listing.fetch(index)) as file:
                lowest, highest = pictures.value_extremes(file)
            self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)

    def check(self, listing):
        """Returns a list of notes; DatasetError if the range is not what the files, or the options, promise."""
        if self.given and not self.count:
            raise DatasetError(
                f"{listing.name(0)} and all other files have 8 bits a value, and --levels is for 16. Leave it out."
            )
        if not self.count:
            return []
        if self.given is None:
            try:
                pictures.check_span(self.lowest, self.highest)
            except DatasetError as reason:
                others = f" and {self.count - 1:,} more" if self.count > 1 else ""
                raise DatasetError(f"{listing.name(self.first)}{others}: {reason}") from reason
        low, high = self.value_range
        return [f"files of 16 bits that were scaled from {low}-{high} to 0-255: {self.count:,}"]


def _final_side(width, height, resolution, crop, aspect):
    """Returns the side of the square image that a file becomes; DatasetError if it cannot become one."""
    if aspect:
        return _squeezed_side(width, height, resolution, crop, aspect)
    if width != height and crop == "none":
        found = pictures.find_aspect(f"{width}:{height}")
        squeezed = ", or --aspect={}:{} to squeeze all to squares".format(*found) if found else ""
        raise DatasetError(f"it is {width}x{height}, not square. Use --crop=center to cut out the middle{squeezed}.")
    side = min(width, height)
    size = f"{side}x{side}" if width == height else f"{side}x{side} once {width}x{height} is cropped"
    if side < (resolution or 4):
        least = f"--resolution={resolution}" if resolution else "4x4, the smallest size"
        remedy = "Choose a smaller resolution or remove it." if resolution else "Remove it."
        raise DatasetError(f"it is {size}, smaller than {least}. {remedy}")
    if resolution is None and side & (side - 1):
        raise DatasetError(
            f"it is {size}, and the side is no power of two. "
            f"Use --resolution={1 << side.bit_length() - 1} to reduce it."
        )
    return resolution or side


def _squeezed_side(width, height, resolution, crop, aspect):
    """Returns `resolution`, to which a file is squeezed; DatasetError if it has another aspect, or is too small."""
    across, down = pictures.largest_of_aspect(width, height, aspect)
    if crop == "none" and max(width - across, height - down) > 1:  # as far as whole pixels tell
        raise DatasetError(
            "it is {}x{}, not of {}:{}. Use --crop=center to cut that out of its middle.".format(width, height, *aspect)
        )
    if max(across, down) < resolution:
        raise DatasetError(
            f"it is {across}x{down}, whose longer side is smaller than --resolution={resolution}. Choose a smaller "
            "resolution or remove it."
        )
    return resolution


def _other_side(side, expected):
    return DatasetError(
        f"it is {side}x{side}, but most images are {expected}x{expected}. "
        f"Use --resolution={min(side, expected)} to make all equal, or remove it."
    )

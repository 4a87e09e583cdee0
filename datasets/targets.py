"""Pictures that shall be projected, as a generator's images are: of its side and channels, cut out, or refused."""

from datasets.alignment import align_face
from datasets.errors import DatasetError
from datasets.face_mesh import only_face
from datasets.pictures import crop_center, largest_of_aspect, read_picture, resize


def read_face(path, generator, background):
    """The one face in a picture, aligned as FFHQ's are, uint8 [R, R, C]; DatasetError if there is none, or several."""
    try:
        picture = read_picture(path, generator.num_channels, background)
        return align_face(picture, only_face(picture), generator.resolution)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None


def read_target_picture(path, generator, crop, background):
    """A picture like a generator's, uint8 [R, R, C]; one of the aspect of its data is squeezed as they were.

    Raises:
        DatasetError: It is damaged, of another size, or in colour where the network's are grey.
    """
    try:
        return fitting_picture(path, generator, crop, background)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None


def fitting_picture(file, generator, crop, background):
    """`read_target_picture` of a file or of its bytes, whose errors do not name it."""
    side = generator.resolution
    picture = read_picture(file, generator.num_channels, background)
    height, width, _ = picture.shape
    if generator.aspect:
        return squeezed(picture, side, generator.aspect, crop)
    if (height, width) == (side, side):
        return picture
    if not crop:
        raise DatasetError(
            f"it is {width}x{height}, and the network's images are {side}x{side}. Give --crop to cut its middle "
            "out and reduce that."
        )
    smaller = min(height, width)
    if smaller < side:
        raise DatasetError(f"it is {width}x{height}, smaller than the network's {side}x{side}. Give a larger one.")
    return resize(crop_center(picture, smaller, smaller), side, side, "lanczos")


def squeezed(picture, side, aspect, crop):
    """A picture of an aspect, uint8 [H, W, C], as a square; DatasetError if it has another and must not be cropped."""
    height, width, _ = picture.shape
    across, down = largest_of_aspect(width, height, aspect)
    if not crop and max(width - across, height - down) > 1:
        raise DatasetError(
            "it is {}x{}, and the network's pictures are {}:{}. Give --crop to cut that out of its middle.".format(
                width, height, *aspect
            )
        )
    if max(across, down) < side:
        raise DatasetError(
            f"its longer side of {max(across, down)} is smaller than the network's {side}. Give a larger one."
        )
    return resize(crop_center(picture, across, down), side, side, "lanczos")

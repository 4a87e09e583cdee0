"""Alignment of faces as for FFHQ (Karras et al., 2018, appendix A): from pictures and 68 landmarks a face to squares.

Landmarks come from a JSON file, in one of three forms:

    {"file.jpg": [[x, y], ... 68 points], ...}                           one face a picture
    {"file.jpg": [[[x, y], ... 68 points], [[x, y], ...]], ...}          several
    {"0": {"in_the_wild": {"file_path": "in-the-wild-images/00000/00000.png",
                           "face_landmarks": [[x, y], ... 68 points]}, ...}, ...}      FFHQ's own metadata

File names are relative to the folder of pictures. The points are those of the usual 68-point annotation (iBUG 300-W),
which any detector of 68 landmarks gives: 36-41 and 42-47 go round the eyes, 48 and 54 are the corners of the mouth.
They are in pixels of the upright picture (as its EXIF orientation says), x to the right, y down; (0, 0) is the centre
of the first pixel. To use a detector, `json.dump` its points in the first or second form; a picture without a face may
be left out or get an empty list.
"""

import contextlib
import functools
import json
import os
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter, ImageStat
from tqdm import tqdm

from datasets.errors import DatasetError
from datasets.listing import is_picture, is_visible
from datasets.naming import readable
from datasets.pictures import check_background, read_picture
from datasets.pool import num_cores, process_map
from datasets.walking import walk
from dnnlib.files import check_new_folder, check_room, new_folder
from dnnlib.image_files import image_grid, read_text, save_image

_NUM_LANDMARKS = 68
# No picture is larger; it also keeps out the NaN and Infinity that Python's JSON allows.
_MAX_COORDINATE = 2**20
# Shorter vectors, in pixels, count as zero.
_ZERO_LENGTH = 1e-3
# What files of FFHQ's metadata start with; `images` may be this folder itself.
_FFHQ_FOLDER = "in-the-wild-images/"
_SHEET_FACES = 64
# Of its pixels' bytes, what a face takes as a PNG file: FFHQ's, 1024x1024, have 1.3 MB instead of 3.1.
_PNG_SHARE = 0.4
_SHEET_SIDE = 128


class Aligned(NamedTuple):
    """What `align_faces` has made.

    Attributes:
        num_faces: Number of images in the new folder.
        skipped: (name, reason) of each face that was skipped.
        num_without_landmarks: Number of pictures that were ignored because they have no landmarks.
        contact_sheet: Path of a picture of up to 64 of the faces.
    """

    num_faces: int
    skipped: list
    num_without_landmarks: int
    contact_sheet: Path


class _Face(NamedTuple):
    """One task: a file's name in the folder, what messages call the face, the new image's name, landmarks [68, 2]."""

    picture: str
    label: str
    name: str
    landmarks: np.ndarray


def align_faces(
    out, images, landmarks, *, output_size=1024, transform_size=4096, background=None, workers=None, on_error="stop"
):
    """Cuts all faces out of a folder of pictures, upright and of one size, into a new folder of PNG files.

    The face of `file.jpg` becomes `file.png`, several become `file-0.png`, `file-1.png`, ... Where two would get the
    same name, all names contain the folders, `a-file.png`; where that does not help, all start with a number.

    Args:
        out: Folder to create. A contact sheet, `OUT-contact-sheet.png`, is written beside it.
        images: Folder of pictures, of any size.
        landmarks: Path of a JSON file (see the top of this module).
        output_size: Side of the faces in pixels.
        transform_size: Side in pixels at which they are sampled first.
        background: Colour to lay under transparent pixels; without it they are refused.
        workers: Worker processes; the default is the number of cores.
        on_error: "stop" at the first face that cannot be aligned, or "skip" it.

    Returns:
        Aligned.

    Raises:
        DatasetError: Landmarks cannot be used (found before anything is written), or a picture.
        FileExistsError: `out` exists, or the remains of a killed run do.
        OSError: There is no room for the faces.
    """
    out, images = Path(out), Path(images)
    check_background(background)
    check_new_folder(out)
    contact_sheet = out.with_name(f"{out.name}-contact-sheet.png")
    if os.path.lexists(contact_sheet) and "contact sheet" not in read_text(contact_sheet):
        raise DatasetError(f"{contact_sheet} is there, and is no contact sheet; remove it, or choose another name.")
    files = find_pictures(images)
    by_picture = read_landmarks(landmarks, files, images)
    faces = _list_faces(by_picture)
    written, skipped = [], []
    check_room(out, int(len(faces) * 3 * output_size**2 * _PNG_SHARE))
    with new_folder(out) as folder:
        work = functools.partial(_align_file, images, folder, output_size, transform_size, background)
        # Closing waits for the workers, so that none still writes into the folder when an error removes it.
        with contextlib.closing(process_map(work, faces, min(workers or num_cores(), len(faces)))) as results:
            progress = tqdm(results, desc=f"Writing {out}", total=len(faces), unit="face", disable=None)
            for face, result in zip(faces, progress, strict=True):
                if not isinstance(result, DatasetError):
                    written.append(result)
                elif on_error == "skip":
                    skipped.append((face.label, str(result)))
                else:
                    raise DatasetError(f"{images / face.label}: {result}")
        if not written:
            name, reason = skipped[0]
            raise DatasetError(f"None of the {len(faces)} faces can be aligned; the first is {images / name}: {reason}")
        sheet = _contact_sheet(written)
    save_image(contact_sheet, sheet, {"contact sheet": str(out.absolute())})
    pictures = {name for name in files if is_picture(name) and all(map(is_visible, name.split("/")))}
    return Aligned(len(written), skipped, len(pictures - by_picture.keys()), contact_sheet)


def align_face(image, landmarks, output_size=1024, transform_size=4096):
    """Cuts one face out of a picture, upright, as FFHQ's faces are.

    Args:
        image: Picture, uint8 [H, W, 3].
        landmarks: Points (x, y) in pixels of the picture, [68, 2]; (0, 0) is the centre of the first pixel.
        output_size: Side of the result in pixels.
        transform_size: Side in pixels at which the picture is sampled; the result is reduced from that.

    Returns:
        uint8 [output_size, output_size, 3].

    Raises:
        DatasetError: The landmarks give no square, or one whose centre is outside of the picture.
    """
    # Pillow counts from the corner of the first pixel, not from its centre.
    quad = face_quad(landmarks) + 0.5
    height, width, _ = image.shape
    centre = quad.mean(0)
    if not (np.all(centre >= 0) and np.all(centre <= [width, height])):
        raise DatasetError(
            f"the face's centre ({centre[0]:.0f}, {centre[1]:.0f}) lies outside of the picture, {width}x{height}. "
            "Give landmarks in pixels of the upright picture (EXIF rotation applied)."
        )
    picture, quad = _pad(*_crop(*_shrink(Image.fromarray(image), quad, output_size)))
    side = (transform_size, transform_size)
    picture = picture.transform(side, Image.Transform.QUAD, quad.ravel().tolist(), Image.Resampling.BILINEAR)
    return np.asarray(picture.resize((output_size, output_size), Image.Resampling.LANCZOS))


def face_quad(landmarks):
    """Returns the square around a face: its upper left, lower left, lower right and upper right corner, float [4, 2].

    The eyes, and the line from them to the mouth, give direction and size: x, from the centre to the right edge, is
    e2e - rot90(e2m), scaled to the larger of 2.0 |e2e| and 1.8 |e2m|. The centre lies below the eyes by 0.1 e2m.

    Args:
        landmarks: Points (x, y), [68, 2]; the corners are in the same coordinates.
    """
    landmarks = np.asarray(landmarks, np.float64)
    eyes = np.stack([landmarks[36:42].mean(0), landmarks[42:48].mean(0)])
    mid_eyes = eyes.mean(0)
    eye_to_eye = eyes[1] - eyes[0]
    eye_to_mouth = landmarks[[48, 54]].mean(0) - mid_eyes
    x = eye_to_eye - _rot90(eye_to_mouth)
    lengths = np.linalg.norm([eye_to_eye, eye_to_mouth, x], axis=1)
    if min(lengths) < _ZERO_LENGTH:
        raise DatasetError("the landmarks of eyes and mouth coincide or contradict each other. Correct or remove them.")
    x *= max(2.0 * lengths[0], 1.8 * lengths[1]) / lengths[2]
    y = _rot90(x)
    centre = mid_eyes + 0.1 * eye_to_mouth
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def _rot90(vector):
    """Turns (x, y) by 90 degrees: from right to down, as y goes down."""
    return np.array([-vector[1], vector[0]])


def quad_size(quad):
    """The side of a square in pixels, 2 |x|."""
    return float(np.linalg.norm(quad[3] - quad[0]))


def _shrink(picture, quad, output_size):
    """Reduces a picture by a whole factor if the quad is at least four times as large as the output."""
    factor = int(quad_size(quad) / output_size / 2)
    if factor <= 1:
        return picture, quad
    size = [max(1, round(length / factor)) for length in picture.size]
    return picture.resize(size, Image.Resampling.LANCZOS), quad * np.divide(size, picture.size)


def _border(quad):
    """Pixels kept around the quad: 10% of its size, at least 3."""
    return max(3, round(0.1 * quad_size(quad)))


def _crop(picture, quad):
    """Cuts off what lies more than the border outside of the quad's bounding box."""
    low = np.maximum(np.floor(quad.min(0)) - _border(quad), 0)
    high = np.minimum(np.ceil(quad.max(0)) + _border(quad), picture.size)
    return picture.crop((*low.astype(int).tolist(), *high.astype(int).tolist())), quad - low


def _pad(picture, quad):
    """Continues a picture on the sides where the quad reaches over it.

    The padding holds the border too and is at least 0.3 of the quad wide. It is the picture's reflection, blurred with
    a standard deviation of 0.02 of the quad and fading to the picture's median colour, reached at the outer edge. The
    picture stays as it is; the blur sets in gradually, so that the picture's edge does not show.
    """
    size = quad_size(quad)
    beyond = np.array([-quad.min(0), quad.max(0) - picture.size])
    if np.all(beyond <= 0):
        return picture, quad
    widths = np.where(beyond > 0, np.maximum(np.ceil(beyond) + _border(quad), np.ceil(0.3 * size)), 0).astype(int)
    columns, rows = (_fade(*sides, length) for sides, length in zip(widths.T, picture.size, strict=True))
    pixels = np.pad(np.asarray(picture), (*(tuple(sides) for sides in widths.T[::-1]), (0, 0)), mode="reflect")
    padded = Image.fromarray(pixels)
    blurred = padded.filter(ImageFilter.GaussianBlur(0.02 * size))
    median = Image.new("RGB", padded.size, tuple(ImageStat.Stat(picture).median))
    # The blur is whole at three standard deviations from the edge: 0.06 of 0.3.
    padded = Image.composite(blurred, padded, _mask(5 * rows, 5 * columns))
    return Image.composite(median, padded, _mask(rows, columns)), quad + widths[0]


def _fade(before, after, length):
    """Weights along one axis, float [before + length + after]: 1 at the outer edges, 0 in the picture."""
    stops = np.cumsum([0, before, length, after])
    return np.interp(np.arange(stops[-1]) + 0.5, stops, [1, 0, 0, 1])


def _mask(rows, columns):
    """The larger of a row's and a column's weight as a picture; 1 and more become 255."""
    weights = (np.rint(255 * axis.clip(0, 1)).astype(np.uint8) for axis in (rows, columns))
    return Image.fromarray(np.maximum.outer(*weights))


def _align_file(images, folder, output_size, transform_size, background, face):
    """The work of one task; returns the path of the new image, or the DatasetError that it met."""
    try:
        image = read_picture(images / face.picture, channels=3, background=background)
        image = align_face(image, face.landmarks, output_size, transform_size)
    except DatasetError as error:
        return error
    path = folder / f"{face.name}.png"
    save_image(path, image)
    return path


def read_landmarks(path, files, images):
    """Returns {name of a file: [float64 [68, 2], ...]}, the landmarks of each face of each picture that has any.

    Args:
        path: The JSON file.
        files: Names of the files in the folder of pictures; those in the JSON file must be among them.
        images: The folder, for messages.

    Raises:
        DatasetError: The JSON file or an entry of it cannot be used.
    """
    by_picture = {}
    for key, value in _load_json(path).items():
        try:
            name, faces = _parse_entry(key, value)
            if name not in files:
                name = name.removeprefix(_FFHQ_FOLDER)
            if name not in files:
                raise DatasetError(f"{images} holds no {name}. Give the folder that the names are relative to.")
            if faces:
                by_picture.setdefault(name, []).extend(faces)
        except DatasetError as error:
            raise DatasetError(f"{path}, entry {key!r}: {error}") from None
    if not by_picture:
        raise DatasetError(f"{path} holds no landmarks. Give a JSON file with 68 points of each face.")
    return by_picture


def _load_json(path):
    try:
        entries = json.loads(Path(path).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path} cannot be read as JSON ({error}). Give a JSON file of landmarks.") from error
    if not isinstance(entries, dict):
        raise DatasetError(f'{path} must be {{"file.jpg": landmarks, ...}}; it is a {type(entries).__name__}.')
    return entries


def _parse_entry(key, value):
    """Returns the file's name and the landmarks of its faces."""
    if isinstance(value, dict):
        wild = value.get("in_the_wild")
        if not isinstance(wild, dict) or not isinstance(wild.get("file_path"), str):
            raise DatasetError("it has no in_the_wild with a file_path. Give FFHQ's metadata, or lists of points.")
        name, faces = wild["file_path"], [wild.get("face_landmarks")]
    else:
        # The elements of several faces are lists of points, those of one face points.
        several = isinstance(value, list) and all(
            item and isinstance(item, list) and isinstance(item[0], list) for item in value
        )
        name, faces = key, value if several else [value]
    for face in faces:
        _check_landmarks(face)
    return PurePosixPath(name).as_posix(), [np.array(face, np.float64) for face in faces]


def _check_landmarks(face):
    if not isinstance(face, list) or len(face) != _NUM_LANDMARKS:
        received = f"{len(face)} of them" if isinstance(face, list) else f"{face!r:.30}"
        raise DatasetError(f"a face must be a list of {_NUM_LANDMARKS} points [x, y]; received {received}. Correct it.")
    for number, point in enumerate(face):
        if not isinstance(point, list) or len(point) != 2 or not all(map(_is_coordinate, point)):
            raise DatasetError(f"point {number} must be [x, y], numbers in pixels; received {point!r:.30}. Correct it.")


def _is_coordinate(value):
    return type(value) in (int, float) and abs(value) < _MAX_COORDINATE  # type(), for True is an int


def find_pictures(folder):
    """Returns the names of all files in a folder and the folders in it, links followed: {"a/file.jpg", ...}."""
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give the folder of pictures.")
    return {name for name, _ in walk(folder, is_visible, is_picture)[0]}


def _list_faces(by_picture):
    """Returns a list of _Face. Their names differ, also on disks that do not tell capitals from small letters."""
    faces, long_names = [], []
    for picture, several in by_picture.items():
        path = PurePosixPath(picture).with_suffix("")
        for number, landmarks in enumerate(several):
            suffix, what = (f"-{number}", f", face {number}") if len(several) > 1 else ("", "")
            label = readable(picture) + what
            faces.append(_Face(picture, label, f"{path.name}{suffix}", landmarks))
            long_names.append("-".join(path.parts) + suffix)
    numbered = [f"{index:06d}-{name}" for index, name in enumerate(long_names)]
    for names in ([face.name for face in faces], long_names, numbered):
        if len({name.lower() for name in names}) == len(names):
            break
    return [face._replace(name=name) for face, name in zip(faces, names, strict=True)]


def _contact_sheet(paths):
    """Returns up to 64 images, evenly chosen, at 128x128 in one."""
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), _SHEET_FACES)).round().astype(int)
    faces = []
    for index in chosen:
        with Image.open(paths[index]) as face:
            faces.append(np.asarray(face.resize((_SHEET_SIDE, _SHEET_SIDE), Image.Resampling.LANCZOS)))
    return image_grid(faces)

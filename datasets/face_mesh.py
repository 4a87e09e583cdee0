"""Landmarks of faces, found by MediaPipe's networks: a detector for where faces are, a mesh of 468 points for each.

Both networks are files of TensorFlow Lite beside this module, in `face_models/` (Google, Apache-2.0), and are run by
the package ai-edge-litert, in milliseconds. The mesh's points become the 68 that `alignment` takes.

Reference:
    Bazarevsky et al., 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"; Kartynnik et al., 2019,
    "Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs".
"""

import contextlib
import functools
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from datasets.alignment import face_quad, find_pictures, quad_size
from datasets.errors import DatasetError
from datasets.naming import readable
from datasets.pictures import check_background, read_picture
from datasets.pool import num_cores, process_map
from dnnlib.files import atomic_file
from dnnlib.optional import import_optional

MODELS = Path(__file__).with_name("face_models")
# The networks' inputs are squares of these sides.
_DETECTOR_SIDE, _MESH_SIDE = 128, 192
# Anchors of the detector: (cells in a row, anchors in each).
_GRIDS = ((16, 2), (8, 6))
# The square that the mesh looks at is so much larger than the detector's.
_MARGIN = 1.5
# Boxes that share more of their area than this are of one face.
_OVERLAP = 0.3
# The least that the detector must have for a face; the mesh has the last word.
_DETECTED = 0.5
# What is left out where nobody says otherwise; the side is in pixels.
CONFIDENCE, LEAST_SIDE = 0.5, 64
# Which points of the mesh are the 68 of iBUG's annotation: jaw, brows, nose, eyes, mouth.
POINTS = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
# The mesh's points of the outer corners of the eyes.
_EYES = (33, 263)


class Face(NamedTuple):
    """A face in a picture.

    Attributes:
        landmarks: Points (x, y) in pixels of the picture, as `alignment` takes them, float64 [68, 2].
        confidence: Probability that the mesh lies on a face: low where what was detected is none, or is turned away.
    """

    landmarks: np.ndarray
    confidence: float

    @property
    def side(self):
        """Side of the square that alignment cuts out, in pixels of the picture."""
        return quad_size(face_quad(self.landmarks))


def find_landmarks(path, images, background=None, confidence=None, least_side=None, workers=None, on_error="stop"):
    """Finds the faces in pictures, and writes their landmarks as the JSON that `alignment.align_faces` reads.

    Args:
        path: JSON file to write.
        images: Folder of pictures.
        background: Colour to lay under transparent pixels; without it they are refused.
        confidence: The least of a face, None for `CONFIDENCE`; others are left out.
        least_side: The least `Face.side`, None for `LEAST_SIDE`; smaller faces are left out.
        workers: Worker processes; the default is the number of cores.
        on_error: "stop" at the first picture that cannot be read, or "skip" it.

    Returns:
        A list of (name, reason) of faces and pictures that were left out.

    Raises:
        DatasetError: There is such a file; a picture cannot be read; or there is no face in any.
        ValueError: The package is not installed.
    """
    path, images = Path(path), Path(images)
    check_background(background)
    confidence = CONFIDENCE if confidence is None else confidence
    least_side = least_side or LEAST_SIDE
    if os.path.lexists(path):
        raise DatasetError(f"{path} is there; align with these landmarks, without a detector, or remove it.")
    files = sorted(find_pictures(images))
    if not files:
        raise DatasetError(f"There is no picture in {images}.")
    _import_litert()
    found, left_out = {}, []
    work = functools.partial(_find_in_file, images, background)
    with contextlib.closing(process_map(work, files, min(workers or num_cores(), len(files)))) as results:
        progress = tqdm(results, desc="Finding faces", total=len(files), unit="picture", disable=None)
        for name, faces in zip(files, progress, strict=True):
            if isinstance(faces, DatasetError):
                if on_error == "stop":
                    raise DatasetError(f"{images / readable(name)}: {faces}")
                left_out.append((readable(name), str(faces)))
                continue
            reasons = [_reason_to_leave_out(face, confidence, least_side) for face in faces]
            left_out += [(readable(name), reason) for reason in reasons or ["no face was found"] if reason]
            good = [face.landmarks for face, reason in zip(faces, reasons, strict=True) if not reason]
            if good:
                found[name] = [landmarks.round(2).tolist() for landmarks in good]
    if not found:
        first = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3])
        raise DatasetError(f"No face was found in the {len(files)} pictures of {images} ({first}).")
    with atomic_file(path) as temporary:
        Path(temporary).write_text(json.dumps(found))
    return left_out


def only_face(image):
    """The landmarks of the one face in a picture, uint8 [H, W, 3]; DatasetError if there is none, or more than one."""
    faces = [face for face in find_faces(image) if face.confidence >= CONFIDENCE]
    if len(faces) != 1:
        raise DatasetError(f"it shows {len(faces) or 'no'} faces that were found. Give a picture of one face.")
    return faces[0].landmarks


def _find_in_file(images, background, name):
    try:
        return find_faces(read_picture(images / name, channels=3, background=background))
    except DatasetError as error:
        return error


def _reason_to_leave_out(face, confidence, least_side):
    x, y = face.landmarks.mean(axis=0)
    where = f"the face at ({x:.0f}, {y:.0f})"
    if face.confidence < confidence:
        return f"{where} is turned away, or none: confidence {face.confidence:.2f}, less than {confidence:g}"
    if face.side < least_side:
        return f"{where} would be cut out of {face.side:.0f} pixels, less than {least_side}"
    return None


def find_faces(image):
    """Finds the faces in a picture, among them what may be none.

    Args:
        image: Upright picture, uint8 [H, W, 3].

    Returns:
        A list of Face, from left to right. Faces are found whose height is a tenth of the picture's shorter side or
        more.

    Raises:
        ValueError: The package is not installed.
    """
    height, width, _ = image.shape
    boxes = [box for square in _squares(width, height) for box in _detect(image, square)]
    faces = []
    for box in _distinct(boxes):
        points, _ = _mesh(image, _around_box(box))
        # Again, from where it has found the face: the detector's square is rough.
        points, score = _mesh(image, _around_points(points))
        faces.append(Face(points[list(POINTS)] - 0.5, score))  # (0, 0) is the centre of the first pixel
    return sorted(faces, key=lambda face: face.landmarks[:, 0].mean())


class _Square(NamedTuple):
    """A square in a picture, which may reach over it: its centre and side in pixels, and its turn in radians."""

    x: float
    y: float
    side: float
    turn: float = 0.0


def _squares(width, height):
    """Where the detector looks: the whole picture, and overlapping squares of its shorter side and of half of that."""
    whole = [_Square(width / 2, height / 2, max(width, height))]
    for side in {min(width, height), min(width, height) / 2}:
        columns, rows = (max(1, int(np.ceil(2 * length / side)) - 1) for length in (width, height))
        xs, ys = (
            np.linspace(side / 2, length - side / 2, count) for length, count in ((width, columns), (height, rows))
        )
        whole += [_Square(x, y, side) for y in ys for x in xs]
    return whole


def _sample(image, square, side):
    """The square of a picture in side x side pixels, float32 in [0, 255]; outside of it is black."""
    step = square.side / side
    x, y = step * np.cos(square.turn), step * np.sin(square.turn)
    # Reduced first where pixels would be left out.
    factor = max(1, int(step))
    reduced = Image.fromarray(image).reduce(factor) if factor > 1 else Image.fromarray(image)
    corner = np.array([square.x, square.y]) - (np.array([x, y]) + np.array([-y, x])) * side / 2
    coefficients = np.array([x, -y, corner[0], y, x, corner[1]]) / factor
    sampled = reduced.transform((side, side), Image.Transform.AFFINE, coefficients.tolist(), Image.Resampling.BILINEAR)
    return np.asarray(sampled, np.float32)


def _detect(image, square):
    """The detector's faces in a square: rows of (confidence, x, y, width, height, two eyes' x and y), in pixels."""
    pixels = _sample(image, square, _DETECTOR_SIDE) / 127.5 - 1.0
    outputs = _run("face_detection_short_range.tflite", pixels)
    regressed, logits = outputs[16].reshape(-1, 8, 2) / _DETECTOR_SIDE, outputs[1].reshape(-1)
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    found = scores >= _DETECTED
    points = regressed[found]
    anchors = _anchors()[found]
    points[:, 0] += anchors
    points[:, 2:] += anchors[:, None]
    # Centre, size and the eyes, from the square into the picture.
    low = np.array([square.x, square.y]) - square.side / 2
    places = points[:, [0, 2, 3]] * square.side + low
    sizes = points[:, 1] * square.side
    rows = [scores[found][:, None], places[:, 0], sizes, places[:, 1], places[:, 2]]
    return list(np.concatenate(rows, axis=1))


@functools.cache
def _anchors():
    """Centres of the detector's anchors, [896, 2], in shares of the side."""
    parts = []
    for cells, number in _GRIDS:
        centres = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 1, 2)
        parts.append(np.repeat(grid, number, axis=1).reshape(-1, 2))
    return np.concatenate(parts)


def _distinct(boxes):
    """One box of each face, the most confident."""
    kept = []
    for box in sorted(boxes, key=lambda box: -box[0]):
        if all(_overlap(box, other) < _OVERLAP for other in kept):
            kept.append(box)
    return kept


def _overlap(one, other):
    """The share of the smaller of two boxes that lies in the other."""
    low = np.maximum(one[1:3] - one[3:5] / 2, other[1:3] - other[3:5] / 2)
    high = np.minimum(one[1:3] + one[3:5] / 2, other[1:3] + other[3:5] / 2)
    return np.prod(np.maximum(high - low, 0)) / min(np.prod(one[3:5]), np.prod(other[3:5]))


def _around_box(box):
    """The square for the mesh of a face of the detector, upright in it."""
    x, y = box[7:9] - box[5:7]
    return _Square(box[1], box[2], _MARGIN * box[3:5].max(), float(np.arctan2(y, x)))


def _around_points(points):
    """The square for the mesh of a face whose points, [468, 2], are known."""
    x, y = points[_EYES[1]] - points[_EYES[0]]
    turn = float(np.arctan2(y, x))
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    turned = points @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = (low + high) / 2 @ axes
    return _Square(*centre, _MARGIN * (high - low).max(), turn)


def _mesh(image, square):
    """Points of the mesh in pixels of the picture, float64 [468, 2], and its confidence."""
    outputs = _run("face_landmark.tflite", _sample(image, square, _MESH_SIDE) / 255.0)
    offsets = (outputs[1404].reshape(-1, 3)[:, :2] / _MESH_SIDE - 0.5) * square.side
    cos, sin = np.cos(square.turn), np.sin(square.turn)
    points = offsets @ np.array([[cos, sin], [-sin, cos]]) + [square.x, square.y]
    return points.astype(np.float64), float(1 / (1 + np.exp(-np.clip(outputs[1].item(), -80, 80))))


def _run(name, pixels):
    """The outputs of a network, {numbers in the last axis, or in all of a mesh: array}."""
    interpreter = _interpreter(name)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
    interpreter.invoke()
    outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    return {output.shape[-1]: output for output in outputs}


@functools.cache
def _interpreter(name):
    litert = _import_litert()
    # Without the delegate that says on the terminal that it is there.
    kernels = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(str(MODELS / name), num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    return interpreter


def _import_litert():
    return import_optional("ai_edge_litert.interpreter", "Finding faces", "data", "ai-edge-litert")

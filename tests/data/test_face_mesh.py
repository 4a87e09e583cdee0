"""Faces found by themselves: eyes and mouths of photographs, turned and several ones, and what is left out is said."""

import hashlib
import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from processes import ROOT
from tiny_generators import tiny_generator

import dataset_tool
from datasets.alignment import align_face, face_quad, quad_size
from datasets.errors import DatasetError
from datasets.face_mesh import MODELS, POINTS, find_faces, only_face
from datasets.targets import read_face

# NASA's portrait of Eileen Collins, which is in the public domain, from scikit-image; the US Navy's of Grace Hopper,
# likewise, from Matplotlib.
ASTRONAUT = Path(__file__).with_name("astronaut.jpg")
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
# Centres of the eyes and corners of the mouth, as seen in the pictures.
TRUE = {
    ASTRONAUT: [(203.2, 101.6), (247.5, 103.8), (202.0, 139.0), (246.5, 140.3)],
    HOPPER: [(223.0, 191.0), (305.0, 187.3), (230.7, 280.7), (304.5, 277.0)],
}


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def sure(image):
    return [face for face in find_faces(image) if face.confidence > 0.5]


def four(landmarks):
    """Centres of the eyes and corners of the mouth."""
    return np.stack([landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0), landmarks[48], landmarks[54]])


def check(face, true):
    """Within 2% of the side that is cut out."""
    full = np.zeros((68, 2))
    full[36:42], full[42:48], full[48], full[54] = true
    side = quad_size(face_quad(full))
    assert np.abs(four(face.landmarks) - true).max() < 0.02 * side
    assert face.side == pytest.approx(side, rel=0.15)


@pytest.mark.parametrize("path", TRUE, ids=lambda path: path.stem)
def test_eyes_and_mouths(path):
    (face,) = sure(read(path))
    check(face, np.array(TRUE[path]))
    assert face.landmarks.shape == (68, 2) and len(set(POINTS)) == 68


@pytest.mark.parametrize("degrees", [-40, 25, 90])
def test_turned_pictures(degrees):
    """Also where a head lies on its side."""
    image = Image.open(ASTRONAUT)
    angle = np.deg2rad(degrees)  # counter-clockwise, about the middle
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = (np.array(image.size) - 1) / 2
    (face,) = sure(np.asarray(image.rotate(degrees, Image.Resampling.BICUBIC)))
    check(face, (np.array(TRUE[ASTRONAUT]) - middle) @ turn.T + middle)


def test_several_faces_from_left_to_right():
    """The second one at a fifth of the picture's side."""
    canvas = np.full((900, 1200, 3), 90, np.uint8)
    canvas[:512, :512], canvas[300:900, 650:1162] = read(ASTRONAUT), read(HOPPER)
    faces = sure(canvas)
    assert len(faces) == 2
    check(faces[0], np.array(TRUE[ASTRONAUT]))
    check(faces[1], np.add(TRUE[HOPPER], (650, 300)))
    with pytest.raises(DatasetError, match="shows 2 faces"):
        only_face(canvas)


def test_no_face():
    noise = np.random.default_rng(0).integers(0, 256, (300, 200, 3), np.uint8)
    assert sure(noise) == []
    with pytest.raises(DatasetError, match="shows no faces"):
        only_face(noise)


def align(*arguments):
    return CliRunner().invoke(dataset_tool.main, ["align-faces", *map(str, arguments)])


def test_align_faces(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(ASTRONAUT).save(photos / "astronaut.png")
    Image.open(HOPPER).save(photos / "hopper.jpg", quality=95)
    Image.open(ASTRONAUT).resize((128, 128)).save(photos / "small.png")
    Image.new("RGB", (100, 100), "grey").save(photos / "nobody.png")
    out = tmp_path / "faces"
    result = align(out, photos, "--detector=mesh", "--output-size=64", "--transform-size=256", "--workers=1")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["astronaut.png", "hopper.png"]
    for line in (
        "  nobody.png: no face was found",
        r"  small.png: the face at \(\d+, \d+\) would be cut out of \d\d pixels, less than 64",
        r"  hopper.jpg: the face at \(\d+, \d+\) is turned away, or none: confidence 0.00, less than 0.5",
        f"Wrote {tmp_path}/faces-landmarks.json.",
    ):
        assert re.search(f"^{line}$", result.stdout, re.MULTILINE), result.stdout
    found = json.loads((tmp_path / "faces-landmarks.json").read_text())
    assert sorted(found) == ["astronaut.png", "hopper.jpg"]
    expected = align_face(read(photos / "astronaut.png"), np.array(found["astronaut.png"][0]), 64, 256)
    np.testing.assert_array_equal(read(out / "astronaut.png"), expected)
    again = align(tmp_path / "again", photos, "--detector=mesh", "--min-face=20", "--output-size=64", "--workers=1")
    assert again.exit_code == 0 and (tmp_path / "again" / "small.png").exists()


WRONG = [
    ([], "Give LANDMARKS or --detector=mesh, one of them."),
    (["x.json", "--detector=mesh"], "does not exist"),
    (["--confidence=0.5"], "Give LANDMARKS or --detector=mesh"),
    (["--detector=mesh"], "No face was found in the 1 pictures of"),
    (["--detector=mesh", "--background=nocolour"], "nocolour"),
    (["--detector=mesh", "--confidence=2"], "2.0 is not in the range"),
]


@pytest.mark.parametrize("options, message", WRONG)
def test_wrong_input(tmp_path, options, message):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64), "grey").save(tmp_path / "photos" / "nobody.png")
    result = align(tmp_path / "out", tmp_path / "photos", *options, "--workers=1")
    assert result.exit_code == 2 and message in result.output and result.stderr.count("\n") == 1, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_landmarks_that_are_there(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "out-landmarks.json").touch()
    result = align(tmp_path / "out", tmp_path / "photos", "--detector=mesh")
    assert result.exit_code == 2 and "out-landmarks.json is there; align with these" in result.output


def test_networks_are_googles():
    """As NOTICE says."""
    for path in MODELS.glob("*.tflite"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert re.search(f"{path.name} +{digest}$", (ROOT / "NOTICE").read_text(), re.MULTILINE)


def test_projector_reads_aligned_faces(tmp_path):
    generator = tiny_generator(resolution=64)
    picture = read_face(ASTRONAUT, generator, None)
    assert picture.shape == (64, 64, 3)
    face = only_face(read(ASTRONAUT))
    np.testing.assert_array_equal(picture, align_face(read(ASTRONAUT), face, 64))
    grey = tmp_path / "grey.png"
    Image.new("RGB", (64, 64)).save(grey)
    with pytest.raises(DatasetError, match=r"grey\.png: it shows no faces"):
        read_face(grey, generator, None)

"""Alignment of faces: the geometry is the formulas', the borders are filled, and wrong input leaves nothing behind."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from datasets.alignment import align_face, align_faces, face_quad
from datasets.errors import DatasetError

# A face in its own coordinates: the eyes at (-24, 0) and (24, 0), the corners of the mouth at (-20, 60) and (20, 60).
# By hand: e2e = (48, 0), e2m = (0, 60), 1.8 |e2m| = 108 is larger than 2.0 |e2e| = 96, the centre is (0, 6).
LEFT_EYE, RIGHT_EYE, LEFT_MOUTH, RIGHT_MOUTH = (-24, 0), (24, 0), (-20, 60), (20, 60)
HALF_SIDE, CENTRE = 108, (0, 6)
COLOURS = {LEFT_EYE: (255, 40, 40), RIGHT_EYE: (40, 255, 40), LEFT_MOUTH: (40, 40, 255), RIGHT_MOUTH: (250, 250, 30)}


def points(*, left_eye=LEFT_EYE, right_eye=RIGHT_EYE, left_mouth=LEFT_MOUTH, right_mouth=RIGHT_MOUTH):
    """68 landmarks; those that alignment must not use are far away."""
    landmarks = np.random.default_rng(0).uniform(-900, 900, (68, 2))
    ring = 5 * np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], 1)
    landmarks[36:42] = left_eye + ring
    landmarks[42:48] = right_eye + ring
    landmarks[48], landmarks[54] = left_mouth, right_mouth
    return landmarks


def placed(landmarks, position, scale=1.0, degrees=0.0):
    """Turns a face clockwise and puts its origin to a position in a picture."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return scale * landmarks @ turn + position


def paint(xy):
    """Colours of a smooth picture of the face, float [..., 3], at points (x, y) of the face's coordinates."""
    colours = 110 + 0.25 * np.stack([xy[..., 0], xy[..., 1], -xy[..., 0]], -1)
    for mark, colour in COLOURS.items():
        weight = np.exp(-np.sum((xy - np.array(mark)) ** 2, -1, keepdims=True) / (2 * 9**2))
        colours = colours + weight * (np.array(colour) - colours)
    return colours


def picture_of_face(width, height, position, scale=1.0, degrees=0.0):
    """The painting of a face that `placed` has put into a picture."""
    xy = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) - np.array(position, np.float64)
    return np.clip(np.rint(paint(placed(xy, 0, 1 / scale, -degrees))), 0, 255).astype(np.uint8)


def aligned_painting(size):
    """What alignment must make of it, from the numbers at the top."""
    line = (np.arange(size) + 0.5) / size * 2 * HALF_SIDE - HALF_SIDE
    return paint(np.stack(np.meshgrid(line, line), -1) + CENTRE)


def differences(image, expected):
    assert image.dtype == np.uint8 and image.shape == expected.shape
    return np.abs(image.astype(np.float64) - expected)


def landmarks_of_square(side):
    """Landmarks whose quad is just a picture of side x side pixels, for pixel centres are whole numbers."""
    eyes = side / 8  # 2.0 |e2e| is half of the side
    landmarks = points(left_eye=(-eyes, 0), right_eye=(eyes, 0), left_mouth=(-1, 10), right_mouth=(1, 10))
    return placed(landmarks, ((side - 1) / 2, (side - 1) / 2 - 1))


class TestGeometry:
    def test_quad_by_hand(self):
        corners = [[392, 198], [392, 414], [608, 414], [608, 198]]
        np.testing.assert_allclose(face_quad(placed(points(), (500, 300))), corners, atol=1e-9)

    def test_wide_eyes_give_the_size(self):
        landmarks = points(left_eye=(-30, 0), right_eye=(30, 0))  # 2.0 |e2e| = 120
        np.testing.assert_allclose(
            face_quad(landmarks), [[-120, -114], [-120, 126], [120, 126], [120, -114]], atol=1e-9
        )

    def test_lying_face_by_hand(self):
        # The forehead is to the right: x goes down, y to the left.
        landmarks = points(left_eye=(0, -24), right_eye=(0, 24), left_mouth=(-60, -20), right_mouth=(-60, 20))
        np.testing.assert_allclose(
            face_quad(landmarks), [[102, -108], [-114, -108], [-114, 108], [102, 108]], atol=1e-9
        )

    def test_eyes_and_mouth_that_disagree_share_the_direction(self):
        # e2e = (48, 0), e2m = (36, 48): x is (48, 0) + (48, -36) = (96, -36), scaled to 1.8 * 60.
        quad = face_quad(points(left_mouth=(16, 48), right_mouth=(56, 48)))
        np.testing.assert_allclose(quad[3] - quad[0], 2 * 108 * np.array([96, -36]) / np.hypot(96, 36))
        np.testing.assert_allclose(quad.mean(0), [3.6, 4.8])

    @pytest.mark.parametrize(
        "size, position, scale, degrees",
        [
            ((300, 320), (150, 160), 1.0, 0),
            ((330, 400), (170.3, 201.6), 1.0, 25),
            ((450, 400), (230.5, 190.2), 1.15, -40),
            ((260, 280), (130.7, 139.1), 0.7, 90),
            ((200, 230), (99.2, 118.4), 0.6, 180),
        ],
    )
    def test_painted_face_is_found_upright(self, size, position, scale, degrees):
        image = picture_of_face(*size, position, scale, degrees)
        face = align_face(image, placed(points(), position, scale, degrees), 64, 128)
        assert np.all(differences(face, aligned_painting(64)) < 4)

    def test_square_picture_stays_as_it_is(self):
        image = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
        landmarks = landmarks_of_square(64)
        np.testing.assert_array_equal(align_face(image, landmarks, 64, 64), image)
        reduced = Image.fromarray(image).resize((32, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(align_face(image, landmarks, 32, 64), np.asarray(reduced))

    def test_arguments_are_not_changed(self):
        image, landmarks = picture_of_face(200, 200, (20, 20)), placed(points(), (20, 20))
        before = image.copy(), landmarks.copy()
        align_face(image, landmarks, 32, 64)
        np.testing.assert_array_equal(image, before[0])
        np.testing.assert_array_equal(landmarks, before[1])


class TestShrink:
    def test_large_face_is_found_at_the_same_place(self):
        # The quad is 2 * 108 * 4.3 = 929 pixels: a factor of 14, which does not divide the picture's sides.
        image = picture_of_face(1101, 1203, (540.3, 570.8), 4.3, 10)
        face = align_face(image, placed(points(), (540.3, 570.8), 4.3, 10), 32, 128)
        assert np.all(differences(face, aligned_painting(32)) < 6)

    def test_equals_the_face_without_shrinking_reduced(self):
        image = picture_of_face(500, 500, (250, 240), 2.0, -15)
        landmarks = placed(points(), (250, 240), 2.0, -15)
        shrunk = align_face(image, landmarks, 64, 128)  # 432 / 64 / 2: a factor of 3
        full = align_face(image, landmarks, 256, 512)
        assert np.all(differences(shrunk, full.reshape(64, 4, 64, 4, 3).mean((1, 3))) < 4)

    @pytest.mark.parametrize("side, factor", [(256, 8), (64, 2), (63, 1)])
    def test_factor(self, side, factor):
        # A quad that is the whole picture: side / 16 / 2, rounded down.
        image = np.random.default_rng(2).integers(0, 256, (side, side, 3), np.uint8)
        small = Image.fromarray(image).resize((side // factor, side // factor), Image.Resampling.LANCZOS)
        expected = np.asarray(small.resize((16, 16), Image.Resampling.LANCZOS))
        face = align_face(image, landmarks_of_square(side), 16, side // factor)
        assert np.all(differences(face, expected) <= 2)


class TestPadding:
    @pytest.mark.parametrize(
        "left, top, right, bottom", [(110, 0, 0, 0), (0, 0, 0, 100), (120, 130, 0, 0), (0, 130, 120, 0)]
    )
    def test_what_the_picture_shows_stays(self, left, top, right, bottom):
        whole = picture_of_face(400, 400, (200, 200), 1.0, 12)
        landmarks = placed(points(), (200, 200), 1.0, 12)
        cut = np.ascontiguousarray(whole[top : 400 - bottom, left : 400 - right])
        face = align_face(cut, placed(landmarks, (-left, -top)), 64, 128)
        expected = align_face(whole, landmarks, 64, 128)
        # Where the picture was cut, from the place of each pixel of the face in it.
        line = (np.arange(64) + 0.5) / 64 * 2 * HALF_SIDE - HALF_SIDE
        x, y = np.moveaxis(placed(np.stack(np.meshgrid(line, line), -1) + CENTRE, (200, 200), 1.0, 12), -1, 0)
        margin = 8
        shown = (x > left + margin) & (x < 400 - right - margin) & (y > top + margin) & (y < 400 - bottom - margin)
        assert 500 < shown.sum() < 3900
        assert np.all(differences(face, expected)[shown] < 2)

    def test_padding_continues_the_picture(self):
        # The quad, 216 pixels, begins 68 pixels left of the picture: in the 64 pixels of the face, 20.
        face = align_face(picture_of_face(300, 400, (40, 200)), placed(points(), (40, 200)), 64, 256)
        expected = aligned_painting(64)
        assert np.all(differences(face, expected)[:, 20:] < 4)
        # Just over the edge it is the reflection; the left eye is as near to the edge as its mirror image.
        mirrored = expected[:, 20:25][:, ::-1]
        assert np.all(differences(face[:, 15:20], mirrored)[:, 3:] < 25)
        assert differences(face[:, 15:20], mirrored).mean() < differences(face[:, 15:20], expected[:, 15:20]).mean() / 2

    def test_padding_is_blurred_and_ends_at_the_median(self):
        noise = np.random.default_rng(3).integers(60, 256, (256, 256, 3), np.uint8)
        # The quad is the picture's size and lies 102 pixels to its left: 0.4 of it.
        face = align_face(noise, placed(landmarks_of_square(256), (-102, 0)), 256, 256).astype(np.float64)
        assert face.min() >= 60
        np.testing.assert_allclose(face[:, 102:], noise[:, :154], atol=1)
        assert face[:, 105:].std() > 50
        assert face[:, 40:60].std() < 5
        assert np.all(np.abs(face[:, :10] - np.median(noise[:, :180], (0, 1))) < 8)

    @pytest.mark.parametrize("reach, width", [(10, 77), (102, 128)])
    def test_width_of_the_padding(self, reach, width):
        # 0.3 of 256 pixels, or what the quad and a border of 26 need. The median of what the crop leaves is 100.
        image = np.full((256, 256, 3), 100, np.uint8)
        image[:, :80] = 200
        face = align_face(image, placed(landmarks_of_square(256), (-reach, 0)), 256, 256)
        for distance in range(min(reach, 40)):
            expected = 200 - 100 * (distance + 0.5) / width
            assert np.all(np.abs(face[:, reach - 1 - distance] - expected) < 1.5)

    def test_face_larger_than_the_picture(self):
        noise = np.random.default_rng(4).integers(100, 156, (20, 30, 3), np.uint8)
        face = align_face(noise, placed(points(), (15, 8), 0.9), 32, 64)
        assert np.all(np.abs(face[[0, 0, -1, -1], [0, -1, 0, -1]].astype(float) - 128) < 15) and face.min() >= 100


class TestUnusableFaces:
    @pytest.mark.parametrize(
        "landmarks",
        [
            points(right_eye=LEFT_EYE),
            points(left_mouth=(-20, 0), right_mouth=(20, 0)),
            np.zeros((68, 2)),
            # The eyes are swapped: e2e = (-60, 0) and -rot90(e2m) = (60, 0) cancel.
            points(left_eye=(30, 0), right_eye=(-30, 0)),
        ],
        ids=["eyes", "mouth", "all", "contradiction"],
    )
    def test_degenerate(self, landmarks):
        with pytest.raises(DatasetError, match="coincide or contradict"):
            align_face(np.zeros((100, 100, 3), np.uint8), landmarks + 50, 32, 64)

    @pytest.mark.parametrize("position", [(-10, 50), (50, -20), (111, 50), (50, 120)])
    def test_outside(self, position):
        with pytest.raises(DatasetError, match=r"outside of the picture, 100x100.*upright"):
            align_face(np.zeros((100, 100, 3), np.uint8), placed(points(), position), 32, 64)


PLACES = {"one": ((100, 110), 0.6, 10), "two": ((120, 100), 0.5, -30), "three": ((90, 100), 0.55, 0)}


def write_pictures(folder, names, kind="png"):
    """Writes one picture for each name (`one`, `b/two`, ...) and returns the landmarks of each."""
    entries = {}
    for name in names:
        path = folder / f"{name}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        position, scale, degrees = PLACES[path.stem]
        Image.fromarray(picture_of_face(220, 220, position, scale, degrees)).save(
            path, **({"quality": 98, "subsampling": 0} if kind == "jpg" else {})
        )
        entries[f"{name}.{kind}"] = placed(points(), position, scale, degrees).tolist()
    return entries


def align(tmp_path, entries, **options):
    (tmp_path / "faces.json").write_text(json.dumps(entries))
    settings = {"output_size": 32, "transform_size": 128, "workers": 1} | options
    return align_faces(tmp_path / "out", tmp_path / "in", tmp_path / "faces.json", **settings)


def written(tmp_path):
    faces = {path.name: np.asarray(Image.open(path)) for path in sorted((tmp_path / "out").iterdir())}
    for face in faces.values():
        assert np.all(differences(face, aligned_painting(32)) < 8)
    return list(faces)


class TestFolder:
    def test_faces_come_out_equal(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two", "sub/three"])
        result = align(tmp_path, entries)
        assert written(tmp_path) == ["one.png", "three.png", "two.png"]
        assert result == (3, [], 0, tmp_path / "out-contact-sheet.png")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.json", "in", "out", "out-contact-sheet.png"]

    def test_worker_processes_change_nothing(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two", "three"])
        align(tmp_path, entries)
        (tmp_path / "out").rename(tmp_path / "first")
        align(tmp_path, entries, workers=2)
        assert written(tmp_path) == ["one.png", "three.png", "two.png"]
        for path in (tmp_path / "first").iterdir():
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()

    def test_several_faces_in_a_picture(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two"])
        left, right = (np.asarray(Image.open(tmp_path / "in" / f"{name}.png")) for name in ("one", "two"))
        Image.fromarray(np.concatenate([left, right], 1)).save(tmp_path / "in" / "pair.png")
        second = placed(np.array(entries["two.png"]), (220, 0)).tolist()
        result = align(
            tmp_path, {"pair.png": [entries["one.png"], second], "one.png": [entries["one.png"]], "two.png": []}
        )
        assert written(tmp_path) == ["one.png", "pair-0.png", "pair-1.png"]
        assert (result.num_faces, result.num_without_landmarks) == (3, 1)

    @pytest.mark.parametrize(
        "names, kinds, expected",
        [
            (["one", "b/one"], ["png"], ["b-one.png", "one.png"]),
            (["one", "b/one", "c/two"], ["png"], ["b-one.png", "c-two.png", "one.png"]),
            (
                ["one", "b/two"],
                ["png", "jpg"],
                ["000000-one.png", "000001-b-two.png", "000002-one.png", "000003-b-two.png"],
            ),
        ],
    )
    def test_names_are_unique(self, tmp_path, names, kinds, expected):
        entries = {}
        for kind in kinds:
            entries |= write_pictures(tmp_path / "in", names, kind)
        assert align(tmp_path, entries).num_faces == len(entries)
        assert written(tmp_path) == expected

    def test_names_that_only_differ_in_capitals(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "b/one"])
        (tmp_path / "in" / "b" / "one.png").rename(tmp_path / "in" / "b" / "One.png")
        align(tmp_path, {"one.png": entries["one.png"], "b/One.png": entries["b/one.png"]})
        assert written(tmp_path) == ["b-One.png", "one.png"]

    @pytest.mark.parametrize("inside", [True, False], ids=["dataset folder", "in-the-wild-images"])
    def test_metadata_of_ffhq(self, tmp_path, inside):
        entries = write_pictures(tmp_path / "in" / "in-the-wild-images" / "00000", ["one", "two"])
        metadata = {
            str(index): {
                "category": "training",
                "in_the_wild": {"file_path": f"in-the-wild-images/00000/{name}", "face_landmarks": landmarks},
            }
            for index, (name, landmarks) in enumerate(entries.items())
        }
        if not inside:
            shutil.move(tmp_path / "in" / "in-the-wild-images" / "00000", tmp_path / "in" / "00000")
        assert align(tmp_path, metadata).num_without_landmarks == 0
        assert written(tmp_path) == ["one.png", "two.png"]

    def test_pictures_without_landmarks_are_counted(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two", "sub/three"])
        (tmp_path / "in" / "notes.txt").write_text("no picture")
        (tmp_path / "in" / "._one.png").write_text("hidden")
        assert align(tmp_path, {"./two.png": entries["two.png"]}).num_without_landmarks == 2
        assert written(tmp_path) == ["two.png"]

    def test_landmarks_are_those_of_the_upright_picture(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one"])
        upright = Image.open(tmp_path / "in" / "one.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned clockwise
        stored = upright.transpose(Image.Transpose.ROTATE_90)
        stored.save(tmp_path / "in" / "one.jpg", exif=exif, quality=98, subsampling=0)
        align(tmp_path, {"one.jpg": entries["one.png"]})
        assert written(tmp_path) == ["one.png"]

    def test_greyscale_becomes_rgb(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one"])
        Image.open(tmp_path / "in" / "one.png").convert("L").save(tmp_path / "in" / "one.png")
        align(tmp_path, entries)
        face = np.asarray(Image.open(tmp_path / "out" / "one.png"))
        assert face.shape == (32, 32, 3) and np.all(face[:, :, :1] == face)

    @pytest.mark.parametrize("count, columns", [(3, 2), (70, 8)])
    def test_contact_sheet(self, tmp_path, count, columns):
        (tmp_path / "in").mkdir()
        names = [f"{number:02d}.png" for number in range(count)]
        for number, name in enumerate(names):
            Image.fromarray(np.full((16, 16, 3), 3 * number, np.uint8)).save(tmp_path / "in" / name)
        landmarks = landmarks_of_square(16).tolist()
        result = align(tmp_path, dict.fromkeys(names, landmarks), output_size=16, transform_size=16)
        assert (result.num_faces, len(list((tmp_path / "out").iterdir()))) == (count, count)
        sheet = np.asarray(Image.open(result.contact_sheet))
        assert sheet.shape == (columns * 128, columns * 128, 3)
        chosen = sheet[64::128, 64::128, 0].ravel()[: min(count, 64)] // 3
        assert (chosen[0], chosen[-1], np.diff(chosen).min()) == (0, count - 1, 1)
        assert np.diff(chosen).max() <= 2


FACE = points().tolist()
REFUSED = {
    "67 points": ({"one.png": FACE[:67]}, ["'one.png'", "68 points", "received 67"]),
    "no list": ({"one.png": 7}, ["'one.png'", "68 points", "received 7"]),
    "three numbers": ({"one.png": [*FACE[:67], [1, 2, 3]]}, ["'one.png'", "point 67", "[1, 2, 3]"]),
    "text": ({"one.png": [["1", 2], *FACE[1:]]}, ["'one.png'", "point 0", "['1', 2]"]),
    "true": ({"one.png": [[True, 2], *FACE[1:]]}, ["'one.png'", "point 0", "True"]),
    "null": ({"one.png": [[1, None], *FACE[1:]]}, ["'one.png'", "point 0", "None"]),
    "not a number": ({"one.png": [[1, float("nan")], *FACE[1:]]}, ["'one.png'", "point 0", "nan"]),
    "infinity": ({"one.png": [[float("inf"), 1], *FACE[1:]]}, ["'one.png'", "point 0", "inf"]),
    "second face": ({"one.png": [FACE, FACE[:5]]}, ["'one.png'", "68 points", "received 5"]),
    "face and number": ({"one.png": [FACE, 5]}, ["'one.png'", "68 points", "received 2"]),
    "missing file": ({"one.png": FACE, "nobody.png": FACE}, ["'nobody.png'", "holds no nobody.png"]),
    "other folder": ({"../secret.png": FACE}, ["'../secret.png'", "holds no ../secret.png"]),
    "folder": ({"sub": FACE}, ["'sub'", "holds no sub"]),
    "metadata without picture": ({"7": {"image": {}}}, ["'7'", "in_the_wild"]),
    "metadata without path": ({"7": {"in_the_wild": {"face_landmarks": FACE}}}, ["'7'", "file_path"]),
    "metadata without points": (
        {"7": {"in_the_wild": {"file_path": "one.png"}}},
        ["'7'", "68 points", "received None"],
    ),
    "metadata of missing": (
        {"7": {"in_the_wild": {"file_path": "in-the-wild-images/1.png", "face_landmarks": FACE}}},
        ["'7'", "holds no 1.png"],
    ),
    "empty": ({}, ["holds no landmarks"]),
    "no faces": ({"one.png": []}, ["holds no landmarks"]),
    "list": ([FACE], ["file.jpg", "list"]),
}


class TestRefused:
    def refuses(self, tmp_path, entries, *words, error=DatasetError, **options):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(error) as raised:
            align(tmp_path, entries, **options)
        message = str(raised.value)
        assert "\n" not in message
        for word in words:
            assert str(word) in message
        assert sorted({*tmp_path.rglob("*")} - {tmp_path / "faces.json"}) == before

    @pytest.mark.parametrize("on_error", ["stop", "skip"])
    @pytest.mark.parametrize("case", REFUSED)
    def test_entry(self, tmp_path, case, on_error):
        write_pictures(tmp_path / "in", ["one", "sub/two"])
        (tmp_path / "secret.png").write_bytes((tmp_path / "in" / "one.png").read_bytes())
        entries, words = REFUSED[case]
        self.refuses(tmp_path, entries, tmp_path / "faces.json", *words, on_error=on_error)

    @pytest.mark.parametrize("text", [b"", b'{"one.png": [', b"\xff\xfe{", b"[" * 100_000], ids=range(4))
    def test_broken_json(self, tmp_path, text):
        write_pictures(tmp_path / "in", ["one"])
        (tmp_path / "broken.json").write_bytes(text)
        with pytest.raises(DatasetError, match=r"broken\.json cannot be read as JSON") as error:
            align_faces(tmp_path / "out", tmp_path / "in", tmp_path / "broken.json", workers=1)
        assert "\n" not in str(error.value) and not list(tmp_path.glob("out*"))

    def test_missing_json_and_folder(self, tmp_path):
        write_pictures(tmp_path / "in", ["one"])
        with pytest.raises(DatasetError, match=r"nothing\.json cannot be read"):
            align_faces(tmp_path / "out", tmp_path / "in", tmp_path / "nothing.json", workers=1)
        with pytest.raises(DatasetError, match="nowhere is not a folder"):
            align_faces(tmp_path / "out", tmp_path / "nowhere", tmp_path / "faces.json", workers=1)
        assert not list(tmp_path.glob("out*"))

    @pytest.mark.parametrize("workers", [1, 2])
    def test_unreadable_picture_leaves_nothing(self, tmp_path, workers):
        entries = write_pictures(tmp_path / "in", ["one", "two", "three"])
        (tmp_path / "in" / "two.png").write_bytes(b"broken")
        self.refuses(tmp_path, entries, tmp_path / "in" / "two.png", workers=workers)

    def test_workers_have_ended_before_the_folder_is_removed(self, tmp_path, monkeypatch):
        entries = write_pictures(tmp_path / "in", ["one", "two"])
        there_at_the_end = []

        def pool(function, tasks, workers):
            try:
                yield DatasetError("it is broken")
            finally:
                there_at_the_end.append((tmp_path / "out.partial").is_dir())

        monkeypatch.setattr("datasets.alignment.process_map", pool)
        # tqdm closes what it iterates over only where it shows no bar.
        monkeypatch.setattr("datasets.alignment.tqdm", lambda results, **options: map(lambda result: result, results))
        self.refuses(tmp_path, entries, tmp_path / "in" / "one.png: it is broken")
        assert there_at_the_end == [True]

    def test_degenerate_face_is_named(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two"])
        entries["two.png"] = [entries["two.png"], [[5, 5]] * 68]
        self.refuses(tmp_path, entries, tmp_path / "in" / "two.png, face 1: the landmarks", "coincide")

    def test_skipped_faces_are_listed(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one", "two", "three"])
        (tmp_path / "in" / "two.png").write_bytes(b"broken")
        entries["three.png"] = [[[5, 5]] * 68, entries["three.png"]]
        result = align(tmp_path, entries, on_error="skip")
        assert written(tmp_path) == ["one.png", "three-1.png"]
        assert [name for name, _ in result.skipped] == ["two.png", "three.png, face 0"]
        assert "no image" in result.skipped[0][1] and "coincide" in result.skipped[1][1]
        assert (result.num_faces, result.num_without_landmarks) == (2, 0)

    def test_all_skipped(self, tmp_path):
        write_pictures(tmp_path / "in", ["one"])
        self.refuses(tmp_path, {"one.png": [[5, 5]] * 68}, "None of the 1 faces", "one.png", on_error="skip")

    def test_contact_sheet_takes_the_place_of_contact_sheets_only(self, tmp_path):
        entries, sheet = write_pictures(tmp_path / "in", ["one"]), tmp_path / "out-contact-sheet.png"
        sheet.write_bytes(b"my own")
        with pytest.raises(ValueError, match=f"{sheet} is no readable PNG file"):
            align(tmp_path, entries)
        Image.new("L", (4, 4)).save(sheet)
        with pytest.raises(DatasetError, match=f"{sheet} is there, and is no contact sheet"):
            align(tmp_path, entries)
        assert not (tmp_path / "out").exists()
        sheet.unlink()
        align(tmp_path, entries)
        (tmp_path / "out").rename(tmp_path / "old")
        align(tmp_path, entries)  # in the place of the sheet of before

    def test_existing_folder(self, tmp_path):
        entries = write_pictures(tmp_path / "in", ["one"])
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mine.txt").write_text("keep")
        self.refuses(tmp_path, entries, tmp_path / "out", error=FileExistsError)

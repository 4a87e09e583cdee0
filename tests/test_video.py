"""Videos: every frame is what a hand computes, and files hold the frames they were given, or are not there."""

import re
import subprocess
import weakref

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image
from tiny_generators import tiny_generator

from dnnlib.videos import save_video
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler, latents
from stylegan_tf.pictures.video import Interpolation, arc

LOOK = Look("tiny", psi=0.6, cutoff=3)
STEPS = 4


@pytest.fixture(scope="module")
def sampler():
    return Sampler(tiny_generator(), minibatch=3)


def frames_of(*arguments, **keywords):
    video = Interpolation(*arguments, **keywords)
    frames = np.array(list(video))
    assert len(video) == len(frames)
    return frames


def assert_same_images(images, expected):
    """But for a value that lies between two integers. The images there are must differ from each other."""
    assert images.dtype == np.uint8
    difference = np.abs(np.subtract(images, expected, dtype=int))
    assert images.shape == np.shape(expected) and difference.max() <= 1 and difference.mean() < 0.01


def drawn(sampler, z):
    """Images of latents as LOOK has them."""
    return sampler.synthesis(sampler.truncate(sampler.mapping(np.array(z)), LOOK.psi, LOOK.cutoff))


def turned(a, b, t):
    """A latent on the way from `a` to `b`: the direction turns evenly, and the length changes evenly."""
    a, b = np.float64(a), np.float64(b)
    unit_a, unit_b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    across = unit_b - (unit_a @ unit_b) * unit_a
    across /= np.linalg.norm(across)
    angle = t * np.arccos(unit_a @ unit_b)
    length = (1 - t) * np.linalg.norm(a) + t * np.linalg.norm(b)
    return length * (np.cos(angle) * unit_a + np.sin(angle) * across)


# Frames.


@pytest.mark.parametrize("space", ["z", "w"])
def test_stylegan2(space):
    sampler = Sampler(tiny_generator(family="stylegan2", label_size=3), minibatch=3)
    look = LOOK._replace(label=1)
    frames = frames_of(sampler, look, [5, 8], 2, space=space, loop=False)
    assert_same_images(frames[[0, 2]], look.images(sampler, [5, 8]))
    assert (frames[1] != frames[0]).any() and (frames[1] != frames[2]).any()


def test_arcs_between_latents(sampler):
    z = latents([5, 0, 7], sampler.latent_size)
    frames = frames_of(sampler, LOOK, [5, 0, 7], STEPS, space="z")
    pairs = [(z[0], z[1]), (z[1], z[2]), (z[2], z[0])]
    assert_same_images(frames, drawn(sampler, [turned(a, b, i / STEPS) for a, b in pairs for i in range(STEPS)]))
    assert np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3)).min() > 0.5  # no two are the same


def test_arcs_keep_ends_and_lengths():
    a, b = latents([1, 2], 16)
    t = np.array([[0], [0.25], [1]], np.float32)
    points = arc(np.array([a, a, a]), np.array([b, b, b]), t)
    np.testing.assert_array_equal(points[0], a)
    np.testing.assert_allclose(points, [turned(a, b, float(x)) for x in t[:, 0]], atol=1e-5)


def test_lines_between_styles(sampler):
    w = LOOK.styles(sampler, [5, 0])
    frames = frames_of(sampler, LOOK, [5, 0], STEPS, space="w", loop=False)
    assert len(frames) == STEPS + 1
    assert_same_images(frames, sampler.synthesis(np.array([w[0] + (w[1] - w[0]) * i / STEPS for i in range(5)])))


@pytest.mark.parametrize("space", ["z", "w"])
def test_the_seeds_own_images_are_among_the_frames(sampler, space):
    seeds = [5, 0, 7]
    images = LOOK.images(sampler, seeds)
    loop = frames_of(sampler, LOOK, seeds, STEPS, space=space)
    line = frames_of(sampler, LOOK, seeds, STEPS, space=space, loop=False)
    assert (len(loop), len(line)) == (3 * STEPS, 2 * STEPS + 1)
    assert_same_images(loop[::STEPS], images)
    assert_same_images(line[::STEPS], images)
    assert_same_images(loop[: len(line)], line)
    # The way back to the first seed is that of a video which starts at the last one.
    assert_same_images(loop[2 * STEPS :], frames_of(sampler, LOOK, [7, 5], STEPS, space=space, loop=False)[:-1])


def test_a_seed_that_is_repeated_stands_still(sampler):
    frames = frames_of(sampler, LOOK, [5, 5], STEPS)
    assert_same_images(frames, LOOK.images(sampler, [5] * len(frames)))


def test_the_same_again(sampler):
    video = Interpolation(sampler, LOOK._replace(noise="random"), [5, 0], STEPS)
    np.testing.assert_array_equal(list(video), list(video))


def test_fresh_noise(sampler):
    look = LOOK._replace(noise="random")
    frames = frames_of(sampler, look, [5, 5], STEPS)
    w = look.styles(sampler, [5] * len(frames))
    assert_same_images(frames, sampler.synthesis(w, "random", range(len(frames))))
    assert len({frame.tobytes() for frame in frames}) == len(frames)
    off = frames_of(sampler, LOOK._replace(noise="off"), [5, 5], STEPS)
    assert_same_images(off, sampler.synthesis(w, "off"))


def test_a_grid_of_interpolations(sampler):
    grid = frames_of(sampler, LOOK, [5, 0, 7, 1, 3, 2], STEPS, grid=(1, 3))
    assert grid.shape == (2 * STEPS, 3 * 8, 8, 3)
    for row, seeds in enumerate(([5, 0], [7, 1], [3, 2])):
        assert_same_images(grid[:, row * 8 : (row + 1) * 8], frames_of(sampler, LOOK, seeds, STEPS))
    wide = frames_of(sampler, LOOK, [5, 0, 7, 1, 3, 2], STEPS, grid=(3, 1))
    assert_same_images(wide[:, :, 8:16], grid[:, 8:16])
    noisy = frames_of(sampler, LOOK._replace(noise="random"), [5, 5, 5, 5], STEPS, grid=(2, 1))
    assert not np.array_equal(noisy[:, :, :8], noisy[:, :, 8:])


@pytest.mark.parametrize("space", ["z", "w"])
def test_classes(space):
    sampler = Sampler(tiny_generator(label_size=3), minibatch=4)
    look = LOOK._replace(label=2)
    frames = frames_of(sampler, look, [0, 1], 2, space=space)
    assert_same_images(frames[::2], look.images(sampler, [0, 1]))
    turns = frames_of(sampler, LOOK, [0, 1], 2, space=space)
    assert_same_images(turns[::2], LOOK.images(sampler, [0, 1]))
    labels = np.array([[0.5, 0.5, 0]])
    if space == "z":
        middle = sampler.mapping([turned(*latents([0, 1], sampler.latent_size), 0.5)], labels)
        assert_same_images(turns[1:2], sampler.synthesis(sampler.truncate(middle, LOOK.psi, LOOK.cutoff)))
    with pytest.raises(ValueError, match=r"There is no class 3"):
        Interpolation(sampler, LOOK._replace(label=3), [0, 1], STEPS)


@pytest.mark.parametrize(
    "seeds, keywords, message",
    [
        ([], {}, r"at least two seeds; received 0"),
        ([5], {}, r"at least two seeds; received 1"),
        ([1, 2, 3, 4, 5, 6], dict(grid=(2, 2)), r"at least two seeds, as many in each of the 4 cells; received 6"),
        ([1, 2, 3, 4, 5], dict(grid=(2, 1)), r"as many in each of the 2 cells; received 5"),
        ([1, 2], dict(steps=0), r"there are 1 to 1,000,000 frames; received 0"),
        ([1, 2], dict(space="x"), r"in z or w; received 'x'"),
    ],
)
def test_what_is_refused(sampler, seeds, keywords, message):
    with pytest.raises(ValueError, match=message):
        Interpolation(sampler, LOOK, seeds, **{"steps": STEPS, **keywords})


# Files.


def decode(path):
    """(frames uint8 [N, H, W, 3], frames a second) of a video."""
    if path.suffix == ".gif":
        with Image.open(path) as image:
            assert image.info["loop"] == 0  # for ever
            frames, milliseconds = [], 0
            for i in range(image.n_frames):
                image.seek(i)
                frames.append(np.asarray(image.convert("RGB")))
                milliseconds += image.info["duration"]
        return np.array(frames), 1000 * len(frames) / milliseconds
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True)
    facts = r"Video: h264 .* yuv420p\(tv, bt709, .* (\d+)x(\d+).* ([\d.]+) fps"
    width, height, fps = re.search(facts, decoded.stderr.decode()).groups()
    return np.frombuffer(decoded.stdout, np.uint8).reshape(-1, int(height), int(width), 3), float(fps)


def pictures(channels, count=7):
    """Frames of 8x12 from 16 colours."""
    random = np.random.RandomState(channels)
    colours = random.randint(0, 256, (16, channels)).astype(np.uint8)
    return colours[random.randint(0, 16, (count, 8, 12))]


def enlarged(frames, scale):
    return frames.repeat(scale, axis=1).repeat(scale, axis=2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix, tolerance", [(".gif", 1), (".mp4", 4)])
def test_files_hold_the_frames(tmp_path, suffix, tolerance, channels):
    path, frames = tmp_path / f"video{suffix}", pictures(channels)
    save_video(path, frames, fps=25)
    decoded, fps = decode(path)
    assert decoded.shape == (7, 256, 384, 3)  # the shorter side is enlarged to 256
    assert fps == 25
    difference = np.abs(decoded.astype(int) - enlarged(frames, 32))
    # H.264 in yuv420p has half the resolution for colours: at the edges they run.
    assert difference[:, 16::32, 16::32].max() <= tolerance and difference.mean() <= tolerance
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_scale(tmp_path, suffix):
    path = tmp_path / f"video{suffix}"
    save_video(path, pictures(3), fps=10, scale=2)
    assert decode(path)[0].shape == (7, 16, 24, 3)
    save_video(path, enlarged(pictures(3), 40), fps=10)
    assert decode(path)[0].shape == (7, 320, 480, 3)  # it is large enough


def test_gif_files_hold_all_greys(tmp_path):
    frame = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    save_video(tmp_path / "video.gif", [frame, frame[::-1]], fps=10, scale=1)
    np.testing.assert_array_equal(decode(tmp_path / "video.gif")[0], np.repeat([frame, frame[::-1]], 3, axis=-1))


def test_gradients_look_right_in_256_colours(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    frame = np.stack([*np.meshgrid(ramp, ramp), np.full((256, 256), 128, np.uint8)], axis=-1)
    save_video(tmp_path / "video.gif", [frame, frame[::-1]], fps=50)
    (first, second), fps = decode(tmp_path / "video.gif")
    blocks = [x.reshape(16, 16, 16, 16, 3).mean(axis=(1, 3)) for x in (first, second, frame, frame[::-1])]
    assert np.abs(np.array(blocks[:2]) - blocks[2:]).mean() < 2
    assert fps == 50


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_memory_does_not_grow(tmp_path, suffix):
    alive, most = weakref.WeakSet(), 0

    class Frame(np.ndarray):
        pass

    def frames():
        nonlocal most
        for i in range(500):
            frame = np.full((16, 16, 3), i % 256, np.uint8).view(Frame)
            alive.add(frame)
            most = max(most, len(alive))
            yield frame

    Frame.__hash__ = object.__hash__
    save_video(tmp_path / f"video{suffix}", frames(), fps=50, scale=1)
    assert most <= 4
    assert len(decode(tmp_path / f"video{suffix}")[0]) == 500


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interrupted_video_leaves_nothing(tmp_path, error):
    def frames():
        yield from pictures(3)
        raise error("stopped")

    path = tmp_path / "video.mp4"
    with pytest.raises(error, match=r"stopped"):
        save_video(path, frames(), fps=10)
    assert not list(tmp_path.iterdir())
    save_video(path, pictures(3), fps=10)
    before = path.read_bytes()
    with pytest.raises(error):
        save_video(path, frames(), fps=10)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "name, fps, message",
    [
        ("video.avi", 30, r"video\.avi must end in \.mp4 or \.gif"),
        ("video", 30, r"video must end in"),
        ("video.mp4", 0, r"\.mp4 file shows more than 0 and at most 120 frames a second; received 0"),
        ("video.mp4", float("nan"), r"received nan"),
        ("video.gif", 60, r"\.gif file shows more than 0 and at most 50 frames a second; received 60"),
    ],
)
def test_files_that_are_refused(tmp_path, name, fps, message):
    with pytest.raises(ValueError, match=message):
        save_video(tmp_path / name, pictures(3), fps)
    assert not list(tmp_path.iterdir())


def test_frames_that_are_too_large(tmp_path):
    with pytest.raises(ValueError, match=r"Frames of 12000x8000 pixels are too large"):
        save_video(tmp_path / "new" / "video.mp4", pictures(3), fps=10, scale=1000)
    assert not list(tmp_path.iterdir())


def test_what_ffmpeg_cannot_write(tmp_path):
    odd = np.zeros((9, 12, 3), np.uint8)
    with pytest.raises(OSError, match=r"video\.mp4 cannot be written; FFmpeg says: ") as error:
        save_video(tmp_path / "video.mp4", (odd for _ in range(1500)), fps=10, scale=1)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())

"""run_generator.py interpolate and convergence: files, what they show, and what is refused."""

import csv
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import tiny_generator, tiny_run

from dnnlib.json_lines import append_record
from stylegan_tf.commands.generate import main
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler
from stylegan_tf.pictures.video import Interpolation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of tiny.keras, a generator of 8x8 images in grey of 3 classes, and of run, which has not been measured."""
    folder = tmp_path_factory.mktemp("networks")
    tiny_generator(num_channels=1, label_size=3).save(folder / "tiny.keras")
    tiny_run(folder / "run", folder / "data")
    return folder


@pytest.fixture(scope="module")
def sampler():
    return Sampler(tiny_generator(num_channels=1, label_size=3))


def invoke(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def interpolate(folder, outdir, *options):
    """The path that the door prints."""
    result = invoke("interpolate", f"--network={folder / 'tiny.keras'}", f"--outdir={outdir}", "--num-gpus=0", *options)
    assert result.exit_code == 0, (result.output, result.exception)
    (path,) = outdir.iterdir()
    assert result.stdout == f"{path}\n"
    return path


def test_gif(folder, sampler, tmp_path):
    """A GIF file holds greys as they are, so every pixel can be compared."""
    options = ["--seeds=5,0,7,1", "--space=w", "--no-loop", "--seconds=0.4", "--fps=10", "--grid=1,2", "--scale=3"]
    look = ["--truncation-psi=0.9", "--truncation-cutoff=3", "--noise=off", "--class=2", "--minibatch=3"]
    path = interpolate(folder, tmp_path / "new", *options, *look, "--format=gif")
    assert path.name == "interpolation.gif"
    look = Look("tiny", psi=0.9, cutoff=3, noise="off", label=2)
    expected = list(Interpolation(sampler, look, [5, 0, 7, 1], 4, space="w", loop=False, grid=(1, 2)))
    with Image.open(path) as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (len(expected), (24, 48), 100)
        for i, frame in enumerate(expected):
            image.seek(i)
            pixels = np.asarray(image.convert("L")).astype(int)
            assert np.abs(pixels - frame[:, :, 0].repeat(3, axis=0).repeat(3, axis=1)).max() <= 1


def test_mp4(folder, sampler, tmp_path):
    """The defaults: a loop in Z, two seconds and 60 frames a seed, large enough to be seen."""
    path = interpolate(folder, tmp_path / "new", "--seeds=5,0")
    assert path.name == "interpolation.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True)
    assert b"30 fps" in decoded.stderr and b"256x256" in decoded.stderr
    frames = np.frombuffer(decoded.stdout, np.uint8).reshape(-1, 256, 256)
    expected = np.array(list(Interpolation(sampler, Look("tiny", 0.7, 8), [5, 0], 60)))[..., 0]
    assert len(frames) == len(expected) == 120
    assert np.abs(frames[:, 16::32, 16::32].astype(int) - expected).max() < 20
    # It shows those frames and no others.
    assert np.abs(frames[60:, 16::32, 16::32].astype(int) - expected[:60]).max() > 40


def test_fresh_noise_in_each_frame(folder, tmp_path):
    options = ["--seeds=5,5", "--seconds=0.1", "--fps=20", "--format=gif", "--class=0"]
    paths = [
        interpolate(folder, tmp_path / name, *options, f"--noise={noise}")
        for name, noise in (("a", "fixed"), ("b", "random"), ("c", "random"))
    ]
    fixed, random, again = (path.read_bytes() for path in paths)
    assert random == again != fixed
    with Image.open(paths[1]) as image:
        assert image.n_frames == 4
        assert len({image.seek(i) or image.convert("L").tobytes() for i in range(4)}) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds=5"], "An interpolation needs at least two seeds; received 1."),
        (["--seeds=1-3", "--grid=2,1"], "at least two seeds, as many in each of the 2 cells; received 3"),
        (["--seeds=0-1000"], "1,001 seeds are too many; at most 1,000"),
        (["--seeds=1,2", "--grid=3"], "'3' has 1 numbers; give 2"),
        (["--seeds=1,2", "--fps=0"], "0 is not in the range 1<=x<=120"),
        (["--seeds=1,2", "--fps=60", "--format=gif"], "at most 50 frames a second; received 60"),
        (["--seeds=1,2", "--seconds=0"], "0.0 is not in the range 0<x<=1000000.0"),
        (["--seeds=1,2", "--seconds=inf"], "inf is no finite number"),
        (["--seeds=1,2", "--format=avi"], "'avi' is not one of 'mp4', 'gif'"),
        (["--seeds=1,2", "--class=3"], "There is no class 3"),
    ],
)
def test_videos_that_are_refused(folder, tmp_path, options, message):
    network = f"--network={folder / 'tiny.keras'}"
    result = invoke("interpolate", network, "--num-gpus=0", f"--outdir={tmp_path / 'new'}", *options)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("suffix", ["mp4", "gif"])
def test_a_video_that_is_there_stays(folder, tmp_path, suffix):
    path = tmp_path / f"interpolation.{suffix}"
    path.write_bytes(b"my own")
    options = [f"--network={folder / 'tiny.keras'}", f"--outdir={tmp_path}", "--seeds=0,1", f"--format={suffix}"]
    result = invoke("interpolate", *options)
    assert result.exit_code == 2
    assert result.stderr == f"Error: {path} already exists. Delete it or choose another name.\n"
    assert path.read_bytes() == b"my own"


def test_convergence(folder, tmp_path):
    run = folder / "run"
    command = ["convergence", f"--network={run}", f"--outdir={tmp_path / 'new'}"]
    result = invoke(*command)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1
    assert f"python run_metrics.py --network={run} --all-snapshots" in result.stderr
    for kimg, value in ((1.234, 30.5), (2.345, 20.25)):
        append_record(run / "metrics.jsonl", {"results": {"fid50k": value, "ls_z": 1.0}, "kimg": kimg})
    result = invoke(*command, "--metric=fid50k")
    assert result.exit_code == 0, (result.output, result.exception)
    path = tmp_path / "new" / "convergence.png"
    assert result.stdout == f"{path}\n"
    with Image.open(path) as image:
        assert image.size == (675, 525)
    with path.with_suffix(".csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [["run", "fid50k", "1.234", "30.5"], ["run", "fid50k", "2.345", "20.25"]]
    result = invoke(*command, "--metric=fid5k")
    assert result.exit_code == 2 and "no metric fid5k of these runs; there are: fid50k, ls_z." in result.stderr

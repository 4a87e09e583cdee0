"""The door of projections, as a user has it: what it writes, and that it goes on; what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import tiny_classifiers, tiny_generator, tiny_run

import run_projector
import stylegan_tf
from stylegan_tf.commands import generate
from stylegan_tf.editing.projection import Projection
from stylegan_tf.pictures.sampler import Sampler, latents


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("projector") / "run"
    tiny_run(folder, folder.parent / "data", family="stylegan2")
    return folder


@pytest.fixture(scope="module")
def pictures(run):
    """Two pictures of 8x8, a folder."""
    folder = run.parent / "pictures"
    folder.mkdir()
    sampler = Sampler(stylegan_tf.load(run))
    for name, image in zip("ab", sampler.synthesis(sampler.mapping(latents([0, 1], 16))), strict=True):
        Image.fromarray(image).save(folder / f"{name}.png")
    return folder


def invoke(command, *arguments):
    return CliRunner().invoke(command, list(map(str, arguments)))


def project(run, pictures, outdir, *arguments):
    usual = ("--distance=pixels", "--steps=6")
    return invoke(
        run_projector.main, f"--network={run}", f"--image={pictures}", f"--outdir={outdir}", *usual, *arguments
    )


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


@pytest.fixture(scope="module")
def found(run, pictures):
    """Results of a projection that was stopped after 3 steps, and went on from there."""
    outdir, step, taken = run.parent / "found", Projection.step, []

    def stopping(self, *arguments):
        taken.append(self.steps_done)
        if len(taken) == 4:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Projection, "step", stopping)
        stopped = project(run, pictures, outdir)
        assert stopped.exit_code == 130 and "goes on from here" in stopped.stderr
        assert [path.name for path in outdir.iterdir()] == ["unfinished.npz"]
        refused = project(run, pictures, outdir, "--space=w+")
        assert refused.exit_code == 2 and "another projection (its space is w, not w+)" in refused.stderr
        assert project(run, pictures, outdir).exit_code == 0
    assert taken == [0, 1, 2, 3, 3, 4, 5]
    return outdir


def test_what_is_written(run, pictures, found, tmp_path):
    assert sorted(path.name for path in found.iterdir()) == ["a", "b"]
    names = {"target.png", "projected.png", "w.npz", "way.mp4"}
    for name in "ab":
        assert {path.name for path in (found / name).iterdir()} == names
        assert np.array_equal(pixels(found / name / "target.png"), pixels(pictures / f"{name}.png"))
    assert "already" in project(run, pictures, found).stdout
    # One by one, and into W+, they can be used in the same way.
    made = invoke(generate.main, "images", f"--network={run}", f"--w={found}", f"--outdir={tmp_path}")
    assert made.stdout.startswith("2 of 2 images made") and made.stderr == ""
    for name in "ab":
        assert np.abs(pixels(tmp_path / f"{name}.png") - pixels(found / name / "projected.png")).max() <= 1
    mixing = ("--columns=5,6", "--styles=2-3", f"--w={found / 'a'}", f"--outdir={tmp_path}")
    assert invoke(generate.main, "style-mixing", f"--network={run}", *mixing).exit_code == 0
    mixed = pixels(tmp_path / "style-mixing.png")
    assert mixed.shape == (16, 24, 3)
    assert np.abs(mixed[8:, :8] - pixels(found / "a" / "projected.png")).max() <= 1
    assert np.abs(mixed[8:, :8] - mixed[8:, 8:16]).max() > 1


def test_tuning(run, pictures, found, tmp_path):
    outdir = tmp_path / "tuned"
    shutil.copytree(found, outdir)
    result = project(run, pictures, outdir, "--tune", "--tune-steps=8")
    assert result.exit_code == 0, result.output
    for name in "ab":
        wanted = pixels(outdir / name / "target.png")
        before, after = (np.square(pixels(outdir / name / f"{x}.png") - wanted).mean() for x in ("projected", "tuned"))
        assert after < before
    network = f"--network={outdir / 'tuned.keras'}"
    made = invoke(generate.main, "images", network, f"--w={outdir}", f"--outdir={tmp_path / 'made'}")
    assert made.exit_code == 0 and made.stderr == ""
    assert np.abs(pixels(tmp_path / "made" / "a.png") - pixels(outdir / "a" / "tuned.png")).max() <= 1
    again = project(run, pictures, outdir, "--tune")
    assert again.exit_code == 2 and "tuned.keras already exists" in again.stderr


def test_by_classifiers(run, pictures, tmp_path):
    tiny_classifiers(tmp_path / "classifiers", np.stack([pixels(pictures / f"{n}.png") for n in "ab"]).astype("uint8"))
    options = ("--distance=classifier", f"--classifiers={tmp_path / 'classifiers'}", "--steps=2")
    result = project(run, pictures / "a.png", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "a: classifier distance" in result.stdout


def picture(folder, name="face.png", size=(8, 8), mode="RGB"):
    folder.mkdir(exist_ok=True)
    Image.new(mode, size).save(folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "face.png: it is 9x12, and the network's images are 8x8. Give --crop"),
        (("--image=nothing.png",), "nothing.png does not exist; give a picture"),
        (("--distance=l2",), "'l2' is not one of 'lpips', 'classifier', 'pixels'"),
        (("--space=z",), "'z' is not one of 'w', 'w+'"),
        (("--crop", "--distance=classifier"), "There is no data set 'tiny'"),
        (("--crop", "--classifiers=."), "--classifiers has no effect with --distance=pixels"),
        (("--crop", "--dataset=digits"), "--dataset has no effect with --distance=pixels"),
        (("--crop", "--vgg16=x"), "--vgg16 has no effect with --distance=pixels"),
        (("--crop", "--tune-steps=5"), "--tune-steps has no effect without --tune"),
        (("--crop", "--class=3"), "The network has no classes"),
        (("--crop", "--steps=0"), "0 is not in the range"),
        (("--background=sky",), "--background=sky is no colour"),
    ],
)
def test_refused(run, tmp_path, options, complaint):
    result = project(run, picture(tmp_path, size=(9, 12)), tmp_path / "out", *options)
    assert result.exit_code == 2
    assert complaint in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_refused(run, tmp_path):
    for path, complaint in (
        (picture(tmp_path / "small", size=(4, 4)), "smaller than the network's 8x8"),
        (picture(tmp_path / "transparent", mode="RGBA"), "it has transparent pixels"),
        (tmp_path, "There is no picture in"),
        (Path(__file__), "it is no image"),
    ):
        result = project(run, path, tmp_path / "out", "--crop")
        assert result.exit_code == 2 and complaint in result.stderr, result.stderr
    twins = (f"--image={picture(tmp_path / 'other')}", "--crop")
    result = project(run, picture(tmp_path / "one"), tmp_path / "out", *twins)
    assert result.exit_code == 2 and "would both be written to face" in result.stderr


def test_results_that_are_refused(run, pictures, found, tmp_path):
    half = tmp_path / "half.keras"
    half.write_bytes((run / "network-snapshot-000002" / "Gs.keras").read_bytes()[:-1000])
    result = project(half, pictures, tmp_path / "out")
    assert result.exit_code == 2 and "half.keras is damaged" in result.stderr
    result = project(run, pictures, found, "--steps=7")
    assert result.exit_code == 2 and "is another projection: its steps is 6, not 7" in result.stderr

    def images(*options):
        result = invoke(generate.main, "images", *options, f"--outdir={tmp_path / 'made'}")
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.output
        return result.stderr

    network = f"--network={run}"
    tiny_generator(resolution=16, family="stylegan2").save(tmp_path / "larger.keras")
    assert "it was found in another network" in images(f"--network={tmp_path / 'larger.keras'}", f"--w={found}")
    assert "Give --seeds or --w, one of them" in images(network)
    assert "Give --seeds or --w, one of them" in images(network, "--seeds=1", f"--w={found}")
    assert "There is no w.npz" in images(network, f"--w={pictures}")
    (tmp_path / "w.npz").write_bytes((found / "a" / "w.npz").read_bytes()[:500])
    assert "w.npz is damaged" in images(network, f"--w={tmp_path}")

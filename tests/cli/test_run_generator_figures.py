"""run_generator.py's verbs for the paper's figures: files, what they say, and what is refused."""

import re

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_generators import FAMILIES, tiny_generator

from dnnlib.image_files import read_text
from stylegan_tf.commands import generate
from stylegan_tf.pictures.figures import noise_components, noise_detail, style_mixing, truncation, uncurated
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler


@pytest.fixture(scope="module")
def samplers():
    """{family: Sampler of a generator of 16x16 images, 6 layers, 3 classes}."""
    return {family: Sampler(tiny_generator(resolution=16, label_size=3, family=family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def networks(samplers, tmp_path_factory):
    """{family: the file of that generator}."""
    folder = tmp_path_factory.mktemp("networks")
    for family, sampler in samplers.items():
        sampler.generator.save(folder / f"{family}.keras")
    return {family: folder / f"{family}.keras" for family in samplers}


@pytest.fixture
def network(networks):
    return networks["stylegan"]


@pytest.fixture
def opened(networks, samplers, monkeypatch):
    """The door has opened StyleGAN2's network once and for all tests, as tracing takes longer than all else."""
    network, sampler = networks["stylegan2"], samplers["stylegan2"]
    look = Look(str(network), sampler.usual_psi, sampler.truncated_layers)
    monkeypatch.setattr(generate, "open_sampler", lambda **given: (sampler, look))
    return network


def invoke(*arguments):
    return CliRunner().invoke(generate.main, [*map(str, arguments), "--num-gpus=0"])


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


COMMON = ["--truncation-psi=0.9", "--truncation-cutoff=3", "--class=1"]
LOOK = Look("tiny", psi=0.9, cutoff=3, label=1)


FIGURES = pytest.mark.parametrize(
    ("verb", "options", "function", "arguments", "look", "text"),
    [
        (
            "style-mixing",
            ["--rows=1-2", "--columns=3,5,4", "--styles=coarse,4-5", "--noise=off", *COMMON],
            style_mixing,
            ([1, 2], [3, 5, 4], ["coarse", "4-5"]),
            LOOK._replace(noise="off"),
            {"row seeds": "1, 2", "column seeds": "3, 5, 4", "styles": "coarse, 4-5", "noise": "off"},
        ),
        (
            "truncation",
            ["--seeds=1,2", "--truncation-psi=1,-0.5", "--truncation-cutoff=2"],
            truncation,
            ([1, 2], (1, -0.5), 2),
            LOOK._replace(label=None),
            {"seeds": "1, 2", "psis": "1.0, -0.5", "cutoff": "2", "class": "each in turn"},
        ),
        (
            "truncation",
            ["--seeds=1", "--psi-per-layer=1,0,1,0,1,0", "--psi-per-layer=-1,0,0,0,0,0", "--class=1"],
            truncation,
            ([1], [(1, 0, 1, 0, 1, 0), (-1, 0, 0, 0, 0, 0)]),
            LOOK,
            {"psis": "1.0, 0.0, 1.0, 0.0, 1.0, 0.0; -1.0, 0.0, 0.0, 0.0, 0.0, 0.0", "class": "1"},
        ),
        (
            "noise-detail",
            ["--seeds=1-2", "--crop=2,5,8", *COMMON],
            noise_detail,
            ([1, 2], (2, 5, 8)),
            LOOK,
            {"seeds": "1, 2", "crop": "2, 5, 8", "truncation psi": "0.9 on the first 3 layers"},
        ),
        (
            "noise-components",
            ["--seeds=1-2", "--crop=2,5,8", *COMMON],
            noise_components,
            ([1, 2], (2, 5, 8)),
            LOOK,
            {"seeds": "1, 2", "crop": "2, 5, 8"},
        ),
        (
            "uncurated",
            ["--seed=7", "--rows=2", "--lods=0,2", "--crop=0,4,16,8", "--noise=random", "--minibatch=5", *COMMON],
            uncurated,
            (7, 2, (0, 2), (0, 4, 16, 8)),
            LOOK._replace(noise="random"),
            {"seed": "7", "rows": "2", "lods": "0, 2", "crop": "0, 4, 16, 8", "noise": "random"},
        ),
    ],
)


@FIGURES
def test_figure(network, samplers, tmp_path, verb, options, function, arguments, look, text):
    check_figure(network, samplers["stylegan"], tmp_path, verb, options, function, arguments, look, text)


@FIGURES
def test_figure_of_stylegan2(opened, samplers, tmp_path, verb, options, function, arguments, look, text):
    check_figure(opened, samplers["stylegan2"], tmp_path, verb, options, function, arguments, look, text)


def check_figure(network, sampler, tmp_path, verb, options, function, arguments, look, text):
    result = invoke(verb, f"--network={network}", f"--outdir={tmp_path / 'new'}", *options)
    assert result.exit_code == 0, (result.output, result.exception)
    path = tmp_path / "new" / f"{verb}.png"
    assert result.stdout == f"{path}\n"
    assert [path] == list(path.parent.iterdir())
    expected = function(sampler, look, *arguments)
    picture = pixels(path)
    assert picture.shape == expected.shape and picture.std() > 0
    assert np.abs(picture - expected).max() <= 1
    assert ({"network": str(network), "figure": verb} | text).items() <= read_text(path).items()


def test_figures_of_the_paper(network, tmp_path):
    command = ["figures", f"--network={network}", f"--outdir={tmp_path}", "--class=0"]
    result = invoke(*command)
    assert result.exit_code == 0, (result.output, result.exception)
    lines = result.stdout.splitlines()
    assert lines[0] == str(tmp_path / "figure02-uncurated.png")
    assert lines[1].startswith(f"{tmp_path / 'figure03-style-mixing.png'} is left out: There are no fine styles")
    assert len(lines) == 5 and {path.name for path in tmp_path.iterdir()} == {
        "figure02-uncurated.png",
        "figure04-noise-detail.png",
        "figure05-noise-components.png",
        "figure08-truncation.png",
    }
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert invoke(*command).stdout == result.stdout
    assert times == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    result = invoke(*command[:-1], "--set=cats")
    assert result.exit_code == 0 and result.stdout == f"{tmp_path / 'figure12-uncurated.png'}\n"
    assert pixels(tmp_path / "figure12-uncurated.png").shape == (5 * 16, 2 * 16 + 2 * 8 + 3 * 4, 3)


def test_figures_of_stylegan2(opened, tmp_path):
    """Its own set, with its own truncation, and what the resolutions contribute."""
    result = invoke("figures", f"--network={opened}", f"--outdir={tmp_path}")
    assert result.exit_code == 0, (result.output, result.exception)
    names = ("uncurated", "style-mixing", "truncation", "noise-detail", "noise-components", "contributions")
    paths = [tmp_path / f"stylegan2-{name}.png" for name in names]
    assert result.stdout.splitlines() == [str(path) for path in paths]
    assert all(pixels(path).std() > 0 for path in paths)
    assert read_text(paths[1])["truncation psi"] == "0.5 on the first 6 layers"
    assert (
        paths[-1]
        .with_suffix(".csv")
        .read_text()
        .startswith("network,kimg,resolution,deviation,percent\nstylegan2.keras,,4,")
    )
    # StyleGAN's figures, when asked for.
    result = invoke("figures", f"--network={opened}", f"--outdir={tmp_path}", "--set=cats")
    assert result.stdout == f"{tmp_path / 'figure12-uncurated.png'}\n"


def test_what_cannot_be_summed_up_is_left_out(network, tmp_path):
    result = invoke("figures", f"--network={network}", f"--outdir={tmp_path}", "--set=stylegan2")
    assert result.exit_code == 0, (result.output, result.exception)
    last = result.stdout.splitlines()[-1]
    assert last.startswith(f"{tmp_path / 'stylegan2-contributions.png'} is left out: The network's image is not a sum")


@pytest.mark.parametrize("verb", ["images", "uncurated"])
def test_help_tells_the_usual_truncation(verb):
    text = " ".join(invoke(verb, "--help").output.split())
    assert re.search(r"\[default: 0\.7; 0\.5 for stylegan2, [\w, -]*; 1 for networks without styles\]", text)
    assert re.search(r"\[default: 8; all for stylegan2, [\w, -]*\]", text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["style-mixing", "--rows=1", "--columns=2", "--styles=fine"],
            "There are no fine styles; the network's layers",
        ),
        (["truncation", "--seeds=1", "--truncation-psi=1,nan"], "nan is no finite number"),
        (["noise-components", "--seeds=1", "--crop=9,9"], "'9,9' has 2 numbers; give 3"),
        (["uncurated", "--rows=1", "--lods=a"], "'a' is not a valid integer"),
        (
            ["truncation", "--seeds=1", "--psi-per-layer=1,0,1,0,1,0", "--truncation-psi=1"],
            "--psi-per-layer takes the place of --truncation-psi",
        ),
        (
            ["truncation", "--seeds=1", "--psi-per-layer=1,0,1,0,1,0", "--truncation-cutoff=2"],
            "--psi-per-layer takes the place of --truncation-psi",
        ),
        (["figures", "--class=3"], "There is no class 3; the network's are 0 to 2"),
    ],
)
def test_wrong_input(network, tmp_path, arguments, message):
    result = invoke(*arguments, f"--network={network}", f"--outdir={tmp_path / 'new'}")
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "new").exists()

"""run_generator.py images, as users start it."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from processes import ROOT, start_python
from tiny_generators import tiny_generator, tiny_run

from dnnlib.cli import Seeds
from dnnlib.image_files import read_text, to_uint8_rounded
from stylegan_tf.commands.generate import main
from stylegan_tf.files.find import load_generator
from stylegan_tf.files.official import load_pickle
from stylegan_tf.networks import ProGANGenerator
from stylegan_tf.pictures.sampler import Sampler, latents, random_noise
from stylegan_tf.runtime.processor import remark_on_precision


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("generator")
    tiny_run(folder / "run", folder / "data")
    return folder / "run"


def invoke(*arguments):
    return CliRunner().invoke(main, ["images", "--num-gpus=0", *map(str, arguments)])


def make(*arguments):
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_images_of_a_run(run, tmp_path):
    """In a process of its own; the newest snapshot, the defaults."""
    options = f"--network={run}", "--seeds=0-2, 33", "--outdir=pictures"
    process = start_python(ROOT / "run_generator.py", "images", *options, cwd=tmp_path)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, errors) == (0, "")
    assert output == "4 of 4 images made; see pictures/index.html.\n"
    network = run / "network-snapshot-000002" / "Gs.keras"
    sampler = Sampler(load_generator(network))
    w = sampler.truncate(sampler.mapping(latents([0, 1, 2, 33], 16)))
    for seed, image in zip((0, 1, 2, 33), sampler.synthesis(w), strict=True):
        path = tmp_path / "pictures" / f"seed{seed:04d}.png"
        assert np.abs(pixels(path) - image).max() <= 1
        assert read_text(path)["network"] == str(network)


def test_options(run, tmp_path):
    snapshot = run / "network-snapshot-000001"
    options = ["--truncation-psi=-0.5", "--truncation-cutoff=2", "--noise=off", "--minibatch=1", "--precision=fp32"]
    assert make(f"--network={snapshot}", "--seeds=5,6", f"--outdir={tmp_path}", *options).startswith("2 of 2 images")
    # This snapshot was growing.
    sampler = Sampler(load_generator(snapshot / "Gs.keras"))
    w = sampler.truncate(sampler.mapping(latents([5, 6], 16)), -0.5, 2)
    for seed, image in zip((5, 6), sampler.synthesis(w, "off"), strict=True):
        assert np.abs(pixels(tmp_path / f"seed{seed:04d}.png") - image).max() <= 1
    assert make(f"--network={snapshot}", "--seeds=5-7", f"--outdir={tmp_path}", *options).startswith("1 of 3 images")


def test_precision(run, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx2\n")
    monkeypatch.setattr("stylegan_tf.runtime.processor.CPUINFO", tmp_path / "cpuinfo")
    result = invoke(f"--network={run}", "--seeds=1", f"--outdir={tmp_path / 'fp32'}")
    assert (result.exit_code, result.stderr) == (0, "")
    result = invoke(f"--network={run}", "--seeds=1", f"--outdir={tmp_path / 'bf16'}", "--precision=bf16")
    assert result.exit_code == 0
    assert result.stderr == f"{remark_on_precision('bf16', num_gpus=0)}\n"
    difference = np.abs(pixels(tmp_path / "fp32" / "seed0001.png") - pixels(tmp_path / "bf16" / "seed0001.png"))
    assert 0 < difference.max() < 30 and difference.mean() < 3


def test_psi_0_gives_one_image(run, tmp_path):
    make(f"--network={run}", "--seeds=0-3", f"--outdir={tmp_path}", "--truncation-psi=0")
    images = [pixels(tmp_path / f"seed{seed:04d}.png") for seed in range(4)]
    assert all(np.array_equal(image, images[0]) for image in images) and images[0].std() > 0


def test_noise(run, tmp_path):
    """Fixed noise repeats bit for bit, random noise too, as it is that of the seed; without, the image is another."""
    files = {}
    for noise in ("fixed", "off", "random"):
        for again in (1, 2):
            outdir = tmp_path / f"{noise}{again}"
            make(f"--network={run}", "--seeds=3", f"--outdir={outdir}", f"--noise={noise}")
            files[noise, again] = (outdir / "seed0003.png").read_bytes()
        assert files[noise, 1] == files[noise, 2]
    assert len({files[noise, 1] for noise in ("fixed", "off", "random")}) == 3


def test_a_pickle_of_the_original(tmp_path):
    """Its Gs; a network with classes, which seeds take in turn."""
    path = ROOT / "tests/reference/data/networks-stylegan1-labels.pkl"
    make(f"--network={path}", "--seeds=0-3", f"--outdir={tmp_path}")
    Gs = load_pickle(path)[2]
    expected = Gs(latents(range(4), Gs.latent_size), np.eye(3, dtype="float32")[[0, 1, 2, 0]])
    for seed, image in enumerate(to_uint8_rounded(expected)):
        path = tmp_path / f"seed{seed:04d}.png"
        assert np.abs(pixels(path) - image).max() <= 1
        assert read_text(path)["class"] == str(seed % 3)


def test_images_of_stylegan2(tmp_path):
    """As of its generator when nobody says how to truncate: psi 0.5, in all layers. Classes take turns."""
    generator = tiny_generator(resolution=16, family="stylegan2", label_size=3)
    generator.save(tmp_path / "Gs.keras")
    network = f"--network={tmp_path / 'Gs.keras'}"
    labels = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
    z, seeds = latents(range(4), 16), np.arange(4)
    for noise, images in (("fixed", None), ("random", random_noise(generator.noise_shapes, seeds))):
        make(network, "--seeds=0-3", f"--noise={noise}", f"--outdir={tmp_path / noise}")
        for seed, image in enumerate(to_uint8_rounded(generator(z, labels, noise=images))):
            path = tmp_path / noise / f"seed{seed:04d}.png"
            assert np.abs(pixels(path) - image).max() <= 1
            text = read_text(path)
            assert (text["class"], text["truncation psi"]) == (str(seed % 3), "0.5 on the first 6 layers")


def test_networks_without_styles_are_not_truncated(tmp_path):
    ProGANGenerator(8, 1, latent_size=6, fmap_base=32, fmap_max=8).save(tmp_path / "Gs.keras")
    network = f"--network={tmp_path / 'Gs.keras'}"
    make(network, "--seeds=1", f"--outdir={tmp_path}")
    assert read_text(tmp_path / "seed0001.png")["truncation psi"] == "1 on the first 8 layers"
    make(network, "--seeds=1", f"--outdir={tmp_path / 'none'}", "--truncation-psi=1")
    assert np.array_equal(pixels(tmp_path / "seed0001.png"), pixels(tmp_path / "none" / "seed0001.png"))


def test_classes(tmp_path):
    tiny_generator(label_size=3).save(tmp_path / "Gs.keras")
    make(f"--network={tmp_path / 'Gs.keras'}", "--seeds=0,1", "--class=1", f"--outdir={tmp_path}")
    assert [read_text(tmp_path / f"seed000{seed}.png")["class"] for seed in (0, 1)] == ["1", "1"]


def test_names_of_classes(tmp_path):
    """They are in the network's file; those of which there were no images are not shown."""
    generator = tiny_generator(label_size=3)
    for number, (columns, classes, refused) in enumerate(
        [
            (
                (("cat", 5), ("dog", 0), ("été", 2)),
                {"été": "été (2)", "0": "cat (0)", "e\u0301te\u0301": "été (2)", None: "été (2)"},
                {
                    "dog": "no images of the class dog",
                    "1": "no images of the class 1",
                    "猫": "no class 猫; the network's are cat, dog, été",
                },
            ),
            (
                (("1", 5), ("2", 1), ("10", 2)),
                {"10": "10 (2)", "2": "2 (1)", None: "2 (1)"},
                {"0": "no class 0; the network's are 1, 2, 10", "-1": "no class -1"},
            ),
        ]
    ):
        generator.label_columns = columns
        path = tmp_path / f"{number}.keras"
        generator.save(path)
        assert load_generator(path).label_columns == load_generator(path, "mixed_bfloat16").label_columns == columns
        for given, text in classes.items():
            outdir = tmp_path / f"{number}-{given}"
            option = [] if given is None else [f"--class={given}"]
            make(f"--network={path}", "--seeds=1", f"--outdir={outdir}", *option)
            assert read_text(outdir / "seed0001.png")["class"] == text
        for given, words in refused.items():
            result = invoke(f"--network={path}", "--seeds=1", f"--outdir={tmp_path}", f"--class={given}")
            assert result.exit_code == 2 and words in result.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--seeds=1-"], ["'--seeds'", "'1-' is no list of seeds such as 0-24,33."]),
        (["--seeds=5-3"], ["'--seeds'", "the range 5-3 is empty"]),
        (["--seeds=4294967296"], ["4294967296 is no seed; they are whole numbers from 0 to 4294967295"]),
        (["--seeds=0-999999999"], ["1,000,000,000 seeds are too many; at most 1,000,000"]),
        (["--seeds=0", "--truncation-psi=nan"], ["nan is no finite number"]),
        (["--seeds=0", "--noise=none"], ["'none' is not one of"]),
        (["--seeds=0", "--class=0"], ["The network has no classes; leave --class out."]),
        (["--seeds=0", "--network={folder}/nowhere"], ["nowhere does not exist; give a run, a snapshot", "ffhq-1024"]),
        (["--seeds=0", "--network={folder}/damaged.keras"], ["damaged.keras is damaged"]),
        (["--seeds=0", "--network={folder}/damaged.pkl"], ["damaged.pkl"]),
        (["--seeds=0", "--num-gpus=99"], ["--num-gpus=99 is more than the"]),
        (
            ["--seeds=0", "--outdir={folder}/damaged.keras"],
            ["--outdir", "damaged.keras is a file, and nothing can be written into it"],
        ),
        (["--network=x"], ["Give --seeds or --w, one of them."]),
    ],
)
def test_wrong_input(run, tmp_path, options, words):
    for name in ("damaged.keras", "damaged.pkl"):
        (tmp_path / name).write_bytes(b"PK\x03\x04")
    given = [option.format(folder=tmp_path) for option in options]
    result = invoke(f"--network={run}", f"--outdir={tmp_path / 'pictures'}", *given)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1 and all(word in result.stderr for word in words), result.stderr
    assert not (tmp_path / "pictures").exists()


def test_ctrl_c(run, tmp_path, monkeypatch):
    def interrupted(self, w, noise, seeds):
        raise KeyboardInterrupt

    monkeypatch.setattr(Sampler, "synthesis", interrupted)
    result = invoke(f"--network={run}", "--seeds=0", f"--outdir={tmp_path}")
    assert result.exit_code == 130
    assert not list(tmp_path.iterdir())


def test_seeds():
    assert Seeds()("0-3,33") == [0, 1, 2, 3, 33]
    assert Seeds()(" 7 , 4294967295") == [7, 2**32 - 1]
    assert Seeds(most=3)("1-3") == [1, 2, 3]

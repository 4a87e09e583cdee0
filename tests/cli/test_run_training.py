"""The training door, started as a user would: what a run leaves, how it is stopped, and what it says to wrong input."""

import io
import json
import re
import shutil
import signal
import time
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image
from processes import ROOT, finish, start_python
from tiny_training import SETTINGS, arguments, create_dataset, read_events, start

import run_training
from datasets.pipeline import epoch_order
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from metrics.metric import Metric, Result
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import TrainingConfig, from_dict
from stylegan_tf.runtime.draws import Purpose, normal, seed_of

COLUMNS, ROWS = 16, 8  # of an image grid


def invoke(*arguments):
    """The door in this process."""
    return CliRunner().invoke(run_training.main, list(map(str, arguments)))


def resolved(result):
    """The configuration that --dry-run has printed."""
    assert result.exit_code == 0, (result.output, result.exception)
    values = json.loads(result.stdout)
    del values["paper"], values["disk"], values["remarks"]
    return from_dict(TrainingConfig, values)


def listing(folder):
    """What is in a folder, and when files were written; in a run's, a lock has come and gone."""
    return {path: path.is_file() and path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def rejects(folder, arguments, *words):
    """Asserts that the door refuses with exit code 2 and one line that holds the words, and leaves nothing behind."""
    before = listing(folder)
    result = invoke(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.endswith("\n")
    for word in words:
        assert str(word) in result.stderr
    assert listing(folder) == before


# What a run leaves.


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """A process with wrong options, beside which the run below has a core of its own."""
    folder = tmp_path_factory.mktemp("refused")
    return folder, start([*arguments(folder), "--dataset=dogs"])


@pytest.fixture(scope="module")
def digits(tmp_path_factory, refused):
    """(folder, output) of a run of 2.1 kimg that grows from 4 x 4 to 8 x 8 between 0.5 and 1.5."""
    folder = tmp_path_factory.mktemp("digits")
    # As users start it; all others are forked.
    process = start_python(
        "run_training.py",
        "--dataset=digits",
        "--resolution=8",
        f"--data-dir={folder / 'data'}",
        f"--outdir={folder / 'results'}",
        "--num-gpus=0",
        "--total-kimg=2.1",
        "--minibatch=32",
        "--snapshot-ticks=3",
        *(f"--set={setting}" for setting in SETTINGS),
        "--set=schedule.lod_training_kimg=0.5",
        "--set=schedule.lod_transition_kimg=1",
        "--set=schedule.tick_kimg_base=0.5",
    )
    return folder, finish(process)


@pytest.fixture(scope="module")
def run_dir(digits):
    folder, _ = digits
    return folder / "results" / "00000-digits-f-cpu"


TICK = re.compile(
    r"tick (?P<tick>\d+) +kimg (?P<kimg>[\d.]+) +lod (?P<lod>[\d.]+) +minibatch (?P<minibatch>\d+) +time [\dhms ]+? +"
    r"sec/kimg (?P<speed>[\d.]+) +memory (?P<memory>[\d.]+) GB +data wait (?P<wait>\d+)% +"
    r"G (?P<G>[-\d.]+) +D (?P<D>[-\d.]+) +R1 (?P<R1>[\d.]+)"
)


def ticks(log):
    return [match.groupdict() for match in map(TICK.fullmatch, log.splitlines()) if match]


def test_everything_is_there(run_dir):
    names = {re.sub(r"\d{10}.*", "*", path.relative_to(run_dir).as_posix()) for path in run_dir.rglob("*")}
    snapshots = ("network-snapshot-000001", "network-snapshot-000002")
    files = ("G.keras", "D.keras", "Gs.keras", "training.json")
    assert names == {
        "config.json",
        "log.txt",
        "reals.png",
        "fakes000000.png",
        "fakes000001.png",
        "fakes000002.png",
        "events.out.tfevents.*",
        "checkpoint-000000.npz",
        "checkpoint-000001.npz",
        "checkpoint-000002.npz",
        *snapshots,
        *(f"{snapshot}/{file}" for snapshot in snapshots for file in files),
    }


def test_log(digits, run_dir):
    _, output = digits
    log = (run_dir / "log.txt").read_text()
    creating, _, rest = output.partition("\n")
    assert creating.startswith(f"Creating {run_dir.parents[1] / 'data' / 'digits'} from")
    assert rest == log
    lines = log.splitlines()
    assert lines[0] == f"{run_dir}: 1797 images of digits."
    assert lines[-1] == f"Finished. Pictures and networks are in {run_dir}."
    rows = ticks(log)
    assert re.fullmatch(r"It will write 2 snapshots of 0\.\d MB, and 3 checkpoints of 0\.\d MB, .*", lines[1])
    assert len(rows) == len(lines) - 3
    assert [row["kimg"] for row in rows] == ["0.5", "1.0", "1.5", "2.0", "2.1"]
    for row in rows:
        assert row["minibatch"] == "32"
        assert float(row["speed"]) > 0
        assert float(row["memory"]) > 0
        assert 0 < float(row["G"]) < 100
        assert 0 < float(row["D"]) < 100


def test_growth(run_dir):
    lods = [float(row["lod"]) for row in ticks((run_dir / "log.txt").read_text())]
    assert lods[0] == 1
    assert 0 < lods[1] < 1
    assert lods[-1] == 0
    states = [json.loads(path.read_text()) for path in sorted(run_dir.glob("*/training.json"))]
    assert [state["resolution"] for state in states] == [8, 8]
    assert 0 < states[0]["fade"] < 1
    assert states[1]["fade"] == 1
    assert states[1]["images_seen"] == 2112  # the first multiple of 32 from 2,100 on


def test_config(run_dir):
    config = from_dict(TrainingConfig, json.loads((run_dir / "config.json").read_text()))
    assert (config.config, config.dataset, config.resolution, config.num_gpus) == ("f", "digits", 8, 0)
    assert config.total_kimg == 2.1
    assert config.schedule.minibatch_base == 32
    assert config.generator["fmap_max"] == 8


def cells(path):
    """The images of a grid, [N, 8, 8]."""
    with Image.open(path) as file:
        assert file.mode == "L"
        grid = np.asarray(file)
    return grid.reshape(ROWS, 8, COLUMNS, 8).swapaxes(1, 2).reshape(-1, 8, 8)


def test_reals(digits, run_dir):
    folder, _ = digits
    dataset = {image.tobytes() for image in MultiResolutionDataset(folder / "data" / "digits").read(8)}
    shown = [image.tobytes() for image in cells(run_dir / "reals.png")]
    assert len(shown) == 128
    assert set(shown) <= dataset
    assert len(set(shown)) == 128


@pytest.mark.parametrize("kimg", ["000001", "000002"])
def test_snapshot_gives_the_pixels_of_the_picture(run_dir, kimg):
    folder = run_dir / f"network-snapshot-{kimg}"
    state = json.loads((folder / "training.json").read_text())
    Gs = keras.saving.load_model(folder / "Gs.keras")
    z = normal([COLUMNS * ROWS, Gs.latent_size], seed_of(state["config"]["seed"], Purpose.GRID))
    images = Gs(z, truncation_psi=None, resolution=state["resolution"], fade=state["fade"]).numpy()[..., 0]
    expected = np.clip(np.rint(images * 127.5 + 127.5), 0, 255)
    shown = cells(run_dir / f"fakes{kimg}.png")
    assert shown.std() > 1
    # One grey level for values near the middle of two, as the last bits depend on how many images are made at a time.
    assert np.abs(shown - expected).max() <= 1
    assert np.mean(shown != expected) < 1e-3


def test_snapshot_networks(run_dir):
    folder = run_dir / "network-snapshot-000002"
    G, Gs, D = (keras.saving.load_model(folder / f"{name}.keras") for name in ("G", "Gs", "D"))
    assert [variable.shape for variable in G.variables] == [variable.shape for variable in Gs.variables]
    assert any(np.any(g != average) for g, average in zip(G.get_weights(), Gs.get_weights(), strict=True))
    images = G(np.zeros((4, 16), np.float32))
    assert images.shape == (4, 8, 8, 1)
    assert D(images).shape == (4, 1)


def test_tensorboard(run_dir):
    events = read_events(run_dir)
    for name in ("reals", "fakes000000", "fakes000001", "fakes000002"):
        tag = name.rstrip("012")
        # There is a picture every tick, and that of a later one of the same kimg takes the place of an earlier one's.
        step = {"reals": 0, "fakes000000": 512, "fakes000001": 1536, "fakes000002": 2112}[name]
        with Image.open(io.BytesIO(events[tag, step])) as logged, Image.open(run_dir / f"{name}.png") as file:
            np.testing.assert_array_equal(np.asarray(logged), np.asarray(file))
    steps = [512, 1024, 1536, 2048, 2112]
    for step, row in zip(steps, ticks((run_dir / "log.txt").read_text()), strict=True):
        for tag, column in (("G_loss", "G"), ("D_loss", "D"), ("penalty", "R1"), ("lod", "lod")):
            assert events[tag, step] == pytest.approx(float(row[column]), abs=0.005)
    names = {"D_loss", "G_loss", "penalty", "scores/real", "scores/fake", "D_skipped", "G_skipped"}
    names |= {"path_length_penalty", "gradient_norm/D", "gradient_norm/G", "seconds_per_tick", "data_wait"}
    names |= {"seconds_per_kimg", "memory_gb", "lod", "fade", "minibatch", "G_lrate", "D_lrate"}
    assert events.keys() - {key for key in events if key[0] in ("reals", "fakes")} == {
        (name, step) for name in names for step in steps
    }


# Help and dry runs.


def test_help_explains_every_option():
    result = invoke("--help")
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for parameter in run_training.main.params:
        assert parameter.help, parameter.name
        assert " ".join(parameter.help.split()).replace(".  [", ". [") in text.replace("; 0<=x]", "]"), parameter.name
        for option in parameter.opts + parameter.secondary_opts:
            assert option in text
    # Options that are settings say what these say: their meaning, their default, their range.
    assert "Seed of everything random. [default: 1000] [0<=x<=4294967295]" in text
    assert "Side of the images. [default: the data set's]" in text
    assert "elsewhere it is fp32. [default: tf32]" in text
    for setting in run_training.SETTING_OF.values():
        assert run_training.SETTINGS[setting].text in text


def test_dry_run_of_the_paper(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke("--dry-run", "--num-gpus=8")
    assert result.exit_code == 0, result.output
    assert not list(tmp_path.iterdir())
    config = json.loads(result.stdout)
    assert (config["config"], config["dataset"], config["num_gpus"]) == ("f", "ffhq", 8)
    # Karras et al., 2018, sections 2 and 3 and appendix C.
    assert config["total_kimg"] == 25000
    assert config["mirror"] is True
    assert config["loss"]["generator"] == "logistic-nonsaturating"
    assert config["loss"]["discriminator"] == "logistic"
    weights = ("r1_gamma", "r2_gamma", "gradient_penalty", "drift", "path_length_weight")
    assert [config["loss"][name] for name in weights] == [10, 0, 0, 0, 0]
    assert config["optimizer"] == {"beta1": 0, "beta2": 0.99, "epsilon": 1e-8}
    assert config["average_half_life_kimg"] == 10
    assert config["style_mixing_prob"] == 0.9
    assert config["w_average_beta"] == 0.995
    schedule = config["schedule"]
    assert schedule["lod_initial_resolution"] == 8
    assert (schedule["lod_training_kimg"], schedule["lod_transition_kimg"]) == (600, 600)
    assert schedule["minibatch_base"] == 32
    assert schedule["minibatch_dict"] == {"4": 512, "8": 256, "16": 128, "32": 64, "64": 32}
    for name in ("G_lrate", "D_lrate"):
        assert schedule[f"{name}_base"] == 0.001
        assert schedule[f"{name}_dict"] == {"128": 0.0015, "256": 0.002, "512": 0.003, "1024": 0.003}
    # The networks' own defaults are configuration F.
    assert config["generator"] == config["discriminator"] == {}
    assert config["paper"] == {"fid": 4.40, "source": "Table 1, configuration F, FFHQ"}
    assert (config["disk"]["snapshots"], config["disk"]["keep"]) == (100, 10)
    # G with its stored noise images twice and D: 29.0 and 23.1 million numbers of four bytes.
    assert config["disk"]["snapshot_bytes"] == 4 * (2 * 29_016_331 + 23_087_249)


def test_options_reach_the_configuration():
    result = invoke(
        "--dry-run",
        "--config=c",
        "--dataset=cats",
        "--data-dir=elsewhere",
        "--snapshot-ticks=3",
        "--keep-snapshots=4",
        "--minibatch=24",
        *("--resolution=64", "--num-gpus=4", "--total-kimg=12.5", "--gamma=0.125", "--mirror", "--seed=7"),
        *("--mixing-prob=0.25", "--path-length-weight=2", "--accumulate=2", "--precision=bf16", "--no-xla"),
        *("--keep-checkpoints=5", "--metric-ticks=6", "--metrics=ls", "--conditional", "--max-minibatch-per-gpu=4"),
        "--set=schedule.lod_training_kimg=7",
        '--set=schedule.minibatch_dict={"4": 48}',
        "--set=generator.fmap_max=32",
    )
    config = resolved(result)
    assert (config.config, config.dataset, config.data_dir) == ("c", "cats", "elsewhere")
    assert (config.resolution, config.num_gpus, config.total_kimg, config.seed) == (64, 4, 12.5, 7)
    assert (config.mirror, config.snapshot_ticks, config.loss.r1_gamma) == (True, 3, 0.125)
    assert (config.style_mixing_prob, config.loss.path_length_weight, config.accumulate) == (0.25, 2, 2)
    assert (config.precision, config.xla, config.keep_checkpoints, config.metrics) == ("bf16", False, 5, ["ls"])
    assert (config.metric_ticks, config.max_label_size, config.keep_snapshots) == (6, "full", 4)
    assert (config.schedule.minibatch_base, config.schedule.minibatch_dict) == (24, {4: 48})
    assert config.phase(0).minibatch == 16  # 4 for each of 4 GPUs
    assert config.schedule.lod_training_kimg == 7
    assert config.generator == {"const_input_layer": False, "use_noise": False, "fmap_max": 32}


def test_no_growing():
    config = resolved(invoke("--dry-run", "--config=a", "--no-growing", "--num-gpus=1", "--resolution=64"))
    assert config.networks == "progan"
    assert {config.phase(images).resolution for images in (0, 100, 1000000)} == {64}


def test_no_growing_from_another_run(monkeypatch):
    monkeypatch.setattr(run_training, "initial_resolution", lambda source: 32)
    another = "tests/reference/data/networks-stylegan1.pkl"
    options = ["--dry-run", "--num-gpus=1", "--resolution=64", f"--init-from={ROOT / another}"]
    assert resolved(invoke(*options)).phase(0).resolution == 32
    assert resolved(invoke(*options, "--no-growing")).phase(0).resolution == 64


def test_losses_by_their_old_names():
    wgan_gp = resolved(invoke("--dry-run", "--set=loss.discriminator=wgan-gp", "--set=loss.generator=wgan"))
    assert wgan_gp.loss == make_config("a").loss
    again = resolved(invoke("--dry-run", "--config=e", "--gamma=3", "--set=loss.discriminator=logistic-simplegp"))
    assert (again.loss.discriminator, again.loss.r1_gamma) == ("logistic", 3)


def test_disk_of_an_unknown_data_set():
    assert json.loads(invoke("--dry-run", "--dataset=cats").stdout)["disk"] is None
    assert json.loads(invoke("--dry-run", "--dataset=cats-64").stdout)["disk"]["snapshots"] > 0


def test_dry_run_refuses_what_a_run_refuses(tmp_path):
    rejects(tmp_path, ["--dry-run", "--set=networks=biggan"], "networks must be one of stylegan, progan", "'biggan'")
    rejects(tmp_path, ["--dry-run", "--set=generator.fmap_base=wide"], "'fmap_base': 'wide'")
    grown = ["--dry-run", "--config=sg2-e", "--set=schedule.lod_initial_resolution=8"]
    rejects(tmp_path, grown, "stylegan2 are not grown", "starts at 8x8", "--no-growing")


def test_xla_is_for_gpus():
    assert [resolved(invoke("--dry-run", f"--num-gpus={n}")).use_xla for n in (0, 1)] == [False, True]
    assert resolved(invoke("--dry-run", "--num-gpus=0", "--xla")).use_xla


def test_minibatch_holds_at_every_resolution():
    config = resolved(invoke("--dry-run", "--num-gpus=1", "--minibatch=16", "--resolution=64"))
    assert {config.phase(kimg * 1000).minibatch for kimg in (0, 1000, 3000, 25000)} == {16}


@pytest.mark.parametrize("dataset", ["digits", "ffhq", "celebahq", "cats"])
def test_recipe_of_a_dataset(dataset):
    assert resolved(invoke("--dry-run", f"--dataset={dataset}", "--num-gpus=2")) == make_config("f", dataset, 2)


# Wrong input.


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Folder with the data set `tiny`, 8 x 8 with labels."""
    folder = tmp_path_factory.mktemp("tiny")
    create_dataset(folder / "data")
    return folder


@pytest.fixture
def own(tmp_path):
    """As `tiny`, to be spoiled."""
    create_dataset(tmp_path / "data")
    return tmp_path


NOT_GROWN = ("--config=sg2-e", "--set=schedule.lod_initial_resolution=8")


@pytest.mark.parametrize(
    "given, words",
    [
        (["--dataset=dogs"], ["no data set 'dogs'", "'tiny'"]),
        (["--resolution=64"], ["64x64", "4x4, 8x8"]),
        (["--resolution=12"], ["12x12"]),
        (["--minibatch=6"], ["minibatch of 6 images at 4x4", "groups of 4"]),
        (["--num-gpus=99"], ["--num-gpus=99", f"{len(tf.config.list_physical_devices('GPU'))} GPUs"]),
        (["--num-gpus=-1"], ["--num-gpus", "-1"]),
        (["--seed=-1"], ["--seed", "-1"]),
        (["--total-kimg=0"], ["--total-kimg"]),
        (["--total-kimg=nan"], ["--total-kimg", "finite"]),
        (["--gamma=much"], ["--gamma", "much"]),
        (["--config=z"], ["--config", "'z'", "'f'"]),
        (["--precision=fp8"], ["--precision", "'fp8'", "'bf16'"]),
        (["--accumulate=3"], ["--accumulate=3 rounds", "minibatch of 8 images at 4x4"]),
        (["--freeze-d=99"], ["--freeze-d", "without --init-from"]),
        (["--metrics=fid51k"], ["no metric 'fid51k'"]),
        (["--metrics=fid50k"], ["images, and 50000 are to be compared"]),
        (["--config=b", "--mixing-prob=0.5"], ["has no styles", "--mixing-prob=0"]),
        (["--profile=10"], ["--profile", "START:STEPS", "'10'"]),
        (["--profile=10:0"], ["--profile", "START:STEPS"]),
        (["--init-from=nowhere"], ["nowhere"]),
        (["--resume=latest", "--auto-resume"], ["one of them"]),
        (["--learning-rate=1"], ["--learning-rate"]),
        (["surplus"], ["surplus"]),
        (["--resume=latest"], ["no run 'latest'"]),
        (["--resume=3"], ["no run '3'"]),
        (["--resume=nowhere"], ["no run 'nowhere'"]),
        (["--seed=1", "--set=seed=2"], ["--seed and --set seed are the same setting"]),
        (["--set=gamma=10"], ["'gamma'", "resolution"]),
        (["--set=loss.gamma=10"], ["'loss.gamma'", "r1_gamma"]),
        (["--set=loss.r1_gamma.x=10"], ["'loss.r1_gamma.x'"]),
        (["--set=total_kimg"], ["KEY=VALUE", "'total_kimg'"]),
        (["--set=total_kimg=long"], ["total_kimg must be float", "'long'"]),
        (["--set=mirror=1"], ["mirror must be bool", "1"]),
        (["--set=seed=1.5"], ["seed must be int", "1.5"]),
        (["--set=num_gpus=true"], ["num_gpus must be int", "True"]),
        (["--set=seed=-1"], ["seed must be from 0", "-1"]),
        (["--set=minibatch_repeats=0"], ["minibatch_repeats must be at least 1", "0"]),
        (["--set=style_mixing_prob=2"], ["style_mixing_prob must be from 0 to 1", "2"]),
        (["--set=loss=5"], ["LossConfig", "5"]),
        (["--set=loss.generator=hope"], ["loss.generator", "logistic-nonsaturating", "'hope'"]),
        (["--set=loss.discriminator=hope"], ["loss.discriminator", "logistic", "'hope'"]),
        (["--set=networks=biggan"], ["networks must be one of stylegan, progan", "'biggan'"]),
        (["--set=schedule.minibatch_dict=8"], ["minibatch_dict must be a table", "8"]),
        (['--set=schedule.minibatch_dict={"8": "many"}'], ["minibatch_dict must be a table", "many"]),
        (["--set=schedule.lod_initial_resolution=12"], ["lod_initial_resolution", "12"]),
        (["--set=schedule.lod_initial_resolution=0"], ["lod_initial_resolution", "0"]),
        (["--set=schedule.lod_training_kimg=-1"], ["lod_training_kimg must be at least 0"]),
        (["--set=generator.foo=1"], ["generator.foo", "mapping_layers"]),
        (["--set=discriminator.mapping_layers=1"], ["discriminator.mapping_layers", "mbstd_group_size"]),
        (["--set=generator.resolution=8"], ["generator.resolution"]),
        (["--set=generator.nonlinearity=sine"], ["nonlinearity", "'sine'", "lrelu"]),
        (["--set=generator.fmap_base=wide"], ["generator", "'fmap_base': 'wide'"]),
        (["--set=generator.latent_size=-1"], ["generator", "'latent_size': -1"]),
        (["--set=max_label_size=all"], ["max_label_size", "'all'"]),
        (["--set=generator.blur_filter=[1, -1]"], ["blur_filter must have a sum that is not 0", "(1, -1)"]),
        # The settings of these tests start at 4 x 4.
        (["--config=sg2-e"], ["stylegan2 are not grown", "starts at 4x4", "--no-growing"]),
        ([*NOT_GROWN, "--set=schedule.lod_training_kimg=1"], ["not grown", "lod_training_kimg is 1", "--no-growing"]),
        ([*NOT_GROWN, "--set=generator.architecture=unet"], ["architecture", "skip", "'unet'"]),
        ([*NOT_GROWN, "--set=discriminator.architecture=unet"], ["architecture", "resnet", "'unet'"]),
        ([*NOT_GROWN, "--set=discriminator.resample_kernel=[1, -1]"], ["resample_kernel", "sum that is not 0"]),
        (["--config=sg2-a", "--no-growing"], ["sg2-a is a row", "--config=f --no-growing", "--config=sg2-e"]),
        (["--config=sg2-d", "--set=generator.architecture=orig"], ["no setting generator.architecture"]),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_wrong_options(tiny, given, words):
    rejects(tiny, [*arguments(tiny), *given], *words)


def test_wrong_option_of_a_user(refused):
    folder, process = refused
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 2
    assert output == ""
    # TensorFlow greets on this stream, whatever its log level.
    ours = [line for line in errors.splitlines() if not re.match(r"WARNING: All log messages before|[IWE]\d{4} ", line)]
    assert len(ours) == 1, errors
    assert ours[0].startswith("Error: There is no data set 'dogs'")
    assert not list(folder.iterdir())


def test_minibatch_and_replicas(tiny, monkeypatch):
    # Two logical CPUs would have to be set up before TensorFlow starts; the check comes before they are used.
    monkeypatch.setattr("stylegan_tf.training.trainer.make_strategy", lambda *_: tf.distribute.get_strategy())
    given = [*arguments(tiny), "--num-gpus=3"]
    rejects(tiny, [*given, "--minibatch=8"], "minibatch of 8 images at 4x4", "3 replicas")
    rejects(tiny, [*given, "--minibatch=2"], "minibatch", "4x4", "3 GPUs")
    rejects(tiny, [*given, "--minibatch=18"], "minibatch of 18 images", "groups of 4", "6 on each replica")


def test_nothing_is_created_for_a_run_that_cannot_start(tmp_path):
    rejects(tmp_path, [*arguments(tmp_path), "--dataset=digits", "--num-gpus=99"], "--num-gpus=99")
    rejects(tmp_path, [*arguments(tmp_path), "--dataset=digits", "--set=generator.foo=1"], "generator.foo")


def test_truncated_tfrecord(own):
    path = own / "data" / "tiny" / "tiny-r03.tfrecords"
    path.write_bytes(path.read_bytes()[:-10])
    rejects(own, arguments(own), path, "truncated")


def test_foreign_tfrecord(own):
    path = own / "data" / "tiny" / "tiny-r03.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"no example of an image")
    rejects(own, arguments(own), path)


def test_labels_of_another_length(own):
    path = own / "data" / "tiny" / "tiny-rxx.labels"
    with open(path, "wb") as file:
        np.save(file, np.zeros((49, 3), np.float32))
    rejects(own, arguments(own, settings=["max_label_size=full"]), path, "49", "50")


@pytest.mark.parametrize("below", ["", "deeper"])
def test_output_folder_that_is_a_file(own, below):
    (own / "results").write_text("not a folder")
    rejects(own, [*arguments(own), f"--outdir={own / 'results' / below}"], own / "results")
    assert (own / "results").read_text() == "not a folder"


# Resuming with wrong input.


@pytest.fixture
def resumable(run_dir, tmp_path):
    """A copy of the run's folder in `tmp_path`/results, without what resuming does not read; arguments to resume it."""
    copy = tmp_path / "results" / run_dir.name
    copy.mkdir(parents=True)
    for name in ("config.json", "log.txt", "checkpoint-000001.npz", "checkpoint-000002.npz"):
        shutil.copy2(run_dir / name, copy)
    return copy, [f"--outdir={tmp_path / 'results'}", "--resume=latest", "--total-kimg=3"]


@pytest.mark.parametrize(
    "given, words",
    [
        (["--gamma=5"], ["with loss.r1_gamma=", ", not 5"]),
        (["--seed=1"], ["seed=1000, not 1"]),
        (["--config=e"], ["config=f, not e"]),
        (["--resolution=16"], ["resolution=8, not 16"]),
        (["--minibatch=64"], ["schedule.minibatch_base=32, not 64"]),
        (["--set=generator.mapping_layers=3"], ["generator.mapping_layers=2, not 3"]),
        (["--set=discriminator.blur_filter=[1,1]"], ["discriminator.blur_filter=None, not [1, 1]"]),
        (["--num-gpus=99"], ["--num-gpus=99"]),
    ],
    ids=lambda value: value[0] if value[0].startswith("--") else "",
)
def test_resume_with_another_configuration(resumable, tmp_path, given, words):
    _, resume = resumable
    rejects(tmp_path, [*resume, *given], *words)


def test_resume_without_checkpoint(resumable, tmp_path):
    copy, resume = resumable
    for path in copy.glob("*.npz"):
        path.unlink()
    rejects(tmp_path, resume, copy, "no checkpoint")
    (copy / "config.json").unlink()
    rejects(tmp_path, resume, copy / "config.json")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": "x"}', '{"colour": 1}', '{"loss": 3}', '{"seed": -5}'])
def test_resume_with_damaged_configuration(resumable, tmp_path, text):
    copy, resume = resumable
    (copy / "config.json").write_text(text)
    rejects(tmp_path, resume, copy / "config.json", "no readable configuration")


def test_resume_with_damaged_checkpoints(resumable, tmp_path):
    copy, resume = resumable
    (copy / "checkpoint-000001.npz").write_bytes(b"no checkpoint")
    path = copy / "checkpoint-000002.npz"
    whole = path.read_bytes()
    for damaged in (b"", whole[:-100], whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        rejects(tmp_path, resume, copy, "no readable checkpoint", "000001.npz", "000002.npz")


# Stopping.


def wait_for(condition, process):
    """Waits until a condition holds, while the process is at work."""
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """{signal: (folder, output)} of endless runs that were stopped after a tick."""
    folders = {number: tmp_path_factory.mktemp(number.name) for number in (signal.SIGINT, signal.SIGTERM)}
    processes = {}
    for number, folder in folders.items():
        create_dataset(folder / "data", resolution=4)
        options = ["--total-kimg=100000", "--snapshot-ticks=100000"]
        processes[number] = start(arguments(folder, *options, settings=["schedule.tick_kimg_base=0.1"]))
    outputs = {}
    for number, process in processes.items():
        log = folders[number] / "results" / "00000-tiny-f-cpu" / "log.txt"
        wait_for(lambda log=log: log.exists() and "tick 2 " in log.read_text(), process)
        process.send_signal(number)
        outputs[number] = finish(process)
    return {number: (folder, outputs[number]) for number, folder in folders.items()}


@pytest.mark.parametrize("number, run", [(signal.SIGINT, "latest"), (signal.SIGTERM, "0")])
def test_stop_and_resume(stopped, number, run):
    folder, output = stopped[number]
    (run_dir,) = (folder / "results").iterdir()
    checkpoint = max(run_dir.glob("checkpoint-*.npz"))
    stop, how = output.splitlines()[-2:]
    kimg = re.fullmatch(rf"Stopped by {number.name} at ([\d.]+) kimg; wrote {re.escape(str(checkpoint))}\.", stop)[1]
    assert float(kimg) >= 0.2
    assert how == f"Resume with: python run_training.py --resume={run_dir}"
    log = (run_dir / "log.txt").read_text()
    assert log == output

    total = float(kimg) + 0.3
    result = invoke(f"--outdir={folder / 'results'}", f"--resume={run}", f"--total-kimg={total}")
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stdout.startswith(f"Resuming {run_dir} at {kimg} kimg.\n")
    assert result.stdout.endswith(f"Finished. Pictures and networks are in {run_dir}.\n")
    assert (run_dir / "log.txt").read_text() == log + result.stdout
    numbers = [int(row["tick"]) for row in ticks(log + result.stdout)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert float(ticks(result.stdout)[-1]["kimg"]) == pytest.approx(total, abs=0.1)
    assert json.loads((run_dir / "config.json").read_text())["total_kimg"] == total


def test_image_that_cannot_be_read_ends_the_run_and_loses_nothing(tmp_path):
    with MultiResolutionWriter(tmp_path / "data" / "tiny") as writer:
        for number in range(1200):
            writer.add_image(np.full((4, 4, 1), number % 256, np.uint8))
    path = tmp_path / "data" / "tiny" / "tiny-r02.tfrecords"
    intact = path.read_bytes()
    # Small batches are read 64 at a time: the second time, after 512 images, meets the damage.
    index = int(epoch_order(1200, 1200, seed=1000, epoch=0)[900])
    data = bytearray(intact)
    data[len(data) // 1200 * index + 40] ^= 1
    path.write_bytes(data)
    result = invoke(*arguments(tmp_path, "--total-kimg=0.8", settings=["cache_megabytes=0"]))
    assert result.exit_code == 2
    reason = f"{path} is damaged at record {index}: its checksum is wrong or it is cut off."
    assert result.stderr == f"Error: {reason} Create or copy the file again.\n"
    assert re.search(r"Stopped by an image that cannot be read at 0\.5 kimg; wrote .*\nResume with", result.stdout)
    path.write_bytes(intact)
    result = invoke("--resume=latest", f"--outdir={tmp_path / 'results'}", "--total-kimg=0.53")
    assert result.exit_code == 0
    assert "at 0.5 kimg" in result.stdout


# What a run may do besides.


def test_auto_resume_goes_on_with_its_own_run(stopped, tmp_path):
    folder, _ = stopped[signal.SIGINT]
    shutil.copytree(folder / "results", tmp_path / "results")
    (run_dir,) = (tmp_path / "results").iterdir()
    own = arguments(folder, "--total-kimg=100000", "--snapshot-ticks=100000", settings=["schedule.tick_kimg_base=0.1"])
    images = json.loads(np.load(sorted(run_dir.glob("checkpoint-*"))[-1])["__progress__"].item())["images_seen"]
    given = ["--auto-resume", f"--outdir={tmp_path / 'results'}", f"--total-kimg={images / 1000 + 0.01}"]
    result = invoke(*own, *given)
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"Resuming {run_dir} at {images / 1000:.1f} kimg." in result.stdout
    # Another configuration is another run.
    result = invoke(*own, "--auto-resume", f"--outdir={tmp_path / 'results'}", "--total-kimg=0.01", "--gamma=3")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "00001-tiny-f-cpu: 50 images" in result.stdout


def test_run_that_starts_from_another(run_dir, tiny, tmp_path):
    options = ["--total-kimg=0.01", f"--init-from={run_dir}", f"--outdir={tmp_path}", "--freeze-d=1"]
    result = invoke(*arguments(tiny, *options))
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"\nStarting from {run_dir / 'network-snapshot-000002'}.\n" in result.stdout
    assert "to_rgb" in result.stdout  # three colours do not fit one
    config = json.loads((tmp_path / "00000-tiny-f-cpu" / "config.json").read_text())
    assert config["schedule"]["lod_initial_resolution"] == 4  # --set goes last


def test_metrics_of_snapshots(tiny, tmp_path, monkeypatch):
    seen, opened = [], []

    def open_network(session):
        opened.append(session.need_dataset().name)
        return opened[-1]

    def fid(session, network, count):
        assert session.generator.growth == (4, 1.0) and not session.options.mirror
        seen.append(network)
        return Result({"fid50k": 10.0 + len(seen)})

    metric = Metric("a distance", open_network, fid, reals=False)
    other = replace(metric, measure=lambda session, network, count: Result({"other": float(len(opened))}))
    monkeypatch.setattr(run_training, "METRICS", {"fid50k": metric, "other": other})
    options = [
        "--total-kimg=0.03",
        "--metrics=fid50k,other",
        "--snapshot-ticks=1",
        "--profile=1:1",
        f"--outdir={tmp_path}",
        "--conditional",
    ]
    result = invoke(*arguments(tiny, *options, settings=["schedule.tick_kimg_base=0.016"]))
    assert result.exit_code == 0, (result.output, result.exception)
    run_dir = tmp_path / "00000-tiny-f-cpu"
    lines = [json.loads(line) for line in (run_dir / "metric-fid50k.jsonl").read_text().splitlines()]
    assert [line["results"] for line in lines] == [{"fid50k": 11.0}]  # kimg 0 and 0 are one snapshot
    assert seen == opened == ["tiny"]  # before the run, for both metrics
    assert json.loads((run_dir / "best" / "best.json").read_text())["value"] == 11.0
    assert keras.saving.load_model(run_dir / "best" / "Gs.keras").label_size == 3
    names = [name for name, images in keras.saving.load_model(run_dir / "best" / "Gs.keras").label_columns if images]
    assert names == ["0", "1", "2"]
    assert read_events(run_dir)["fid50k", 16] == 11.0
    assert list(run_dir.glob("plugins/profile/*/*.xplane.pb"))
    with Image.open(run_dir / "reals.png") as grid:
        assert grid.size == (16 * 8, 3 * 8)  # a row for each of the classes


@pytest.mark.parametrize("kimg, limit", [(1, 4), (0.048, 100)], ids=["in the middle", "at the end"])
def test_run_that_diverges(tiny, tmp_path, kimg, limit):
    rates = [f"schedule.{name}_lrate_base=1e9" for name in "GD"]
    settings = [*rates, "schedule.tick_kimg_base=10", f"nonfinite_limit={limit}"]
    result = invoke(*arguments(tiny, f"--total-kimg={kimg}", f"--outdir={tmp_path}", settings=settings))
    assert "Finished" not in result.stdout
    assert result.exit_code == 2
    assert re.fullmatch(
        r"Error: Training has diverged at 0\.\d kimg: the last \d+ updates of [GD] were not finite and were skipped\. "
        r"In the last step, the first tensor that is not finite is .+\. Resume from .+\n",
        result.stderr,
    )

"""The papers' configurations and the data sets' recipes: what they say, what wins, and that all of them train."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.recipes.presets import CONFIGS, DATASETS, MINIBATCHES, NO_GROWING, make_config, merge
from stylegan_tf.recipes.settings import (
    LossConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    from_dict,
    override,
    to_dict,
)
from stylegan_tf.training.models import Models
from stylegan_tf.training.steps import TrainingStep

DATA = pathlib.Path(__file__).parent / "reference" / "data"
SCHEDULES = json.loads((DATA / "training_schedule.json").read_text())
SG2_SCHEDULES = json.loads((DATA / "stylegan2-training_schedule.json").read_text())

WGAN_GP = {
    "loss.generator": "wgan",
    "loss.discriminator": "wgan",
    "loss.r1_gamma": 0.0,
    "loss.gradient_penalty": 10.0,
    "loss.drift": 0.001,
}
TRADITIONAL = {
    "generator.use_styles": False,
    "generator.use_pixel_norm": True,
    "generator.use_instance_norm": False,
    "generator.const_input_layer": False,
    "generator.use_noise": False,
    "style_mixing_prob": 0.0,
}

SG2_B = {
    "networks": "stylegan2-growing",
    "generator.fmap_base": 8192,
    "discriminator.fmap_base": 8192,
    "step_order": "g-average-d",
    "schedule.minibatch_base": 32,
    "schedule.minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32},
    "schedule.tick_kimg_base": 4.0,
    "schedule.tick_kimg_dict": {8: 28.0, 16: 24.0, 32: 20.0, 64: 16.0, 128: 12.0, 256: 8.0, 512: 6.0, 1024: 4.0},
    "snapshot_ticks": 50,
}
SG2_C = SG2_B | {"loss.r1_interval": 16}
SG2_D = SG2_C | {"loss.path_length_weight": 2.0, "loss.path_length_interval": 4}
SG2_E = SG2_D | {
    "networks": "stylegan2",
    "schedule.lod_initial_resolution": 1024,
    "schedule.lod_training_kimg": 0.0,
    "schedule.lod_transition_kimg": 0.0,
    "schedule.minibatch_dict": {},
    **{f"schedule.{network}_lrate_base": 0.002 for network in "GD"},
    **{f"schedule.{network}_lrate_dict": {} for network in "GD"},
}

# What each configuration sets otherwise than F, on FFHQ.
DIFFERENCES = {
    "a": {
        "networks": "progan",
        **WGAN_GP,
        "schedule.lod_initial_resolution": 4,
        "total_kimg": 12000.0,
        "style_mixing_prob": 0.0,
    },
    "b": {**TRADITIONAL, "generator.mapping_layers": 0},
    "c": {"generator.const_input_layer": False, "generator.use_noise": False, "style_mixing_prob": 0.0},
    "d": {"generator.use_noise": False, "style_mixing_prob": 0.0},
    "e": {"style_mixing_prob": 0.0},
    "f": {},
    "traditional-0": {**TRADITIONAL, "generator.mapping_layers": 0},
    "traditional-8": {**TRADITIONAL, "generator.mapping_layers": 8},
    "style-0": {"generator.mapping_layers": 0},
    "style-1": {"generator.mapping_layers": 1},
    "style-2": {"generator.mapping_layers": 2},
    "style-8": {"generator.mapping_layers": 8},
    "sg2-a": {},
    "sg2-b": SG2_B,
    "sg2-c": SG2_C,
    "sg2-d": SG2_D,
    # R1 weighs more on FFHQ.
    "sg2-e": SG2_E | {"loss.r1_gamma": 100.0},
    "sg2-f": SG2_E | {"generator.fmap_base": 16384, "discriminator.fmap_base": 16384},
}
# StyleGAN's own, with which StyleGAN2's baseline is one run.
STYLEGAN = [name for name in CONFIGS if not name.startswith("sg2-") or name == "sg2-a"]


def flat(values, prefix=""):
    """{"loss.r1_gamma": 10.0, ...}; the tables of a schedule stay whole."""
    items = {}
    for name, value in values.items():
        nested = isinstance(value, dict) and not name.endswith("_dict")
        items |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": value}
    return items


def differences(config, base):
    """{name: value} of what `config` sets otherwise than `base`; None where only `base` sets it."""
    config, base = flat(to_dict(config)), flat(to_dict(base))
    return {name: config.get(name) for name in config | base if config.get(name) != base.get(name)}


# Tables 1 and 4.


def test_defaults_are_f():
    config = make_config()
    assert (config.config, config.dataset, config.num_gpus, config.num_hosts) == ("f", "ffhq", 0, 1)
    assert differences(config, TrainingConfig()).keys() == {"schedule.minibatch_dict"}  # the row of one GPU
    assert config.optimizer == OptimizerConfig(beta1=0.0, beta2=0.99, epsilon=1e-8)
    assert (config.loss.generator, config.loss.discriminator) == ("logistic-nonsaturating", "logistic")
    assert (config.loss.r1_gamma, config.total_kimg, config.style_mixing_prob) == (10.0, 25000.0, 0.9)
    assert config.mirror


def test_configurations_of_the_paper():
    assert list(CONFIGS) == list(DIFFERENCES)


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration(name):
    found = differences(make_config(name), make_config())
    assert found.pop("config", "f") == name
    assert found == DIFFERENCES[name]


@pytest.mark.parametrize("wrong", ["g", "F", "", "digits", "style-3"])
def test_unknown_configuration(wrong):
    with pytest.raises(ValueError, match=f"no configuration '{wrong}'; there are: a, b, c, d, e, f, traditional-0, "):
        make_config(wrong)


# Data sets.


@pytest.mark.parametrize(
    "dataset, changes",
    [
        ("ffhq", {}),
        ("ffhq256", {}),
        ("ffhq-512", {}),
        ("lsun-bedroom", {"mirror": False, "total_kimg": 70000.0}),
        ("lsun-bedroom-256", {"mirror": False, "total_kimg": 70000.0}),
        ("lsun-cat", {"mirror": False, "total_kimg": 70000.0}),
        ("lsun-car", {"mirror": False, "total_kimg": 46000.0}),
        ("cifar10", {"max_label_size": "full"}),
        ("cifar100", {"mirror": False}),
        ("my-cats", {"mirror": False}),
        ("256", {"mirror": False}),
    ],
)
def test_dataset(dataset, changes):
    assert differences(make_config("f", dataset), make_config("f", "ffhq")) == changes | (
        {} if dataset == "ffhq" else {"dataset": dataset}
    )


@pytest.mark.parametrize("name", STYLEGAN)
@pytest.mark.parametrize("dataset", ["celebahq", "celebahq-256"])
def test_celebahq(name, dataset):
    config = make_config(name, dataset)
    found = differences(config, make_config(name))
    assert {key: value for key, value in found.items() if key.startswith("loss.")} == (WGAN_GP if name != "a" else {})
    assert config.mirror
    assert config.total_kimg == (12000 if name == "a" else 25000)
    config = dataclasses.replace(config, resolution=1024)
    phases = [config.phase(images) for images in range(0, 12_000_001, 200_000)]
    for get in ("G_lrate", "D_lrate"):
        rates = {phase.resolution: getattr(phase, get) for phase in phases}
        assert rates | {4: 0.001} == {
            **{4: 0.001, 8: 0.001, 16: 0.001, 32: 0.001, 64: 0.001, 128: 0.0015},
            **{256: 0.002, 512: 0.002, 1024: 0.002},
        }


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - set(STYLEGAN)))
def test_stylegan2_keeps_its_loss_on_celebahq(name):
    base = {"loss.r1_gamma": 10.0} if name == "sg2-e" else {}
    found = differences(make_config(name, "celebahq"), make_config(name))
    assert {key: value for key, value in found.items() if key.startswith("loss.")} == base


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("sg2-")])
def test_stylegan2_on_lsun_car(name):
    found = differences(make_config(name, "lsun-car"), make_config(name))
    # The baseline is StyleGAN's run; E's R1 weighs more on FFHQ, F's on cars.
    gamma = {"sg2-e": {"loss.r1_gamma": 10.0}, "sg2-f": {"loss.r1_gamma": 100.0}}.get(name, {})
    kimg = 46000.0 if name == "sg2-a" else 57000.0
    assert found == {"dataset": "lsun-car", "mirror": False, "total_kimg": kimg} | gamma


def test_digits():
    # The recipe that the README's figures were measured with.
    assert make_config("f", "digits") == TrainingConfig(
        config="f",
        dataset="digits",
        mirror=False,
        total_kimg=140.0,
        generator={
            "fmap_base": 256,
            "fmap_max": 64,
            "latent_size": 64,
            "dlatent_size": 64,
            "mapping_fmaps": 64,
            "mapping_layers": 4,
        },
        discriminator={"fmap_base": 256, "fmap_max": 64},
        loss=LossConfig(r1_gamma=0.5),
        schedule=ScheduleConfig(
            lod_training_kimg=50.0,
            lod_transition_kimg=10.0,
            minibatch_base=32,
            G_lrate_base=0.01,
            D_lrate_base=0.01,
            tick_kimg_base=5.0,
            tick_kimg_dict={},
        ),
        average_half_life_kimg=3.0,
        threads_per_operation=1,
        snapshot_ticks=4,
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_on_digits(name):
    found = differences(make_config(name, "digits"), make_config("f", "digits"))
    assert found.pop("config", "f") == name
    expected = dict(DIFFERENCES[name])
    if name == "a":
        # The length is the data set's, a level longer; Progressive GAN's generator knows no w.
        expected["total_kimg"] = 200.0
        expected |= {f"generator.{key}": None for key in ("dlatent_size", "mapping_fmaps", "mapping_layers")}
    if name not in STYLEGAN:
        # Small networks, and all that is said of the digits' schedule and loss, but that E and F do not grow.
        sizes = ("generator.fmap_base", "discriminator.fmap_base")
        own = ("minibatch_base", "minibatch_dict", "tick_kimg_base", "tick_kimg_dict", "G_lrate_base", "D_lrate_base")
        own = {*sizes, *(f"schedule.{key}" for key in own), "snapshot_ticks", "loss.r1_gamma"}
        expected = {key: value for key, value in expected.items() if key not in own}
        if name == "sg2-f":
            expected |= dict.fromkeys(sizes, 512)
        if name in ("sg2-e", "sg2-f"):
            expected |= {"total_kimg": 75.0, "schedule.minibatch_base": 16}
    assert found == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_on_avatars(name):
    """What the digits' is, but for the widths, the length and the weight of R1."""
    found = differences(make_config(name, "avatars"), make_config(name, "digits"))
    expected = {"dataset": "avatars", "total_kimg": 300.0 if name == "a" else 240.0}
    if name in ("sg2-e", "sg2-f"):
        expected |= {"loss.r1_gamma": 0.2, "average_half_life_kimg": 5}
    else:
        expected |= {"schedule.lod_training_kimg": 40.0, "generator.fmap_base": 384, "discriminator.fmap_base": 384}
        if make_config(name, "digits").loss.r1_gamma:
            expected["loss.r1_gamma"] = 1.0
    assert found == expected
    config = dataclasses.replace(make_config(name, "avatars"), resolution=64)
    last = config.phase(config.total_kimg * 1000 - 40000)
    assert (last.resolution, last.fade, last.minibatch) == (64, 1.0, 16 if name in ("sg2-e", "sg2-f") else 32)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name not in ("sg2-e", "sg2-f")])
def test_digits_reach_their_resolution(name):
    config = dataclasses.replace(make_config(name, "digits"), resolution=32)
    first, last = config.phase(0), config.phase(config.total_kimg * 1000 - 20000)
    assert first.resolution == (4 if name == "a" else 8)
    assert (first.minibatch, first.G_lrate, first.D_lrate) == (32, 0.01, 0.01)
    # Complete for the last 20 kimg, and not for much longer.
    assert (last.resolution, last.fade) == (32, 1.0)
    assert config.phase(config.total_kimg * 1000 - 21000).fade < 1


def test_tables_are_not_shared():
    before = json.dumps([CONFIGS, DATASETS, MINIBATCHES])
    config = make_config("c", "digits")
    for table in (config.generator, config.discriminator, config.schedule.minibatch_dict, config.schedule.G_lrate_dict):
        table["spoilt"] = 1
    make_config("a", "celebahq").schedule.G_lrate_dict[8] = 1.0
    assert json.dumps([CONFIGS, DATASETS, MINIBATCHES]) == before
    assert 8 not in make_config().schedule.G_lrate_dict


def test_merge():
    base = {"a": 1, "loss": {"x": 1, "y": 2}, "b_dict": {1: 1, 2: 2}, "inner": {"c_dict": {1: 1}, "z": 3}}
    changes = {"a": 2, "loss": {"y": 3}, "b_dict": {2: 5}, "inner": {"c_dict": {}}, "new": {"d": 1}}
    copy = json.loads(json.dumps(base))
    assert merge(base, changes) == {
        "a": 2,
        "loss": {"x": 1, "y": 3},
        "b_dict": {2: 5},
        "inner": {"c_dict": {}, "z": 3},
        "new": {"d": 1},
    }
    assert json.loads(json.dumps(base)) == copy


# The schedule.


@pytest.mark.parametrize(
    "num_gpus, num_hosts, row",
    [
        *[(0, 1, 1), (1, 1, 1), (2, 1, 2), (3, 1, 2), (7, 1, 4), (8, 1, 8), (16, 1, 8)],
        *[(0, 2, 2), (1, 2, 2), (2, 2, 4), (4, 2, 8), (8, 2, 8), (1, 3, 2), (1, 8, 8)],
    ],
)
def test_minibatches_by_gpus(num_gpus, num_hosts, row):
    config = make_config("f", "ffhq", num_gpus, num_hosts)
    assert (config.num_gpus, config.num_hosts) == (num_gpus, num_hosts)
    assert config.num_replicas == max(num_gpus, 1) * num_hosts
    assert config.schedule.minibatch_base == MINIBATCHES[row]["minibatch_base"]
    assert config.schedule.minibatch_dict == MINIBATCHES[row]["minibatch_dict"]


@pytest.mark.parametrize("devices", [{"num_gpus": -1}, {"num_hosts": 0}])
def test_impossible_devices(devices):
    with pytest.raises(ValueError, match=f"{next(iter(devices))} must be at least"):
        make_config("f", "ffhq", **devices)


def test_phase_counts_replicas():
    # 64 images at 8x8, rounded down to a multiple of three.
    settings = ["resolution=16", "schedule.minibatch_dict={}", "schedule.minibatch_base=64"]
    config = override(make_config("f", num_gpus=3), settings)
    assert config.phase(0).minibatch == 63
    config = override(config, ['schedule.max_minibatch_per_gpu={"8": 4}'])
    assert config.phase(0).minibatch == 12
    assert dataclasses.replace(config, num_hosts=2).phase(0).minibatch == 24


def reference_runs(prefix):
    runs = [run for run in SCHEDULES["schedules"] if run["name"].startswith(prefix)]
    return [pytest.param(run, id=f"{run['name']}-{run['resolution']}") for run in runs]


def assert_schedule(config, run, columns=SCHEDULES["columns"]):
    """The phases of `config` are the rows of a reference run."""
    assert run["rows"]
    for row in run["rows"]:
        expected = dict(zip((name.replace("minibatch_size", "minibatch") for name in columns), row, strict=True))
        phase = config.phase(expected["cur_nimg"])
        assert phase.lod == pytest.approx(expected["lod"], rel=0, abs=1e-9)
        assert phase.fade == pytest.approx(1 - expected["lod"] % 1, rel=0, abs=1e-9)
        assert phase.G_lrate == pytest.approx(expected["G_lrate"], rel=1e-9)
        assert phase.D_lrate == pytest.approx(expected["D_lrate"], rel=1e-9)
        for name in ("resolution", "minibatch", "tick_kimg"):
            assert getattr(phase, name) == expected[name]


def test_there_are_reference_runs():
    assert {run.values[0]["num_gpus"] for run in reference_runs("ffhq-")} == {1, 2, 4, 8}
    assert len(reference_runs("nogrowing")) == 1


@pytest.mark.parametrize("name", [name for name in STYLEGAN if name != "a"])
@pytest.mark.parametrize("run", reference_runs("ffhq-"))
def test_schedule_is_the_papers(run, name):
    config = make_config(name, "ffhq", run["num_gpus"])
    assert_schedule(dataclasses.replace(config, resolution=run["resolution"]), run)


@pytest.mark.parametrize("run", reference_runs("ffhq-"))
def test_schedule_of_a(run):
    """Configuration A is one level behind, and has the same minibatches and learning rates by resolution."""
    config = dataclasses.replace(make_config("a", "ffhq", run["num_gpus"]), resolution=run["resolution"])
    first = config.phase(0)
    assert (first.resolution, first.fade, first.tick_kimg) == (4, 1.0, 160)
    assert first.minibatch == {1: 128, 2: 256, 4: 512, 8: 512}[run["num_gpus"]]
    for row in run["rows"]:
        expected = dict(zip(SCHEDULES["columns"], row, strict=True))
        phase = config.phase(expected["cur_nimg"] + 1_200_000)
        assert phase.lod == pytest.approx(expected["lod"], rel=0, abs=1e-9)
        assert phase.G_lrate == pytest.approx(expected["G_lrate"], rel=1e-9)
        assert (phase.resolution, phase.minibatch) == (expected["resolution"], expected["minibatch"])


@pytest.mark.parametrize("run", reference_runs("nogrowing"))
def test_no_growing_is_the_references(run):
    # That run has one learning rate and one minibatch.
    constant = ["schedule.G_lrate_dict={}", "schedule.D_lrate_dict={}", "schedule.minibatch_dict={}"]
    config = override(make_config("f", "ffhq", run["num_gpus"]), [*NO_GROWING, *constant])
    assert_schedule(dataclasses.replace(config, resolution=run["resolution"]), run)


@pytest.mark.parametrize(
    "name, reference",
    [(f"sg2-{name}", "config-a-d") for name in "bcd"] + [(f"sg2-{name}", "defaults") for name in "ef"],
)
@pytest.mark.parametrize("num_gpus", [0, 1, 8])
def test_schedule_is_stylegan2s(name, reference, num_gpus):
    (run,) = (run for run in SG2_SCHEDULES["schedules"] if run["name"] == reference)
    config = dataclasses.replace(make_config(name, "ffhq", num_gpus), resolution=run["resolution"])
    assert_schedule(config, run, SG2_SCHEDULES["columns"])


@pytest.mark.parametrize("dataset, resolution", [("ffhq", 1024), ("ffhq", 256), ("lsun-car", 512), ("digits", 32)])
@pytest.mark.parametrize("name", CONFIGS)
def test_no_growing(name, dataset, resolution):
    config = dataclasses.replace(override(make_config(name, dataset, 8), NO_GROWING), resolution=resolution)
    for images in (0, 1, 100_000, config.total_kimg * 1000):
        phase = config.phase(images)
        assert (phase.resolution, phase.lod, phase.fade) == (resolution, 0.0, 1.0)


# Training.


@pytest.fixture(scope="module")
def strategy():
    # Tracing each of these steps would take far longer than running it once.
    tf.config.run_functions_eagerly(True)
    yield tf.distribute.MirroredStrategy(["/cpu:0"])
    tf.config.run_functions_eagerly(False)


def small(config):
    """The configuration at 8x8 with small networks."""
    sizes = {"fmap_base": 64, "fmap_max": 8}
    latent = {"latent_size": 8} if config.networks == "progan" else {"latent_size": 8, "mapping_fmaps": 8}
    if config.networks != "progan":
        without_mapping = config.generator.get("mapping_layers") == 0
        latent["dlatent_size"] = 16 if config.max_label_size and without_mapping else 8
    values = to_dict(config)
    values["generator"] |= sizes | latent
    values["discriminator"] |= sizes
    return from_dict(TrainingConfig, values | {"resolution": 8})


def weights(network):
    return [variable.numpy() for variable in network.trainable_variables]


def changed(before, after):
    """How many of the variables have changed."""
    return sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "name, dataset",
    [
        *((name, "ffhq") for name in CONFIGS),
        *((name, "digits") for name in (*"abcdef", "sg2-b", "sg2-d", "sg2-e", "sg2-f")),
        *((name, "cifar10") for name in ("a", "b", "f", "style-0")),
        *((name, "celebahq") for name in ("b", "f")),
    ],
)
def test_first_step(name, dataset, strategy):
    """Each configuration takes a step of D and one of G, with all that is lazy, at the resolution it starts from."""
    config = small(make_config(name, dataset))
    label_size = 3 if config.max_label_size else 0
    with strategy.scope():
        models = Models(config, 3, label_size)
    phase = config.phase(0)
    assert phase.resolution == (4 if name == "a" else 8)
    random = np.random.RandomState(0)
    labels = tf.constant(np.eye(max(label_size, 1), label_size)[random.randint(max(label_size, 1), size=4)], tf.float32)
    images = tf.constant(random.randint(256, size=(4, phase.resolution, phase.resolution, 3)), tf.uint8)
    before = {network: weights(getattr(models, network)) for network in ("G", "D", "Gs")}
    step = TrainingStep(models, config, strategy, phase.resolution, False, labels)
    rates = tf.constant(phase.G_lrate), tf.constant(phase.D_lrate)
    statistics = step(images, labels, tf.constant(0, tf.int64), tf.constant(1.0), *rates, tf.constant(0.5)).numpy()
    assert np.all(np.isfinite(statistics))
    named = dict(zip(step.statistics, statistics, strict=True))
    assert named["D_skipped"] == named["G_skipped"] == 0
    after = {network: weights(getattr(models, network)) for network in ("G", "D", "Gs")}
    # Gs is averaged before G's step, so after the first one it is still where it started; StyleGAN2's follows G's step.
    moves = config.step_order == "g-average-d"
    assert changed(before["Gs"], after["Gs"]) == (changed(before["G"], after["G"]) if moves else 0)
    for network, lazy in (("G", config.loss.lazy_path_length), ("D", config.loss.lazy_r1)):
        assert changed(before[network], after[network]) > 0.3 * len(before[network])
        largest = max(np.abs(b - a).max() for b, a in zip(before[network], after[network], strict=True))
        # Adam's first step is of the length of the learning rate; a regularizer makes a second one.
        rate = getattr(phase, f"{network}_lrate")
        if lazy:
            assert 0.5 * rate < largest < 2.5 * rate
        else:
            assert largest == pytest.approx(rate, rel=0.01)
    assert phase.G_lrate == phase.D_lrate
    if name in STYLEGAN:
        assert phase.G_lrate == (0.01 if dataset == "digits" else 0.001)

"""Configurations: JSON and back, presets, changes to them, and the paper's numbers."""

import dataclasses
import json
import math
import pathlib

import pytest

from stylegan_tf.configs import (
    MINIBATCHES,
    PRESETS,
    LossConfig,
    ScheduleConfig,
    TrainingConfig,
    from_dict,
    make_config,
    merge,
    override,
    to_dict,
)

SCHEDULES = json.loads((pathlib.Path(__file__).parent / "reference" / "data" / "training_schedule.json").read_text())

SETTINGS = (
    "dataset=cats",
    "resolution=64",
    "max_label_size=full",
    "mirror=false",
    "total_kimg=1",
    "loss.r1_gamma=0",
    "optimizer.beta1=0.5",
    'schedule.minibatch_dict={"4": 64, "8": 32}',
    'schedule.G_lrate_dict={"64": 0.002}',
    "generator.fmap_max=32",
    "generator.blur_filter=[1, 3, 3, 1]",
    "discriminator.mbstd_group_size=1",
)


@pytest.mark.parametrize("settings", [(), SETTINGS])
@pytest.mark.parametrize("num_gpus", [0, 1, 8])
@pytest.mark.parametrize("preset", PRESETS)
def test_round_trip(preset, num_gpus, settings):
    config = override(make_config(preset, num_gpus), settings)
    assert from_dict(TrainingConfig, to_dict(config)) == config
    again = from_dict(TrainingConfig, json.loads(json.dumps(to_dict(config))))
    assert again == config
    assert all(isinstance(key, int) for key in again.schedule.minibatch_dict)
    assert isinstance(again.schedule, ScheduleConfig)
    if settings:
        assert again != make_config(preset, num_gpus)


def test_numbers_keep_their_type():
    # TensorFlow does not mix integers and floats, so an integer given for a float becomes one.
    config = override(make_config("f"), ["optimizer.beta1=0", "total_kimg=3", 'schedule.G_lrate_dict={"8": 1}'])
    assert isinstance(config.optimizer.beta1, float)
    assert isinstance(config.total_kimg, float)
    assert isinstance(config.schedule.G_lrate_dict[8], float)
    assert isinstance(config.seed, int)


def test_configurations_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_config("f").seed = 1


def test_tables_are_not_shared():
    make_config("f").schedule.G_lrate_dict[8] = 1.0
    assert 8 not in make_config("f").schedule.G_lrate_dict
    override(make_config("digits"), ["generator.fmap_max=1"])
    assert PRESETS["digits"]["generator"]["fmap_max"] != 1


def test_preset_keeps_what_it_does_not_change():
    f, digits = make_config("f"), make_config("digits")
    assert digits.optimizer == f.optimizer
    assert digits.loss == LossConfig(**PRESETS["digits"]["loss"])
    assert digits.schedule.lod_initial_resolution == f.schedule.lod_initial_resolution
    assert digits.schedule.G_lrate_dict == f.schedule.G_lrate_dict
    assert (digits.config, digits.dataset) == ("digits", "digits")
    assert (f.config, f.dataset) == ("f", "ffhq")
    # The paper's minibatches give way to its own.
    assert (digits.schedule.minibatch_base, digits.schedule.minibatch_dict) == (32, {})


def test_unknown_preset():
    with pytest.raises(ValueError, match="no configuration 'g'; there are: f, digits"):
        make_config("g")


@pytest.mark.parametrize(
    "num_gpus, row", [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (7, 4), (8, 8), (9, 8), (16, 8)]
)
def test_minibatches_by_gpus(num_gpus, row):
    config = make_config("f", num_gpus)
    assert config.num_gpus == num_gpus
    assert config.num_replicas == max(num_gpus, 1)
    assert config.schedule.minibatch_base == MINIBATCHES[row]["minibatch_base"]
    assert config.schedule.minibatch_dict == MINIBATCHES[row]["minibatch_dict"]


def test_phase_counts_replicas():
    # 64 images at 16x16, rounded down to a multiple of three.
    config = override(
        make_config("f", 3), ["resolution=16", "schedule.minibatch_dict={}", "schedule.minibatch_base=64"]
    )
    assert config.phase(0).minibatch == 63
    config = override(config, ['schedule.max_minibatch_per_gpu={"8": 4}'])
    assert config.phase(0).minibatch == 12


def paper_runs():
    runs = [run for run in SCHEDULES["schedules"] if run["name"].startswith("ffhq-")]
    return [pytest.param(run, id=f"{run['name']}-{run['resolution']}") for run in runs]


def test_there_are_paper_runs():
    assert {run.values[0]["num_gpus"] for run in paper_runs()} == {1, 2, 4, 8}


@pytest.mark.parametrize("run", paper_runs())
def test_phase_is_the_papers(run):
    config = dataclasses.replace(make_config("f", run["num_gpus"]), resolution=run["resolution"])
    assert run["rows"]
    for row in run["rows"]:
        expected = dict(zip(SCHEDULES["columns"], row, strict=True))
        phase = config.phase(expected["cur_nimg"])
        assert phase.lod == pytest.approx(expected["lod"], rel=0, abs=1e-9)
        assert phase.fade == pytest.approx(1 - expected["lod"] % 1, rel=0, abs=1e-9)
        assert phase.G_lrate == pytest.approx(expected["G_lrate"], rel=1e-9)
        assert phase.D_lrate == pytest.approx(expected["D_lrate"], rel=1e-9)
        for name in ("resolution", "minibatch", "tick_kimg"):
            assert getattr(phase, name) == expected[name]


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


@pytest.mark.parametrize(
    "setting, value",
    [
        ("total_kimg=12.5", 12.5),
        ("total_kimg=1e3", 1000.0),
        ("mirror=false", False),
        ("resolution=null", None),
        ("resolution=32", 32),
        ("max_label_size=full", "full"),
        ('max_label_size="full"', "full"),
        ("max_label_size=3", 3),
        ("dataset=cats=dogs", "cats=dogs"),
        ("data_dir=", ""),
        ("loss.r1_gamma=3", 3.0),
        ("schedule.minibatch_dict.8=24", 24),
        ('schedule.minibatch_dict={"8": 24}', {8: 24}),
        ("generator.fmap_max=7", 7),
        ("generator.use_noise=false", False),
        ("generator.anything=a word", "a word"),
    ],
)
def test_override(setting, value):
    before = make_config("digits" if "generator" in setting else "f")
    after = override(before, [setting])
    path = setting.partition("=")[0].split(".")
    changed = json.loads(json.dumps(to_dict(before)))
    target = changed
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    assert to_dict(after) == to_dict(from_dict(TrainingConfig, changed))
    found = to_dict(after)
    for name in path:
        found = found[int(name) if name.isdigit() else name]
    assert found == value
    assert type(found) is type(value)


def test_later_settings_win():
    assert override(make_config("f"), ["seed=1", "mirror=false", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    "setting, message",
    [
        ("seed", "has the form KEY=VALUE; received 'seed'"),
        ("=3", "no setting ''; there are: config, dataset"),
        ("sed=3", "no setting 'sed'; there are: config, dataset"),
        ("loss.gamma=3", "no setting 'loss.gamma'; there are: generator, discriminator, r1_gamma"),
        ("seed.x=3", "no setting 'seed.x'"),
        ("nothing.x=3", "no setting 'nothing.x'"),
        ("generator.a.b=3", "no setting 'generator.a.b'"),
        ("schedule.minibatch_dict.9=8", "no setting 'schedule.minibatch_dict.9'; there are: 4, 8"),
        ("seed=x", "seed must be int; received 'x'"),
        ("seed=1.0", "seed must be int; received 1.0"),
        ("seed=true", "seed must be int; received True"),
        ("seed=null", "seed must be int; received None"),
        ("seed=-1", "seed must be from 0 to 4294967295; received -1"),
        ("num_gpus=-1", "num_gpus must be at least 0; received -1"),
        ("snapshot_ticks=0", "snapshot_ticks must be at least 1; received 0"),
        ("style_mixing_prob=1.5", "style_mixing_prob must be from 0 to 1; received 1.5"),
        ("mirror=1", "mirror must be bool; received 1"),
        ("dataset=1", "dataset must be str; received 1"),
        ("resolution=big", "resolution must be int or NoneType; received 'big'"),
        ("max_label_size=1.5", "max_label_size must be int or str; received 1.5"),
        ("total_kimg=true", "total_kimg must be float; received True"),
        ("total_kimg=NaN", "total_kimg must be finite; received nan"),
        ("loss.r1_gamma=Infinity", "r1_gamma must be finite; received inf"),
        ("generator=3", "generator must be dict; received 3"),
        ("schedule=[]", "ScheduleConfig must be a table of settings; received"),
        ('loss={"gamma": 3}', "LossConfig has no setting gamma"),
        ("schedule.minibatch_dict=8", "minibatch_dict must be a table such as .* received 8"),
        ('schedule.minibatch_dict={"small": 8}', "minibatch_dict must be a table"),
        ('schedule.minibatch_dict={"8": 8.5}', "minibatch_dict must be a table"),
    ],
)
def test_wrong_settings(setting, message):
    config = make_config("f")
    with pytest.raises(ValueError, match=message):
        override(config, [setting])
    assert config == make_config("f")


@pytest.mark.parametrize(
    "values", [[], None, 3, "text", {"seed": "x"}, {"colour": 1}, {"loss": []}, {"total_kimg": -1}]
)
def test_what_is_no_configuration(values):
    with pytest.raises(ValueError):
        from_dict(TrainingConfig, values)


def test_ranges_hold_without_json():
    with pytest.raises(ValueError, match="average_half_life_kimg must be at least 0; received -1"):
        TrainingConfig(average_half_life_kimg=-1)
    with pytest.raises(ValueError, match="total_kimg must be at least 0; received nan"):
        TrainingConfig(total_kimg=math.nan)

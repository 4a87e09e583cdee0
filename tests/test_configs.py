"""Configurations: JSON and back, changes to them, and what is refused."""

import dataclasses
import json
import math
import pathlib

import pytest

from stylegan_tf.recipes.presets import CONFIGS, DATASETS, make_config
from stylegan_tf.recipes.settings import (
    SETTINGS,
    LossConfig,
    OptimizerConfig,
    ScheduleConfig,
    TrainingConfig,
    from_dict,
    override,
    to_dict,
)
from stylegan_tf.recipes.settings_page import settings_page
from stylegan_tf.runtime.precision import PRECISIONS
from stylegan_tf.training.losses import DISCRIMINATOR_LOSSES, GENERATOR_LOSSES

CHANGES = (
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


@pytest.mark.parametrize("settings", [(), CHANGES])
@pytest.mark.parametrize("num_gpus", [0, 8])
@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip(name, dataset, num_gpus, settings):
    preset = make_config(name, dataset, num_gpus)
    config = override(preset, settings)
    assert from_dict(TrainingConfig, to_dict(config)) == config
    again = from_dict(TrainingConfig, json.loads(json.dumps(to_dict(config))))
    assert again == config
    assert all(isinstance(key, int) for key in again.schedule.minibatch_dict)
    assert isinstance(again.schedule, ScheduleConfig)
    if settings:
        assert again != preset


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
        ("optimizer.beta1=0", 0.0),
        ("optimizer.beta2=0.999", 0.999),
        ("loss.path_length_decay=1", 1.0),
        ("schedule.G_lrate_base=0", 0.0),
        ("precision=bf16", "bf16"),
        ("networks=progan", "progan"),
        ("init_from=results/00003-ffhq-f-8gpu", "results/00003-ffhq-f-8gpu"),
        ("init_from=null", None),
        ("generator.fmap_max=7", 7),
        ("generator.use_noise=false", False),
        ("generator.anything=a word", "a word"),
    ],
)
def test_override(setting, value):
    before = make_config("f", "digits" if "generator" in setting else "ffhq")
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
        ("num_hosts=0", "num_hosts must be at least 1; received 0"),
        ("accumulate=0", "accumulate must be at least 1; received 0"),
        ("freeze_d=-1", "freeze_d must be at least 0; received -1"),
        ("keep_checkpoints=0", "keep_checkpoints must be at least 1; received 0"),
        ("nonfinite_limit=0", "nonfinite_limit must be at least 1; received 0"),
        ("loss.r1_gamma=-1", r"^loss\.r1_gamma must be at least 0; received -1\.0\.$"),
        ("loss.gradient_penalty=-1", "loss.gradient_penalty must be at least 0"),
        ("loss.gradient_penalty_target=0", "loss.gradient_penalty_target must be greater than 0; received 0.0"),
        ("loss.path_length_weight=-1", "loss.path_length_weight must be at least 0"),
        ("loss.path_length_decay=1.5", "loss.path_length_decay must be from 0 to 1; received 1.5"),
        ("optimizer.beta1=1", r"^optimizer\.beta1 must be from 0 to below 1; received 1\.0\.$"),
        ("optimizer.beta1=-0.1", "optimizer.beta1 must be from 0 to below 1; received -0.1"),
        ("optimizer.beta2=1", "optimizer.beta2 must be from 0 to below 1; received 1.0"),
        ("optimizer.epsilon=0", "optimizer.epsilon must be greater than 0; received 0.0"),
        ("optimizer.epsilon=-1e-8", "optimizer.epsilon must be greater than 0; received -1e-08"),
        ("schedule.G_lrate_base=-1", "schedule.G_lrate_base must be at least 0; received -1.0"),
        ('schedule.D_lrate_dict={"8": 1, "16": -1}', r"^schedule\.D_lrate_dict\[16\] must be at least 0; received -1"),
        ("schedule.minibatch_base=0", "schedule.minibatch_base must be at least 1; received 0"),
        ('schedule.max_minibatch_per_gpu={"64": 0}', r"max_minibatch_per_gpu\[64\] must be at least 1; received 0"),
        ("schedule.tick_kimg_base=0", "schedule.tick_kimg_base must be greater than 0; received 0.0"),
        ("precision=fp8", r"^precision must be one of fp32, tf32, bf16, fp16; received 'fp8'\.$"),
        ("loss.discriminator=hope", r"^loss\.discriminator must be one of wgan, hinge, logistic; received 'hope'\.$"),
        ("loss.r1_interval=0", "loss.r1_interval must be at least 1; received 0"),
        ("step_order=g-d", "step_order must be one of d-average-g, g-average-d; received 'g-d'"),
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


OLD = {"generator": "wgan", "r1_gamma": 5.0, "r2_gamma": 0.0, "path_length_weight": 2.0, "path_length_decay": 0.01} | {
    **{"wgan_lambda": 3.0, "wgan_epsilon": 0.002, "wgan_target": 1.5}
}
NO_PENALTY = {"r1_gamma": 0.0}


@pytest.mark.parametrize(
    "name, expected",
    [
        ("logistic-simplegp", {"discriminator": "logistic", "r1_gamma": 5.0}),
        ("logistic", {"discriminator": "logistic", **NO_PENALTY}),
        ("hinge", {"discriminator": "hinge", **NO_PENALTY}),
        ("hinge-gp", {"discriminator": "hinge", "gradient_penalty": 3.0, "gradient_penalty_target": 1.5, **NO_PENALTY}),
        ("wgan", {"discriminator": "wgan", "drift": 0.002, **NO_PENALTY}),
        (
            "wgan-gp",
            {
                **{"discriminator": "wgan", "gradient_penalty": 3.0, "gradient_penalty_target": 1.5, "drift": 0.002},
                **NO_PENALTY,
            },
        ),
    ],
)
def test_configurations_of_earlier_versions(name, expected):
    found = from_dict(TrainingConfig, {"loss": {**OLD, "discriminator": name}}).loss
    assert found == LossConfig(generator="wgan", path_length_weight=2.0, **expected)
    # What has been converted is written, and read again, as it is.
    assert from_dict(LossConfig, to_dict(found)) == found


@pytest.mark.parametrize(
    "config, settings, expected",
    [
        ("f", ["logistic-simplegp"], {}),
        ("a", ["logistic-simplegp"], {"generator": "wgan"}),
        ("f", ["logistic-simplegp", "r1_gamma=0", "r2_gamma=4"], {"r1_gamma": 0.0, "r2_gamma": 4.0}),
        ("f", ["r1_gamma=3", "logistic-simplegp"], {"r1_gamma": 3.0}),
        ("f", ["hinge-gp"], {"discriminator": "hinge", "r1_gamma": 0.0, "gradient_penalty": 10.0}),
        ("f", ["hinge-gp", "gradient_penalty=2"], {"discriminator": "hinge", "r1_gamma": 0.0, "gradient_penalty": 2.0}),
        (
            "f",
            ["wgan-gp"],
            {"discriminator": "wgan", "r1_gamma": 0.0, "gradient_penalty": 10.0, "drift": 0.001},
        ),
    ],
)
def test_old_names_of_losses(config, settings, expected):
    settings = [f"loss.{text}" if "=" in text else f"loss.discriminator={text}" for text in settings]
    assert override(make_config(config), settings).loss == LossConfig(**expected)


def test_every_setting_is_explained():
    for name, setting in SETTINGS.items():
        assert setting.text.endswith("."), name
        assert setting.unset if setting.default is None else setting.unset is None, name
        if setting.allowed is not None and setting.default is not None:
            values = setting.default.values() if isinstance(setting.default, dict) else [setting.default]
            assert all(map(setting.allowed.holds, values)), name


def test_choices_are_what_there_is():
    assert list(SETTINGS["loss.generator"].allowed) == list(GENERATOR_LOSSES)
    assert list(SETTINGS["loss.discriminator"].allowed) == list(DISCRIMINATOR_LOSSES)
    assert tuple(SETTINGS["precision"].allowed) == PRECISIONS


def test_page_of_settings():
    page = pathlib.Path(__file__).parents[1] / "docs" / "settings.md"
    assert page.read_text() == settings_page(), "python -m stylegan_tf.recipes.settings_page > docs/settings.md"


@pytest.mark.parametrize(
    "values", [[], None, 3, "text", {"seed": "x"}, {"colour": 1}, {"loss": []}, {"total_kimg": -1}]
)
def test_what_is_no_configuration(values):
    with pytest.raises(ValueError):
        from_dict(TrainingConfig, values)


def test_ranges_hold_without_json():
    with pytest.raises(ValueError, match="average_half_life_kimg must be at least 0; received -1"):
        TrainingConfig(average_half_life_kimg=-1)
    with pytest.raises(ValueError, match="total_kimg must be greater than 0; received nan"):
        TrainingConfig(total_kimg=math.nan)
    with pytest.raises(ValueError, match=r"optimizer\.beta1 must be from 0 to below 1; received nan"):
        TrainingConfig(optimizer=OptimizerConfig(beta1=math.nan))

"""Defaults for data sets that no recipe knows: the formulas, what the user gives, and that the door tells of it."""

import json

import pytest
from click.testing import CliRunner
from tiny_training import create_dataset

import run_training
from stylegan_tf.recipes.own_data import apply_guesses
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import override
from stylegan_tf.training.effects import value_of


def guessed(config, num_gpus, resolution, changes=()):
    """(TrainingConfig, text of the lines) of a run on own data."""
    given = {change.partition("=")[0] for change in changes}
    config, lines = apply_guesses(override(make_config(config, "mine", num_gpus), changes), resolution, given)
    return config, "\n".join(lines)


@pytest.mark.parametrize(
    ("config", "num_gpus", "resolution", "gamma", "half_life"),
    [
        # On 1, 8 and 2 GPUs, the minibatches at these resolutions are 8, 32 and 32.
        ("f", 1, 256, 1.64, 2.5),
        ("f", 8, 1024, 6.55, 10),
        ("f", 2, 128, 0.205, 5),
        ("sg2-e", 1, 512, 1.64, 10),
        ("sg2-f", 8, 1024, 6.55, 10),
        ("b", 1, 256, 1.64, 2.5),
        ("a", 1, 256, 0, 2.5),  # WGAN-GP
    ],
)
def test_gamma_and_half_life(config, num_gpus, resolution, gamma, half_life):
    config, lines = guessed(config, num_gpus, resolution)
    assert (config.loss.r1_gamma, config.average_half_life_kimg) == (gamma, half_life)
    assert ("loss.r1_gamma=" in lines) == (gamma > 0)


@pytest.mark.parametrize(
    ("config", "num_gpus", "resolution", "maps", "reason"),
    [
        ("f", 1, 256, None, ""),
        ("sg2-e", 1, 256, 8192, ""),
        ("sg2-f", 1, 256, 8192, "half of what --config=sg2-f has, for less than 512x512"),
        ("sg2-f", 1, 512, 16384, ""),
        ("f", 0, 64, 512, "small networks"),
        ("sg2-e", 0, 64, 512, "small networks"),
        ("sg2-f", 0, 64, 1024, "small networks"),
    ],
)
def test_feature_maps(config, num_gpus, resolution, maps, reason):
    config, lines = guessed(config, num_gpus, resolution)
    assert (config.generator.get("fmap_base"), config.discriminator.get("fmap_base")) == (maps, maps)
    assert (config.generator.get("fmap_max") == 64) == (num_gpus == 0)
    assert reason in lines and ("fmap_base" in lines) == bool(reason)


@pytest.mark.parametrize(
    ("change", "settings", "value"),
    [
        ("loss.r1_gamma=3", ["loss.r1_gamma"], 3),
        ('loss={"r1_gamma": 10}', ["loss.r1_gamma"], 10),
        ("average_half_life_kimg=10", ["average_half_life_kimg"], 10),
        ("generator.fmap_base=16384", ["generator.fmap_base"], 16384),
    ],
)
def test_what_the_user_gives_stays(change, settings, value):
    config, lines = guessed("sg2-f", 0, 64, [change])
    for name in settings:
        part, _, keyword = name.partition(".")
        found = getattr(config, part)[keyword] if part == "generator" else value_of(config, name)
        assert found == value and name not in lines
    assert config.discriminator["fmap_base"] == 1024


def test_the_minibatch_decides():
    config, lines = guessed("sg2-e", 1, 256, ["schedule.minibatch_base=64"])
    assert (config.loss.r1_gamma, config.average_half_life_kimg) == (0.205, 20)
    assert "256 * 256 pixels / 64 images" in lines


def test_weights_of_another_run_fit():
    config, _ = guessed("sg2-f", 1, 256, ["init_from=another"])
    assert config.generator["fmap_base"] == 16384


def test_the_door(tmp_path):
    create_dataset(tmp_path / "data", resolution=16, name="mine", labels=False)

    def dry_run(*more):
        options = ["--dataset=mine", f"--data-dir={tmp_path / 'data'}", "--num-gpus=0", "--dry-run", *more]
        return CliRunner().invoke(run_training.main, options)

    found = json.loads(dry_run("--config=sg2-e").stdout)
    assert (found["loss"]["r1_gamma"], found["average_half_life_kimg"]) == (0.0016, 10)
    assert found["generator"]["fmap_base"] == found["discriminator"]["fmap_base"] == 128
    remarks = "\n".join(found["remarks"])
    assert "loss.r1_gamma=0.0016: 0.0002 * 16 * 16 pixels / 32 images" in remarks
    assert "50 images are few" in remarks and "--augment=ada" in remarks
    found = json.loads(dry_run("--gamma=2", "--augment=ada-fixed:0.2").stdout)
    assert found["loss"]["r1_gamma"] == 2
    assert not any("r1_gamma" in line or "few" in line for line in found["remarks"])
    result = dry_run("--set=max_images=51")
    assert result.exit_code == 2 and "holds 50 images, fewer than max_images=51" in result.stderr

"""The training benchmark counts lazy parts as often as they are due."""

import collections
import time

import click.testing
import pytest
import tensorflow as tf

from benchmarks import training_speed
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.runtime.processor import describe_processor
from stylegan_tf.training.parts import parts_of


def test_mean_over_the_steps_of_the_longest_interval(monkeypatch):
    """Of 16 steps of StyleGAN2, R1 is due in one and the path length in four."""
    now, taken = [0.0], collections.Counter()
    costs = {"G": 1.0, "D": 2.0, "G_path_length": 4.0, "D_r1": 16.0}
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def run(due):
        now[0] += sum(costs[name] for name in due)
        taken[due] += 1

    duration, total = training_speed.time_steps(run, parts_of(make_config("sg2-e")), seconds=0)
    assert duration == pytest.approx(1 + 2 + 4 / 4 + 16 / 16)
    assert set(taken.values()) == {3} and len(taken) == 3 and total == now[0]


def test_table(monkeypatch):
    monkeypatch.setattr(training_speed, "best_rate", lambda dtype: 1e5)
    # In this process, whose devices have been chosen.
    monkeypatch.setattr(training_speed, "measure_alone", training_speed.measure)
    monkeypatch.setattr(training_speed, "make_strategy", lambda devices: tf.distribute.MirroredStrategy(["/cpu:0"]))
    options = ["--config=sg2-e", "--resolution=4", "--minibatch=4", "--fmap-base=64", "--fmap-max=4", "--seconds=0"]
    result = click.testing.CliRunner().invoke(training_speed.main, [*options, "--fading"], catch_exceptions=False)
    processor, header, line = result.stdout.splitlines()
    assert (processor, header) == (describe_processor(), training_speed.HEADER)
    assert line.split()[:6] == ["sg2-e", "4", "4", "1", "fp32", "no"]
    assert float(line.split()[10].rstrip("%")) > 0  # the share

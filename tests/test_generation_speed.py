"""The generation benchmark runs, from saving a network to its last line."""

import dataclasses
import json

import pytest
import tensorflow as tf
from click.testing import CliRunner
from tiny_generators import SIZES

from benchmarks import generation_speed
from benchmarks.convolutions import count_flops
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.runtime.processor import describe_processor


@pytest.fixture
def here(monkeypatch):
    """Tasks run in this process, on a tiny network, and the best convolution is not measured."""

    def alone(task, *arguments):
        return json.loads(json.dumps(generation_speed.TASKS[task](*json.loads(json.dumps(arguments)))))

    monkeypatch.setattr(generation_speed, "alone", alone)
    monkeypatch.setattr(
        generation_speed, "make_config", lambda name: dataclasses.replace(make_config(name), generator=SIZES)
    )
    monkeypatch.setattr(generation_speed, "best_rate", lambda dtype: 1e9)


def test_table(here):
    options = ["--config=sg2-f", "--resolution=8", "--minibatch=2", "--precision=bf16", "--seconds=0"]
    memory = ["--memory-resolution=8", "--memory-images=3"]
    result = CliRunner().invoke(generation_speed.main, options + memory, catch_exceptions=False)
    processor, header, *lines = result.stdout.split("\n\n")[0].splitlines()
    assert (processor, header) == (describe_processor(), generation_speed.HEADER)
    calls = ("direct", "SavedModel")
    assert [line.split()[:5] for line in lines] == [["sg2-f", "8", "2", "bf16", call] for call in calls]
    for line in lines:
        load, first, seconds = (float(line.split()[column]) for column in (5, 7, 9))
        # Loading and tracing take longer than a tiny network's images.
        assert load > seconds > 0 and first > seconds
    assert result.stdout.splitlines()[-1].split()[:2] == ["3", "images"]


def test_operations_of_a_convolution_and_its_gradient():
    kernel = tf.zeros([3, 3, 4, 5])

    @tf.function
    def both(x):
        y = tf.nn.conv2d(x, kernel, 2, "SAME")
        return y, tf.gradients(y, x)

    one = 2 * (3 * 3 * 4 * 5) * (2 * 8 * 8)
    assert count_flops(both.get_concrete_function(tf.zeros([2, 16, 16, 4]))) == 2 * one


def test_operations_of_a_product_of_matrices():
    multiply = tf.function(lambda x, y: tf.matmul(x, y, transpose_a=True))
    assert count_flops(multiply.get_concrete_function(tf.zeros([5, 3]), tf.zeros([5, 4]))) == 2 * 3 * 5 * 4

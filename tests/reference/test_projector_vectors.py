"""The projector's pieces, and short projections, equal to the reference."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from reference_vectors import assert_close, nhwc

from stylegan_tf.editing.distances import PixelDistance
from stylegan_tf.editing.projection import (
    Projection,
    Schedule,
    noise_regularizer,
    normalize_noise,
    sampled_statistics,
    w_statistics,
)
from stylegan_tf.files.official import load_pickle
from stylegan_tf.pictures.sampler import Sampler


@functools.cache
def opened(path, samples):
    """The generator in a file, and its statistics of w."""
    generator = load_pickle(path)[-1]
    return generator, sampled_statistics(Sampler(generator, minibatch=samples), samples=samples)


def noise_of(vector):
    """The noise images of a vector, a list of float32 [1, R, R, 1]."""
    count = sum(name.startswith("inputs/noise") for name in vector.names)
    return [tf.constant(nhwc(vector[f"inputs/noise{i}"])) for i in range(count)]


@pytest.mark.vectors("projector-parts")
def test_noise_regularizer(vector):
    noise = noise_of(vector)
    with tf.GradientTape() as tape:
        tape.watch(noise)
        losses = [noise_regularizer([image]) for image in noise]
        total = tf.reduce_sum(losses)
    for i, gradient in enumerate(tape.gradient(total, noise)):
        assert_close(losses[i][0], vector[f"outputs/reg/loss{i}"], 1e-5, f"regularizer of noise {i}")
        assert_close(gradient, nhwc(vector[f"outputs/reg/grad{i}"]), 1e-5, f"gradient of noise {i}")
    assert_close(noise_regularizer(noise)[0], vector["outputs/reg/loss_all"], 1e-5, "regularizer of all")


@pytest.mark.vectors("projector-parts")
def test_normalize_noise(vector):
    for i, image in enumerate(noise_of(vector)):
        assert_close(normalize_noise(image), nhwc(vector[f"outputs/normalize/noise{i}"]), 1e-5, f"noise {i}")


@pytest.mark.vectors("projector-parts")
def test_statistics(vector):
    mean, deviation = w_statistics(vector["inputs/w_samples"])
    assert_close(mean, vector["outputs/w_mean"], 1e-5, "mean of w")
    assert deviation == pytest.approx(vector["outputs/w_std"], rel=1e-5)


@pytest.mark.vectors("projector-parts")
def test_schedules(vector):
    for settings in vector.config["schedules"]:
        schedule = Schedule(**{name: settings[name] for name in Schedule._fields if name in settings})
        rows = [
            [schedule.learning_rate(step), schedule.w_noise_strength(step, settings["w_std"])]
            for step in range(len(settings["rows"]))
        ]
        np.testing.assert_allclose(rows, settings["rows"], rtol=1e-5, atol=1e-12)


@pytest.mark.vectors("projector-parts")
def test_images_are_reduced(vector):
    image = nhwc(vector["inputs/big_image_uint8"] / np.float32(1.5) - 1)
    (reduced,) = PixelDistance().features(tf.constant((image + 1) * 127.5))
    mean = vector["outputs/big_image_processed_mean"]
    assert np.mean(reduced) == pytest.approx(mean, rel=1e-5)
    crop = nhwc(vector["outputs/big_image_processed_crop"])
    assert_close(reduced[:, 100:164, 40:104], crop, 1e-5, "reduced image")


@pytest.mark.vectors("projector-steps")
def test_projection(vector):
    config = vector.config
    path = vector.path.with_name(config["generator"].partition(",")[0])
    generator, statistics = opened(path, config["settings"]["dlatent_avg_samples"])
    assert_close(statistics[0], vector["outputs/w_mean"], 1e-4, "mean of w")
    assert statistics[1] == pytest.approx(vector["outputs/w_std"], rel=1e-4)
    settings = {name: value for name, value in config["settings"].items() if name in Schedule._fields}
    target = nhwc((vector["inputs/target_image"] + 1) * np.float32(127.5))
    schedule = Schedule(config["num_steps"], **settings)
    projection = Projection(generator, PixelDistance(), target, statistics, schedule, noise=noise_of(vector))
    for step in range(config["steps_run"]):
        facts = projection.step(vector["inputs/w_noise_draws"][step].reshape(1, 1, -1))
        for name, value in facts._asdict().items():
            assert np.ravel(value)[0] == pytest.approx(vector[f"outputs/{name}"][step], rel=1e-3), name
        assert np.abs(projection.w[0, 0] - vector["outputs/w"][step]).max() <= 1e-3
        for i, image in enumerate(projection.noise):
            difference = np.abs(image[0, :, :, 0] - vector[f"outputs/noise{i}"][step])
            assert np.mean(difference <= 1e-3) >= 0.99 and difference.max() <= 5e-2
    assert_close(projection.dlatents, vector["outputs/dlatents"], 1e-3, "w at the end")
    assert_close(projection.images(), nhwc(vector["outputs/images"]), 1e-3, "image at the end")

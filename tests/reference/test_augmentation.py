"""ADA and DiffAugment equal the originals, with every draw given: parameters, maps, images, and their gradients."""

import numpy as np
import pytest
import tensorflow as tf
from reference_vectors import assert_close, nchw, nhwc

from stylegan_tf.augment import adaptive, diffaugment
from stylegan_tf.augment.colors import color_map
from stylegan_tf.augment.controller import next_p
from stylegan_tf.augment.frequency_bands import BANK, POWER, band_gains
from stylegan_tf.augment.geometry import SYM6, TAPS, inverse_map
from stylegan_tf.augment.pipelines import PIPELINES, TRANSFORMS, Strengths, columns, parse_policy, steps_of
from stylegan_tf.recipes.settings import AdaConfig

COLOR = ("brightness", "contrast", "lumaflip", "hue", "saturation")


def strengths_of(settings):
    return Strengths(**settings)


def draws_of(vector):
    draws = vector.below("inputs/draws/")
    if "noise" in draws:
        draws["noise"] = nhwc(draws["noise"])
    return {name: tf.constant(draw) for name, draw in draws.items()}


def parameters_of(vector):
    config = vector.config
    shape = (config["H"], config["W"], config["C"])
    arguments = draws_of(vector), tf.constant(config["p"]), config["probability_multipliers"]
    return adaptive.parameters(*arguments, strengths_of(config["settings"]), shape)


def augment(vector, images):
    config = vector.config
    arguments = draws_of(vector), tf.constant(config["p"]), config["probability_multipliers"]
    return adaptive.augment(images, *arguments, strengths_of(config["settings"]))


def used(vector):
    return {name for name, multiplier in vector.config["probability_multipliers"].items() if multiplier}


@pytest.mark.vectors("ada-augment")
def test_draws(vector):
    """What is drawn, and of which kind."""
    config = vector.config
    steps = steps_of(config["probability_multipliers"], config["C"])
    kinds = {step.name: step.kind for step in steps} | {step.gate: "uniform" for step in steps}
    if "noise" in used(vector):
        kinds["noise"] = "normal"
    assert kinds == config["draw_kind"]
    widths = {name: end - first for kind in ("uniform", "normal") for name, (first, end) in columns(kind)[0].items()}
    for name in kinds.keys() - {"noise"}:
        assert widths[name] == vector[f"inputs/draws/{name}"][0].size


@pytest.mark.vectors("ada-augment")
def test_parameters(vector):
    parameters, expected = parameters_of(vector), vector.below("inputs/params/")
    assert parameters.keys() == expected.keys()
    for name, reference in expected.items():
        assert_close(parameters[name], reference, 5e-6 if name == "xfrac" else 1e-6, name)


@pytest.mark.vectors("ada-augment")
def test_maps(vector):
    parameters = {name: tf.constant(value) for name, value in vector.below("inputs/params/").items()}
    if "outputs/G_inv" in vector:
        assert_close(inverse_map(parameters), vector["outputs/G_inv"], 1e-5, "the inverse map")
    if "outputs/color_matrix" in vector:
        # The last row is not used.
        assert_close(color_map(parameters)[:, :3], vector["outputs/color_matrix"][:, :3], 1e-5, "the colours' map")
    if "outputs/imgfilter_gain" in vector:
        strengths = [parameters[f"imgfilter_band{band}"] for band in range(4)]
        assert_close(band_gains(strengths), vector["outputs/imgfilter_gain"], 1e-5, "the bands' gains")


@pytest.mark.vectors("ada-augment")
def test_images_and_gradients(vector):
    images = tf.constant(nhwc(vector["inputs/images"]))
    with tf.GradientTape() as tape:
        tape.watch(images)
        augmented = augment(vector, images)
        product = tf.reduce_sum(augmented * nhwc(vector["inputs/dy"]))
    transforms = used(vector)
    exact = transforms == {"cutout"}
    tolerance = 0.0 if exact else 5e-6 if transforms <= {*COLOR, "noise", "cutout"} else 1e-4
    assert_close(nchw(augmented.numpy()), vector["outputs/images"], tolerance, "images")
    assert_close(nchw(tape.gradient(product, images).numpy()), vector["outputs/dimages"], tolerance, "gradients")


@pytest.mark.vectors("ada-augment-r1")
def test_second_derivatives(vector):
    """R1 through the pipeline, and its gradient by the weights of what looks at the images."""
    images, a = tf.constant(nhwc(vector["inputs/images"])), tf.constant(nhwc(vector["inputs/a"][None]))
    with tf.GradientTape() as outer:
        outer.watch(a)
        with tf.GradientTape() as inner:
            inner.watch(images)
            score = 0.5 * tf.reduce_sum(a * augment(vector, images) ** 2)
        gradients = inner.gradient(score, images)
        penalties = tf.reduce_sum(gradients**2, axis=(1, 2, 3))
        total = tf.reduce_sum(penalties)
    assert_close(nchw(gradients.numpy()), vector["outputs/r1_grads"], 1e-4, "R1's gradients")
    assert_close(penalties, vector["outputs/r1_penalty"], 1e-4, "R1")
    assert_close(nchw(outer.gradient(total, a).numpy())[0], vector["outputs/d_a"], 1e-4, "the gradient of R1")


@pytest.mark.vectors("ada-constants")
def test_constants(vector):
    config = vector.config
    pipelines = {name: tuple(pipeline["transforms"]) for name, pipeline in config["pipelines"].items()}
    assert pipelines == PIPELINES
    assert {pipeline["multiplier_each"] for pipeline in config["pipelines"].values()} == {1}
    # The rotation before and after the squeeze is one transform.
    order = [name.partition(" ")[0] for name in config["order"]]
    assert [name for i, name in enumerate(order) if name not in order[:i]] == list(TRANSFORMS)
    settings = {k: v for transform in config["transforms"].values() for k, v in transform["settings"].items()}
    assert Strengths(**settings | {"imgfilter_bands": tuple(settings["imgfilter_bands"])}) == Strengths()
    np.testing.assert_allclose(SYM6, config["wavelets"]["sym6"]["taps"], rtol=1e-6)
    np.testing.assert_allclose(TAPS, config["wavelets"]["sym6"]["normalised"], rtol=1e-6)
    np.testing.assert_allclose(BANK, config["fourbands"]["bank"], atol=1e-7)
    np.testing.assert_allclose(POWER, config["fourbands"]["expected_power"], rtol=1e-6)
    controller, ours = config["controller"], AdaConfig()
    assert ours.pipeline == config["default_pipeline"]
    assert (ours.target, ours.interval) == (controller["target"], controller["interval_minibatches"])
    assert ours.kimg_for(init_from=None) == controller["adjust_kimg"]
    assert ours.kimg_for(init_from="networks.pkl") == controller["adjust_kimg_when_resuming"]


@pytest.mark.vectors("ada-constants")
def test_probability_of_each_rotation(vector):
    step = next(step for step in steps_of({"rotate": 1.0}, 3) if step.transform == "rotate")
    for row in vector.config["rotation_probability"]["table"]:
        q = adaptive.probability(step, tf.constant(row["multiplier_times_p"], tf.float32), {"rotate": 1.0}, Strengths())
        np.testing.assert_allclose(q, row["q"], atol=1e-6)


@pytest.mark.vectors("ada-controller")
def test_controller(vector):
    for sequence in vector.config["sequences"]:
        sums = sequence.get("sum_of_signs_per_minibatch") or [sum(s) for s in sequence["signs_per_minibatch"]]
        p, minibatch, interval = tf.constant(sequence["initial_p"]), sequence["minibatch"], sequence["interval"]
        ends = sequence["adjusted_after_minibatch"]
        for end, mean, expected in zip(ends, sequence["r"], sequence["p"], strict=True):
            count, signs = interval * minibatch, sum(sums[end - interval : end])
            assert signs / count == pytest.approx(mean, abs=1e-12)
            p = next_p(p, tf.constant(signs), tf.constant(count), count, sequence["target"], sequence["kimg"])
            assert p.numpy() == pytest.approx(expected, abs=1e-6), (sequence["name"], end)


@pytest.mark.vectors("diffaugment")
def test_diffaugment(vector):
    config, draws = vector.config, vector.below("inputs/draws/")
    policy = parse_policy(config["policy"])
    ranges = diffaugment.draw_ranges(policy, config["H"], config["W"])
    assert [(name, "integer" if values else "uniform") for name, values in ranges.items()] == [
        (name, config["draw_kind"][name]) for name in config["draw_order"]
    ]
    if "translation" in policy:
        shifts = [-ranges[f"translation_{axis}"][0] for axis in ("row", "col")]
        assert shifts == config["max_shift_rows_cols"]
    for name, values in ranges.items():
        if values:
            least, count = values
            assert draws[name].min() >= least
            assert draws[name].max() < least + count
    images = tf.constant(nhwc(vector["inputs/images"]))
    with tf.GradientTape() as tape:
        tape.watch(images)
        augmented = diffaugment.augment(images, {name: tf.constant(draw) for name, draw in draws.items()}, policy)
        product = tf.reduce_sum(augmented * nhwc(vector["inputs/dy"]))
    tolerance = 5e-6 if "color" in policy else 0.0
    assert_close(nchw(augmented.numpy()), vector["outputs/images"], tolerance, "images")
    assert_close(nchw(tape.gradient(product, images).numpy()), vector["outputs/dimages"], tolerance, "gradients")

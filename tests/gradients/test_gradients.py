"""Every gradient that training takes, the penalties' second order too, equals finite differences in float64."""

import numpy as np
import pytest
import tensorflow as tf

from stylegan_tf.layers import (
    AdaIN,
    Bias,
    Blur,
    EqualizedConv2D,
    EqualizedDense,
    FilteredConv2D,
    InstanceNorm,
    LabelEmbedding,
    LearnedConstant,
    MinibatchStdDev,
    ModulatedConv2D,
    NoiseInput,
    PixelNorm,
    downsample,
    enlarge_filtered,
    leaky_relu,
    shrink_filtered,
    upsample,
)
from stylegan_tf.layers.activations import ACTIVATIONS
from stylegan_tf.networks import (
    Discriminator,
    Generator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    StyleGAN2GrowingDiscriminator,
    StyleGAN2GrowingGenerator,
)
from stylegan_tf.training.losses import discriminator_loss, path_lengths

STEP = 1e-6
# Of the gradient's norm. Rounding leaves about 1e-16 / STEP of the function's value.
TOLERANCE = 1e-7
FLOAT64 = {"dtype": "float64"}
SMALL = {"fmap_base": 32, "fmap_max": 4, **FLOAT64}


def normal(random, *shape):
    return tf.Variable(random.standard_normal(shape))


def scatter(random, network):
    """Moves all variables off their initial values: with zeros and ones, half of the derivatives would vanish."""
    for variable in network.variables:
        variable.assign_add(0.5 * random.standard_normal(variable.shape))


def assert_gradients(function, variables, random):
    """Compares the derivatives of a scalar by each variable, along a random direction, with central differences.

    A random direction has a part in every entry, so any entry that is wrong shows.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value = function()
    gradients = tape.gradient(value, variables, unconnected_gradients="zero")
    assert any(np.any(gradient) for gradient in gradients)
    for variable, gradient in zip(variables, gradients, strict=True):
        direction = random.standard_normal(variable.shape)
        direction /= np.linalg.norm(direction)
        start = variable.numpy()
        sides = []
        for sign in (1, -1):
            variable.assign(start + sign * STEP * direction)
            sides.append(float(function()))
        variable.assign(start)
        measured, expected = (sides[0] - sides[1]) / (2 * STEP), float(np.sum(gradient * direction))
        noise = 1e-8 * max(abs(float(value)), 1.0)
        assert abs(measured - expected) <= TOLERANCE * np.linalg.norm(gradient) + noise, (
            f"{variable.name} {variable.shape}: {measured} by differences, {expected} by the tape"
        )


IMAGE = (4, 8, 8, 6)
LAYERS = {
    "dense": (EqualizedDense(5, **FLOAT64), [(4, 7)]),
    "dense, lrmul": (EqualizedDense(5, lrmul=0.1, gain=1.0, **FLOAT64), [(4, 7)]),
    "dense, no wscale": (EqualizedDense(5, lrmul=0.1, use_wscale=False, **FLOAT64), [(4, 7)]),
    "conv 1x1": (EqualizedConv2D(3, 1, **FLOAT64), [IMAGE]),
    "conv 3x3": (EqualizedConv2D(3, 3, **FLOAT64), [IMAGE]),
    "conv down": (EqualizedConv2D(3, 3, resample="down", **FLOAT64), [IMAGE]),
    "conv up": (EqualizedConv2D(3, 3, resample="up", **FLOAT64), [IMAGE]),
    "conv up, fused": (EqualizedConv2D(3, 3, resample="up", fused=True, **FLOAT64), [IMAGE]),
    "filtered conv up": (FilteredConv2D(3, 3, resample="up", **FLOAT64), [IMAGE]),
    "filtered conv down": (FilteredConv2D(3, 3, resample="down", gain_on_bias=True, **FLOAT64), [IMAGE]),
    "filtered conv 1x1 up": (FilteredConv2D(3, 1, resample="up", resample_kernel=(1, 2, 1), **FLOAT64), [IMAGE]),
    "filtered conv 1x1 down": (FilteredConv2D(3, 1, resample="down", **FLOAT64), [IMAGE]),
    "modulated conv": (ModulatedConv2D(3, 3, **FLOAT64), [IMAGE, (4, 5)]),
    "modulated conv up": (ModulatedConv2D(3, 3, resample="up", **FLOAT64), [IMAGE, (4, 5)]),
    "modulated conv down": (ModulatedConv2D(3, 3, resample="down", **FLOAT64), [IMAGE, (4, 5)]),
    "modulated conv, no demodulation": (ModulatedConv2D(3, 1, demodulate=False, **FLOAT64), [IMAGE, (4, 5)]),
    "bias": (Bias(lrmul=0.5, **FLOAT64), [IMAGE]),
    "label embedding": (LabelEmbedding(5, **FLOAT64), [(4, 3)]),
    "minibatch stddev": (MinibatchStdDev(4, **FLOAT64), [IMAGE]),
    "minibatch stddev, groups and features": (MinibatchStdDev(2, num_features=3, **FLOAT64), [IMAGE]),
    "pixel norm": (PixelNorm(**FLOAT64), [IMAGE]),
    "instance norm": (InstanceNorm(**FLOAT64), [IMAGE]),
    "blur": (Blur(**FLOAT64), [IMAGE]),
    "blur, even": (Blur((1, 3, 3, 1), **FLOAT64), [IMAGE]),
    "AdaIN": (AdaIN(**FLOAT64), [IMAGE, (4, 5)]),
    "AdaIN, no norm": (AdaIN(normalize=False, **FLOAT64), [IMAGE, (4, 5)]),
    "noise": (NoiseInput(**FLOAT64), [IMAGE, (4, 8, 8, 1)]),
    "noise, shared": (NoiseInput(**FLOAT64), [IMAGE, (1, 8, 8, 1)]),
    "noise, one strength": (NoiseInput(shared=True, **FLOAT64), [IMAGE, (4, 8, 8, 1)]),
    "constant": (LearnedConstant(3, **FLOAT64), [(4, 5)]),
    "upsample": (upsample, [IMAGE]),
    "downsample": (downsample, [IMAGE]),
    "enlarge": (lambda x: enlarge_filtered(x, (1, 3, 3, 1)), [IMAGE]),
    "shrink": (lambda x: shrink_filtered(x, (1, 2, 3)), [IMAGE]),
    **{name: (function, [IMAGE]) for name, function in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    layer, shapes = LAYERS[name]
    random = np.random.RandomState(1)
    inputs = [normal(random, *shape) for shape in shapes]
    y = layer(*(tf.convert_to_tensor(x) for x in inputs))
    assert y.dtype == tf.float64
    weights = getattr(layer, "trainable_variables", [])
    if weights:
        scatter(random, layer)
    dy = random.standard_normal(y.shape)

    def function():
        return tf.reduce_sum(layer(*(tf.convert_to_tensor(x) for x in inputs)) * dy)

    assert_gradients(function, [*inputs, *(weight.value for weight in weights)], random)


GENERATORS = {
    "default": ({}, {}),
    "labels, truncated, fading, lower resolution": (
        {"label_size": 3, "resolution": 16},
        {"truncation_psi": 0.6, "truncation_cutoff": 3, "resolution": 8, "fade": tf.constant(0.3, tf.float64)},
    ),
    "traditional": (
        {"use_styles": False, "const_input_layer": False, "use_noise": False, "nonlinearity": "relu"}
        | {"use_pixel_norm": True, "use_instance_norm": False, "blur_filter": None, "use_wscale": False},
        {},
    ),
    "traditional, instance norm": ({"use_styles": False, "fused_scale": True}, {}),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_generator(name):
    options, call = GENERATORS[name]
    small = {"resolution": 8, "latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 2}
    generator = Generator(**SMALL, **small | options)
    random = np.random.RandomState(2)
    scatter(random, generator)
    inputs = [normal(random, 2, 4)]
    if generator.label_size:
        inputs.append(normal(random, 2, generator.label_size))
    noise = [normal(random, 2, *shape[1:]) for shape in generator.synthesis.noise_shapes]

    def images():
        given = [tf.convert_to_tensor(x) for x in noise]
        return generator(*(tf.convert_to_tensor(x) for x in inputs), noise=given, **{"truncation_psi": None} | call)

    dy = random.standard_normal(images().shape)
    variables = [*inputs, *noise, *(variable.value for variable in generator.trainable_variables)]
    assert_gradients(tf.function(lambda: tf.reduce_sum(images() * dy)), variables, random)


DISCRIMINATORS = {
    "default": ({}, {}),
    "labels, relu, no blur": ({"label_size": 3, "nonlinearity": "relu", "blur_filter": None, "use_wscale": False}, {}),
    "groups and features, fading, lower resolution": (
        {"mbstd_group_size": 2, "mbstd_num_features": 2, "resolution": 16},
        {"fade": tf.constant(0.3, tf.float64)},
    ),
}


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminator(name):
    options, call = DISCRIMINATORS[name]
    discriminator = Discriminator(**SMALL, **{"resolution": 8} | options)
    random = np.random.RandomState(3)
    scatter(random, discriminator)
    inputs = [normal(random, 4, 8, 8, 3)]
    if discriminator.label_size:
        inputs.append(normal(random, 4, discriminator.label_size))
    dy = random.standard_normal((4, 1))

    @tf.function
    def function():
        return tf.reduce_sum(discriminator(*(tf.convert_to_tensor(x) for x in inputs), **call) * dy)

    variables = [*inputs, *(variable.value for variable in discriminator.trainable_variables)]
    assert_gradients(function, variables, random)


STYLEGAN2 = {
    "G skip, labels, truncated": (
        StyleGAN2Generator,
        {"label_size": 3},
        {"truncation_psi": 0.6, "truncation_cutoff": 3},
    ),
    "G resnet": (StyleGAN2Generator, {"architecture": "resnet", "nonlinearity": "relu"}, {}),
    "G growing, fading": (StyleGAN2GrowingGenerator, {}, {"fade": tf.constant(0.3, tf.float64)}),
    "D skip, labels": (StyleGAN2Discriminator, {"architecture": "skip", "label_size": 3}, {}),
    "D resnet, groups and features": (StyleGAN2Discriminator, {"mbstd_group_size": 2, "mbstd_num_features": 2}, {}),
    "D growing, fading": (StyleGAN2GrowingDiscriminator, {}, {"fade": tf.constant(0.3, tf.float64)}),
}


@pytest.mark.parametrize("name", STYLEGAN2)
def test_stylegan2(name):
    cls, options, call = STYLEGAN2[name]
    sizes = {"latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 2} if name[0] == "G" else {}
    network, random = cls(resolution=8, **SMALL, **sizes, **options), np.random.RandomState(5)
    scatter(random, network)
    inputs = [normal(random, 4, 4) if sizes else normal(random, 4, 8, 8, 3)]
    if network.label_size:
        inputs.append(normal(random, 4, network.label_size))
    dy = random.standard_normal((4, 8, 8, 3) if sizes else (4, 1))

    @tf.function
    def function():
        return tf.reduce_sum(network(*(tf.convert_to_tensor(x) for x in inputs), **call) * dy)

    variables = [*inputs, *(variable.value for variable in network.trainable_variables)]
    assert_gradients(function, variables, random)


@pytest.mark.parametrize("architecture", ["orig", "skip", "resnet"])
def test_second_order_of_stylegan2(architecture):
    """R1, and the path length, by every weight."""
    random = np.random.RandomState(6)
    discriminator = StyleGAN2Discriminator(resolution=8, architecture=architecture, mbstd_group_size=2, **SMALL)
    sizes = {"latent_size": 4, "dlatent_size": 4, "mapping_fmaps": 4, "mapping_layers": 1}
    generator = StyleGAN2Generator(resolution=8, architecture=architecture, **sizes, **SMALL)
    for network in (discriminator, generator):
        scatter(random, network)
    images, w = normal(random, 4, 8, 8, 3), normal(random, 2, generator.num_layers, 4)
    directions = tf.constant(random.standard_normal((2, 8, 8, 3)))

    def r1():
        x = tf.convert_to_tensor(images)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            total = tf.reduce_sum(discriminator(x))
        return tf.reduce_mean(tf.reduce_sum(tf.square(tape.gradient(total, x)), axis=[1, 2, 3]))

    def path_length():
        return tf.reduce_mean(path_lengths(generator.synthesis, tf.convert_to_tensor(w), directions))

    for function, network in ((r1, discriminator), (path_length, generator.synthesis)):
        variables = [variable.value for variable in network.trainable_variables]
        assert_gradients(tf.function(function), variables, random)


PENALTIES = {
    "R1": ("logistic", {"r1_gamma": 10.0}),
    "R2": ("logistic", {"r2_gamma": 10.0}),
    "WGAN-GP": ("wgan", {"gradient_penalty": 10.0, "gradient_penalty_target": 1.5}),
}


class Penalised:
    """A discriminator for 16 x 16 with a batch at full resolution, or at 8 x 8 while that resolution fades in."""

    def __init__(self, penalty, fading):
        self.loss, self.weights = PENALTIES[penalty]
        self.random = np.random.RandomState(4)
        self.network = Discriminator(resolution=16, num_channels=1, mbstd_group_size=2, **SMALL)
        scatter(self.random, self.network)
        self.side, self.fade = (8, tf.constant(0.3, tf.float64)) if fading else (16, 1.0)
        self.pixel_area = (self.side / 16) ** 2
        self.reals, self.fakes = (normal(self.random, 4, self.side, self.side, 1) for _ in range(2))
        self.mixing_factors = self.random.uniform(size=(4, 1, 1, 1))

    def scores(self, images):
        return self.network(images, fade=self.fade)

    def penalty(self):
        """[N]; the discriminator's variables are its only inputs here, as in training."""
        reals, fakes = tf.convert_to_tensor(self.reals), tf.convert_to_tensor(self.fakes)
        return discriminator_loss(
            self.loss, self.scores, reals, fakes, self.mixing_factors, self.pixel_area, **self.weights
        ).penalty


@pytest.mark.parametrize("fading", [False, True], ids=["full resolution", "fading, lower resolution"])
@pytest.mark.parametrize("penalty", PENALTIES)
def test_second_order(penalty, fading):
    model = Penalised(penalty, fading)
    variables = [variable.value for variable in model.network.trainable_variables]
    assert_gradients(tf.function(lambda: tf.reduce_mean(model.penalty())), variables, model.random)


def test_r1_by_differences_of_scores():
    # The reference looks at the image enlarged to full resolution, where four pixels move one of ours by a fourth each.
    model = Penalised("R1", fading=True)
    total = tf.function(lambda: tf.reduce_sum(model.scores(tf.convert_to_tensor(model.reals))))
    start = model.reals.numpy()
    slopes = np.zeros(start.shape)
    for place in np.ndindex(*start.shape):
        for sign in (1, -1):
            moved = start.copy()
            moved[place] += sign * STEP / 4
            model.reals.assign(moved)
            slopes[place] += sign * float(total()) / (2 * STEP)
    model.reals.assign(start)
    squares_of_enlarged = 4 * np.sum(slopes**2, axis=(1, 2, 3))
    np.testing.assert_allclose(model.penalty(), 0.5 * 10.0 * squares_of_enlarged, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaky_relu_at_zero(dtype):
    x = tf.constant([-2.0, -0.0, 0.0, 3.0], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = leaky_relu(x)
    gradient = tape.gradient(y, x).numpy()
    np.testing.assert_array_equal(gradient[1:], 1.0)
    assert gradient[0] == pytest.approx(0.2)

"""Half precision trains as float32 does: convolutions are in half, statistics are not, and nothing underflows."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from processes import run

from stylegan_tf.layers import (
    AdaIN,
    Bias,
    Blur,
    EqualizedConv2D,
    EqualizedDense,
    FilteredConv2D,
    InstanceNorm,
    LearnedConstant,
    MinibatchStdDev,
    ModulatedConv2D,
    NoiseInput,
    PixelNorm,
    leaky_relu,
)
from stylegan_tf.networks import Discriminator, Generator, ProGANDiscriminator, ProGANGenerator
from stylegan_tf.networks.stylegan2_synthesis import ModulatedLayer
from stylegan_tf.runtime.precision import PRECISIONS, LossScale, dtype_policy, use_precision
from stylegan_tf.training.losses import discriminator_loss, path_length_penalty

MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
FEW_FMAPS = {"resolution": 16, "fmap_base": 128, "fmap_max": 16}
GENERATORS = {
    "G": (Generator, {"latent_size": 16, "dlatent_size": 16, "mapping_fmaps": 16, "mapping_layers": 2}),
    "ProGAN": (ProGANGenerator, {"latent_size": 16}),
}
DISCRIMINATORS = {"D": Discriminator, "ProGAN": ProGANDiscriminator}
# Relative errors of half precision, by the norm. Every convolution rounds by up to 2^-9 (bfloat16) or 2^-12 (float16),
# and in bfloat16 noise, bias and leaky ReLU do as well; gradients also jump where that moves a number across 0, the
# kink. The bounds are twice what was measured.
OUTPUT_ERROR = {"mixed_bfloat16": 0.032, "mixed_float16": 0.0025}
NORM_ERROR = {"mixed_bfloat16": 0.19, "mixed_float16": 0.007}
GRADIENT_ERROR = {"mixed_bfloat16": 0.22, "mixed_float16": 0.06}


def normal(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 0])


def pair(cls, policy, **arguments):
    """The same network in float32 and under a dtype policy, with weights off their initial values."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    full, half = (cls(**arguments, dtype=dtype) for dtype in ("float32", policy))
    for variable, copy in zip(full.variables, half.variables, strict=True):
        variable.assign_add(0.3 * random.standard_normal(variable.shape))
        copy.assign(variable)
    return full, half


def gradients_of(function, network, scale=2.0**10):
    """function() and its gradients, {variable's name: array}, taken with the loss scaled, as float16 needs it."""
    variables = [variable.value for variable in network.trainable_variables]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(variables)
        value = function()
        scaled = value * scale
    gradients = zip(network.trainable_variables, tape.gradient(scaled, variables), strict=True)
    return value, {v.path.partition("/")[2]: (g / scale).numpy() for v, g in gradients if g is not None}


def assert_close(actual, expected, bound):
    """Both are float32, differ, and differ by at most `bound` times the norm."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype == np.float32
    error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
    assert 0 < error <= bound


def assert_gradients_close(actual, expected, bound):
    assert actual.keys() == expected.keys()
    assert_close(*(np.concatenate([g[name].ravel() for name in expected]) for g in (actual, expected)), bound)


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("name", GENERATORS)
def test_generator(name, policy):
    cls, arguments = GENERATORS[name]
    full, half = pair(cls, policy, **FEW_FMAPS, **arguments)
    z, direction = normal(8, 16), normal(8, 16, 16, 3, seed=1)
    results = [gradients_of(lambda g=g: tf.reduce_sum(g(z, fade=0.7) * direction), g, 1.0)[1] for g in (half, full)]
    assert_close(half(z), full(z), OUTPUT_ERROR[policy])
    assert_gradients_close(*results, GRADIENT_ERROR[policy])


WGAN_GP = {"gradient_penalty": 10.0, "drift": 0.001}
LOSSES = {
    "R1 and R2": ("logistic", {"r1_gamma": 10.0, "r2_gamma": 5.0}),
    "gradient penalty": ("wgan", WGAN_GP),
    "no penalty": ("logistic", {}),
}


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("network", DISCRIMINATORS)
@pytest.mark.parametrize("loss", LOSSES)
def test_discriminator(loss, network, policy):
    name, weights = LOSSES[loss]
    full, half = pair(DISCRIMINATORS[network], policy, **FEW_FMAPS)
    reals, fakes, mixing = normal(8, 16, 16, 3), normal(8, 16, 16, 3, seed=1), tf.fill([8, 1, 1, 1], 0.3)

    def terms(d):
        return discriminator_loss(name, lambda images: d(images, fade=0.7), reals, fakes, mixing, **weights)

    for actual, expected in zip(terms(half), terms(full), strict=True):
        if np.any(expected):
            assert_close(actual, expected, NORM_ERROR[policy])
    results = [gradients_of(lambda d=d: tf.reduce_mean(terms(d).loss), d)[1] for d in (half, full)]
    assert_gradients_close(*results, GRADIENT_ERROR[policy])


@pytest.mark.parametrize("policy", MIXED)
def test_path_length(policy):
    full, half = pair(Generator, policy, **FEW_FMAPS, **GENERATORS["G"][1])
    w, directions = full.mapping(normal(8, 16)), normal(8, 16, 16, 3, seed=1)
    results = [
        gradients_of(lambda g=g: tf.reduce_mean(path_length_penalty(g.synthesis, w, directions, 1.0)[0]), g)
        for g in (half, full)
    ]
    assert_close(results[0][0], results[1][0], NORM_ERROR[policy])
    assert_gradients_close(results[0][1], results[1][1], GRADIENT_ERROR[policy])


@pytest.mark.parametrize("policy", MIXED)
def test_large_activations(policy):
    full, half = pair(Generator, policy, **FEW_FMAPS, **GENERATORS["G"][1])
    for g in (full, half):
        for layers in g.synthesis.layers_by_resolution:
            layers[1].source.kernel.assign(layers[1].source.kernel * 300.0)  # instance normalisation takes it out
    assert_close(half(normal(8, 16)), full(normal(8, 16)), OUTPUT_ERROR[policy])
    full, half = pair(Discriminator, policy, **FEW_FMAPS)
    images = 300.0 * normal(8, 16, 16, 3)
    assert np.abs(full.from_rgb[0](images)).max() > 300
    assert_close(half(images), full(images), OUTPUT_ERROR[policy])
    results = [
        gradients_of(
            lambda d=d: tf.reduce_mean(discriminator_loss("logistic", d, images, -images, r1_gamma=10.0).loss), d, 1.0
        )
        for d in (half, full)
    ]
    assert_gradients_close(results[0][1], results[1][1], GRADIENT_ERROR[policy])


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize("dtype", ["float32", "half"])
def test_networks_take_both_dtypes_and_return_float32(dtype, policy):
    dtype = MIXED[policy] if dtype == "half" else dtype
    g = Generator(**FEW_FMAPS, **GENERATORS["G"][1], label_size=3, dtype=policy)
    d = Discriminator(**FEW_FMAPS, label_size=3, dtype=policy)
    z, labels, images = (tf.cast(x, dtype) for x in (normal(8, 16), tf.one_hot([0, 1] * 4, 3), normal(8, 16, 16, 3)))
    noise = [tf.cast(normal(*shape), dtype) for shape in g.synthesis.noise_shapes]
    fade = tf.constant(0.5, dtype)
    assert g.mapping(z, labels).dtype == "float32"
    assert g(z, labels, noise=noise, fade=fade).dtype == "float32"
    assert d(images, labels, fade=fade).dtype == "float32"
    assert all(
        np.all(np.isfinite(term))
        for term in discriminator_loss("logistic", lambda x: d(x, labels), images, images, r1_gamma=10.0)
    )


def convolutions(network):
    return [layer for layer in network._flatten_layers() if isinstance(layer, (EqualizedConv2D, Blur))]


@pytest.mark.parametrize("policy", MIXED)
def test_convolutions_are_in_half(policy):
    g, d = Generator(**FEW_FMAPS, dtype=policy), Discriminator(**FEW_FMAPS, dtype=policy)
    for layer in convolutions(g.synthesis) + convolutions(d):
        assert layer.compute_dtype == ("float32" if "to_rgb" in layer.name else MIXED[policy])
    x = normal(1, 8, 8, 4)
    for layer in (
        Blur(dtype=policy),
        *(EqualizedConv2D(4, 3, r, use_bias=False, dtype=policy) for r in (None, "up", "down")),
    ):
        assert layer(x).dtype == MIXED[policy]


@pytest.mark.parametrize("policy", MIXED)
def test_what_stands_between_convolutions_is_in_bfloat16_and_not_in_float16(policy):
    expected = "bfloat16" if policy == "mixed_bfloat16" else "float32"
    x, w, noise = tf.cast(normal(1, 8, 8, 4), MIXED[policy]), normal(1, 6), normal(1, 8, 8, 1)
    layers = [
        (Bias(dtype=policy), (x,)),
        (NoiseInput(dtype=policy), (x, noise)),
        (EqualizedConv2D(4, 3, dtype=policy), (x,)),
        (FilteredConv2D(4, 3, resample="down", dtype=policy), (x,)),
        (ModulatedConv2D(4, 3, dtype=policy), (x, w)),
        (ModulatedLayer(4, dtype=policy), (x, w, noise)),
    ]
    assert [layer(*inputs).dtype for layer, inputs in layers] == [expected] * len(layers)


@pytest.mark.parametrize("const_input_layer", [True, False])
def test_the_first_layer_is_in_float32(const_input_layer):
    """Beside the constant's 1, bfloat16 would round noise of less than 0.004 away, which is then normalised."""
    arguments = FEW_FMAPS | GENERATORS["G"][1] | {"const_input_layer": const_input_layer}
    full, half = pair(Generator, "mixed_bfloat16", **arguments)
    w, outputs = normal(2, 16), []
    for generator in (full, half):
        first = generator.synthesis.layers_by_resolution[0][0]
        first.noise.strength.assign(tf.fill(first.noise.strength.shape, 1e-3))
        outputs.append(first(w, w, normal(1, 4, 4, 1)))
    np.testing.assert_array_equal(*outputs)


def test_styles_are_computed_of_w_in_float32():
    """w, whose steps in bfloat16 would be seen in every layer, is not rounded on its way into a modulated layer."""
    x, w, noise = normal(1, 8, 8, 4), normal(1, 6), normal(1, 8, 8, 1)
    layer = ModulatedLayer(4, dtype="mixed_bfloat16")
    layer(x, w, noise)
    seen = []
    layer.conv.style.call = lambda w: seen.append(w) or tf.ones([1, 4])
    layer(x, w, noise)
    np.testing.assert_array_equal(seen[0], w)


@pytest.mark.parametrize("policy", MIXED)
def test_dense_layers_and_mapping_are_in_float32(policy):
    full, half = pair(Generator, policy, **FEW_FMAPS, **GENERATORS["G"][1], label_size=3)
    z, labels = normal(8, 16), tf.one_hot([0, 1] * 4, 3)
    np.testing.assert_array_equal(half.mapping(z, labels), full.mapping(z, labels))
    full, half = EqualizedDense(5), EqualizedDense(5, dtype=policy)
    full(z), half(z)
    half.set_weights(full.get_weights())
    np.testing.assert_array_equal(half(z), full(z))


@pytest.mark.parametrize("policy", ["float32", *MIXED])
def test_files_keep_the_policy(policy, tmp_path):
    for network, x in (
        (Generator(**FEW_FMAPS, **GENERATORS["G"][1], dtype=policy), normal(4, 16)),
        (Discriminator(**FEW_FMAPS, dtype=policy), normal(4, 16, 16, 3)),
    ):
        network.save(tmp_path / "network.keras")
        loaded = keras.saving.load_model(tmp_path / "network.keras")
        assert loaded.get_config()["dtype"] == loaded.dtype_policy.name == policy
        assert {variable.dtype for variable in loaded.variables} == {"float32"}
        np.testing.assert_array_equal(loaded(x), network(x))


# Maps of 256 x 256 pixels around 1000: their sum, and that of their squares, are beyond float16, and bfloat16 has no
# number between 1000 and 1004 to be their mean.
PIXELS = 1000 + 4 * np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (2, 256, 256, 3))


@pytest.mark.parametrize("policy", MIXED)
def test_instance_norm(policy):
    mean, std = PIXELS.mean((1, 2), keepdims=True), PIXELS.std((1, 2), keepdims=True)
    expected = (PIXELS - mean) / std
    actual = InstanceNorm(dtype=policy)(tf.cast(PIXELS, MIXED[policy]))
    np.testing.assert_allclose(actual, expected, atol=1e-3)
    adain = AdaIN(dtype=policy)
    w = normal(2, 5)
    actual = adain(tf.cast(PIXELS, MIXED[policy]), w)
    scale, bias = np.split(np.asarray(adain.style(w), np.float64)[:, None, None], 2, axis=-1)
    np.testing.assert_allclose(actual, expected * (1 + scale) + bias, atol=1e-3)


@pytest.mark.parametrize("policy", MIXED)
def test_other_statistics(policy):
    x = tf.cast(300 * np.sign(normal(8, 4, 4, 64)), MIXED[policy])  # 300^2 is beyond float16
    np.testing.assert_allclose(PixelNorm(dtype=policy)(x), np.sign(x), rtol=1e-6)
    layer = MinibatchStdDev(dtype=policy)
    np.testing.assert_allclose(layer(x)[..., -1:], MinibatchStdDev()(tf.cast(x, tf.float32))[..., -1:], rtol=1e-6)
    # Its epsilon, 1e-8, is 0 in float16; and where there is no variance, the gradient by the images is finite.
    np.testing.assert_allclose(layer(tf.zeros([4, 4, 4, 64]))[..., -1], 1e-4, rtol=1e-5)


@pytest.mark.parametrize("policy", MIXED)
@pytest.mark.parametrize(
    "make",
    [
        lambda policy: Bias(dtype=policy),
        lambda policy: NoiseInput(dtype=policy),
        lambda policy: EqualizedConv2D(2, 1, dtype=policy),
        lambda policy: LearnedConstant(2, dtype=policy),
    ],
    ids=["bias", "noise", "convolution", "constant"],
)
def test_gradients_that_are_sums_over_pixels(make, policy):
    # The gradient of each pixel is 1; there are more than 65504, float16's largest number, and than 2048, where its
    # sums of ones end.
    layer = make(policy)
    constant = isinstance(layer, LearnedConstant)
    x = tf.zeros([70000, 1] if constant else [1, 256, 256 + 8, 2], MIXED[policy])
    inputs = (x, tf.ones([1, 256, 256 + 8, 1], MIXED[policy])) if isinstance(layer, NoiseInput) else (x,)
    layer(*inputs)
    weight = layer.trainable_variables[-1].value
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(weight)
        y = layer(*inputs)
    gradient = tape.gradient(y, weight, output_gradients=tf.ones_like(y))
    assert gradient.dtype == "float32"
    np.testing.assert_array_equal(gradient, np.full(weight.shape, 70000 if constant else 256 * (256 + 8)))


def test_small_gradients_survive_in_float16():
    full, half = pair(Discriminator, "mixed_float16", **FEW_FMAPS)
    for d in (full, half):
        d.output_layer.kernel.assign(d.output_layer.kernel * 1e-6)
    reals, fakes = normal(8, 16, 16, 3), normal(8, 16, 16, 3, seed=1)
    scale = LossScale()
    scale.variables()["value"].assign(2.0**24)

    def R1(d, value, inner):
        def penalty():
            terms = discriminator_loss("logistic", d, reals, fakes, r1_gamma=10.0, gradient_scale=inner)
            return tf.reduce_mean(terms.penalty)

        return gradients_of(penalty, d, value)

    expected, expected_gradients = R1(full, 1.0, 1.0)
    for value in (1.0, scale.value):  # the outer scale alone does not help
        penalty, gradients = R1(half, value, 1.0)
        assert not 0.5 * expected < penalty < 2 * expected
        with pytest.raises(AssertionError):
            assert_gradients_close(gradients, expected_gradients, 0.5)
    penalty, gradients = R1(half, scale.value, scale.inner)
    assert_close(penalty, expected, 0.02)
    assert_gradients_close(gradients, expected_gradients, 0.02)


@pytest.mark.parametrize("name, options", [("logistic", {"r1_gamma": 10.0, "r2_gamma": 5.0}), ("wgan", WGAN_GP)])
@pytest.mark.parametrize("scale", [256.0, tf.constant(256.0)], ids=["number", "tensor"])
def test_gradient_scale_changes_no_result(scale, name, options):
    d = Discriminator(**FEW_FMAPS)
    arguments = name, d, normal(8, 16, 16, 3), normal(8, 16, 16, 3, seed=1), tf.fill([8, 1, 1, 1], 0.3)
    results = [
        gradients_of(lambda s=s: tf.reduce_mean(discriminator_loss(*arguments, **options, gradient_scale=s).loss), d)
        for s in (scale, 1.0)
    ]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for variable, expected in results[1][1].items():
        np.testing.assert_allclose(results[0][1][variable], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_leaky_relu(dtype):
    x = tf.constant([0.0, -0.0, 1.0, -1.0, -1e-3], dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = leaky_relu(x)
    np.testing.assert_array_equal(tape.gradient(y, x), tf.constant([1, 1, 1, 0.2, 0.2], dtype))
    np.testing.assert_allclose(y, tf.constant([0, 0, 1, -0.2, -2e-4], dtype), atol=1.2e-7)


def state(scale):
    return {name: variable.numpy() for name, variable in scale.variables().items()}


def test_loss_scale():
    scale = LossScale()
    update = tf.function(scale.update)
    assert state(scale) == {"value": 2.0**15, "finite_steps": 0}
    for _ in range(1999):
        update(tf.constant(True))
    assert state(scale) == {"value": 2.0**15, "finite_steps": 1999}
    update(tf.constant(True))
    assert state(scale) == {"value": 2.0**16, "finite_steps": 0}
    assert scale.inner == 2.0**8
    update(tf.constant(True))
    update(tf.constant(False))
    assert state(scale) == {"value": 2.0**15, "finite_steps": 0}
    for _ in range(20):
        update(tf.constant(False))
    assert state(scale) == {"value": 1.0, "finite_steps": 0}
    scale.variables()["value"].assign(2.0**24)
    scale.variables()["finite_steps"].assign(1999)
    update(tf.constant(True))
    assert state(scale) == {"value": 2.0**24, "finite_steps": 0}


ON_TWO_REPLICAS = """
import tensorflow as tf
from stylegan_tf.runtime.precision import LossScale

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    scale = LossScale()
    weight = tf.Variable(1.0)

@tf.function
def step(finite):
    read = strategy.run(lambda: (scale.value, scale.inner))
    scale.update(finite)
    return read

for finite, value in ((False, 2.0**15), (False, 2.0**14), (True, 2.0**13), (True, 2.0**13)):
    values, inner = (strategy.experimental_local_results(x) for x in step(tf.constant(finite)))
    assert [float(x) for x in values] == [value] * 2
    assert [float(x) ** 2 for x in inner] == [float(tf.sqrt(value)) ** 2] * 2
steps = strategy.experimental_local_results(scale.variables()["finite_steps"])
assert len(steps) == 2 and [int(x) for x in steps] == [2, 2]
"""


def test_loss_scale_on_two_replicas():
    result = run("-c", ON_TWO_REPLICAS)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("precision", PRECISIONS)
def test_use_precision(precision):
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        use_precision(precision)
        assert tf.config.experimental.tensor_float_32_execution_enabled() == (precision == "tf32")
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def test_policies():
    assert [dtype_policy(p) for p in PRECISIONS] == ["float32", "float32", "mixed_bfloat16", "mixed_float16"]
    for function in (dtype_policy, use_precision):
        with pytest.raises(ValueError, match=r"Precision must be one of fp32, tf32, bf16, fp16; received 'int8'\."):
            function("int8")

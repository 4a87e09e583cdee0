"""Every family of networks keeps the contract, and one that nobody has heard of is trained, opened and exported."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops
from tiny_networks import normal, one_hot, scattered

from stylegan_tf.export.formats import export_keras
from stylegan_tf.export.savedmodel import export_savedmodel
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.files.official import export_variables
from stylegan_tf.networks.families import FAMILIES, Family, family_of
from stylegan_tf.networks.interface import BaseDiscriminator, BaseGenerator, BaseSynthesis, growth_arguments
from stylegan_tf.networks.network import keywords_of
from stylegan_tf.pictures.sampler import Sampler, latents
from stylegan_tf.recipes.presets import FULL_RESOLUTION_AT_ONCE
from stylegan_tf.recipes.settings import LossConfig, ScheduleConfig, TrainingConfig
from stylegan_tf.training.initialize import freeze_layers, initialize
from stylegan_tf.training.trainer import Trainer

SIZES = dict(
    fmap_base=64, fmap_max=8, latent_size=8, dlatent_size=8, mapping_layers=2, mapping_fmaps=8, mbstd_group_size=2
)
DATA = dict(resolution=16, num_channels=1, label_size=2)


def tiny(network, **arguments):
    """A network with those of SIZES that its constructor knows, and labels."""
    sizes = {name: value for name, value in SIZES.items() if name in keywords_of(network)}
    return network(**DATA, **sizes, **arguments)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def generator(family):
    return scattered(tiny(family.generator, name="G"))


@pytest.fixture(scope="module")
def discriminator(family):
    return scattered(tiny(family.discriminator, name="D"))


def test_what_a_generator_says_of_itself(family, generator):
    assert isinstance(generator, BaseGenerator) and isinstance(generator.synthesis, BaseSynthesis)
    assert (generator.resolution, generator.num_channels, generator.label_size) == (16, 1, 2)
    assert generator.latent_size == 8
    w = generator.mapping(normal(3, 8), one_hot(3, 2))
    assert w.shape == (3, generator.num_layers, generator.dlatent_size)
    assert generator.has_styles == (generator.num_layers > 1)
    assert [tuple(image.shape) for image in generator.noise_images] == generator.noise_shapes
    assert generator.layers_at(16) == generator.num_layers
    assert family_of(generator) is family_of(type(generator)) is family


def test_images(generator):
    z, labels = normal(3, 8), one_hot(3, 2)
    w = generator.mapping(z, labels)
    images = generator.synthesis(w)
    assert images.shape == (3, 16, 16, 1)
    np.testing.assert_array_equal(generator(z, labels, truncation_psi=None), images)
    drawn = [normal(3, *shape[1:], seed=i) for i, shape in enumerate(generator.noise_shapes)]
    assert np.array_equal(generator.synthesis(w, noise=drawn), images) == (not drawn)


def test_a_network_that_stands_at_a_level(generator):
    w = generator.mapping(normal(3, 8), one_hot(3, 2))
    if not generator.grows:
        assert not {"resolution", "fade"} & inspect.signature(generator.synthesis.call).parameters.keys()
        assert growth_arguments(generator, resolution=8, fade=0.5) == {}
        return
    small = generator.synthesis(w, resolution=8, fade=0.25)
    assert small.shape == (3, 8, 8, 1) and generator.layers_at(8) <= generator.num_layers
    generator.growth = (8, 0.25)
    again = type(generator).from_config(generator.get_config())
    again.set_weights(generator.get_weights())
    assert again.growth == (8, 0.25)
    np.testing.assert_array_equal(again.synthesis(w), np.asarray(small).repeat(2, axis=1).repeat(2, axis=2))
    for growth in (None, (16, 1.0)):
        generator.growth = growth
        assert generator.growth is None and generator.arguments["growth"] is None
    assert not np.array_equal(generator.synthesis(w), again.synthesis(w))
    for growth in ((12, 0.5), (32, 1.0), (8, 1.5)):
        with pytest.raises(ValueError, match=r"growth must be a resolution among .* and a fade"):
            generator.growth = growth


def test_as_a_function(generator):
    """TensorFlow asks a network for the arguments of its call, not for those of its constructor."""
    z, labels = tf.constant(normal(3, 8)), tf.constant(one_hot(3, 2))
    np.testing.assert_allclose(tf.function(generator)(z, labels), generator(z, labels), rtol=1e-4, atol=1e-4)
    assert "resolution" in inspect.signature(type(generator)).parameters
    assert list(inspect.signature(generator).parameters)[:1] != ["resolution"]


def test_truncation_of_all_of_layers_and_of_images(generator):
    w = generator.mapping(normal(3, 8), one_hot(3, 2))
    layers, average = generator.num_layers, np.asarray(generator.w_average)
    for psi in (0.5, np.linspace(-1, 1, layers), normal(3, 1), normal(3, layers)):
        psi = np.asarray(psi, "float32")
        factors = np.broadcast_to(psi, (3, layers)).copy()
        factors[:, 2:] = 1  # beyond the cut-off
        expected = average + factors[..., None] * (np.asarray(w) - average)
        np.testing.assert_allclose(generator.truncate(w, psi, cutoff=2), expected, rtol=1e-5, atol=1e-5)
    for psi in (np.ones(layers + 1), np.ones((3, layers + 1)), np.ones((3, layers, 1))):
        with pytest.raises(ValueError, match="psi must be one number"):
            generator.truncate(w, psi)


def test_what_a_discriminator_says_of_itself(discriminator):
    assert isinstance(discriminator, BaseDiscriminator)
    images, labels = normal(4, 16, 16, 1), one_hot(4, 2)
    scores = discriminator(images, labels, **growth_arguments(discriminator, fade=1.0))
    assert scores.shape == (4, 1)
    assert discriminator.label_size == 2 and discriminator.mbstd_group_size >= 0
    layers = [layer for step in discriminator.layers_from_image for layer in step]
    assert {v.path for layer in layers for v in layer.variables} == {v.path for v in discriminator.variables}


def test_the_originals_names(family, generator):
    if family.variables is not None:
        arrays = export_variables(generator)
        assert arrays and all(isinstance(name, str) for name in arrays)


@keras.saving.register_keras_serializable(package="toy")
class ToySynthesis(BaseSynthesis):
    """Pixels are a linear function of w."""

    num_layers, noise_shapes, noise_images = 1, (), ()

    def __init__(self, resolution=4, num_channels=1, dlatent_size=4, **kwargs):
        super().__init__(**kwargs)
        self.resolution, self.num_channels, self.dlatent_size = resolution, num_channels, dlatent_size
        self.pixels = keras.layers.Dense(resolution**2 * num_channels, name="pixels")
        self.pixels.build((None, dlatent_size))
        self.built = True

    def call(self, w, noise=None):
        return ops.reshape(self.pixels(w[:, 0]), (-1, self.resolution, self.resolution, self.num_channels))


@keras.saving.register_keras_serializable(package="toy")
class ToyGenerator(BaseGenerator):
    """w is z."""

    def __init__(self, resolution=4, num_channels=1, label_size=0, latent_size=4, **kwargs):
        super().__init__(**kwargs)
        self.label_size, self.latent_size = label_size, latent_size
        with keras.name_scope(self.name):
            self.synthesis = self.part(ToySynthesis, "synthesis", dlatent_size=latent_size)
        self.build((None, latent_size))

    def mapping(self, z, labels=None):
        return z[:, None, :]


@keras.saving.register_keras_serializable(package="toy")
class ToyDiscriminator(BaseDiscriminator):
    """The score is a linear function of the pixels."""

    mbstd_group_size = 0

    def __init__(self, resolution=4, num_channels=1, label_size=0, **kwargs):
        super().__init__(**kwargs)
        self.label_size = label_size
        self.score = keras.layers.Dense(1, name="score")
        self.score.build((None, resolution**2 * num_channels))
        self.layers_from_image = [[self.score]]
        self.built = True

    def call(self, images, labels=None):
        return self.score(ops.reshape(images, (-1, self.score.kernel.shape[0])))


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory):
    """The trainer of a run of two steps with a family that exists in this file only."""
    folder = tmp_path_factory.mktemp("toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "toy", Family(ToyGenerator, ToyDiscriminator))
        config = TrainingConfig(
            **{"dataset": "digits", "data_dir": str(folder / "data"), "resolution": 4, "networks": "toy"},
            **{"total_kimg": 0.016, "style_mixing_prob": 0.0},
            loss=LossConfig(),
            schedule=ScheduleConfig(minibatch_base=8, **FULL_RESOLUTION_AT_ONCE),
        )
        trainer = Trainer(config)
        trainer.before = [variable.numpy() for variable in trainer.models.G.trainable_variables]
        trainer.run(folder / "results")
        yield trainer


def test_a_toy_family_is_trained(toy_run):
    models = toy_run.models
    assert toy_run.progress.images_seen == 16
    changed = [not np.array_equal(*pair) for pair in zip(toy_run.before, models.G.trainable_variables, strict=True)]
    assert changed and all(changed)


def test_a_toy_family_is_opened_exported_and_started_from(toy_run, tmp_path):
    (target,) = find_targets(toy_run.run_dir)
    generator = load_generator(target.path)
    for mine, theirs in zip(generator.variables, toy_run.models.Gs.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    sampler = Sampler(generator)
    w = sampler.mapping(latents([1, 2], 4))
    path = export_savedmodel(generator, tmp_path / "toy", max_batch=2)
    signature = tf.saved_model.load(path).signatures["images_from_seeds"]
    one = tf.ones(2)
    images = signature(seeds=tf.constant([1, 2], tf.int64), truncation_psi=one, noise_seed=-tf.cast(one, tf.int64))
    np.testing.assert_array_equal(images["images"], sampler.synthesis(w))
    export_keras(generator, tmp_path / "toy.keras")
    np.testing.assert_array_equal(Sampler(load_generator(tmp_path / "toy.keras")).synthesis(w), sampler.synthesis(w))
    assert initialize(toy_run.models, toy_run.run_dir)[0].startswith("Starting from ")
    with pytest.raises(ValueError, match="1 layers, one at least must be trained"):
        freeze_layers(toy_run.models.D, 1)
    with pytest.raises(ValueError, match="The original has no ToyGenerator"):
        export_variables(generator)
    assert toy_run.models.D.mbstd_group_size == 0


def test_what_a_family_cannot_do_is_refused(toy_run):
    for changes, words in (
        ({"style_mixing_prob": 0.5}, "no styles that could be mixed"),
        ({"resolution": 8, "schedule": ScheduleConfig(lod_initial_resolution=4)}, "are not grown"),
        ({"schedule": ScheduleConfig()}, r"are not grown, but schedule\.lod_training_kimg is 600"),
        ({"networks": "stylegan9"}, rf"networks must be one of {', '.join(FAMILIES)}; received 'stylegan9'"),
        ({"generator": {"colour": 1}}, "There is no setting generator.colour; there are: latent_size"),
    ):
        config = TrainingConfig(**{**vars(toy_run.config), **changes})
        with pytest.raises(ValueError, match=words):
            Trainer(config)

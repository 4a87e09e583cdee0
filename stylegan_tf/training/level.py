"""Generator and discriminator at one resolution, as the parts of a training step use them."""

import tensorflow as tf

from stylegan_tf.images import fade_images, from_uint8, mirror_images
from stylegan_tf.networks.interface import growth_arguments
from stylegan_tf.runtime.draws import Purpose, fold, generator_draws, integers, uniform
from stylegan_tf.training.augmentation import augmentation_of


class Level:
    """The networks of a run at one resolution, while its newest block fades in or after. All is for one replica.

    Args:
        models: Models.
        config: TrainingConfig.
        resolution: Side of the images.
        fading: Whether the newest block is fading in.
        all_labels: Labels of the whole data set, float [images, label_size].

    Attributes:
        pixel_area: See `discriminator_loss`.
    """

    def __init__(self, models, config, resolution, fading, all_labels):
        self.models = models
        self.config = config
        self.resolution = resolution
        self.fading = fading
        self.all_labels = all_labels
        self.augmentation = augmentation_of(config, models)
        self.pixel_area = (resolution / config.resolution) ** 2

    def reals(self, images, seed, fade):
        """Real images as D sees them, float [N, R, R, C] in [-1, 1], of uint8 [N, R, R, C]."""
        reals = from_uint8(images)
        if self.config.mirror:
            reals = mirror_images(reals, uniform([images.shape[0]], fold(seed, Purpose.MIRROR)) >= 0.5)
        return fade_images(reals, fade) if self.fading else reals

    def generator_draws(self, seed, images):
        """GeneratorDraws for so many images."""
        return generator_draws(seed, images, self.models.G, self.resolution, self.config.style_mixing_prob)

    def random_labels(self, seed, images):
        """Labels of so many images of the data set, float [images, label_size]."""
        return tf.gather(self.all_labels, integers([images], seed, 0, len(self.all_labels)))

    def styles(self, labels, draws):
        """The (mixed) w of so many images, [N, layers, dlatent_size], and the first latents' w, [N, dlatent_size]."""
        G = self.models.G
        labels = labels if G.label_size else None
        w = G.mapping(draws.z, labels)
        first = w[:, 0]
        if self.config.style_mixing_prob:
            w = G.mix(w, G.mapping(draws.z2, labels), draws.cutoff)
        return w, first

    def generate(self, labels, draws, fade):
        """Images of G, and what `styles` returns."""
        w, first = self.styles(labels, draws)
        return self.synthesize(w, draws.noise, fade), w, first

    def synthesize(self, w, noise, fade):
        """Images of G for given w and noise."""
        G = self.models.G
        return G.synthesis(w, noise=noise, **growth_arguments(G, resolution=self.resolution, fade=self.weight(fade)))

    def augmentation_draws(self, seed, shape):
        """Draws of the augmentation of images of a shape, [N, R, R, C]; None where there is none."""
        return self.augmentation and self.augmentation.draw(seed, shape)

    def discriminate(self, images, labels, fade, augmentation):
        """D's scores, [N, 1], of real or generated images: the only place where D is called in training.

        Args:
            images: [N, R, R, C].
            labels: [N, label_size].
            fade: Weight of the newest block.
            augmentation: What `augmentation_draws` returned for these images.
        """
        D = self.models.D
        if self.augmentation:
            images = self.augmentation(tf.cast(images, tf.float32), augmentation)
        labels = labels if D.label_size else None
        return D(images, labels, **growth_arguments(D, fade=self.weight(fade)))

    def weight(self, fade):
        """The weight of the newest block."""
        return fade if self.fading else 1.0

"""One training step: discriminator, moving average, generator (paper, appendix C)."""

import tensorflow as tf

from stylegan_tf.images import fade_images, from_uint8, mirror_images
from stylegan_tf.losses import discriminator_loss, generator_loss
from stylegan_tf.training.average import moving_average
from stylegan_tf.training.draws import Purpose, fold, generator_draws, seed_of, uniform

STATISTICS = ("D_loss", "G_loss", "penalty", "scores/real", "scores/fake", "D_skipped", "G_skipped")


class TrainingStep:
    """The step at one resolution, while its newest block fades in or after; traced once each.

    Args:
        models: Models.
        config: TrainingConfig.
        strategy: The tf.distribute strategy the models were made under.
        resolution: Side of the images.
        fading: Whether the newest block is fading in.
        all_labels: Labels of the whole data set, float [images, label_size], which G's step draws from.
    """

    def __init__(self, models, config, strategy, resolution, fading, all_labels):
        self.models = models
        self.config = config
        self.strategy = strategy
        self.resolution = resolution
        self.fading = fading
        self.all_labels = all_labels
        self.pixel_area = (resolution / config.resolution) ** 2

    @tf.function
    def __call__(self, images, labels, images_seen, fade, G_lrate, D_lrate, beta):
        """Trains on one minibatch.

        Args:
            images: uint8 [N, R, R, C] a replica.
            labels: float [N, label_size] a replica.
            images_seen: int64 scalar, which selects the random draws.
            fade: Weight of the newest block, float32 scalar, as are the next three.
            G_lrate, D_lrate: Learning rates.
            beta: Decay of the moving average Gs.

        Returns:
            float32 [len(STATISTICS)], means over the minibatch.
        """
        draws = self.strategy.run(self.draw, (images, images_seen, fade))
        return self.update(*draws, labels, fade, G_lrate, D_lrate, beta)

    def draw(self, images, images_seen, fade):
        """On one replica: processed reals and all that is random. See `update` for what is returned."""
        count = images.shape[0]
        seed = seed_of(self.config.seed, images_seen, tf.distribute.get_replica_context().replica_id_in_sync_group)
        reals = from_uint8(images)
        if self.config.mirror:
            reals = mirror_images(reals, uniform([count], fold(seed, Purpose.MIRROR)) >= 0.5)
        if self.fading:
            reals = fade_images(reals, fade)
        D_draws, G_draws = (
            generator_draws(fold(seed, purpose), count, self.models.G, self.resolution, self.config.style_mixing_prob)
            for purpose in (Purpose.D_GENERATOR, Purpose.G_GENERATOR)
        )
        mixing_factors = uniform([count, 1, 1, 1], fold(seed, Purpose.MIXING_FACTORS))
        chosen = tf.random.stateless_uniform(
            [count], fold(seed, Purpose.RANDOM_LABELS), 0, len(self.all_labels), tf.int32, alg="philox"
        )
        return reals, D_draws, G_draws, mixing_factors, tf.gather(self.all_labels, chosen)

    def update(self, reals, D_draws, G_draws, mixing_factors, random_labels, labels, fade, G_lrate, D_lrate, beta):
        """Both steps with given draws, in cross-replica context; all but the last four arguments are per replica.

        Args:
            reals: Float images in [-1, 1].
            D_draws, G_draws: GeneratorDraws for the two steps.
            mixing_factors: For gradient penalties, [N, 1, 1, 1].
            random_labels: Labels of the images that G's step generates.
            labels: Labels of the reals, which D's step gives to its generated images as well.
            fade, G_lrate, D_lrate, beta: See `__call__`.
        """
        models, run = self.models, self.strategy.run
        gradients, w_mean, D_statistics = run(self.D_gradients, (reals, labels, D_draws, mixing_factors, fade))
        self.update_w_average(w_mean)
        D_stepped = models.D_optimizer.apply(self.strategy, gradients, D_lrate)
        # Between the two, as in the reference: Gs lags one step of G.
        self.update_average(beta)
        gradients, w_mean, G_statistics = run(self.G_gradients, (random_labels, G_draws, fade))
        self.update_w_average(w_mean)
        G_stepped = models.G_optimizer.apply(self.strategy, gradients, G_lrate)
        means = [self.mean(s) for s in (D_statistics, G_statistics)]
        skipped = [1.0 - tf.cast(stepped, tf.float32) for stepped in (D_stepped, G_stepped)]
        return tf.stack([means[0][0], means[1], *tf.unstack(means[0])[1:], *skipped])

    def D_gradients(self, reals, labels, draws, mixing_factors, fade):
        """On one replica: gradients for D's variables, the mean first w, and [loss, penalty, real and fake score]."""
        models, fade = self.models, fade if self.fading else 1.0
        labels = labels if models.D.label_size else None
        fakes, w_mean = self.generate(labels, draws, fade)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in models.D.trainable_variables])
            terms = discriminator_loss(
                self.config.loss.discriminator,
                lambda images: models.D(images, labels, fade=fade),
                reals,
                fakes,
                mixing_factors,
                self.pixel_area,
                **{name: getattr(self.config.loss, name) for name in PENALTY_WEIGHTS},
            )
            loss = self.share(terms.loss)
        gradients = self.gradients(tape, loss, models.D)
        statistics = (terms.loss, terms.penalty, terms.real_scores, terms.fake_scores)
        return gradients, w_mean, tf.stack([tf.reduce_mean(values) for values in statistics])

    def G_gradients(self, labels, draws, fade):
        """On one replica: gradients for G's variables, the mean first w, and the loss."""
        models, fade = self.models, fade if self.fading else 1.0
        labels = labels if models.G.label_size else None
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in models.G.trainable_variables])
            fakes, w_mean = self.generate(labels, draws, fade)
            values = generator_loss(self.config.loss.generator, models.D(fakes, labels, fade=fade))
            loss = self.share(values)
        return self.gradients(tape, loss, models.G), w_mean, tf.reduce_mean(values)

    def generate(self, labels, draws, fade):
        """Images of G with mixed styles, and the batch mean of the first latents' w, [dlatent_size]."""
        G = self.models.G
        w = G.mapping(draws.z, labels)
        w_mean = tf.reduce_mean(w[:, 0], axis=0)
        if self.config.style_mixing_prob:
            w = G.mix(w, G.mapping(draws.z2, labels), draws.cutoff)
        return G.synthesis(w, noise=draws.noise, resolution=self.resolution, fade=fade), w_mean

    def share(self, values):
        """This replica's part of the mean over the global minibatch."""
        return tf.reduce_sum(values) / (values.shape[0] * self.strategy.num_replicas_in_sync)

    def gradients(self, tape, loss, network):
        return tape.gradient(loss, [variable.value for variable in network.trainable_variables])

    def mean(self, values):
        """Mean over the replicas, which hold equally many images."""
        return self.strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)

    def update_w_average(self, w_mean):
        """Moves G's average of w towards the minibatch's."""
        average = self.models.G.w_average.value
        average.assign(moving_average(average, self.mean(w_mean), self.config.w_average_beta))

    def update_average(self, beta):
        """Moves Gs towards G; what is not trained is copied."""
        G, Gs = self.models.G, self.models.Gs
        for average, variable in zip(Gs.trainable_variables, G.trainable_variables, strict=True):
            self.strategy.extended.update(
                average.value, lambda a, v: a.assign(moving_average(a, v, beta)), args=(variable.value,), group=False
            )
        for copy, variable in zip(Gs.non_trainable_variables, G.non_trainable_variables, strict=True):
            copy.value.assign(variable.value)


PENALTY_WEIGHTS = ("r1_gamma", "r2_gamma", "wgan_lambda", "wgan_epsilon", "wgan_target")

"""One training step: discriminator, moving average, generator (paper, appendix C)."""

import numpy as np
import tensorflow as tf

from stylegan_tf.images import fade_images, from_uint8, mirror_images
from stylegan_tf.networks.interface import growth_arguments
from stylegan_tf.runtime.draws import Purpose, fold, generator_draws, normal, seed_of, uniform
from stylegan_tf.training.average import moving_average
from stylegan_tf.training.losses import discriminator_loss, generator_loss, path_length_penalty

STATISTICS = (
    "D_loss",
    "G_loss",
    "penalty",
    "scores/real",
    "scores/fake",
    "path_length_penalty",
    "gradient_norm/D",
    "gradient_norm/G",
    "D_skipped",
    "G_skipped",
)


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
        self.D_part, self.G_part = (
            # Only what one replica computes alone: XLA does not know the sums over replicas.
            tf.function(part, jit_compile=True, reduce_retracing=False) if config.use_xla else part
            for part in (self.D_gradients, self.G_gradients)
        )

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
        if self.config.loss.path_length_weight:
            directions = normal(reals.shape, fold(seed, Purpose.PATH_LENGTH))
            G_draws = G_draws._replace(directions=directions)
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
        D_values = run(self.in_rounds, (self.D_part, (reals, labels, D_draws, mixing_factors), fade))
        gradients, w_mean, D_statistics = D_values
        self.update_w_average(w_mean)
        D_stepped, D_norm = self.apply("D", gradients, D_lrate)
        # Between the two, as in the reference: Gs lags one step of G.
        self.update_average(beta)
        G_values = run(self.in_rounds, (self.G_part, (random_labels, G_draws), fade))
        gradients, w_mean, G_statistics, path_length = G_values
        self.update_w_average(w_mean)
        if models.path_length is not None:
            models.path_length.assign(self.mean(path_length))
        G_stepped, G_norm = self.apply("G", gradients, G_lrate)
        D_loss, *D_means = tf.unstack(self.mean(D_statistics))
        G_loss, path_length_penalty = tf.unstack(self.mean(G_statistics))
        skipped = [1.0 - tf.cast(stepped, tf.float32) for stepped in (D_stepped, G_stepped)]
        return tf.stack([D_loss, G_loss, *D_means, path_length_penalty, D_norm, G_norm, *skipped])

    def in_rounds(self, part, values, fade):
        """On one replica: the sum of `part(*values, fade)` over the rounds of `accumulate`, one after the other."""
        rounds = self.config.accumulate
        if rounds == 1:
            return part(*values, fade)
        order = tf.constant(order_of_rounds(values[0].shape[0], rounds, self.models.D.mbstd_group_size))

        def round_of(i):
            def pick(value):
                return value if value is None or not value.shape.rank else tf.gather(value, order[i])

            return tf.nest.map_structure(pick, values)

        # The first round shows which variables have no gradient at this resolution: a loop cannot carry None.
        first = part(*round_of(0), fade)
        leaves = tf.nest.flatten(first)

        def add(i, *sums):
            terms = (term for term in tf.nest.flatten(part(*round_of(i), fade)) if term is not None)
            return i + 1, *(total + term for total, term in zip(sums, terms, strict=True))

        start = (tf.constant(1), *(leaf for leaf in leaves if leaf is not None))
        sums = iter(tf.while_loop(lambda i, *sums: i < rounds, add, start, parallel_iterations=1)[1:])
        return tf.nest.pack_sequence_as(first, [None if leaf is None else next(sums) for leaf in leaves])

    def D_gradients(self, reals, labels, draws, mixing_factors, fade):
        """On one replica, for one round: its part of D's gradients, of the mean first w, and of D's statistics."""
        models, fade = self.models, fade if self.fading else 1.0
        labels = labels if models.D.label_size else None
        fakes, _, w_mean = self.generate(labels, draws, fade)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in models.D.trainable_variables])
            terms = discriminator_loss(
                self.config.loss.discriminator,
                lambda images: models.D(images, labels, **growth_arguments(models.D, fade=fade)),
                reals,
                fakes,
                mixing_factors,
                self.pixel_area,
                **{name: getattr(self.config.loss, name) for name in PENALTY_WEIGHTS},
                gradient_scale=models.D_scale.inner if models.D_scale else 1.0,
            )
            loss = self.scaled(self.share(terms.loss), models.D_scale)
        gradients = self.gradients(tape, loss, models.D, models.D_scale)
        statistics = (terms.loss, terms.penalty, terms.real_scores, terms.fake_scores)
        return gradients, w_mean, tf.stack([self.part(values) for values in statistics])

    def G_gradients(self, labels, draws, fade):
        """On one replica, for one round: its part of G's gradients, mean first w, statistics, running path length."""
        models, fade = self.models, fade if self.fading else 1.0
        labels = labels if models.G.label_size else None
        penalty = path_length = tf.zeros([])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in models.G.trainable_variables])
            fakes, w, w_mean = self.generate(labels, draws, fade)
            values = generator_loss(
                self.config.loss.generator, models.D(fakes, labels, **growth_arguments(models.D, fade=fade))
            )
            loss = self.share(values)
            if models.path_length is not None:
                penalties, path_length = self.path_length(w, draws, fade)
                loss += self.config.loss.path_length_weight * self.share(penalties)
                penalty = self.part(penalties)
            loss = self.scaled(loss, models.G_scale)
        gradients = self.gradients(tape, loss, models.G, models.G_scale)
        return gradients, w_mean, tf.stack([self.part(values), penalty]), path_length / self.config.accumulate

    def generate(self, labels, draws, fade):
        """Images of G, their (mixed) w, and this round's part of the mean of the first latents' w, [dlatent_size]."""
        G = self.models.G
        w = G.mapping(draws.z, labels)
        w_mean = tf.reduce_mean(w[:, 0], axis=0) / self.config.accumulate
        if self.config.style_mixing_prob:
            w = G.mix(w, G.mapping(draws.z2, labels), draws.cutoff)
        growth = growth_arguments(G, resolution=self.resolution, fade=fade)
        return G.synthesis(w, noise=draws.noise, **growth), w, w_mean

    def path_length(self, w, draws, fade):
        """Penalties of the first half of the images, as StyleGAN2 takes half, and the updated running path length."""
        models = self.models
        half = max(w.shape[0] // 2, 1)
        noise = draws.noise and [image[:half] for image in draws.noise]
        growth = growth_arguments(models.G, resolution=self.resolution, fade=fade)
        return path_length_penalty(
            lambda w: models.G.synthesis(w, noise=noise, **growth),
            w[:half],
            draws.directions[:half],
            models.path_length.read_value(),
            self.config.loss.path_length_decay,
            gradient_scale=models.G_scale.inner if models.G_scale else 1.0,
        )

    def share(self, values):
        """This round's and replica's part of the mean over the global minibatch."""
        return tf.reduce_sum(values) / (values.shape[0] * self.config.accumulate * self.strategy.num_replicas_in_sync)

    def part(self, values):
        """This round's part of the mean over the replica's images."""
        return tf.reduce_mean(values) / self.config.accumulate

    def scaled(self, loss, scale):
        return loss * scale.value if scale else loss

    def gradients(self, tape, loss, network, scale):
        """Gradients of a (scaled) loss by a network's variables, unscaled; None for variables without one."""
        gradients = tape.gradient(loss, [variable.value for variable in network.trainable_variables])
        return [g if g is None or not scale else g / scale.value for g in gradients]

    def apply(self, name, gradients, learning_rate):
        """Updates network "D" or "G"; returns whether the step was taken, and the norm of the gradient."""
        models = self.models
        optimizer, scale = (getattr(models, f"{name}_{part}") for part in ("optimizer", "scale"))
        stepped, norm = optimizer.apply(self.strategy, gradients, learning_rate)
        if scale:
            scale.update(stepped)
        streak = models.skipped[name]
        streak.assign(tf.where(stepped, tf.zeros_like(streak), streak + 1))
        return stepped, norm

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


def order_of_rounds(images, rounds, group_size):
    """Returns which images go through the networks in which round, int [rounds, images / rounds].

    Whole groups of the minibatch standard deviation stay together, in which image i belongs to group i mod M: the
    rounds together then give what the whole minibatch gives. Where a round is smaller than a group it is one itself.
    """
    members = max(min(group_size, images // rounds), 1)
    return np.arange(images).reshape(members, rounds, -1).transpose(1, 0, 2).reshape(rounds, -1)


def tick_values(totals, minibatches):
    """{name: number} of a tick from the sums of its steps: means, but for the numbers of skipped updates."""
    values = dict(zip(STATISTICS, totals.tolist(), strict=True))
    for name, total in values.items():
        if name.startswith("gradient_norm"):
            # A step that was skipped has no norm.
            values[name] = total / max(minibatches - values[f"{name[-1]}_skipped"], 1)
        elif not name.endswith("skipped"):
            values[name] = total / minibatches
    return values

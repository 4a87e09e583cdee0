"""One training step: a list of parts, each of which updates one network, and the moving average between them."""

from functools import partial

import numpy as np
import tensorflow as tf

from stylegan_tf.runtime.draws import seed_of
from stylegan_tf.training.average import moving_average
from stylegan_tf.training.level import Level
from stylegan_tf.training.parts import AVERAGE, due_parts, parts_of, updates_of, updates_per_step


class TrainingStep:
    """The step at one resolution, while its newest block fades in or after.

    Each part, with all that is drawn for it, and the average are traced once, whatever is due together.

    Args:
        models: Models.
        config: TrainingConfig.
        strategy: The tf.distribute strategy the models were made under.
        resolution: Side of the images.
        fading: Whether the newest block is fading in.
        all_labels: Labels of the whole data set, float [images, label_size], which G's step draws from.

    Attributes:
        parts: Its parts in their order, with AVERAGE among them.
        statistics: Names of what it returns.
    """

    def __init__(self, models, config, strategy, resolution, fading, all_labels):
        self.models = models
        self.config = config
        self.strategy = strategy
        self.level = Level(models, config, resolution, fading, all_labels)
        self.parts = parts_of(config)
        self.statistics = statistics_of(self.parts)
        self.zero = tf.zeros([])
        # XLA compiles the parts whole on one device. Of several, it compiles what each computes alone, as it does not
        # know their sums. What is drawn stays outside: XLA's generator gives other numbers.
        alone = strategy.num_replicas_in_sync == 1
        inner, outer = (config.use_xla and not alone), (config.use_xla and alone)
        self.gradients_of, self.training, self.taking = {}, {}, {}
        for part in updates_of(self.parts):
            gradients = partial(self.gradients, part)
            self.gradients_of[part.name] = traced(gradients, compiled=True) if inner else gradients
            self.training[part.name] = traced(partial(self.train_by, part), compiled=outer)
            self.taking[part.name] = traced(partial(self.take, part))
        self.averaging = traced(self.update_average, compiled=outer)
        self.adapting = models.ada and traced(models.ada.update)
        self.sent = {}  # {part: its function as it was traced when it was called first}

    def __call__(self, images, labels, images_seen, fade, G_lrate, D_lrate, beta, due=None):
        """Trains on one minibatch.

        Args:
            images: uint8 [N, R, R, C] a replica.
            labels: float [N, label_size] a replica.
            images_seen: int64 scalar, which selects the random draws.
            fade: Weight of the newest block, float32 scalar, as are the next three.
            G_lrate, D_lrate: Learning rates.
            beta: Decay of the moving average Gs.
            due: Names of the parts that are due, a tuple, from `due_parts`; None for all.

        Returns:
            float32 [len(self.statistics)], means over the minibatch; 0 for parts that are not due.
        """
        due = due_parts(self.parts, 0) if due is None else due
        one_of_each = self.strategy.experimental_local_results(images)[0]

        def take(part, learning_rate):
            return self.send(part.name, self.taking[part.name], images, labels, images_seen, fade, learning_rate)

        return self.in_order(take, due, one_of_each, G_lrate, D_lrate, beta)

    def send(self, name, function, *arguments):
        """Calls a traced function, whose arguments are tensors of the same shapes each time.

        tf.function would look for the trace that fits in every call, and take as long for it as to start it.
        """
        if name not in self.sent:
            self.sent[name] = function.get_concrete_function(*arguments)
        return self.sent[name](*arguments)

    def take(self, part, images, labels, images_seen, fade, learning_rate):
        """One update by one part, with all that is random in it; returns {statistic: mean over the minibatch}."""
        inputs = self.strategy.run(self.draw, (images, labels, images_seen, fade, (part.name,)))
        return self.train(part, inputs[part.name], fade, learning_rate)

    def draw(self, images, labels, images_seen, fade, due=None):
        """On one replica: {name of a part that is due: inputs of its loss}, with all that is random in them."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        seed = seed_of(self.config.seed, images_seen, replica)
        reals = self.level.reals(images, seed, fade)
        due = due_parts(self.parts, 0) if due is None else due
        return {
            part.name: part.draw(self.level, seed, reals, labels) for part in updates_of(self.parts) if part.name in due
        }

    def update(self, inputs, fade, G_lrate, D_lrate, beta):
        """The parts that have inputs, and the moving average, in their order; in cross-replica context.

        Args:
            inputs: {name of a part: inputs of its loss} a replica.
            fade, G_lrate, D_lrate, beta: See `__call__`.
        """
        one_of_each = self.strategy.experimental_local_results(next(iter(inputs.values()))[0])[0]

        def train(part, learning_rate):
            return self.train(part, inputs[part.name], fade, learning_rate)

        return self.in_order(train, tuple(inputs), one_of_each, G_lrate, D_lrate, beta)

    def in_order(self, update, due, one_of_each, G_lrate, D_lrate, beta):
        """The parts that are due, and the moving average; returns what `__call__` does.

        Args:
            update: Function of a part and its learning rate.
            due: Names of parts.
            one_of_each: A tensor with an entry for each image of a replica.
            G_lrate, D_lrate, beta: See `__call__`.
        """
        rates, values = {"G": G_lrate, "D": D_lrate}, {}
        for part in self.parts:
            if part is AVERAGE:
                self.send(AVERAGE, self.averaging, beta)
            elif part.name in due:
                values |= update(part, rates[part.network])
        if self.models.ada:
            signs = [values[name] for name in ("signs/real", "signs/R1") if name in values]
            self.adapting(signs, one_of_each.shape[0] * self.strategy.num_replicas_in_sync)
        # tf.stack would ask for shapes, and so wait until all has been computed.
        return tf.raw_ops.Pack(values=[values.get(name, self.zero) for name in self.statistics])

    def train(self, part, inputs, fade, learning_rate):
        """One update by one part; returns {statistic: mean over the minibatch}."""
        return self.training[part.name](inputs, fade, learning_rate)

    def train_by(self, part, inputs, fade, learning_rate):
        """What `train` traces."""
        values = self.strategy.run(self.in_rounds, (self.gradients_of[part.name], inputs, fade))
        gradients, w_mean, statistics, path_length = values
        if w_mean is not None:
            self.update_w_average(w_mean)
        if path_length is not None:
            self.models.path_length.assign(self.mean(path_length))
        stepped, norm = self.apply(part, gradients, learning_rate)
        means = dict(zip(part.statistics, tf.unstack(self.mean(statistics)), strict=True))
        skipped = 1.0 - tf.cast(stepped, tf.float32)
        return means | {f"gradient_norm/{part.name}": norm, f"{part.name}_skipped": skipped}

    def in_rounds(self, function, inputs, fade):
        """On one replica: the sum of `function(inputs, fade, path_length)` over the rounds of `accumulate`.

        They go one after the other, and the running mean of the path length goes on from each to the next.
        """
        rounds, path_length = self.config.accumulate, self.models.path_length
        path_length = tf.zeros([]) if path_length is None else path_length.read_value()
        if rounds == 1:
            return function(inputs, fade, path_length)
        order = tf.constant(order_of_rounds(inputs[0].shape[0], rounds, self.models.D.mbstd_group_size))

        def terms_of(i, path_length):
            def pick(value):
                return value if value is None or not value.shape.rank else tf.gather(value, order[i])

            *terms, after = function(tf.nest.map_structure(pick, inputs), fade, path_length)
            return terms, after

        # The first round shows which variables have no gradient at this resolution: a loop cannot carry None.
        first, after = terms_of(0, path_length)
        leaves = tf.nest.flatten(first)

        def add(i, path_length, *sums):
            terms, following = terms_of(i, path_length)
            terms = (term for term in tf.nest.flatten(terms) if term is not None)
            sums = (total + term for total, term in zip(sums, terms, strict=True))
            return i + 1, path_length if following is None else following, *sums

        start = (tf.constant(1), path_length if after is None else after, *(x for x in leaves if x is not None))
        _, last, *sums = tf.while_loop(lambda i, *_: i < rounds, add, start, parallel_iterations=1)
        sums = iter(sums)
        terms = tf.nest.pack_sequence_as(first, [None if leaf is None else next(sums) for leaf in leaves])
        return *terms, None if after is None else last

    def gradients(self, part, inputs, fade, path_length):
        """On one replica, for one round of one part.

        Args:
            part, inputs, fade: See `Part.loss`.
            path_length: The running mean of the path length before this round.

        Returns:
            Its gradient for each variable of the network, or None; its shares of the mean first w, or None, and of the
            part's statistics, [len(part.statistics)]; and the running mean of the path length after it, or None.
        """
        network, scale = (getattr(self.models, f"{part.network}{suffix}") for suffix in ("", "_scale"))
        variables = [variable.value for variable in network.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            terms = part.loss(self.level, inputs, fade, path_length)
            loss = sum(weight * self.share(values) for weight, values in terms.losses)
            if scale:
                loss *= scale.value
        gradients = tape.gradient(loss, variables)
        if scale:
            gradients = [gradient if gradient is None else gradient / scale.value for gradient in gradients]
        rounds = self.config.accumulate
        w_mean = None if terms.w is None else tf.reduce_mean(terms.w, axis=0) / rounds
        statistics = tf.stack([tf.reduce_mean(terms.statistics[name]) / rounds for name in part.statistics])
        return gradients, w_mean, statistics, terms.path_length

    def share(self, values):
        """This round's and replica's part of the mean over the global minibatch."""
        return tf.reduce_sum(values) / (values.shape[0] * self.config.accumulate * self.strategy.num_replicas_in_sync)

    def apply(self, part, gradients, learning_rate):
        """Updates the part's network; returns whether the step was taken, and the norm of the gradient.

        The updates of all parts of a network share one Adam state. Where there is more than one in a step, on average
        1 / c of them, the learning rate is multiplied by c, and the betas are raised to its power: with one regularizer
        every k steps, c = k / (k + 1) (Karras et al., 2019, appendix B).
        """
        models, betas = self.models, self.config.optimizer
        optimizer, scale = (getattr(models, f"{part.network}_{kind}") for kind in ("optimizer", "scale"))
        c = 1 / updates_per_step(self.parts, part.network)
        rate = learning_rate if c == 1 else learning_rate * c
        stepped, norm = optimizer.apply(self.strategy, gradients, rate, betas.beta1**c, betas.beta2**c)
        if scale:
            scale.update(stepped)
        streak = models.skipped[part.network]
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


def traced(function, compiled=False):
    """A function that is traced once for each kind of arguments, and compiled by XLA if asked.

    It has no control flow that depends on tensors.
    """
    return tf.function(function, autograph=False, jit_compile=compiled or None)


def order_of_rounds(images, rounds, group_size):
    """Returns which images go through the networks in which round, int [rounds, images / rounds].

    Whole groups of the minibatch standard deviation stay together, in which image i belongs to group i mod M: the
    rounds together then give what the whole minibatch gives. Where a round is smaller than a group it is one itself.
    """
    members = max(min(group_size, images // rounds), 1)
    if images // rounds % members:
        members = 1  # these images are none of D's: its minibatches have been checked to hold whole groups
    return np.arange(images).reshape(members, rounds, -1).transpose(1, 0, 2).reshape(rounds, -1)


def statistics_of(parts):
    """Names of the numbers that a step with these parts returns: first losses, last the updates that were skipped.

    The sums of a tick are stored in this order.
    """
    parts = updates_of(parts)
    return (
        *(part.statistics[0] for part in parts),
        *(name for part in parts for name in part.statistics[1:]),
        *(f"gradient_norm/{part.name}" for part in parts),
        *(f"{part.name}_skipped" for part in parts),
    )


def tick_values(totals, parts, times):
    """{name: number} of a tick from the sums of its steps: means, but for the numbers of skipped updates.

    Args:
        totals: Sums, in the order of `statistics_of`.
        parts: Parts of the step.
        times: {name of a part: how often it was due}.
    """
    values = dict(zip(statistics_of(parts), map(float, totals), strict=True))
    for part in updates_of(parts):
        for name in part.statistics:
            values[name] /= max(times[part.name], 1)
        # A step that was skipped has no norm.
        values[f"gradient_norm/{part.name}"] /= max(times[part.name] - values[f"{part.name}_skipped"], 1)
    return values

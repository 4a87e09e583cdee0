"""Adam under a distribution strategy, with the two habits of the reference: reset on growth, skip on overflow."""

import tensorflow as tf


class Adam:
    """Adam (Kingma and Ba, 2015, section 2, the "epsilon hat" form) whose update is skipped when it is not finite.

    Call it inside the strategy's scope, and its `apply` in cross-replica context. A variable without a gradient keeps
    its value: its moments are zero since the last reset, so the reference's zero gradient changes nothing either.

    Args:
        variables: Keras variables, all of those that may ever be trained.
        epsilon: As in the paper.
    """

    def __init__(self, variables, epsilon=1e-8):
        self.epsilon = epsilon
        self.targets = [variable.value for variable in variables]
        self.m = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.targets]
        self.v = [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.targets]
        self.updates = tf.Variable(0, dtype=tf.int64, trainable=False)

    def reset(self):
        """Forgets the moments and the number of updates, as the reference does when a level enters or leaves fading."""
        for slot in [*self.m, *self.v, self.updates]:
            slot.assign(tf.zeros_like(slot))

    def apply(self, strategy, gradients, learning_rate, beta1=0.0, beta2=0.99):
        """Sums each replica's gradients and takes one step, unless one of them is not finite.

        Args:
            strategy: The tf.distribute strategy.
            gradients: For each variable a per-replica gradient, already divided by the global minibatch, or None.
            learning_rate: float32 scalar.
            beta1, beta2: Decays of the moments, as in the paper; Python's numbers, the same for every call.

        Returns:
            bool scalar: whether the step was taken, and float32 scalar: the norm of all gradients together, 0 if it was
            not. Gradients whose squares overflow (from 1e19 on) count as not finite.
        """
        used = [
            (gradient, target, m, v)
            for gradient, target, m, v in zip(gradients, self.targets, self.m, self.v, strict=True)
            if gradient is not None
        ]
        summed = strategy.extended.batch_reduce_to(
            tf.distribute.ReduceOp.SUM, [(gradient, target) for gradient, target, _, _ in used]
        )
        # One pass over the gradients serves both: a sum of squares is finite only if all of them are.
        squares = 2 * tf.add_n([tf.nn.l2_loss(strategy.experimental_local_results(g)[0]) for g in summed])
        finite = tf.math.is_finite(squares)

        # Where they are not, numbers with which nothing moves, instead of a branch that would wait for the device.
        self.updates.assign_add(tf.cast(finite, tf.int64))
        # With no update at all, Adam's correction of the moments' bias would be 0 / 0.
        updates = tf.cast(tf.maximum(self.updates.read_value(), 1), tf.float32)
        learning_rate = tf.where(finite, learning_rate, 0.0)
        powers = tf.pow(beta1, updates), tf.pow(beta2, updates)
        betas = tf.where(finite, beta1, 1.0), tf.where(finite, beta2, 1.0)
        for gradient, (_, target, m, v) in zip(summed, used, strict=True):
            strategy.extended.update(
                target, self._update, args=(m, v, gradient, finite, learning_rate, *betas, *powers), group=False
            )
        return finite, tf.where(finite, tf.sqrt(squares), 0.0)

    def _update(self, target, m, v, gradient, finite, learning_rate, beta1, beta2, beta1_power, beta2_power):
        tf.raw_ops.ResourceApplyAdam(
            var=target.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=beta1_power,
            beta2_power=beta2_power,
            lr=learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=self.epsilon,
            grad=tf.where(finite, gradient, 0.0),
        )

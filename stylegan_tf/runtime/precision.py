"""Precision of training: dtype policies of the networks, TensorFloat-32, and the loss scale of float16."""

import tensorflow as tf

# The dtype policy that the networks are built with. TensorFloat-32 is a mode of float32 products on a GPU.
DTYPE_POLICIES = {"fp32": "float32", "tf32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}
PRECISIONS = tuple(DTYPE_POLICIES)


def dtype_policy(precision):
    """The Keras dtype policy of one of `PRECISIONS`; ValueError for anything else."""
    if precision not in DTYPE_POLICIES:
        raise ValueError(f"Precision must be one of {', '.join(PRECISIONS)}; received {precision!r}.")
    return DTYPE_POLICIES[precision]


def with_policy(network, policy):
    """A copy of a network, its weights with it, that computes under another Keras dtype policy."""
    copy = type(network).from_config(network.get_config() | {"dtype": policy})
    copy.set_weights(network.get_weights())
    return copy


def use_precision(precision):
    """Switches TensorFloat-32 on for "tf32" and off for the others (TensorFlow starts with it); ValueError as above."""
    dtype_policy(precision)
    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")


INITIAL_SCALE = 2.0**15
SMALLEST_SCALE = 1.0
# The scaled loss is float32; beyond this, float16 gains nothing, as its own smallest number is 2^-24.
LARGEST_SCALE = 2.0**24
STEPS_TO_DOUBLE = 2000


class LossScale:
    """Dynamic loss scaling (Micikevicius et al., 2017, section 3.2): keeps the gradients of float16 from underflowing.

    The loss is multiplied by `value` before its gradient is taken, and the gradient divided by it. A gradient that is
    not finite is not applied and halves the scale; after 2000 finite ones in a row, it doubles.

    Construct it inside the strategy's scope, one for each optimizer.

    Example:

    ```python
    gradients = [g / scale.value for g in tape.gradient(loss * scale.value, variables)]    # on each replica
    scale.update(optimizer.apply(strategy, gradients, learning_rate))                       # across them
    ```
    """

    def __init__(self):
        self._value = tf.Variable(INITIAL_SCALE, trainable=False)
        self._finite_steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def value(self):
        """The scale, float32 scalar, a power of two: multiplying by it rounds nothing."""
        return self._value.read_value()

    @property
    def inner(self):
        """The scale of the inner gradient of a penalty, `discriminator_loss(gradient_scale=)`: sqrt(value).

        The penalty divides it out again, as its value must not change. Its backward pass therefore starts with
        value / inner times the gradient, and meets the inner gradients, which are inner times too large, on the way to
        the weights: there, the product is `value` times too large, as every other gradient. With the square root, both
        passes through the network are protected alike.
        """
        return tf.sqrt(self.value)

    def update(self, finite):
        """Follows one update of the weights; in cross-replica context.

        Args:
            finite: bool scalar, whether the gradients were.
        """
        steps = tf.where(finite, self._finite_steps.read_value() + 1, 0)
        doubled = steps == STEPS_TO_DOUBLE
        factor = tf.where(finite, tf.where(doubled, 2.0, 1.0), 0.5)
        self._value.assign(tf.clip_by_value(self.value * factor, SMALLEST_SCALE, LARGEST_SCALE))
        self._finite_steps.assign(tf.where(doubled, tf.zeros_like(steps), steps))

    def variables(self):
        """{name: tf.Variable}, what a checkpoint has to hold."""
        return {"value": self._value, "finite_steps": self._finite_steps}

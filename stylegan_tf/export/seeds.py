"""NumPy's RandomState in TensorFlow operations, so that an exported model makes the latents of a seed by itself.

`np.random.RandomState(seed).randn(n)`, whose stream NumPy promises never to change, is the Mersenne Twister MT19937
(Matsumoto and Nishimura, 1998) and Marsaglia's polar method (Marsaglia and Bray, 1964). Its words of 32 bits
are int64 here, for which TensorFlow has all operations.
"""

import tensorflow as tf
from tensorflow.bitwise import left_shift, right_shift

# MT19937's words of state, the middle one, and the last row of its matrix.
WORDS, MIDDLE, MATRIX = 624, 397, 0x9908B0DF


def latents_from_seeds(seeds, latent_size):
    """The latents of seeds: row i is np.random.RandomState(seeds[i]).randn(latent_size).

    Graph operations only, on the CPU; some milliseconds, as the seeding is a chain of 624 steps. The logarithm is in
    float64 and may differ from the C library's in its last bit, which float32 hides nearly always.

    Args:
        seeds: int64 [N], each at least 0 and below 2**32.
        latent_size: Length of a latent.

    Returns:
        float32 [N, latent_size].
    """
    with tf.device("/device:CPU:0"):
        return tf.cast(_normal(_seeded(seeds), latent_size), tf.float32)


def _seeded(seeds):
    """The state at the start, int64 [N, 624], by Knuth's linear congruential generator."""
    rest = tf.scan(
        lambda word, position: (1812433253 * (word ^ right_shift(word, 30)) + position) & 0xFFFFFFFF,
        tf.range(1, WORDS, dtype=tf.int64),
        initializer=seeds,
    )
    return tf.transpose(tf.concat([seeds[tf.newaxis], rest], axis=0))


def _normal(state, count):
    """Standard normal numbers, float64 [N, count]: as many candidates as the row needs that has the worst luck."""
    pairs = tf.zeros([tf.shape(state)[0], 0, 2], tf.float64)
    accepted = tf.zeros_like(pairs[:, :, 0], tf.bool)
    num_pairs = (count + 1) // 2

    def too_few(state, pairs, accepted):
        return tf.reduce_any(tf.math.count_nonzero(accepted, axis=1) < num_pairs)

    def more(state, pairs, accepted):
        state = _twisted(state)
        more_pairs, more_accepted = _polar(_uniform(_tempered(state)))
        return state, tf.concat([pairs, more_pairs], axis=1), tf.concat([accepted, more_accepted], axis=1)

    shapes = [tf.TensorShape(shape) for shape in ([None, WORDS], [None, None, 2], [None, None])]
    _, pairs, accepted = tf.while_loop(too_few, more, [state, pairs, accepted], shapes)
    pairs = tf.ragged.boolean_mask(pairs, accepted).to_tensor(shape=[None, num_pairs, 2])
    return tf.reshape(pairs, [-1, 2 * num_pairs])[:, :count]


def _twisted(state):
    """The next 624 words of the recurrence; each depends on the one 227 before it, so three slices make them all."""
    rest = WORDS - MIDDLE
    steps = _step(state[:, :-1], state[:, 1:])
    first = state[:, MIDDLE:] ^ steps[:, :rest]
    second = first ^ steps[:, rest : 2 * rest]
    third = second[:, : WORDS - 1 - 2 * rest] ^ steps[:, 2 * rest :]
    words = tf.concat([first, second, third], axis=1)
    last = words[:, MIDDLE - 1 : MIDDLE] ^ _step(state[:, -1:], words[:, :1])
    return tf.concat([words, last], axis=1)


def _step(word, following):
    """The highest bit of a word and the others of the following one, times the matrix."""
    joined = (word & 0x80000000) | (following & 0x7FFFFFFF)
    return right_shift(joined, 1) ^ (joined & 1) * MATRIX


def _tempered(words):
    words ^= right_shift(words, 11)
    words ^= left_shift(words, 7) & 0x9D2C5680
    words ^= left_shift(words, 15) & 0xEFC60000
    return words ^ right_shift(words, 18)


def _uniform(words):
    """Doubles of 53 bits in [0, 1), each from two words: [N, 624] -> [N, 312]."""
    high, low = right_shift(words[:, ::2], 5), right_shift(words[:, 1::2], 6)
    return (tf.cast(high, tf.float64) * 2**26 + tf.cast(low, tf.float64)) / 2**53


def _polar(uniform):
    """Candidates of the polar method.

    Args:
        uniform: float64 [N, M].

    Returns:
        Pairs of normal numbers, float64 [N, M / 2, 2], in NumPy's order: of two, it returns the second one first. And
        which of them are accepted, bool [N, M / 2]; the others are not normal numbers.
    """
    first, second = 2 * uniform[:, ::2] - 1, 2 * uniform[:, 1::2] - 1
    square = first * first + second * second
    factor = tf.sqrt(-2 * tf.math.log(square) / square)
    return factor[:, :, tf.newaxis] * tf.stack([second, first], axis=2), (square < 1) & (square > 0)

"""Moving averages: of the generator's weights (Gs) and of w."""


def moving_average(average, value, beta):
    """One step of an exponential moving average: value + beta (average - value)."""
    return value + (average - value) * beta


def half_life_beta(minibatch, half_life_kimg):
    """The beta with which, in steps of `minibatch` images, a weight halves in `half_life_kimg` thousand images."""
    return 0.5 ** (minibatch / (half_life_kimg * 1000.0)) if half_life_kimg else 0.0

"""How ADA's probability follows from what D says of real images (Karras et al., 2020a, section 3)."""

from keras import ops


def next_p(p, signs, count, images, target, kimg):
    """Moves p up where D is too sure that real images are real, and down where it is not.

    Args:
        p: Scalar, at least 0.
        signs: Sum of the signs of D's scores of real images since p was last moved, scalar.
        count: Their number, scalar.
        images: Images of the minibatches since then, a scalar.
        target: Mean of the signs at which p stays.
        kimg: Thousands of images over which p moves by 1.

    Returns:
        p after that, float32 scalar; it may go above 1, but not below 0.
    """
    # In double precision: at a target of 0.6, a mean of 3/5 is no reason to move.
    signs, count, images = (ops.cast(value, "float64") for value in (signs, count, images))
    step = ops.sign(signs / count - target) * images / (kimg * 1000)
    return ops.maximum(p + ops.cast(step, "float32"), 0)

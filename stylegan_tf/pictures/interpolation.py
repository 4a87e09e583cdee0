"""Ways from one latent to another."""

from keras import ops


def normalize(z):
    """Scales vectors, [..., D], to unit length."""
    return z / ops.sqrt(ops.sum(ops.square(z), axis=-1, keepdims=True))


def lerp(a, b, t):
    """Linear interpolation from `a` to `b`."""
    return a + (b - a) * t


def slerp(a, b, t):
    """Spherical interpolation: the point at fraction `t` of the arc from `a` to `b`, on the unit sphere.

    Args:
        a, b: [..., D], of any length, not parallel.
        t: [..., 1].

    Returns:
        [..., D], of unit length.
    """
    a, b = normalize(a), normalize(b)
    angle = ops.arccos(ops.sum(a * b, axis=-1, keepdims=True))
    return normalize(ops.sin((1 - t) * angle) * a + ops.sin(t * angle) * b)

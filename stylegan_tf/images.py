"""What happens to images at the edges of the networks: ranges, mirroring, fading."""

from keras import ops

from stylegan_tf.layers.resample import downsample, upsample


def from_uint8(images):
    """Maps uint8 images, 0 to 255, to float32 in [-1, 1]."""
    return ops.cast(images, "float32") / 127.5 - 1.0


def to_uint8(images, drange=(-1, 1), shrink=1):
    """Maps float images to uint8 as the metrics see them: rounded half up, saturated.

    Args:
        images: Float [N, H, W, C].
        drange: The values that become 0 and 255.
        shrink: Side of the box that is averaged to one pixel beforehand; divides H and W.

    Returns:
        uint8 [N, H / shrink, W / shrink, C].
    """
    if shrink > 1:
        images = downsample(images, shrink)
    low, high = drange
    scale = 255.0 / (high - low)
    images = images * scale + (0.5 - low * scale)
    return ops.cast(ops.clip(images, 0.0, 255.0), "uint8")


def to_uint8_rounded(images):
    """Maps float images in [-1, 1] to uint8 as they are saved: rounded to nearest, half to even, saturated.

    Networks make RGBA with colours multiplied by alpha; in files, and here, they are not: see `straight`.
    """
    images = ops.clip(ops.round(images * 127.5 + 127.5), 0.0, 255.0)
    return ops.cast(straight(images) if images.shape[-1] == 4 else images, "uint8")


def straight(images):
    """Divides the colours of RGBA, float [N, H, W, 4] of whole numbers from 0 to 255, by alpha; black where that is 0.

    Rounded to nearest, as `dnnlib.image_files.straight`.
    """
    colours, alpha = ops.cast(images[..., :3], "int32"), ops.cast(images[..., 3:], "int32")
    divided = (255 * colours + alpha // 2) // ops.maximum(alpha, 1)
    return ops.concatenate([ops.where(alpha > 0, ops.minimum(divided, 255), 0), alpha], axis=-1)


def reduce(images, size):
    """Shrinks square images, [N, H, H, C], to at most `size` by averaging boxes; H / `size` an integer if more."""
    return downsample(images, images.shape[1] // size) if images.shape[1] > size else images


def mirror_images(images, mirror):
    """Flips the chosen images from left to right.

    Args:
        images: [N, H, W, C].
        mirror: Which to flip, [N], boolean or 0 and 1.
    """
    mirror = ops.reshape(ops.cast(mirror, "bool"), (-1, 1, 1, 1))
    return ops.where(mirror, ops.flip(images, axis=2), images)


def fade_images(images, fade):
    """Blends images with their half-resolution version, as the newest level fades in.

    Args:
        images: [N, H, W, C], H and W even.
        fade: Weight of the full-resolution image, scalar in [0, 1].
    """
    coarse = upsample(downsample(images))
    return coarse + fade * (images - coarse)

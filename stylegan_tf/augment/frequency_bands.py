"""ADA's image filter: four bands of frequencies, each made stronger or weaker."""

import numpy as np
from keras import ops

from stylegan_tf.augment.pipelines import SMALLEST_FILTERED

# Low-pass filter of the orthogonal wavelet sym2.
SYM2 = (-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025)
# Expected power of each band in natural images, whose spectrum falls with the frequency.
POWER = np.array([10, 1, 1, 1]) / 13


def filter_bank():
    """The filters of the four bands, lowest frequencies first, [4, 43]; they add up to the unit impulse."""
    taps = np.array(SYM2)
    mirrored = taps * (1, -1, 1, -1)
    low = np.convolve(taps, taps[::-1]) / 2
    high = np.convolve(mirrored, mirrored[::-1]) / 2
    bank = np.eye(4)[:, :1]
    for band in range(1, 4):
        spread = np.zeros((4, 2 * bank.shape[1] - 1))
        spread[:, ::2] = bank
        bank = np.stack([np.convolve(filter, low) for filter in spread])
        middle = (bank.shape[1] - len(high)) // 2
        bank[band, middle : middle + len(high)] += high
    return bank


BANK = filter_bank()


def band_gains(strengths):
    """How much of each band stays, [N, 4], where each in its turn was made so many times as strong: four tensors [N].

    After each of them all bands are scaled, so that natural images keep their power.
    """
    total = 1
    for band, strength in enumerate(strengths):
        here = ops.convert_to_tensor(np.eye(4)[band], strength.dtype)
        gains = 1 - here + here * ops.expand_dims(strength, 1)
        power = ops.convert_to_tensor(POWER, strength.dtype)
        total = total * gains / ops.sqrt(ops.sum(power * gains**2, axis=1, keepdims=True))
    return total


def filter_bands(images, gains):
    """Filters images, [N, H, W, C], N known, along both axes, with gains of the four bands, [N, 4].

    Raises:
        ValueError: Images are smaller than 22 pixels, and cannot be reflected far enough.
    """
    count, height, width, channels = images.shape
    if min(height, width) < SMALLEST_FILTERED:
        raise ValueError(
            f"The transform imgfilter needs images of at least {SMALLEST_FILTERED} pixels; received {height}x{width}."
        )
    taps = ops.matmul(gains, ops.convert_to_tensor(BANK, images.dtype))
    # Each image has a filter of its own: all images are the feature maps of one.
    taps = ops.reshape(ops.repeat(ops.transpose(taps), channels, axis=1), (-1, 1, count * channels, 1))
    reach = BANK.shape[1] // 2
    border = [(0, 0), (reach, reach), (reach, reach), (0, 0)]
    x = ops.transpose(ops.pad(images, border, mode="reflect"), (1, 2, 0, 3))
    x = ops.reshape(x, (1, height + 2 * reach, width + 2 * reach, count * channels))
    for kernel in (ops.transpose(taps, (1, 0, 2, 3)), taps):
        x = ops.depthwise_conv(x, kernel, padding="valid", data_format="channels_last")
    return ops.transpose(ops.reshape(x, (height, width, count, channels)), (2, 0, 1, 3))

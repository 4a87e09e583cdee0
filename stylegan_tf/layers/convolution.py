"""Convolution at the same size, in the form that is fast on the machine."""

import os

from keras import ops

from stylegan_tf.layers.kernel_gradient import conv
from stylegan_tf.runtime.processor import has_onednn_without_avx512

# Rows of a strip, at least. Where images have fewer pixels, their maps are many, and one image is as fast as several.
ROWS = 32


def convolve(x, kernel):
    """Convolves maps with zeros around them.

    Without AVX-512, TensorFlow's oneDNN is slow with one image: 40 GFLOP/s at 128x128 with 128 maps on two cores of an
    AMD EPYC, where it has 160 with two. There, strips of the image, each with the rows next to it, stand for images.

    Args:
        x: [N, H, W, A].
        kernel: [k, k, A, B], k odd.

    Returns:
        [N, H, W, B].
    """
    images, height = x.shape[:2]
    margin = kernel.shape[0] // 2
    strips = strips_of_an_image(height) if images == 1 and height and margin else 1
    if strips == 1:
        return conv(x, kernel)
    rows = height // strips
    x = ops.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
    x = ops.squeeze(x, axis=0)  # whose rows are sliced without a copy
    x = ops.stack([x[top : top + rows + 2 * margin] for top in range(0, height, rows)])
    x = conv(x, kernel, padding="valid")
    return ops.reshape(x, (1, height, -1, x.shape[-1]))


def strips_of_an_image(height):
    """Into how many strips one image of that many rows is cut: about one a core where that helps, or 1."""
    if not has_onednn_without_avx512():
        return 1
    cores = 2 ** ((os.cpu_count() or 1).bit_length() - 1)
    rows = max(height // cores, ROWS)
    return height // rows if height % rows == 0 else 1

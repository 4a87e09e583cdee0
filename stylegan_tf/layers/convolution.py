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
    if images == 1 and height and margin:
        rows = max(height // strips_of_an_image(), ROWS)
        if rows < height and height % rows == 0:
            x = ops.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
            x = ops.squeeze(x, axis=0)  # whose rows are sliced without a copy
            x = ops.stack([x[top : top + rows + 2 * margin] for top in range(0, height, rows)])
            x = conv(x, kernel, padding="valid")
            return ops.reshape(x, (1, height, -1, x.shape[-1]))
    return conv(x, kernel)


def strips_of_an_image():
    """Into how many strips one image is cut, a power of two: one a core where that helps, or 1."""
    return 2 ** ((os.cpu_count() or 1).bit_length() - 1) if has_onednn_without_avx512() else 1

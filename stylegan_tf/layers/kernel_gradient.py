"""Convolutions that compute the gradient with regard to their kernel as products of matrices, where that is faster."""

import functools

import keras
from keras import ops

from stylegan_tf.runtime.processor import has_onednn_without_avx512

# Rows of the output, times weights of a tap, from which on products are faster. Below, it is the copies that take time.
WORK = 2**19


def conv(x, kernel, stride=1, padding="same"):
    """`ops.conv` of [N, H, W, A] with [k, k, A, B]; k - stride is even with "same", and H - k is with "valid"."""
    if products_are_faster(x, kernel, (x.shape[1] or 0) // stride):
        return with_products(stride, padding)[0](x, kernel)
    return ops.conv(x, kernel, strides=stride, padding=padding, data_format="channels_last")


def conv_transpose(y, kernel, stride=2, padding="same"):
    """`ops.conv_transpose` of [N, h, w, B] with [k, k, A, B]: the gradient of `conv` with regard to its input."""
    if products_are_faster(y, kernel, y.shape[1] or 0):
        return with_products(stride, padding)[1](y, kernel)
    return ops.conv_transpose(y, kernel, strides=stride, padding=padding, data_format="channels_last")


def products_are_faster(images, kernel, rows):
    """Whether to compute the gradient by `kernel_gradient`.

    Without AVX-512, oneDNN has 20 to 70 GFLOP/s there, where two cores of an AMD EPYC reach 130 in other convolutions
    and 60 to 125 in products of matrices. Networks for any number of images, as they are exported, are not trained.

    Args:
        images: What the kernel is applied to, [N, ., ., .].
        kernel: [k, k, A, B].
        rows: Of the image that has not been enlarged, or has been reduced.
    """
    return (
        has_onednn_without_avx512()
        and None not in images.shape
        and kernel.shape[0] > 1
        and rows * kernel.shape[2] * kernel.shape[3] >= WORK
        and keras.backend.standardize_dtype(images.dtype) == "float32"
    )


@functools.cache
def with_products(stride, padding):
    """`ops.conv` and `ops.conv_transpose` with this stride and padding, each the other's gradient; of any order."""
    options = dict(strides=stride, padding=padding, data_format="channels_last")

    @ops.custom_gradient
    def convolution(x, kernel):
        def gradients(dy):
            return transposed(dy, kernel), kernel_gradient(x, dy, kernel.shape[0], stride, padding)

        return ops.conv(x, kernel, **options), gradients

    @ops.custom_gradient
    def transposed(y, kernel):
        def gradients(dx):
            return convolution(dx, kernel), kernel_gradient(dx, y, kernel.shape[0], stride, padding)

        return ops.conv_transpose(y, kernel, **options), gradients

    return convolution, transposed


def kernel_gradient(x, dy, size, stride=1, padding="same"):
    """The gradient of a convolution with regard to its kernel.

    For each tap, it is the product of two matrices, the pixels of x and of dy, one of them moved. Here all taps of a
    row are one product, with what they meet of x side by side. To move it by a row is to leave out a row at one end.

    Args:
        x: The input, float32 [N, H, W, A].
        dy: The gradient with regard to the output, float32 [N, h, w, B].
        size: k, the side of the kernel.
        stride, padding: Of the convolution.

    Returns:
        float32 [k, k, A, B].
    """
    (height, width, a), (rows, columns, b) = x.shape[1:], dy.shape[1:]
    margin = (size - stride) // 2 if padding == "same" else 0
    reach = -(-size // stride)  # pixels of dy that one of x meets, in each direction
    # Rows and columns of x in groups of `stride`, so many that a row of taps can start at each of dy's pixels.
    groups, across = rows + reach - 1, columns + reach - 1
    x = ops.pad(
        x,
        [
            (0, 0),
            (margin, groups * stride - margin - height),
            (margin, across * stride - margin - width),
            (0, 0),
        ],
    )
    x = ops.reshape(x, (-1, groups, stride, across, stride * a))
    # Zeros below every image: what is moved beyond its end meets them.
    dy = ops.reshape(ops.pad(dy, [(0, 0), (0, reach - 1), (0, 0), (0, 0)]), (-1, b))
    pixels = dy.shape[0] - (reach - 1) * columns
    products = {}
    for phase in range(stride):
        taps = [x[:, :, phase, i : i + columns, : (size - i * stride) * a] for i in range(reach)]
        taps = ops.reshape(ops.concatenate(taps, axis=-1), (-1, size * a))
        for i in range(len(range(phase, size, stride))):
            moved = taps[i * columns : i * columns + pixels]
            products[i * stride + phase] = ops.matmul(ops.transpose(moved), dy[:pixels])
    return ops.reshape(ops.stack([products[row] for row in range(size)]), (size, size, a, b))

"""Tiny networks in the place of those that metrics compute with."""

import pathlib

import numpy as np
import tensorflow as tf

# The side that the graph resizes to, in the place of Inception's 299, and the version of TensorFlow's graphs in 2015.
SIDE, PRODUCER = 24, 8


def tiny_inception(path, dim=8):
    """Writes a frozen graph of two layers with the node names, operations and version of Inception's of 2015.

    Args:
        path: File to write.
        dim: Number of features, at least 2.

    Returns:
        `path`.
    """
    rng = np.random.default_rng(dim)
    graph = tf.compat.v1.GraphDef()
    graph.versions.producer = PRODUCER
    constant(graph, "DecodeJpeg/contents", b"")
    add(graph, "DecodeJpeg", "DecodeJpeg", ["DecodeJpeg/contents"], channels=3)
    add(graph, "Cast", "Cast", ["DecodeJpeg"], SrcT=tf.uint8, DstT=tf.float32)
    constant(graph, "ExpandDims/dim", np.int32(0))
    add(graph, "ExpandDims", "ExpandDims", ["Cast", "ExpandDims/dim"], T=tf.float32)
    constant(graph, "ResizeBilinear/size", np.int32([SIDE, SIDE]))
    add(graph, "ResizeBilinear", "ResizeBilinear", ["ExpandDims", "ResizeBilinear/size"], T=tf.float32)
    constant(graph, "Sub/y", np.float32(128))
    add(graph, "Sub", "Sub", ["ResizeBilinear", "Sub/y"], T=tf.float32)
    constant(graph, "Mul/y", np.float32(1 / 128))
    add(graph, "Mul", "Mul", ["Sub", "Mul/y"], T=tf.float32)
    convolution(graph, rng, "conv", "Mul", 3, 6, gamma=True)
    add(graph, "pool", "MaxPool", ["conv"], T=tf.float32, ksize=[1, 2, 2, 1], strides=[1, 2, 2, 1], padding=b"VALID")
    convolution(graph, rng, "mixed/conv", "pool", 6, dim // 2, gamma=False)
    convolution(graph, rng, "mixed/conv_1", "pool", 6, dim - dim // 2, gamma=True)
    constant(graph, "mixed/join/concat_dim", np.int32(3))
    joined = ["mixed/join/concat_dim", "mixed/conv", "mixed/conv_1"]
    add(graph, "mixed/join", "Concat", joined, T=tf.float32, N=2)
    window = [1, SIDE // 8, SIDE // 8, 1]
    add(graph, "pool_3", "AvgPool", ["mixed/join"], T=tf.float32, ksize=window, strides=[1] * 4, padding=b"VALID")
    constant(graph, "pool_3/_reshape/shape", np.int32([1, dim]))
    add(graph, "pool_3/_reshape", "Reshape", ["pool_3", "pool_3/_reshape/shape"], T=tf.float32)
    constant(graph, "softmax/weights", rng.normal(size=(dim, 10)).astype(np.float32))
    add(graph, "softmax/logits", "MatMul", ["pool_3/_reshape", "softmax/weights"], T=tf.float32)
    add(graph, "softmax", "Softmax", ["softmax/logits"], T=tf.float32)
    with tf.Graph().as_default() as imported:
        tf.graph_util.import_graph_def(graph, name="")
        content = imported.as_graph_def(add_shapes=True).SerializeToString(deterministic=True)
    pathlib.Path(path).write_bytes(content)
    return path


def convolution(graph, rng, name, x, channels, maps, gamma):
    """3x3 of stride 2, normalized, checked for NaN, ReLU."""
    weights = rng.normal(size=(3, 3, channels, maps)) / np.sqrt(9 * channels)
    # So that what ReLU has made positive does not drive whole maps below zero.
    weights -= weights.mean(axis=(0, 1, 2))
    constant(graph, f"{name}/conv2d_params", weights.astype(np.float32))
    conv = f"{name}/Conv2D"
    add(graph, conv, "Conv2D", [x, f"{name}/conv2d_params"], T=tf.float32, strides=[1, 2, 2, 1], padding=b"SAME")
    norm = f"{name}/batchnorm"
    # Each far enough from the others' range to be noticed when two change places.
    ranges = {"moving_mean": (-0.3, 0), "moving_variance": (0.2, 0.3), "beta": (0.6, 1), "gamma": (1.2, 1.5)}
    for part, (low, high) in ranges.items():
        constant(graph, f"{norm}/{part}", rng.uniform(low, high, maps).astype(np.float32))
    inputs = [conv, *(f"{norm}/{part}" for part in ranges)]
    attributes = {"T": tf.float32, "variance_epsilon": 0.001, "scale_after_normalization": gamma}
    add(graph, norm, "BatchNormWithGlobalNormalization", inputs, **attributes)
    add(graph, f"{name}/CheckNumerics", "CheckNumerics", [norm], T=tf.float32, message=name.encode())
    waits = [norm, f"^{name}/CheckNumerics"]
    add(graph, f"{name}/control_dependency", "Identity", waits, T=tf.float32)
    add(graph, name, "Relu", [f"{name}/control_dependency"], T=tf.float32)


def constant(graph, name, value):
    tensor = tf.make_tensor_proto(value)
    node = graph.node.add(name=name, op="Const")
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)


def add(graph, name, op, inputs, **attributes):
    node = graph.node.add(name=name, op=op, input=inputs)
    for key, value in attributes.items():
        attribute = node.attr[key]
        match value:
            case bool():
                attribute.b = value
            case int():
                attribute.i = value
            case float():
                attribute.f = value
            case bytes():
                attribute.s = value
            case list():
                attribute.list.i.extend(value)
            case tf.DType():
                attribute.type = value.as_datatype_enum

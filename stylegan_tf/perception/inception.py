"""Inception-v3 of 2015-12-05 as its authors published it, a frozen TensorFlow graph: the features of FID."""

import hashlib
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError

# The image as float [1, H, W, 3] in [0, 255], and the features, [1, 1, 1, 2048], by the graph's own names. The graph
# resizes to 299x299 and normalizes by itself.
_IMAGES = "ExpandDims"
_FEATURES = "pool_3"

_ADVICE = "Give classify_image_graph_def.pb of 2015-12-05 (--inception)."


class Inception:
    """Features of images, from a file like classify_image_graph_def.pb.

    Args:
        path: The frozen graph. Any will do that has the nodes ExpandDims and pool_3.

    Attributes:
        hash: Hexadecimal SHA-256 of the file.
        dim: Number of features, 2048 in the published graph.

    Call arguments (in a tf.function; every trace and every replica gets its own constants):
        images: uint8 [N, H, W, 1 or 3], of any size; one channel is repeated.

    Returns:
        float32 [N, dim].

    Raises:
        ValueError: The file is no graph, or not one of that kind.

    Reference:
        Szegedy et al., 2015; Heusel et al., 2017.
    """

    def __init__(self, path):
        content = Path(path).read_bytes()
        self.hash = hashlib.sha256(content).hexdigest()
        self._graph = _load(content, path)
        with tf.Graph().as_default():
            try:
                shape = self._pool(tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])).shape
            except (ValueError, tf.errors.OpError) as error:
                raise ValueError(f"{path} is a graph that TensorFlow cannot import ({error}). {_ADVICE}") from error
        if shape.rank != 4 or shape[1:3] != (1, 1) or shape[3] is None:
            raise ValueError(f"{path}: its {_FEATURES} gives {shape} instead of [N, 1, 1, features]. {_ADVICE}")
        self.dim = shape[3]

    def __call__(self, images):
        if images.shape[-1] not in (1, 3):
            raise ValueError(f"Inception takes images of 1 or 3 channels; received {images.shape}.")
        if images.shape[-1] == 1:
            images = tf.repeat(images, 3, axis=-1)
        return tf.reshape(self._pool(tf.cast(images, tf.float32)), [-1, self.dim])

    def _pool(self, images):
        """[N, H, W, 3] in [0, 255] -> [N, 1, 1, dim], in the default graph."""
        (features,) = tf.graph_util.import_graph_def(
            self._graph,
            input_map={f"{_IMAGES}:0": images},
            return_elements=[f"{_FEATURES}:0"],
            name="inception",
        )
        return features


def _load(content, path):
    """Returns the part of a frozen graph from images to features, for minibatches and for this TensorFlow."""
    graph = tf.compat.v1.GraphDef()
    try:
        graph.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"{path} is no frozen TensorFlow graph. {_ADVICE}") from error
    names = {node.name for node in graph.node}
    if missing := [name for name in (_IMAGES, _FEATURES) if name not in names]:
        raise ValueError(f"{path} is a graph without a node {missing[0]}. {_ADVICE}")
    # What follows the features, a reshape to one row, is for one image only.
    needed = _between(graph, _IMAGES, _FEATURES)
    part = tf.compat.v1.GraphDef()
    # The caller's graph would take over an older version. What newer ones have dropped is replaced below.
    part.versions.producer = tf.version.GRAPH_DEF_VERSION
    for node in graph.node:
        if node.name in needed:
            part.node.extend(_modernize(node))
    return part


def _between(graph, first, last):
    """Returns the names of the nodes that lead from `first`, which is left out, to `last`."""
    inputs = {node.name: [_node_name(name) for name in node.input] for node in graph.node}
    found, pending = set(), [last]
    while pending:
        name = pending.pop()
        if name != first and name not in found:
            found.add(name)
            pending.extend(inputs.get(name, []))
    return found


def _node_name(tensor):
    """Name of the node whose output or, after "^", whose end another one waits for."""
    return tensor.removeprefix("^").split(":")[0]


def _modernize(node):
    """Returns the node, or what this TensorFlow runs in its place, without the shapes of a single image."""
    if node.op == "BatchNormWithGlobalNormalization":
        return _batch_norm(node)
    if "_output_shapes" in node.attr:
        del node.attr["_output_shapes"]
    return [node]


def _batch_norm(node):
    """TensorFlow refuses to run BatchNormWithGlobalNormalization in functions; this is the same arithmetic.

    (x - mean) / sqrt(variance + epsilon) [* gamma] + beta, where the attribute scale_after_normalization tells whether
    there is a gamma.
    """
    x, mean, variance, beta, gamma, *others = node.input
    part = tf.compat.v1.GraphDef()
    if not node.attr["scale_after_normalization"].b:
        ones = part.node.add(name=f"{node.name}/ones", op="OnesLike", input=[mean])
        ones.attr["T"].CopyFrom(node.attr["T"])
        gamma = ones.name
    new = part.node.add(name=node.name, op="FusedBatchNormV3", input=[x, gamma, beta, mean, variance, *others])
    new.attr["T"].CopyFrom(node.attr["T"])
    new.attr["U"].CopyFrom(node.attr["T"])
    new.attr["epsilon"].f = node.attr["variance_epsilon"].f
    new.attr["is_training"].b = False
    return part.node

"""A frozen graph of 2015 goes through the real loading code and gives what TensorFlow makes of it as it stands."""

import hashlib
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from processes import finish, start
from tiny_metrics import PRODUCER, tiny_inception

from stylegan_tf.perception.inception import Inception

DIM = 7
SCRIPT = pathlib.Path(__file__).with_name("inception_replicas.py")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tiny_inception(tmp_path_factory.mktemp("inception") / "graph.pb", dim=DIM)


@pytest.fixture(scope="module")
def images():
    # Larger and smaller than the graph's own size, not square, and with black and white in them.
    return np.random.default_rng(0).integers(0, 256, (6, 40, 17, 3), dtype=np.uint8)


def read(path):
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(pathlib.Path(path).read_bytes())
    return graph


def expected_features(path, images):
    """The untouched graph, in a session as in 2015, an image at a time."""
    with tf.Graph().as_default():
        tf.graph_util.import_graph_def(read(path), name="")
        with tf.compat.v1.Session() as session:
            rows = [session.run("pool_3:0", {"ExpandDims:0": image[None].astype(np.float32)}) for image in images]
    return np.reshape(rows, [len(images), -1])


def test_the_graph_is_like_that_of_2015(path):
    graph = read(path)
    assert graph.versions.producer == PRODUCER
    shapes = {node.name: node.attr["_output_shapes"].list.shape[0] for node in graph.node}
    assert [side.size for side in shapes["pool_3"].dim] == [1, 1, 1, DIM]
    assert "BatchNormWithGlobalNormalization" in {node.op for node in graph.node}
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(tiny_inception(path, DIM).read_bytes()).digest()


@pytest.mark.parametrize("static", [True, False])
def test_equal_to_the_graph_in_a_session(path, images, static):
    network = Inception(path)
    assert network.dim == DIM and network.hash == hashlib.sha256(path.read_bytes()).hexdigest()
    expected = expected_features(path, images)
    assert expected.std(axis=0).min() > 0.01, "the images must give different features"
    shape = images.shape if static else [None, None, None, 3]
    features = tf.function(network, input_signature=[tf.TensorSpec(shape, tf.uint8)])(images)
    assert features.shape == (len(images), DIM) and features.dtype == tf.float32
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)


def test_batches_equal_single_images(path, images):
    extract = tf.function(Inception(path))
    single = np.concatenate([extract(image[None]) for image in images])
    np.testing.assert_allclose(extract(images), single, rtol=1e-5, atol=1e-6)


def test_one_channel_is_repeated(path, images):
    extract = tf.function(Inception(path))
    gray = images[..., :1]
    np.testing.assert_array_equal(extract(gray), extract(np.repeat(gray, 3, axis=-1)))
    with pytest.raises(ValueError, match=r"1 or 3 channels; received \(6, 40, 17, 2\)"):
        extract(images[..., :2])


def test_the_callers_graph_keeps_its_version(path, images):
    @tf.function
    def step(images):
        Inception(path)(images)
        assert tf.compat.v1.get_default_graph().graph_def_versions.producer == tf.version.GRAPH_DEF_VERSION

    step(images)


def test_two_devices(path, images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    finish(start("-W", "error", SCRIPT, path, "images.npy", "out.npy", cwd=tmp_path))
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected_features(path, images), rtol=1e-5, atol=1e-6)


def one_line(error):
    return "\n" not in str(error.value) and "classify_image_graph_def.pb" in str(error.value)


@pytest.mark.parametrize("missing", ["ExpandDims", "pool_3"])
def test_other_graphs(path, tmp_path, missing):
    graph = read(path)
    next(node for node in graph.node if node.name == missing).name = "other"
    other = tmp_path / "other.pb"
    other.write_bytes(graph.SerializeToString())
    with pytest.raises(ValueError, match=rf"other\.pb is a graph without a node {missing}\.") as error:
        Inception(other)
    assert one_line(error)


def test_graphs_that_do_not_fit(path, tmp_path):
    other = tmp_path / "other.pb"
    graph = read(path)
    pool = next(node for node in graph.node if node.name == "pool_3")
    pool.attr["ksize"].list.i[1] = 2
    other.write_bytes(graph.SerializeToString())
    with pytest.raises(
        ValueError, match=r"its pool_3 gives \(None, 2, 1, 7\) instead of \[N, 1, 1, features\]"
    ) as error:
        Inception(other)
    assert one_line(error)
    pool.op = "NoSuchOperation"
    other.write_bytes(graph.SerializeToString())
    with pytest.raises(ValueError, match=r"TensorFlow cannot import \(.*NoSuchOperation") as error:
        Inception(other)
    assert one_line(error)


@pytest.mark.parametrize("content", [b"<html>Not found</html>", b"\x89PNG\r\n", b"\xff" * 100])
def test_no_graph(tmp_path, content):
    other = tmp_path / "other.pb"
    other.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.pb is no frozen TensorFlow graph\.") as error:
        Inception(other)
    assert one_line(error)

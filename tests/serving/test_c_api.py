"""TensorFlow's C API, which a C++ server calls, loads an exported model, answers as the project does, and refuses."""

import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef
from tiny_generators import tiny_generator

from stylegan_tf.export.savedmodel import export_savedmodel
from stylegan_tf.pictures.sampler import Sampler, latents

pytestmark = pytest.mark.optimized

INVALID_ARGUMENT = 3
PSI = 0.6


@pytest.fixture(scope="module")
def sampler():
    return Sampler(tiny_generator())


@pytest.fixture(scope="module")
def answers(sampler, tmp_path_factory, pytestconfig):
    """{request: answer} of one process."""
    path = export_savedmodel(sampler.generator, tmp_path_factory.mktemp("c_api") / "tiny", max_batch=4)
    one = {"truncation_psi": np.float32([PSI]), "noise_seed": np.int64([-1])}
    three = {name: np.repeat(value, 3) for name, value in one.items()}
    z = latents([5, 6, 7], sampler.latent_size)
    requests = {
        "one": ("serving_default", {"latents": z[:1], **one}),
        "three": ("serving_default", {"latents": z, **three}),
        "png": ("png_from_seeds", {"seeds": np.int64([5, 6, 7]), **three}),
        "nan": ("serving_default", {"latents": z[:1], **one, "truncation_psi": np.float32([np.nan])}),
        "wrong width": ("serving_default", {"latents": z[:1, 1:], **one}),
        "too many": ("png_from_seeds", {"seeds": np.arange(5), **{name: np.repeat(one[name], 5) for name in one}}),
        "afterwards": ("serving_default", {"latents": z[:1], **one}),
    }
    library = pytestconfig.getoption("tensorflow_cc") or installed_library()
    return dict(zip(requests, converse(library, path, requests.values()), strict=True))


def converse(library, path, requests):
    """Answers to (signature, {input: array}) from the C API."""
    # -I: without this project on its path.
    program = [sys.executable, "-I", Path(__file__).with_name("c_api.py"), library, path]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        signatures = MetaGraphDef.FromString(pickle.load(process.stdout)).signature_def
        pickle.dump([tensors(signatures[name], inputs) for name, inputs in requests], process.stdin)
        process.stdin.close()
        answers = pickle.load(process.stdout)
    assert process.returncode == 0
    return answers


def installed_library():
    (path,) = Path(tf.sysconfig.get_lib()).glob("libtensorflow_cc.*")
    return path


def tensors(signature, inputs):
    """The request in the names of the graph's tensors."""
    assert set(signature.inputs) == set(inputs)
    (output,) = signature.outputs.values()
    return {signature.inputs[name].name: value for name, value in inputs.items()}, output.name


@pytest.fixture(scope="module")
def expected(sampler):
    w = sampler.mapping(latents([5, 6, 7], sampler.latent_size))
    return sampler.synthesis(sampler.truncate(w, PSI))


@pytest.mark.parametrize("request_name, count", [("one", 1), ("three", 3), ("afterwards", 1)])
def test_images(answers, expected, request_name, count):
    images = answers[request_name]
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, expected[:count])


def test_pictures_of_seeds(answers, expected):
    images = [np.asarray(Image.open(io.BytesIO(png))) for png in answers["png"]]
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    "request_name, said", [("nan", "truncation_psi must be finite"), ("wrong width", "shape"), ("too many", "1 to 4")]
)
def test_refusal(answers, request_name, said):
    code, message = answers[request_name]
    assert code == INVALID_ARGUMENT
    assert said in message

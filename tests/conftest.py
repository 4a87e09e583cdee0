"""Options of the whole suite, and its one source of random numbers."""

import gc
import os
import pathlib
import random
import sys

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("stylegan_tf", derandomize=True, deadline=None)
hypothesis.settings.load_profile("stylegan_tf")

# What XLA compiles in tests runs a few times: to optimize its machine code takes longer. Before XLA is first used.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
# As in dnnlib/quiet_tensorflow.py: tests compute as users do.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--vectors",
        metavar="DIR",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "reference" / "data",
        help="folder of reference vectors that tests/reference runs on (default: tests/reference/data)",
    )
    parser.addoption(
        "--tensorflow-cc",
        metavar="FILE",
        type=pathlib.Path,
        help="libtensorflow_cc.so.2 that tests/serving/test_c_api.py calls (default: of the installed TensorFlow)",
    )
    parser.addoption(
        "--seed", type=int, default=0, help="of the random numbers of every test, networks' first weights (default: 0)"
    )


def pytest_configure(config):
    # Warnings are errors, but this one is between NumPy 2 and the __array__ of Keras variables and PyTorch tensors.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    )


def pytest_collection_finish():
    """What is there now, TensorFlow and all tests, is nobody's garbage: to look for some in it takes long each time."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the fixtures of a test, those of its module as well: what it draws does not depend on the tests before.

    Keras's initializers draw their seeds from `random`. Nothing here draws by TensorFlow's own seed. To set that, as
    keras.utils.set_random_seed does, would make TensorFlow build all kernels and graphs anew, which takes longer than
    most tests.
    """
    seed = item.config.getoption("seed")
    random.seed(seed)
    np.random.seed(seed)


@pytest.fixture(scope="module", autouse=True)
def graphs_as_traced(request):
    """Graphs of a module's tests run as they were traced: to optimize one takes longer than to run it once or twice.

    Not in the modules that are marked `optimized`: those of what users run most, above all exported graphs.
    """
    tensorflow = sys.modules.get("tensorflow")  # not all tests need it
    if tensorflow is None:
        yield
        return
    as_traced = request.node.get_closest_marker("optimized") is None
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": as_traced})
    yield
    tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})

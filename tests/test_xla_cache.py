"""XLA keeps what it compiles: in which folder, and that the next process finds it there."""

import os

import processes
import pytest
import tensorflow as tf

from stylegan_tf.runtime import xla_cache
from stylegan_tf.runtime.xla_cache import FLAG, gpu_models, keep_compiled

COMPILES = """
import sys
import tensorflow as tf
from stylegan_tf.runtime.xla_cache import keep_compiled

assert keep_compiled(sys.argv[1], ["NVIDIA T4"], device="CPU") is None
print(tf.function(lambda x: tf.sin(x) + 1.0, jit_compile=True)(tf.constant(0.0)).numpy())
"""


@pytest.fixture(autouse=True)
def no_flags(monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "")


def test_programs_are_kept(tmp_path):
    def compile_and_list():
        assert processes.finish(processes.start("-c", COMPILES, tmp_path / "xla")) == "1.0\n"
        return [(path, path.stat().st_mtime_ns) for path in (tmp_path / "xla").glob("*/*.pb")]

    [(path, _)] = kept = compile_and_list()
    assert path.parent.name == f"tensorflow-{tf.__version__}-NVIDIA_T4"
    assert compile_and_list() == kept


def test_a_folder_of_the_users_own_is_left(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", f"{FLAG}=/elsewhere")
    assert keep_compiled(tmp_path / "xla", ["T4"]) is None
    assert os.environ["TF_XLA_FLAGS"] == f"{FLAG}=/elsewhere"
    assert not any(tmp_path.iterdir())


def test_other_flags_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    assert keep_compiled(tmp_path / "xla", ["T4"]) is None
    first, folder, device = os.environ["TF_XLA_FLAGS"].split()
    assert (first, device) == ("--tf_xla_clustering_debug", "--tf_xla_persistent_cache_device_types=GPU")
    assert folder.startswith(f"{FLAG}={tmp_path / 'xla'}/tensorflow-")


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "xla").touch()
    assert "XLA will compile everything again" in keep_compiled(tmp_path / "xla", ["T4"])
    assert os.environ["TF_XLA_FLAGS"] == ""


def test_without_a_gpu_nothing_is_kept(tmp_path):
    assert keep_compiled(tmp_path / "xla", []) is None
    assert os.environ["TF_XLA_FLAGS"] == ""
    assert not any(tmp_path.iterdir())


def test_models_are_those_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(xla_cache, "DRIVER", tmp_path)
    assert gpu_models() == []
    for bus, model in (("0000:01:00.0", "NVIDIA H100"), ("0000:02:00.0", "NVIDIA H100"), ("0000:03:00.0", "Tesla T4")):
        (tmp_path / bus).mkdir()
        (tmp_path / bus / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 16\n")
    assert gpu_models() == ["NVIDIA H100", "Tesla T4"]

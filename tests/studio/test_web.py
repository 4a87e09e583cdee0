"""The exported page: its models make the generator's images, and the browser's random numbers are NumPy's."""

import json
import tarfile

import numpy as np
import onnxruntime
import pytest
from tiny_generators import tiny_generator

from stylegan_tf.export import web
from stylegan_tf.pictures.sampler import latents


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """An archive that looks like the runtime's."""
    path = tmp_path_factory.mktemp("npm") / "runtime.tgz"
    (file := path.with_name("file")).write_text("// runs models")
    with tarfile.open(path, "w:gz") as tar:
        for name in web.RUNTIME_FILES:
            tar.add(file, f"package/dist/{name}")
    return path


@pytest.fixture
def any_runtime(monkeypatch):
    monkeypatch.setattr(web, "obtain", lambda remote, folder, path: path)


@pytest.mark.parametrize("family, label_size", [("stylegan", 0), ("stylegan2", 3)])
def test_models_make_the_generators_images(tmp_path, runtime, any_runtime, family, label_size):
    generator = tiny_generator(family=family, label_size=label_size)
    web.export_web(generator, tmp_path / "page", {"source": "here"}, runtime=runtime)
    network = tmp_path / "page" / "network"
    facts = json.loads((network / "studio.json").read_text())
    assert (facts["name"], facts["num_layers"], facts["card"]["network"]) == ("page", 4, {"source": "here"})
    feeds = {"latents": latents([1, 2], 16)}
    if label_size:
        feeds["labels"] = np.eye(3, dtype=np.float32)[[0, 2]]
    (w,) = session(network / "mapping.onnx").run(["w"], feeds)
    expected = generator.mapping(*feeds.values())
    np.testing.assert_allclose(w, expected, atol=1e-4)
    (images,) = session(network / "synthesis.onnx").run(["images"], {"w": w})
    np.testing.assert_allclose(images, generator.synthesis(expected), atol=1e-4)
    np.testing.assert_array_equal(np.fromfile(network / "w_average.bin", np.float32), generator.w_average)
    steps = np.fromfile(network / "directions.bin", np.float32).reshape(-1, 16)
    assert len(steps) == len(facts["directions"]) == 32
    page = (tmp_path / "page" / "index.html").read_text()
    assert "data-exported" in page
    for name in web.RUNTIME_FILES:
        assert (tmp_path / "page" / "onnxruntime-web" / name).read_text() == "// runs models"


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def test_another_runtime_is_refused(tmp_path, runtime):
    with pytest.raises(ValueError, match=r"runtime\.tgz .*onnxruntime-web"):
        web.export_web(tiny_generator(), tmp_path / "page", runtime=runtime)
    assert not (tmp_path / "page").exists()

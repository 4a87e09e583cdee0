"""Exported files give a generator's images back: to Keras, to onnxruntime, and from the official variables alone."""

import json
import sys

import keras
import numpy as np
import pytest
from tiny_generators import FAMILIES, tiny_generator
from tiny_networks import normal, one_hot, scattered

from stylegan_tf import networks
from stylegan_tf.export.formats import export_keras, export_onnx, export_weights
from stylegan_tf.files.official import load_variables
from stylegan_tf.networks import ProGANGenerator

pytestmark = pytest.mark.optimized

FACTS = {"source": "results/00000-tiny", "licence": "of the data set", "kimg": 12.5, "dataset": None}
CUTOFF = 3


@pytest.fixture(scope="module", params=FAMILIES)
def conditional(request):
    arguments = {"fused_scale": True} if request.param == "stylegan" else {}
    return tiny_generator(resolution=8, label_size=3, family=request.param, **arguments)


@pytest.fixture(scope="module")
def growing():
    sizes = dict(fmap_base=64, fmap_max=8, latent_size=16)
    return scattered(ProGANGenerator(16, 1, **sizes, growth=(8, 0.25)))


def images(generator, z, labels=None, psi=None):
    w = generator.mapping(z, labels)
    if psi is not None:
        w = np.concatenate([generator.truncate(w[i : i + 1], p, CUTOFF) for i, p in enumerate(psi)])
    return np.asarray(generator.synthesis(w))


def test_keras_file(conditional, tmp_path):
    export_keras(conditional, tmp_path / "new" / "tiny.keras", FACTS)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["tiny.json", "tiny.keras"]
    card = json.loads((tmp_path / "new" / "tiny.json").read_text())
    assert (
        card["network"] == FACTS
        and card["class"] == type(conditional).__name__
        and card["arguments"]["label_size"] == 3
    )
    z, labels = normal(2, 16), one_hot(2, 3)
    again = keras.saving.load_model(tmp_path / "new" / "tiny.keras")
    np.testing.assert_array_equal(images(again, z, labels), images(conditional, z, labels))


def test_weights(conditional, tmp_path):
    export_weights(conditional, tmp_path / "tiny.npz", FACTS)
    with np.load(tmp_path / "tiny.npz", allow_pickle=False) as file:
        arrays = dict(file)
    card = json.loads(str(arrays.pop("__config__")))
    assert card["network"] == FACTS
    assert arrays["G_synthesis/8x8/Conv0_up/weight"].shape == (3, 3, 8, 8)
    assert arrays["lod"] == 0
    again = getattr(networks, card["class"])(**card["arguments"])
    load_variables(again, arrays)
    assert [v.shape for v in again.variables] == [v.shape for v in conditional.variables]
    for mine, theirs in zip(again.variables, conditional.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_growth_is_in_the_files(growing, tmp_path):
    """As in the original's, 8x8 of 16x16 at a quarter of its fade is a lod of 1.75."""
    export_keras(growing, tmp_path / "tiny.keras")
    assert json.loads((tmp_path / "tiny.json").read_text())["grown_to"] == {"resolution": 8, "fade": 0.25}
    assert keras.saving.load_model(tmp_path / "tiny.keras").growth == (8, 0.25)
    export_weights(growing, tmp_path / "tiny.npz")
    with np.load(tmp_path / "tiny.npz") as file:
        assert file["lod"] == np.float32(1.75)


class TestOnnx:
    """In onnxruntime."""

    @pytest.fixture(autouse=True)
    def runtime(self):
        pytest.importorskip("tf2onnx")
        self.onnxruntime = pytest.importorskip("onnxruntime")

    def open(self, path):
        return self.onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def test_conditional_with_a_psi_for_each_image(self, conditional, tmp_path):
        export_onnx(conditional, tmp_path / "tiny.onnx", FACTS, truncation_cutoff=CUTOFF)
        assert [path.name for path in tmp_path.iterdir()] == ["tiny.onnx"]
        session = self.open(tmp_path / "tiny.onnx")
        facts = session.get_modelmeta().custom_metadata_map
        assert json.loads(facts["network"]) == FACTS and json.loads(facts["arguments"])["label_size"] == 3
        assert {x.name: x.shape for x in (*session.get_inputs(), *session.get_outputs())} == {
            "latents": ["N", 16],
            "labels": ["N", 3],
            "truncation_psi": ["N"],
            "images": ["N", 8, 8, 3],
        }
        for count in (1, 4):
            z, labels, psi = normal(count, 16), one_hot(count, 3), np.array([0.7, -1, 0, 1], np.float32)[:count]
            inputs = {"latents": z, "labels": labels, "truncation_psi": psi}
            (result,) = session.run(["images"], inputs)
            assert result.dtype == np.float32
            expected = images(conditional, z, labels, psi)
            np.testing.assert_allclose(result, expected, atol=1e-3)
            # Labels matter, and truncation does as well.
            (other,) = session.run(None, inputs | {"labels": np.roll(labels, 1, axis=1), "truncation_psi": psi + 1})
            assert np.abs(other - expected).max(axis=(1, 2, 3)).min() > 1e-2

    def test_growing(self, growing, tmp_path):
        export_onnx(growing, tmp_path / "tiny.onnx")
        z = normal(3, 16)
        session = self.open(tmp_path / "tiny.onnx")
        assert session.get_outputs()[0].shape == ["N", 16, 16, 1]
        (result,) = session.run(None, {"latents": z, "truncation_psi": np.ones(3, np.float32)})
        np.testing.assert_allclose(result, images(growing, z), atol=1e-3)
        np.testing.assert_array_equal(result[:, ::2, ::2], result[:, 1::2, 1::2])


def test_a_missing_package_is_named(growing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    words = r"^Exporting to ONNX needs the package (\w+), of the extra \[onnx\]\. Install it: pip install \1\.$"
    with pytest.raises(ValueError, match=words):
        export_onnx(growing, tmp_path / "tiny.onnx")


@pytest.mark.parametrize("export", [export_keras, export_onnx, export_weights])
def test_another_suffix_is_refused(export, growing, tmp_path):
    with pytest.raises(ValueError, match=r"The file must be called NAME\.(keras|onnx|npz); received .*tiny\.h5\.$"):
        export(growing, tmp_path / "tiny.h5")
    assert not list(tmp_path.iterdir())

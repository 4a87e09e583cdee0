"""Exported models: equal to the generator's own images, complete, independent of this project, and hard to break."""

import collections
import importlib.metadata
import json
import os
import re
import resource
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tiny_generators import tiny_generator
from tiny_networks import normal, one_hot, scattered

from stylegan_tf.export import savedmodel
from stylegan_tf.export.savedmodel import export_savedmodel
from stylegan_tf.networks import ProGANGenerator
from stylegan_tf.pictures.sampler import Sampler, latents

pytestmark = pytest.mark.optimized

# Of the four layers of the tiny networks, truncation leaves one alone.
MAX_BATCH, CUTOFF = 6, 3
FACTS = {"source": "results/00000-tiny-f-cpu", "kimg": 2.345}
SEEDS, PSI = np.array([0, 33, 2**32 - 1, 7, 5]), np.array([0.7, 1, -0.5, 0, 1.3], np.float32)
STORED, MIXED = np.full(5, -1), np.array([-1, 4, 4, -1, 2**32 - 1])
LABELS = {"mixed": one_hot(5, 3)[[2, 0, 1, 0, 2]], "growing": None, "progan": None}
LABELS["stylegan2"] = LABELS["mixed"]
# Of StyleGAN2, as many as is usual: all four.
CUTOFFS = {name: CUTOFF for name in LABELS} | {"stylegan2": None}


def make_network(name):
    """Generators of four different kinds."""
    if name == "stylegan2":
        return tiny_generator(label_size=3, family="stylegan2")
    if name == "mixed":
        return tiny_generator(label_size=3)
    if name == "growing":
        return tiny_generator(seed=1, num_channels=1, growth=(4, 1.0))
    return scattered(ProGANGenerator(8, latent_size=16, fmap_base=64, fmap_max=8, growth=(8, 0.25)))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """{name: (path, loaded model, Sampler, labels)}."""
    folder, models = tmp_path_factory.mktemp("models"), {}
    for name, labels in LABELS.items():
        generator = make_network(name)
        path = export_savedmodel(
            generator,
            folder / name,
            max_batch=MAX_BATCH,
            truncation_cutoff=CUTOFFS[name],
            facts=FACTS if labels is None else None,
        )
        models[name] = path, tf.saved_model.load(path), Sampler(generator), labels
    return models


@pytest.fixture(scope="module")
def conditional(exported):
    return exported["mixed"]


def call(model, signature, **inputs):
    """The one output of a signature."""
    function = model.signatures[signature]
    specs = function.structured_input_signature[1]
    given = {name: tf.constant(value, specs[name].dtype) for name, value in inputs.items() if value is not None}
    (output,) = function(**given).values()
    return output.numpy()


def expected_images(sampler, labels, noise_seeds, cutoff=CUTOFF):
    """Images of SEEDS and PSI, one at a time."""
    w = sampler.mapping(latents(SEEDS, sampler.latent_size), labels)
    images = []
    for index, (psi, noise_seed) in enumerate(zip(PSI, noise_seeds, strict=True)):
        noise = {"noise": "fixed"} if noise_seed < 0 else {"noise": "random", "noise_seeds": [noise_seed]}
        images.append(sampler.synthesis(sampler.truncate(w[index : index + 1], psi, cutoff), **noise))
    return np.concatenate(images)


def assert_close(images, expected):
    """Equal but for pixels on the edge between two values."""
    difference = np.abs(images.astype(int) - expected)
    assert difference.max() <= 1 and difference.mean() < 0.01
    assert expected.std() > 10


# The same images.


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("noise_seeds", [STORED, MIXED], ids=["stored noise", "some drawn"])
def test_images_are_the_samplers(exported, name, noise_seeds):
    _, model, sampler, labels = exported[name]
    expected = expected_images(sampler, labels, noise_seeds, CUTOFFS[name])
    settings = {"truncation_psi": PSI, "noise_seed": noise_seeds}
    z = latents(SEEDS, sampler.latent_size)
    images = call(model, "serving_default", latents=z, labels=labels, **settings)
    assert images.dtype == np.uint8 and images.shape == (5, 8, 8, sampler.num_channels)
    assert_close(images, expected)
    w = call(model, "mapping", latents=z, labels=labels)
    np.testing.assert_allclose(w, sampler.mapping(z, labels), atol=1e-5)
    pairs = zip(w, PSI, strict=True)
    truncated = np.concatenate([sampler.truncate(row[None], psi, CUTOFFS[name]) for row, psi in pairs])
    assert_close(call(model, "synthesis", w=truncated, noise_seed=noise_seeds), expected)
    classes = None if labels is None else labels.argmax(axis=1)
    assert_close(call(model, "images_from_seeds", seeds=SEEDS, classes=classes, **settings), expected)
    pngs = call(model, "png_from_seeds", seeds=SEEDS, classes=classes, **settings)
    assert_close(np.stack([tf.io.decode_png(png) for png in pngs]), expected)


def test_noise_and_truncation_show(conditional):
    _, model, _, labels = conditional
    z = np.repeat(normal(1, 16), 6, axis=0)
    settings = {"truncation_psi": [0.7, 0.7, 0.7, 0.7, 0.5, 1], "noise_seed": [-1, -1, 1, 2, -1, -1]}
    images = call(model, "serving_default", latents=z, labels=np.repeat(labels[:1], 6, axis=0), **settings)
    assert np.array_equal(images[0], images[1])
    for one in range(1, 6):
        for other in range(one):
            assert (one, other) == (1, 0) or not np.array_equal(images[one], images[other])


def test_a_batch_is_its_images(conditional):
    _, model, _, _ = conditional
    inputs = {"seeds": SEEDS, "classes": [0, 1, 2, 0, 1], "truncation_psi": PSI, "noise_seed": MIXED}
    together = call(model, "images_from_seeds", **inputs)
    for index in range(5):
        alone = call(model, "images_from_seeds", **{name: value[index : index + 1] for name, value in inputs.items()})
        assert_close(alone, together[index : index + 1])


# Without this project.

ALONE = """
import importlib.util, sys
import numpy as np
import tensorflow as tf
from tensorflow.python.tools import saved_model_cli
path, inputs, outputs = sys.argv[1:]
assert not importlib.util.find_spec("stylegan_tf")
model = tf.saved_model.load(path)
inputs, results = np.load(inputs), {}
for name, function in model.signatures.items():
    given = {key: tf.constant(inputs[key]) for key in function.structured_input_signature[1]}
    (result,) = function(**given).values()
    results[name] = result.numpy().astype("S") if result.dtype == tf.string else result.numpy()
assert not [name for name in sys.modules if name.startswith(("stylegan_tf", "dnnlib"))]
np.savez(outputs, **results)
sys.argv = ["saved_model_cli", "show", "--dir", path, "--all"]
saved_model_cli.main()
"""


@pytest.fixture(scope="module")
def alone(conditional, tmp_path_factory):
    """What a process without this project computes of the model: (inputs, outputs, what saved_model_cli prints)."""
    path, _, sampler, labels = conditional
    folder = tmp_path_factory.mktemp("alone")
    z = latents(SEEDS, 16)
    inputs = {
        "latents": z,
        "labels": labels,
        "truncation_psi": PSI,
        "noise_seed": MIXED,
        "w": sampler.mapping(z, labels),
        "seeds": SEEDS,
        "classes": labels.argmax(axis=1),
        "names": labels.argmax(axis=1).astype(str),  # of classes without names: their numbers
    }
    np.savez(folder / "inputs.npz", **inputs)
    process = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(path), "inputs.npz", "outputs.npz"],
        cwd=folder,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert process.returncode == 0, process.stderr
    return inputs, np.load(folder / "outputs.npz"), process.stdout


def test_a_process_without_this_project(conditional, alone):
    _, _, sampler, labels = conditional
    inputs, outputs, _ = alone
    expected = expected_images(sampler, labels, MIXED)
    assert_close(outputs["serving_default"], expected)
    assert_close(outputs["images_from_seeds"], expected)
    assert_close(np.stack([tf.io.decode_png(png) for png in outputs["png_from_seeds"]]), expected)
    np.testing.assert_allclose(outputs["mapping"], inputs["w"], atol=1e-5)
    np.testing.assert_array_equal(outputs["classes_from_names"], inputs["classes"])
    singly = [
        sampler.synthesis(row[None], "fixed" if seed < 0 else "random", [seed])
        for row, seed in zip(inputs["w"], MIXED, strict=True)
    ]
    assert_close(outputs["synthesis"], np.concatenate(singly))


def test_saved_model_cli(alone):
    text = alone[2]
    listed = {part.split("']")[0]: part for part in text.split("signature_def['")[1:]}
    inputs = {
        "__saved_model_init_op": set(),
        "serving_default": {"latents", "labels", "truncation_psi", "noise_seed"},
        "mapping": {"latents", "labels"},
        "synthesis": {"w", "noise_seed"},
        "images_from_seeds": {"seeds", "classes", "truncation_psi", "noise_seed"},
        "png_from_seeds": {"seeds", "classes", "truncation_psi", "noise_seed"},
        "classes_from_names": {"names"},
    }
    assert {name: set(re.findall(r"inputs\['(\w+)'\]", part)) for name, part in listed.items()} == inputs
    assert re.search(r"outputs\['images'\].*\s+dtype: DT_UINT8\s+shape: \(-1, 8, 8, 3\)", listed["synthesis"])
    assert re.search(r"outputs\['w'\].*\s+dtype: DT_FLOAT\s+shape: \(-1, 4, 16\)", listed["mapping"])
    assert re.search(r"outputs\['png_bytes'\].*\s+dtype: DT_STRING\s+shape: \(-1\)", listed["png_from_seeds"])


@pytest.mark.parametrize("name", LABELS)
def test_nothing_but_signatures_and_variables(exported, name):
    path, _, sampler, _ = exported[name]
    stored = dict(tf.train.list_variables(str(path / "variables" / "variables")))
    del stored["_CHECKPOINTABLE_OBJECT_GRAPH"]
    expected = collections.Counter(tuple(variable.shape) for variable in sampler.generator.variables)
    assert collections.Counter(map(tuple, stored.values())) == expected
    saved = SavedModel.FromString((path / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    assert not [node for node in graph.object_graph_def.nodes if node.HasField("function")]
    functions = graph.graph_def.library.function
    nodes = [*graph.graph_def.node, *(node for function in functions for node in function.node_def)]
    # Seeds and files are for the CPU; everything else runs where Serving finds a device.
    assert {node.device for node in nodes} <= {"", "/device:CPU:0", "/device:CPU:*"}
    assert all(node.attr["data_format"].s in (b"", b"NHWC") for node in nodes)
    # The signatures share one synthesis network, and so its pixels' rounding.
    assert sum(node.op == "Round" for node in nodes) == 1


@pytest.mark.parametrize("name", ["mixed", "stylegan2"])
def test_one_image_alone_is_convolved_in_strips(exported, monkeypatch, tmp_path, name):
    """Where that is faster, which is decided in the graph, for as many images as there are."""
    _, _, sampler, labels = exported[name]
    monkeypatch.setattr("stylegan_tf.layers.convolution.has_onednn_without_avx512", lambda: True)
    monkeypatch.setattr("stylegan_tf.layers.convolution.ROWS", 4)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    path = export_savedmodel(sampler.generator, tmp_path / name, max_batch=MAX_BATCH, truncation_cutoff=CUTOFFS[name])
    (graph,) = SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    nodes = [node for function in graph.graph_def.library.function for node in function.node_def]
    assert {node.attr["padding"].s for node in nodes if node.op == "Conv2D"} == {b"SAME", b"VALID"}
    monkeypatch.undo()
    model, z = tf.saved_model.load(path), latents(SEEDS, sampler.latent_size)
    settings = {"latents": z, "labels": labels, "truncation_psi": PSI, "noise_seed": MIXED}
    for count in (1, 5, 2, 1):
        first = {name: value[:count] for name, value in settings.items()}
        assert_close(
            call(model, "serving_default", **first), expected_images(sampler, labels, MIXED, CUTOFFS[name])[:count]
        )


# Wrong requests.

GOOD = {"seeds": [1, 2], "classes": [0, 1], "truncation_psi": [0.7, 1], "noise_seed": [-1, 3]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seeds": [1, -1]}, "seeds must be from 0 to 4294967295; received -1."),
        ({"seeds": [2**32, 0]}, "seeds must be from 0 to 4294967295; received 4294967296."),
        ({"classes": [0, 3]}, "classes must be from 0 to 2; received 3."),
        ({"classes": [-1, 0]}, "classes must be from 0 to 2; received -1."),
        ({"noise_seed": [-1, -2]}, "noise_seed must be from -1 to 4294967295; received -2."),
        ({"noise_seed": [2**32, 0]}, "noise_seed must be from -1 to 4294967295; received 4294967296."),
        ({"truncation_psi": [1, np.nan]}, "truncation_psi must be finite numbers; those of image 1 are not."),
        ({"truncation_psi": [np.inf, 1]}, "truncation_psi must be finite numbers; those of image 0 are not."),
        ({"truncation_psi": [3e38, 1]}, "pixels that are not finite numbers"),
        ({"truncation_psi": [1]}, "truncation_psi must have as many rows as seeds, which has 2; received 1."),
        ({"noise_seed": [1, 2, 3]}, "noise_seed must have as many rows as seeds, which has 2; received 3."),
        ({"classes": []}, "classes must have as many rows as seeds, which has 2; received 0."),
        ({name: [] for name in GOOD}, "A request is for 1 to 6 images; received seeds for 0."),
        ({name: value * 3 + value[:1] for name, value in GOOD.items()}, "received seeds for 7."),
        ({"seeds": [[1], [2]]}, "Shape of tensor seeds [2,1] is not compatible with expected shape [?]."),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_wrong_seeds(conditional, wrong, words):
    for signature in ("images_from_seeds", "png_from_seeds"):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            call(conditional[1], signature, **GOOD | wrong)
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"latents": np.full((2, 16), np.nan)}, "latents must be finite numbers; those of image 0 are not."),
        ({"labels": [[0, 0, 1], [0, np.inf, 0]]}, "labels must be finite numbers; those of image 1 are not."),
        ({"latents": normal(2, 17)}, "Shape of tensor latents [2,17] is not compatible with expected shape [?,16]."),
        ({"labels": one_hot(2, 4)}, "Shape of tensor labels [2,4] is not compatible with expected shape [?,3]."),
        ({"labels": one_hot(3, 3)}, "labels must have as many rows as latents, which has 2; received 3."),
        ({"latents": normal(7, 16)}, "A request is for 1 to 6 images; received latents for 7."),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_wrong_latents(conditional, wrong, words):
    settings = {"truncation_psi": [0.7, 1], "noise_seed": [-1, 3]}
    for signature, more in (("serving_default", settings), ("mapping", {})):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            call(conditional[1], signature, **{"latents": normal(2, 16), "labels": one_hot(2, 3)} | wrong, **more)
        assert words in caught.value.message


@pytest.mark.parametrize(
    ("w", "words"),
    [
        (np.full((2, 4, 16), -np.inf), "w must be finite numbers; those of image 0 are not."),
        (normal(2, 5, 16), "Shape of tensor w [2,5,16] is not compatible with expected shape [?,4,16]."),
        (normal(2, 4, 15), "Shape of tensor w [2,4,15] is not compatible with expected shape [?,4,16]."),
    ],
    ids=["inf", "layers", "width"],
)
def test_wrong_w(conditional, w, words):
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        call(conditional[1], "synthesis", w=w, noise_seed=[-1, -1])
    assert words in caught.value.message


def test_too_many_images_take_no_memory(conditional):
    # Their latents alone would take 2.5 GB on the way.
    count = 10**6
    inputs = {"seeds": np.zeros(count), "classes": np.zeros(count), "truncation_psi": np.ones(count)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(tf.errors.InvalidArgumentError, match="received seeds for 1000000"):
        call(conditional[1], "images_from_seeds", **inputs, noise_seed=np.zeros(count))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB


# What is in the folder.


def test_warmup_requests(conditional):
    path, model, _, _ = conditional
    records = tf.data.TFRecordDataset(str(path / "assets.extra" / "tf_serving_warmup_requests"))
    requests = [PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    assert [request.model_spec.signature_name for request in requests] == [
        *("serving_default", "mapping", "synthesis", "images_from_seeds", "png_from_seeds", "classes_from_names"),
    ]
    for request in requests:
        assert request.model_spec.name == "mixed"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        specs = model.signatures[request.model_spec.signature_name].structured_input_signature[1]
        assert {name: value.dtype for name, value in inputs.items()} == {
            name: spec.dtype.as_numpy_dtype for name, spec in specs.items()
        }
        assert len(call(model, request.model_spec.signature_name, **inputs)) == 1


def test_model_card(exported):
    cards = {
        name: json.loads((exported[name][0] / "assets.extra" / "model_card.json").read_text()) for name in exported
    }
    assert cards["growing"]["network"] == FACTS and cards["mixed"]["network"] == {}
    for name, card in cards.items():
        generator = exported[name][2].generator
        architecture = card["architecture"]
        assert architecture["class"] == type(generator).__name__
        assert architecture["arguments"] == json.loads(json.dumps(generator.arguments))
        assert architecture["parameters"] == sum(np.prod(variable.shape) for variable in generator.trainable_variables)
        assert card["versions"]["tensorflow"] == importlib.metadata.version("tensorflow")
        assert card["truncation_cutoff"] == (CUTOFFS[name] or generator.num_layers)
        assert architecture["usual_psi"] == (0.5 if name == "stylegan2" else 0.7)
    assert cards["growing"]["architecture"]["grown_to"] == {"resolution": 4, "fade": 1.0}
    card = cards["mixed"]
    limits = {"images": [1, 6], "seeds": [0, 2**32 - 1], "noise_seed": [-1, 2**32 - 1]}
    assert card["limits"] == limits | {"classes": [0, 2]} and cards["progan"]["limits"] == limits
    images = card["signatures"]["images_from_seeds"]
    assert set(images["inputs"]) == {"seeds", "classes", "truncation_psi", "noise_seed"}
    assert images["outputs"]["images"]["shape"] == [None, 8, 8, 3]
    assert images["outputs"]["images"]["dtype"] == "uint8"


# Versions.


def fake_save(module, folder, signatures):
    (folder / "saved_model.pb").write_bytes(b"a model")


@pytest.fixture
def quick(monkeypatch):
    """A generator, and an export without tracing."""
    monkeypatch.setattr(savedmodel, "make_signatures", lambda *_: {})
    monkeypatch.setattr(tf.saved_model, "save", fake_save)
    return tiny_generator()


def test_versions(quick, tmp_path):
    output = tmp_path / "tiny"
    assert export_savedmodel(quick, output) == output / "1"
    assert export_savedmodel(quick, output, version=12) == output / "12"
    (output / "99.partial").mkdir()
    (output / "notes 100").mkdir()
    assert export_savedmodel(quick, output) == output / "13"
    before = (output / "12" / "saved_model.pb").stat()
    with pytest.raises(FileExistsError, match=r"12 already exists"):
        export_savedmodel(quick, output, version=12)
    with pytest.raises(FileExistsError, match=r"99\.partial is left over"):
        export_savedmodel(quick, output, version=99)
    assert (output / "12" / "saved_model.pb").stat() == before
    assert (output / "12" / "assets.extra" / "model_card.json").exists()


def test_a_version_appears_when_it_is_complete(quick, tmp_path, monkeypatch):
    """TensorFlow Serving loads a folder as soon as its name is a number."""

    def save(module, folder, signatures):
        fake_save(module, folder, signatures)
        assert [path.name for path in tmp_path.iterdir()] == ["1.partial"]
        raise OSError("disk full")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OSError, match="disk full"):
        export_savedmodel(quick, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_broken_network_is_not_exported(tmp_path):
    generator = tiny_generator(resolution=4)
    generator.synthesis.to_rgb[-1].bias.assign([np.nan, 0, 0])
    with pytest.raises(ValueError, match=r"serving_default fails: There would be pixels that are not finite"):
        export_savedmodel(generator, tmp_path / "broken")
    assert not list(tmp_path.iterdir())

"""The clients in serving/ get a generator's own pictures from an exported model, and wrong input gets a sentence.

The server is a PredictionService in Python over the exported model: TensorFlow Serving's messages, not its binary.
"""

import inspect
import json
import re
import shlex
import socket
import subprocess
import sys
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image
from prediction_service import ServedModel, grpc_server, rest_server
from serving_configs import SERVING, channel_arguments, flags, read_proto, read_services
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataRequest, SignatureDefMap
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig
from tiny_generators import tiny_generator

from serving import grpc_client, load_test, rest_client
from serving.client_pictures import PNG_START, ask_for_pngs
from stylegan_tf.export.savedmodel import export_savedmodel
from stylegan_tf.pictures.sampler import Sampler, columns_by_text, latents

pytestmark = pytest.mark.optimized

CLASSES, MAX_BATCH = 3, 4
CLIENTS = {"grpc": grpc_client, "rest": rest_client}
NOWHERE = "localhost:9"  # the discard port, which nothing listens on


@pytest.fixture(scope="module")
def sampler():
    generator = tiny_generator(label_size=CLASSES)
    generator.label_columns = (("cat", 3), ("été", 2), ("猫", 0))
    return Sampler(generator)


@pytest.fixture(scope="module")
def servers(sampler, tmp_path_factory):
    """Both servers over one exported model, the gRPC server with the arguments of docker-compose.yml."""
    output = tmp_path_factory.mktemp("models") / "stylegan"
    path = export_savedmodel(sampler.generator, output, max_batch=MAX_BATCH)
    model = ServedModel(output)
    options = channel_arguments(read_services()["serving"])
    with (
        grpc_server(model, options) as grpc_host,
        rest_server(model) as rest_host,
        grpc.insecure_channel(grpc_host) as channel,
    ):
        hosts = {"grpc": grpc_host, "rest": rest_host}
        yield SimpleNamespace(path=path, model=model, hosts=hosts, stub=PredictionServiceStub(channel))


def ask(servers, signature, name="stylegan", **inputs):
    """The one output of a signature, over gRPC."""
    request = PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    [output] = servers.stub.Predict(request, timeout=60).outputs.values()
    return tf.make_ndarray(output)


def wanted(seeds, psi=0.7, noise_seed=-1, label=1):
    """Inputs of images_from_seeds and png_from_seeds."""
    count = len(seeds)
    return {
        "seeds": np.array(seeds, np.int64),
        "classes": np.full(count, label, np.int64),
        "truncation_psi": np.full(count, psi, np.float32),
        "noise_seed": np.full(count, noise_seed, np.int64),
    }


def sampled(sampler, seeds, psi=0.7, noise="fixed", noise_seed=None, label=1):
    """What the generator itself makes of seeds, uint8 [N, R, R, C]."""
    labels = np.eye(CLASSES, dtype=np.float32)[[label] * len(seeds)]
    w = sampler.truncate(sampler.mapping(latents(seeds, sampler.latent_size), labels), psi)
    return sampler.synthesis(w, noise, [noise_seed] * len(seeds))


def run(client, host, *arguments):
    return CliRunner().invoke(client.main, [f"--host={host}", *arguments])


def assert_same_pictures(pictures, expected):
    # Sums in another order may end on the other side of a half; no more.
    difference = np.abs(np.array(pictures).astype(int) - expected)
    assert difference.max() <= 1 and difference.mean() < 0.01


def assert_refused(result, *words):
    assert result.exit_code == 2, result.output
    assert result.output.count("\n") == 1 and result.output.startswith("Error: ")
    for word in words:
        assert word in result.output


@pytest.mark.parametrize("protocol", CLIENTS)
def test_client_writes_the_generators_pictures(protocol, servers, sampler, tmp_path):
    servers.model.requests.clear()
    seeds = [0, 1, 2, 33, 2**32 - 1]
    arguments = [
        "--seeds=0-2,33,4294967295",
        "--class=été",
        "--truncation-psi=0.5",
        "--batch=2",
        f"--outdir={tmp_path}",
    ]
    result = run(CLIENTS[protocol], servers.hosts[protocol], *arguments)
    assert result.exit_code == 0, result.output
    assert servers.model.requests == [("classes_from_names", 1), *(("png_from_seeds", count) for count in (2, 2, 1))]
    names = [f"seed{seed:04d}.png" for seed in seeds]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    assert_same_pictures([np.asarray(Image.open(tmp_path / name)) for name in names], sampled(sampler, seeds, psi=0.5))


def test_client_asks_for_noise(servers, sampler, tmp_path):
    options = ("--seeds=5", "--class=1", "--noise-seed=9", f"--outdir={tmp_path}")
    assert run(grpc_client, servers.hosts["grpc"], *options).exit_code == 0
    picture = np.asarray(Image.open(tmp_path / "seed0005.png"))
    assert_same_pictures(picture[None], sampled(sampler, [5], noise="random", noise_seed=9))
    assert np.any(picture != sampled(sampler, [5])[0])


@pytest.mark.parametrize("protocol", CLIENTS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds=0-999999999"], ["1,000,000,000 seeds"]),
        (["--seeds=0-99", "--max-images=10"], ["100 pictures", "--max-images=10"]),
        (["--seeds=4294967296"], ["4294967296"]),
        (["--seeds=1", "--truncation-psi=nan"], ["nan"]),
        (["--seeds=1", "--noise-seed=-1"], ["--noise-seed"]),
        (["--seeds=1", "--class=3"], ["There is no class 3; the network has cat, été."]),
        (["--seeds=1", "--class=猫"], ["There is no class 猫;"]),  # of which there was no image
        (["--seeds=1"], ["classes"]),
        (["--seeds=0-9", "--batch=5"], [f"1 to {MAX_BATCH} images", "5"]),
        (["--seeds=1", "--model=other"], ["other"]),
        (["--seeds=1", "--host=localhost:99999"], ["--host", "99999 is no port"]),
        (["--seeds=1", f"--host={NOWHERE}"], [NOWHERE, "cannot be"]),
    ],
)
def test_client_ends_with_one_line(protocol, arguments, words, servers, tmp_path):
    arguments = [*([] if arguments == ["--seeds=1"] else ["--class=0"]), *arguments]
    result = run(CLIENTS[protocol], servers.hosts[protocol], f"--outdir={tmp_path}", *arguments)
    assert_refused(result, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("protocol", CLIENTS)
def test_classes_of_a_model_without_names(protocol, servers, tmp_path, monkeypatch):
    """As it was exported before they had any: numbers are what they were."""
    monkeypatch.delitem(servers.model.callables, "classes_from_names")
    options = ["--seeds=5", f"--outdir={tmp_path / 'new'}"]
    assert_refused(
        run(CLIENTS[protocol], servers.hosts[protocol], *options, "--class=été"), "no classes by name", "'été'"
    )
    assert run(CLIENTS[protocol], servers.hosts[protocol], *options, "--class=1").exit_code == 0


def test_names_of_classes(servers):
    found = ask(servers, "classes_from_names", names=["été", "cat", "1", "e\u0301te\u0301"])
    np.testing.assert_array_equal(found, [1, 0, 1, 1])
    card = json.loads((servers.path / "assets.extra" / "model_card.json").read_text())
    assert card["architecture"]["classes"] == ["cat", "été", "猫"]
    assert card["signatures"]["classes_from_names"]["outputs"]["classes"]["dtype"] == "int64"


@pytest.mark.parametrize(
    "names, text, column", [(["1", "2", "10"], "1", 0), (["a", "b"], "1", 1), (["a", "b"], "2", None)]
)
def test_what_classes_are_called(names, text, column):
    assert columns_by_text(names).get(text) == column


@pytest.mark.parametrize("protocol", CLIENTS)
def test_client_does_not_wait_for_ever(protocol, tmp_path):
    with socket.create_server(("localhost", 0)) as mute:  # takes connections and says nothing
        host = f"localhost:{mute.getsockname()[1]}"
        result = run(CLIENTS[protocol], host, "--seeds=1", "--timeout=0.2", f"--outdir={tmp_path}")
    assert_refused(result, host, "did not answer within 0.2 s", "--timeout")


@pytest.mark.parametrize("host", ["a:b:c", "http://"])
def test_rest_client_with_no_address(host, tmp_path):
    assert_refused(run(rest_client, host, "--seeds=1", f"--outdir={tmp_path}"), "cannot be asked")


def test_rest_client_with_another_server(tmp_path, servers):
    # An address that answers, but not as Serving does: its model status.
    session = SimpleNamespace(post=lambda url, json, timeout: requests.get(f"http://{servers.hosts['rest']}"))
    with pytest.raises(ValueError, match="not as TensorFlow Serving"):
        rest_client._ask(session, "url", 1, {"seeds": [1]})


def test_answers_that_are_no_pictures(tmp_path):
    for answer in ([], [b"GIF89a"]):
        with pytest.raises(ValueError, match="not as many PNG files"):
            ask_for_pngs(lambda inputs, answer=answer: answer, {"seeds": [1]})


@pytest.mark.parametrize(
    ("signature", "inputs", "words"),
    [
        ("mapping", {"latents": np.zeros((1, 15), np.float32), "labels": np.zeros((1, 3), np.float32)}, "15"),
        ("png_from_seeds", wanted([1], psi=np.nan), "truncation_psi must be finite"),
        ("png_from_seeds", wanted([-1]), "seeds must be from 0"),
        ("png_from_seeds", wanted([1], label=7), "classes must be from 0 to 2; received 7"),
        ("png_from_seeds", wanted(range(MAX_BATCH + 1)), f"1 to {MAX_BATCH} images"),
        ("png_from_seeds", wanted([1]) | {"noise_seed": np.zeros(2, np.int64)}, "noise_seed"),
    ],
)
def test_model_refuses(signature, inputs, words, servers):
    with pytest.raises(grpc.RpcError) as caught:
        ask(servers, signature, **inputs)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert words in caught.value.details()


def test_requests_are_bounded(servers):
    with pytest.raises(grpc.RpcError) as caught:
        ask(servers, "mapping", latents=np.zeros((80_000, 16), np.float32), labels=np.zeros((1, 3), np.float32))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_requests_can_be_joined(servers):
    """What a request gets does not depend on those that the server computes it with."""
    alone = [wanted([1], psi=0.5, label=2), wanted([2, 3], psi=1.0, noise_seed=7, label=0)]
    joined = {name: np.concatenate([request[name] for request in alone]) for name in alone[0]}
    padded = {name: np.concatenate([values, values[:1]]) for name, values in joined.items()}
    pictures = np.concatenate([ask(servers, "images_from_seeds", **request) for request in alone])
    assert_same_pictures(ask(servers, "images_from_seeds", **padded)[:3], pictures)


def test_metadata(servers, sampler):
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "stylegan"
    answer = SignatureDefMap()
    assert servers.stub.GetModelMetadata(request).metadata["signature_def"].Unpack(answer)
    signatures = {name: signature for name, signature in answer.signature_def.items() if not name.startswith("__")}
    names = {"serving_default", "mapping", "synthesis", "images_from_seeds", "png_from_seeds", "classes_from_names"}
    assert signatures.keys() == names
    for signature in signatures.values():
        assert signature.method_name == "tensorflow/serving/predict"
        # Serving joins requests along the first dimension of everything.
        for info in [*signature.inputs.values(), *signature.outputs.values()]:
            assert info.tensor_shape.dim[0].size == -1
    assert signatures["serving_default"].inputs["latents"].tensor_shape.dim[1].size == sampler.latent_size
    pictures = signatures["png_from_seeds"]
    assert pictures.inputs.keys() == wanted([0]).keys() and pictures.outputs.keys() == {"png_bytes"}


def test_warmup_can_be_replayed(servers):
    records = tf.data.TFRecordDataset(str(servers.path / "assets.extra" / "tf_serving_warmup_requests"))
    logs = [PredictionLog.FromString(record.numpy()) for record in records]
    assert 0 < len(logs) <= 1000  # Serving reads no more
    for log in logs:
        assert servers.stub.Predict(log.predict_log.request, timeout=60).outputs
    assert "png_from_seeds" in {log.predict_log.request.model_spec.signature_name for log in logs}


def test_load(servers, tmp_path):
    for protocol, host in servers.hosts.items():
        arguments = ["--concurrency=1", "--concurrency=3", "--batch=2", "--seconds=0.1", "--class=1"]
        result = run(load_test, host, f"--protocol={protocol}", *arguments)
        assert result.exit_code == 0, result.output
        rows = [line.split() for line in result.output.splitlines()[2:]]
        assert [row[:2] for row in rows] == [["1", "2"], ["3", "2"]]
        for images_per_second, count, p50, p90, p99, errors in (map(float, row[2:]) for row in rows):
            assert images_per_second > 0 and count >= 1 and 0 < p50 <= p90 <= p99 and errors == 0
    assert_refused(run(load_test, servers.hosts["grpc"], "--batch=5", "--class=1", "--seconds=0.1"), "1 to 4 images")


def test_load_counts_errors(monkeypatch):
    asked = []

    def answer(inputs):
        asked.append(tuple(inputs["seeds"]))
        if len(asked) % 2:
            raise ConnectionError("too much to do")
        return [PNG_START] * len(inputs["seeds"])

    monkeypatch.setattr(load_test, "PAUSE", 0.001)
    load = load_test.measure(answer, concurrency=1, batch=2, seconds=0.05)
    assert len(load.errors) + len(load.latencies) == len(asked) == len(set(asked))
    assert abs(len(load.errors) - len(load.latencies)) <= 1 and set(load.errors) == {"too much to do"}
    assert load.images_per_second == pytest.approx(2 * len(load.latencies) / load.seconds)


def test_rest_client_needs_no_tensorflow():
    code = "import sys; import serving.rest_client; sys.exit(bool({'tensorflow', 'grpc'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], cwd=SERVING.parent, check=True)


def test_batching():
    batching = read_proto("batching.config", "BatchingParameters")
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted(set(sizes)) and sizes[-1] == batching.max_batch_size.value
    assert batching.max_batch_size.value == inspect.signature(export_savedmodel).parameters["max_batch"].default
    assert batching.num_batch_threads.value >= 1 and 1 <= batching.max_enqueued_batches.value <= 1000
    # All inputs have the same widths in each request.
    assert not batching.pad_variable_length_inputs


def test_models_and_monitoring():
    [model] = read_proto("models.config", ModelServerConfig()).model_config_list.config
    defaults = {option.name: option.default for option in grpc_client.main.params}
    assert model.name == defaults["model"] and model.model_platform == "tensorflow"
    assert model.base_path == f"/serving/models/{model.name}"
    prometheus = read_proto("monitoring.config", "MonitoringConfig").prometheus_config
    assert prometheus.enable and prometheus.path in (SERVING / "prometheus.yml").read_text()


@pytest.mark.parametrize("name", ["serving", "serving-gpu"])
def test_compose(name):
    service = read_services()[name]
    assert service["volumes"] == ["./:/serving:ro"]
    for flag, value in flags(service).items():
        if flag.endswith("_file"):
            assert (SERVING / value.removeprefix("/serving/")).is_file()
    assert {"enable_batching", "batching_parameters_file", "monitoring_config_file"} <= flags(service).keys()
    ports = {int(port.rpartition(":")[2]) for port in service["ports"]}
    assert ports == {int(client.DEFAULT_HOST.rpartition(":")[2]) for client in CLIENTS.values()}
    assert service["image"].endswith("-gpu") == name.endswith("-gpu")


def test_health_check(servers):
    *_, script = read_services()["serving"]["healthcheck"]["test"]
    port = servers.hosts["rest"].rpartition(":")[2]
    assert "/8501" in script
    assert subprocess.run(["bash", "-c", script.replace("/8501", f"/{port}")]).returncode == 0
    down = subprocess.run(["bash", "-c", script.replace("/8501", "/9")], capture_output=True)
    assert down.returncode != 0


def test_readme(servers):
    """Every request in the README is answered, and every command has the options it shows."""
    text = (SERVING / "README.md").read_text().replace("\\\n", " ")
    bodies = re.findall(r"curl .*-d '([^']*)' +localhost:8501/v1/models/stylegan:predict", text)
    assert len(bodies) >= 2
    for body in map(json.loads, bodies):
        for row in body["instances"]:
            row["classes"] = 0  # the README's network has none
        answer = requests.post(f"http://{servers.hosts['rest']}/v1/models/stylegan:predict", json=body, timeout=60)
        assert answer.ok and len(answer.json()["predictions"]) == len(body["instances"])
    commands = re.findall(r"^    python serving/(\w+)\.py (.*)$", text, re.MULTILINE)
    assert {name for name, _ in commands} == {"grpc_client", "rest_client", "load_test"}
    for name, arguments in commands:
        main = {"load_test": load_test, "grpc_client": grpc_client, "rest_client": rest_client}[name].main
        main.make_context(name, shlex.split(arguments, comments=True))

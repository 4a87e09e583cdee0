"""TensorFlow Serving's PredictionService over an exported model, with the official messages and the same C++ session.

For tests, and to try the clients where there is no Docker: no batching, only the newest version, REST only in the row
format.

    python tests/serving/prediction_service.py serving/models/stylegan
"""

import base64
import json
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.config_pb2 import CallableOptions
from tensorflow_serving.apis.get_model_metadata_pb2 import GetModelMetadataResponse, SignatureDefMap
from tensorflow_serving.apis.predict_pb2 import PredictResponse
from tensorflow_serving.apis.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}
HTTP_CODES = {grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.NOT_FOUND: 404}


class ServedModel:
    """The newest version in a folder MODEL/VERSION, in a session as the C++ server has one.

    Attributes:
        name: Its name, that of the folder.
        version: Its number.
        signatures: SignatureDefs by name.
        requests: (signature, images) of each request that was answered.
    """

    def __init__(self, folder):
        self.name, self.version = folder.name, max(int(path.name) for path in folder.iterdir())
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            path = str(folder / str(self.version))
            self.signatures = dict(tf.compat.v1.saved_model.load(self.session, ["serve"], path).signature_def)
        self.callables = {
            name: self._callable(signature)
            for name, signature in self.signatures.items()
            if not name.startswith("__")  # how TensorFlow initializes a model
        }
        self.requests = []

    def predict(self, model, signature_name, inputs):
        """Outputs of a signature, {name: array}.

        Args:
            model: Name of the model that is meant.
            signature_name: The signature; "" for serving_default.
            inputs: {name: array}.

        Raises:
            tf.errors.OpError: The model, the signature or an input is wrong.
        """
        if model != self.name:
            raise tf.errors.NotFoundError(None, None, f"Servable not found for request: Latest({model})")
        signature_name = signature_name or "serving_default"
        if signature_name not in self.callables:
            raise tf.errors.InvalidArgumentError(None, None, f'Serving signature key "{signature_name}" not found.')
        signature = self.signatures[signature_name]
        if inputs.keys() != signature.inputs.keys():
            message = f"input size does not match signature: {sorted(inputs)} sent, {sorted(signature.inputs)} required"
            raise tf.errors.InvalidArgumentError(None, None, message)
        for name, value in inputs.items():
            if value.dtype != tf.as_dtype(signature.inputs[name].dtype).as_numpy_dtype:
                raise tf.errors.InvalidArgumentError(None, None, f"{name} has the wrong type: {value.dtype}")
        values = self.callables[signature_name](*(inputs[name] for name in signature.inputs))
        outputs = dict(zip(signature.outputs, values, strict=True))
        self.requests.append((signature_name, len(values[0])))
        return outputs

    def _callable(self, signature):
        """A function of a signature's inputs, in their order, that gives its outputs."""
        options = CallableOptions()
        options.feed.extend(info.name for info in signature.inputs.values())
        options.fetch.extend(info.name for info in signature.outputs.values())
        # Unlike Session.run, it does not look at shapes, and neither does the C++ server.
        return self.session._make_callable_from_options(options)


class PredictionService(PredictionServiceServicer):
    """The gRPC service: Predict and GetModelMetadata."""

    def __init__(self, model):
        self.model = model

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            outputs = self.model.predict(spec.name, spec.signature_name, inputs)
        except tf.errors.OpError as error:
            context.abort(GRPC_CODES[error.error_code], message(error))
        response = PredictResponse()
        response.model_spec.CopyFrom(spec)
        response.model_spec.version.value = self.model.version
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request, context):
        response = GetModelMetadataResponse()
        response.model_spec.name = self.model.name
        response.model_spec.version.value = self.model.version
        response.metadata["signature_def"].Pack(SignatureDefMap(signature_def=self.model.signatures))
        return response


def message(error):
    """An error's message as it comes from C++, without the line that Python adds."""
    return error.message.removeprefix("Graph execution error:").lstrip()


@contextmanager
def grpc_server(model, options=(), port=0):
    """Serves a model on localhost; yields HOST:PORT.

    Args:
        model: ServedModel.
        port: The port; 0 for one that is free.
        options: Channel arguments, pairs of name and value.
    """
    server = grpc.server(ThreadPoolExecutor(4), options=options)
    add_PredictionServiceServicer_to_server(PredictionService(model), server)
    port = server.add_insecure_port(f"localhost:{port}")
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(grace=None).wait()


@contextmanager
def rest_server(model, port=0):
    """Serves a model on localhost, at a free port if none is given; yields HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status = {"error_code": "OK", "error_message": ""}
            version = {"version": str(model.version), "state": "AVAILABLE", "status": status}
            self._answer(200, {"model_version_status": [version]})

        def do_POST(self):
            try:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = re.fullmatch(r"/v1/models/(\w+):predict", self.path)[1]
                self._answer(200, {"predictions": predict_rows(model, name, body)})
            except tf.errors.OpError as error:
                self._answer(HTTP_CODES[GRPC_CODES[error.error_code]], {"error": message(error)})

        def _answer(self, code, content):
            content = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("localhost", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def predict_rows(model, name, body):
    """What REST answers to the row format: a list of values, as all signatures have one output."""
    signature = body.get("signature_name", "serving_default")
    rows = body["instances"]
    infos = model.signatures[signature].inputs
    dtypes = {key: tf.as_dtype(info.dtype).as_numpy_dtype for key, info in infos.items()}
    columns = {key: np.array([row[key] for row in rows], dtypes.get(key)) for key in rows[0]}
    [(output, values)] = model.predict(name, signature, columns).items()
    if output.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return values.tolist()


if __name__ == "__main__":
    served = ServedModel(Path(sys.argv[1]))
    with grpc_server(served, port=8500) as host, rest_server(served, port=8501) as address:
        print(f"Version {served.version} of {served.name}: gRPC on {host}, REST on {address}; Ctrl-C ends", flush=True)
        threading.Event().wait()

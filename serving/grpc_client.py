"""Pictures from TensorFlow Serving over gRPC: python serving/grpc_client.py --seeds=0-24 --outdir=served

TensorFlow is only imported for its messages, nothing is computed here: no GPU is touched.
"""

import contextlib
import functools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import grpc
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from serving.client_pictures import OUTPUTS, SIGNATURE, client_command, sentence, too_slow

DEFAULT_HOST = "localhost:8500"

DTYPES = {
    "seeds": tf.int64,
    "truncation_psi": tf.float32,
    "noise_seed": tf.int64,
    "classes": tf.int64,
    "names": tf.string,
}

CHANNEL_OPTIONS = [
    # gRPC accepts 4 MiB unless told otherwise; 32 images of 1024x1024 are 96 MiB even if PNG compresses nothing.
    ("grpc.max_receive_message_length", 128 * 2**20),
    # A request that failed is reported, not repeated behind the user's back.
    ("grpc.enable_retries", 0),
]


@contextlib.contextmanager
def connect(host, model, timeout):
    """As `rest_client.connect`; `host`: HOST:PORT of the gRPC service, without encryption."""
    with grpc.insecure_channel(host, options=CHANNEL_OPTIONS) as channel:
        yield functools.partial(_ask, PredictionServiceStub(channel), host, model, timeout)


def _ask(stub, host, model, timeout, inputs, signature=SIGNATURE):
    request = PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values, DTYPES[name]))
    try:
        response = stub.Predict(request, timeout=timeout)
    except grpc.RpcError as error:
        raise _explained(error, host, model, timeout) from None
    output = OUTPUTS[signature]
    return tf.make_ndarray(response.outputs[output]).tolist() if output in response.outputs else []


def _explained(error, host, model, timeout):
    code, details = error.code(), sentence(error.details())
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return too_slow(host, timeout)
    if code == grpc.StatusCode.UNAVAILABLE:
        return ConnectionError(f"{host} cannot be reached or has too much to do: {details}")
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return ValueError(f"The model refuses the request: {details}")
    if code == grpc.StatusCode.NOT_FOUND:
        return ValueError(f"{host} serves no such model or version as {model}: {details}")
    return ConnectionError(f"{host} answers {code.name}: {details}")


main = client_command("gRPC", connect, DEFAULT_HOST)


if __name__ == "__main__":
    main()

"""Requests that TensorFlow Serving sends to a model as it is loaded, so that users' first ones find it warm."""

import click
import numpy as np
import tensorflow as tf


def warmup_inputs(function, class_name=""):
    """Inputs for one image that every generator can take, {name: array [1, ...]}.

    Args:
        function: A concrete function of tensors with the names of `export.export_savedmodel`.
        class_name: Name of a class, for a function that takes one.
    """
    random = np.random.RandomState(0)
    special = {"truncation_psi": lambda shape: np.full(shape, 0.7), "labels": lambda shape: np.eye(*shape)}
    special["names"] = lambda shape: np.full(shape, class_name)
    inputs = {}
    for name, spec in function.structured_input_signature[1].items():
        shape = (1, *spec.shape[1:])
        # Seed 0: noise that is drawn takes the longer way.
        usual = random.standard_normal if spec.dtype.is_floating else np.zeros
        inputs[name] = special.get(name, usual)(shape).astype(spec.dtype.as_numpy_dtype)
    return inputs


def write_warmup(path, model, examples):
    """Writes the TFRecord of PredictionLogs that Serving looks for in assets.extra/tf_serving_warmup_requests.

    Serving does without, so where the package with its messages is missing, there is no file and a line says so.

    Args:
        path: The file.
        model: Name of the model.
        examples: {signature: its inputs}.
    """
    try:
        from tensorflow_serving.apis.predict_pb2 import PredictRequest  # noqa: PLC0415
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog, PredictLog  # noqa: PLC0415
    except ImportError:
        click.echo(
            "The export has no warm-up requests, so its first images take longer: they need the package "
            "tensorflow-serving-api, of the extra [serving]. Install it: pip install tensorflow-serving-api.",
            err=True,
        )
        return
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in examples.items():
            request = PredictRequest()
            request.model_spec.name = model
            request.model_spec.signature_name = signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(PredictionLog(predict_log=PredictLog(request=request)).SerializeToString())

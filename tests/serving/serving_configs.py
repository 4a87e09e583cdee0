"""Reads the files in serving/ as TensorFlow Serving and Docker do."""

from pathlib import Path

import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

SERVING = Path(__file__).parents[2] / "serving"

_FIELD = descriptor_pb2.FieldDescriptorProto
_INT64 = ".google.protobuf.Int64Value"
# The messages that the package tensorflow-serving-api leaves out, from session_bundle_config.proto and
# monitoring_config.proto of TensorFlow Serving: (field, number, type, name of its message).
_MESSAGES = {
    "BatchingParameters": [
        ("max_batch_size", 1, _FIELD.TYPE_MESSAGE, _INT64),
        ("batch_timeout_micros", 2, _FIELD.TYPE_MESSAGE, _INT64),
        ("max_enqueued_batches", 3, _FIELD.TYPE_MESSAGE, _INT64),
        ("num_batch_threads", 4, _FIELD.TYPE_MESSAGE, _INT64),
        ("thread_pool_name", 5, _FIELD.TYPE_MESSAGE, ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, _FIELD.TYPE_INT64, None),
        ("pad_variable_length_inputs", 7, _FIELD.TYPE_BOOL, None),
    ],
    "PrometheusConfig": [("enable", 1, _FIELD.TYPE_BOOL, None), ("path", 2, _FIELD.TYPE_STRING, None)],
    "MonitoringConfig": [("prometheus_config", 1, _FIELD.TYPE_MESSAGE, ".serving.PrometheusConfig")],
}


def read_proto(name, message):
    """A file in serving/ as a text message; an unknown field is an error.

    Args:
        name: Name of the file.
        message: Message to fill, or the name of one of those above.
    """
    return text_format.Parse((SERVING / name).read_text(), _message(message) if isinstance(message, str) else message)


def _message(name):
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="serving.proto", package="serving", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, number, kind, type_name in fields:
            label = _FIELD.LABEL_REPEATED if field == "allowed_batch_sizes" else _FIELD.LABEL_OPTIONAL
            described.field.add(name=field, number=number, type=kind, type_name=type_name, label=label)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"serving.{name}"))()


def read_services():
    """The services of docker-compose.yml."""
    return yaml.safe_load((SERVING / "docker-compose.yml").read_text())["services"]


def flags(service):
    """{flag: value} of a service's command; "" for one without a value."""
    return dict(argument.removeprefix("--").partition("=")[::2] for argument in service["command"])


def channel_arguments(service):
    """The channel arguments of a service's gRPC server, (name, int) pairs."""
    pairs = (pair.split("=") for pair in flags(service)["grpc_channel_arguments"].split(","))
    return [(name, int(value)) for name, value in pairs]

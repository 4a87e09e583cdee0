"""Pickles as stylegan2-ada-pytorch writes them and checkpoints as rosinality's, made without PyTorch, and small."""

import struct

import numpy as np
from tiny_torch import MAGIC, Code, call, code, dump, named

GENERATOR = {
    "z_dim": 5,
    "c_dim": 0,
    "w_dim": 6,
    "img_resolution": 4,
    "img_channels": 2,
    "mapping_kwargs": {"num_layers": 1},
    "synthesis_kwargs": {"channel_base": 12, "channel_max": 8},
}
# Shapes of a generator with these arguments: layers of its parts.
LAYER = {
    "weight": (3, 3, 3, 3),
    "bias": (3,),
    "noise_strength": (),
    "noise_const": (4, 4),
    "resample_filter": (4, 4),
}
RGB = {"weight": (2, 3, 1, 1), "bias": (2,)}
AFFINE = {"weight": (3, 6), "bias": (3,)}


def storage_bytes(array):
    """A storage as it is pickled on its own."""
    pid = ("storage", named("torch.FloatStorage"), "94", "cpu", array.size, None)
    stream = MAGIC + dump(1001) + dump({"little_endian": True}) + dump(Code(code(pid) + b"Q")) + dump(["94"])
    return stream + struct.pack("<q", array.size) + array.tobytes()


def storage(array):
    """The operations that make a storage."""
    return call("torch.storage._load_from_bytes", storage_bytes(array))


def tensor(array, parameter=True):
    array = np.asarray(array, np.float32)
    strides = tuple(stride // 4 for stride in np.ascontiguousarray(array).reshape(array.shape).strides)
    hooks = call("collections.OrderedDict")
    made = call("torch._utils._rebuild_tensor_v2", storage(array), 0, array.shape, strides, False, hooks)
    return call("torch._utils._rebuild_parameter", made, True, hooks) if parameter else made


def module(name, parameters=None, parts=None, arguments=None, version=6, **state):
    """The operations that make a module of a class."""
    meta = {
        "type": "class",
        "version": version,
        "module_src": "import os\nos.abort()\n",
        "class_name": name,
        "state": {
            "_parameters": parameters or {},
            "_buffers": {"none": None},
            "_non_persistent_buffers_set": call("builtins.set", ["none"]),
            "_modules": {"none": None, **(parts or {})},
            "_init_args": (),
            "_init_kwargs": arguments or {},
            **state,
        },
    }
    return call("torch_utils.persistence._reconstruct_persistent_obj", meta)


def draw(shapes, draws):
    return {name: tensor(draws.standard_normal(shape)) for name, shape in shapes.items()}


def tiny_generator(seed=0, arguments=None, leave_out=(), synthesis=None, **layer):
    """The operations that make a generator of 4x4.

    Args:
        seed: Of its numbers.
        arguments: Changes of GENERATOR.
        leave_out: Names of tensors that it has not.
        synthesis: Changes of the synthesis network's parts.
        **layer: Attributes of its only layer.
    """
    draws = np.random.RandomState(seed)

    def tensors(shapes):
        return {name: made for name, made in draw(shapes, draws).items() if name not in leave_out}

    def affine():
        return {"affine": module("FullyConnectedLayer", tensors(AFFINE))}

    parts = {
        "conv1": module("SynthesisLayer", tensors(LAYER), affine(), **layer),
        "torgb": module("ToRGBLayer", tensors(RGB), affine()),
    }
    block = module("SynthesisBlock", tensors({"const": (3, 4, 4)}), parts)
    dense = module("FullyConnectedLayer", tensors({"weight": (6, 5), "bias": (6,)}))
    networks = {
        "synthesis": module("SynthesisNetwork", parts={"b4": block, **(synthesis or {})}),
        "mapping": module("MappingNetwork", tensors({"w_avg": (6,)}), {"fc0": dense}),
    }
    return module("Generator", parts=networks, arguments=GENERATOR | (arguments or {}))


CHECKPOINT = {
    "style.1.weight": (6, 5),
    "style.1.bias": (6,),
    "input.input": (1, 3, 4, 4),
    "conv1.conv.weight": (1, 3, 3, 3, 3),
    "conv1.conv.modulation.weight": (3, 6),
    "conv1.conv.modulation.bias": (3,),
    "conv1.noise.weight": (1,),
    "conv1.activate.bias": (3,),
    "to_rgb1.bias": (1, 2, 1, 1),
    "to_rgb1.conv.weight": (1, 2, 3, 1, 1),
    "to_rgb1.conv.modulation.weight": (3, 6),
    "to_rgb1.conv.modulation.bias": (3,),
    "noises.noise_0": (1, 1, 4, 4),
}


def tiny_checkpoint(seed=0):
    """{name: array} of the state dict of a generator of 4x4."""
    draws = np.random.RandomState(seed)
    return {name: draws.standard_normal(shape).astype("float32") for name, shape in CHECKPOINT.items()}

"""Files as `torch.save` writes them, made without PyTorch: pickles put together by hand, and the numbers."""

import struct
import zipfile
from typing import NamedTuple

import numpy as np

KINDS = {
    "float64": "Double",
    "float32": "Float",
    "float16": "Half",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


# The first pickle of a stream.
MAGIC = b"\x80\x02\x8a\x0a" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little") + b"."


class Code(bytes):
    """Operations of a pickle that leave one object on the stack."""


class View(NamedTuple):
    """A tensor: elements `offset`, `offset` + stride, ... of a one-dimensional array, its storage."""

    storage: np.ndarray
    offset: int
    shape: tuple
    strides: tuple


def code(value):
    """The operations that make a value."""
    match value:
        case Code():
            return value
        case None:
            return Code(b"N")
        case bool():
            return Code(b"\x88" if value else b"\x89")
        case int():
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return Code(b"\x8a" + bytes([len(data)]) + data)
        case float():
            return Code(b"G" + struct.pack(">d", value))
        case bytes():
            return Code(b"B" + struct.pack("<I", len(value)) + value)
        case str():
            return Code(b"X" + struct.pack("<I", len(value.encode())) + value.encode())
        case tuple():
            return Code(b"(" + b"".join(map(code, value)) + b"t")
        case list():
            return Code(b"](" + b"".join(map(code, value)) + b"e")
        case dict():
            return Code(b"}(" + b"".join(code(key) + code(item) for key, item in value.items()) + b"u")
    raise TypeError(value)


def named(name):
    """What a module contains under a name: `os.system`."""
    module, _, name = name.rpartition(".")
    return Code(f"c{module}\n{name}\n".encode())


def call(function, *arguments):
    """The result of a call of something named."""
    return Code(named(function) + code(arguments) + b"R")


def build(instance, state):
    """An object after its state was set."""
    return Code(code(instance) + code(state) + b"b")


def dump(value):
    return b"\x80\x02" + code(value) + b"."


class Storages:
    """The storages of a file, in the order in which they were first asked for."""

    def __init__(self, zipped=True):
        self.arrays = []
        # In streams, whether it is a part of another storage stands last.
        self.whole = () if zipped else (None,)

    def code(self, array, place="torch"):
        """The persistent id of a storage."""
        key = next((i for i, known in enumerate(self.arrays) if known is array), len(self.arrays))
        self.arrays[key:] = self.arrays[key:] or [array]
        kind = named(f"{place}.{KINDS[array.dtype.name]}Storage")
        pid = ("storage", kind, str(key), "cpu", len(array), *self.whole)
        return Code(code(pid) + b"Q")


def view(array):
    """A whole array as a tensor with a storage of its own."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    return View(array.reshape(-1), 0, array.shape, tuple(stride // array.itemsize for stride in array.strides))


def save_tensors(path, tensors, zipped=True, state=None, **options):
    """Writes a state dict.

    Args:
        path: The file.
        tensors: {name: array or `View`}.
        zipped: Whether it is a zip archive or a stream.
        state: Function of {name: operations that make the tensor} to what is pickled; None for an OrderedDict of them.
        **options: Of `save_zip`.
    """
    storages = Storages(zipped)
    pickled = {}
    for name, tensor in tensors.items():
        array, *place = tensor if isinstance(tensor, View) else view(tensor)
        arguments = (storages.code(array), *place, False, call("collections.OrderedDict"))
        pickled[name] = call("torch._utils._rebuild_tensor_v2", *arguments)
    pickled = (state or ordered)(pickled)
    if zipped:
        save_zip(path, pickled, storages, **options)
    else:
        save_stream(path, pickled, storages)


def ordered(items):
    """An OrderedDict, filled."""
    return Code(call("collections.OrderedDict") + b"(" + b"".join(code(k) + code(v) for k, v in items.items()) + b"u")


def save_zip(path, pickled, storages, byteorder="little", compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("folder/data.pkl", dump(pickled))
        archive.writestr("folder/byteorder", byteorder)
        for key, array in enumerate(storages.arrays):
            stored = array.astype(array.dtype.newbyteorder({"little": "<", "big": ">"}[byteorder]))
            archive.writestr(f"folder/data/{key}", stored.tobytes())
        archive.writestr("folder/version", "3\n")


def save_stream(path, pickled, storages, version=1001):
    with open(path, "wb") as file:
        file.write(MAGIC)
        file.write(dump(version) + dump({"little_endian": True}) + dump(pickled))
        file.write(dump([str(key) for key in range(len(storages.arrays))]))
        for array in storages.arrays:
            file.write(struct.pack("<q", len(array)) + array.tobytes())

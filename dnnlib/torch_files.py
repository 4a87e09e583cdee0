"""Reading the tensors of PyTorch's files, without PyTorch and without ever running code from a file.

`torch.save` writes a pickle that describes the tensors, and their numbers as raw "storages": since PyTorch 1.6 in a zip
archive (NAME/data.pkl, NAME/data/0, ...), before that one after the other in a stream.
"""

import mmap
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import numpy as np

# The first two pickles of a stream.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

DTYPES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
}


def load_tensors(path):
    """The tensors of a file that holds a state dict, as `torch.save(module.state_dict(), path)` writes it.

    Args:
        path: The file, in either of PyTorch's formats.

    Returns:
        {name: NumPy array}. The arrays are read-only views, of the mapped file if it is a stream: what is not looked at
        is not read, and tensors that share a storage share it here.

    Raises:
        ValueError: The file is damaged, was not written by `torch.save`, or holds something else than tensors.
        OSError: It cannot be opened.
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            state, storages = (_read_zip if file.read(2) == b"PK" else _read_stream)(file)
            return {name: _array(name, tensor, storages) for name, tensor in _items(state)}
        except _Refusal as reason:
            raise ValueError(f"{path} {reason}.") from None
        except Exception as error:  # Damaged pickles and archives raise whatever they please.
            raise ValueError(f"{path} is damaged, incomplete or not a file of PyTorch's; get it anew.") from error


class _Refusal(Exception):
    """The rest of a sentence that begins with the file's name."""


class _StorageType(NamedTuple):
    dtype: str


class _Storage(NamedTuple):
    """Where a tensor's numbers are: a key in the file, under which there are `count` numbers of `dtype`."""

    key: str
    dtype: str
    count: int


class _Tensor:
    """A tensor as the pickle describes it, in PyTorch's order: storage, offset in it, sizes, strides."""

    def __init__(self, *state):
        self.__setstate__(state[:4])

    def __setstate__(self, state):
        """Files of early 2017 make an empty tensor first and set it with this."""
        self.storage, self.offset, self.shape, self.strides = state


def _rebuild_parameter(data, requires_grad, hooks):
    return data


# All that a pickle may name. Tensors and storages that were on a GPU have names of their own.
GLOBALS = {
    "collections.OrderedDict": OrderedDict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _Tensor,
    "torch._utils._rebuild_tensor_v2": _Tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    **{f"{place}.{kind}Tensor": _Tensor for kind in DTYPES for place in ("torch", "torch.cuda")},
    **{f"{place}.{kind}Storage": _StorageType(DTYPES[kind]) for kind in DTYPES for place in ("torch", "torch.cuda")},
}


class _Unpickler(pickle._Unpickler):
    """Makes a state dict of descriptions, and knows nothing but what that needs.

    It is Python's own implementation, whose operations can be chosen. Of those in C, two allocate whatever number of
    bytes a damaged file names, and one changes attributes of any object, those of `GLOBALS` too.
    """

    dispatch = dict(pickle._Unpickler.dispatch)
    del dispatch[pickle.BYTEARRAY8[0]]

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        name = f"{module}.{name}"
        if name not in GLOBALS:
            raise _Refusal(f"needs {name[:100]!r}, which no state dict of plain tensors does; nothing of it was run")
        return GLOBALS[name]

    def persistent_load(self, pid):
        _, (dtype,), key, _, count, *view = pid
        if any(view):
            raise _Refusal("holds a storage that is a part of another one, which is not known here; save it again")
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError("storage without name or size")
        storage = _Storage(key, dtype, count)
        if self.storages.setdefault(key, storage) != storage:
            raise pickle.UnpicklingError("storage with two types or sizes")
        return storage

    def load_build(self):
        if not isinstance(self.stack[-2], OrderedDict | _Tensor):
            raise pickle.UnpicklingError("state of something that has none")
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def _read_zip(file):
    """The state and {key: array} of a zip archive."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise _Refusal("is a zip archive without data.pkl, so it was not written by torch.save")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _Refusal("is compressed, as torch.save never does")
        folder = pickles[0].removesuffix("data.pkl")
        big_endian = f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big"
        with archive.open(pickles[0]) as pickled:
            unpickler = _Unpickler(pickled)
            state = unpickler.load()
        storages = {}
        for storage in unpickler.storages.values():
            data = archive.read(f"{folder}data/{storage.key}")
            storages[storage.key] = _numbers(storage, data, 0, ">" if big_endian else "<")
    return state, storages


def _read_stream(file):
    """The state and {key: array} of a stream: magic number, version, system, state, list of keys, then the storages."""
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if mapped[257:262] == b"ustar":
        raise _Refusal("is a tar archive, as PyTorch wrote them in 2016; load it in PyTorch and save it again")
    if _Unpickler(mapped).load() != MAGIC_NUMBER:
        raise _Refusal("was not written by torch.save")
    if _Unpickler(mapped).load() != PROTOCOL_VERSION:
        raise _Refusal(f"is of another version of PyTorch's format than {PROTOCOL_VERSION}, the one known here")
    _Unpickler(mapped).load()  # The system that wrote it; all numbers are little-endian nevertheless.
    unpickler = _Unpickler(mapped)
    state = unpickler.load()
    storages = {}
    for key in _Unpickler(mapped).load():
        storage = unpickler.storages[key]
        (count,) = struct.unpack("<q", mapped.read(8))
        if count != storage.count:
            raise pickle.UnpicklingError("storage of another size than described")
        storages[key] = _numbers(storage, mapped, mapped.tell(), "<")
        mapped.seek(storages[key].nbytes, 1)
    return state, storages


def _numbers(storage, data, position, order):
    """The numbers of a storage in native byte order, a view of `data` where that is the file's."""
    dtype = np.dtype(storage.dtype)
    return np.frombuffer(data, dtype.newbyteorder(order), storage.count, position).astype(dtype, copy=False)


def _items(state):
    """(name, tensor) of a state dict."""
    if not isinstance(state, dict):
        raise _Refusal("does not hold a state dict; save module.state_dict()")
    for name, tensor in dict.items(state):
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            entry = repr(name[:100]) if isinstance(name, str) else "an entry"
            raise _Refusal(f"does not hold a state dict: {entry} is not a tensor; save module.state_dict()")
        yield name, tensor


def _array(name, tensor, storages):
    """The numbers of a tensor, a view of its storage."""
    offset, shape, strides, numbers = tensor.offset, tensor.shape, tensor.strides, storages[tensor.storage.key]
    if min(offset, *shape, *strides, 0) < 0 or len(shape) != len(strides):
        raise pickle.UnpicklingError("tensor of a negative size, or without strides")
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= len(numbers):
        raise _Refusal(
            f"is damaged: {name[:100]!r} reaches to number {last} of a storage of {len(numbers)}; get it anew"
        )
    strides = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides, writeable=False)

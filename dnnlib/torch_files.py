"""Reading the tensors of PyTorch's files, without PyTorch and without ever running code from a file.

`torch.save` writes a pickle that describes the tensors, and their numbers as raw "storages": since PyTorch 1.6 in a zip
archive (NAME/data.pkl, NAME/data/0, ...), before that one after the other in a stream.
"""

import mmap
import pickle
import struct
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnnlib.pickle_reader import Machine, Refusal, shown

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
    return _read(path, lambda state, storages: _arrays(state, storages, "save module.state_dict()"))


def load_checkpoint(path, names):
    """Some of what is in a file that holds a dictionary: tensors, and state dicts.

    Args:
        path: The file, in either of PyTorch's formats. What else is in it must be data as well: numbers, text,
            containers of them, or an argparse.Namespace.
        names: What to take, where it is there.

    Returns:
        {name: NumPy array, or {name: NumPy array} for a state dict}; see `load_tensors`.

    Raises:
        ValueError, OSError: See `load_tensors`.
    """

    def entries(content, storages):
        if not isinstance(content, dict):
            raise _Problem("does not hold a dictionary of networks")
        advice = "save a dictionary of state dicts"
        return {
            name: _array(name, content[name], storages)
            if isinstance(content[name], _Tensor)
            else _arrays(content[name], storages, advice)
            for name in names
            if name in content
        }

    return _read(path, entries, {"argparse.Namespace": _Attributes})


def is_torch_file(path):
    """Whether a file begins as those of `torch.save` do; OSError if it cannot be read."""
    with open(path, "rb") as file:
        beginning = file.read(14)
    return beginning[:2] == b"PK" or beginning[4:] == MAGIC_NUMBER.to_bytes(10, "little")


def tensors_in_pickles(limit):
    """`calls` for `Machine`, which make NumPy arrays of the tensors in ordinary pickles.

    Args:
        limit: Bytes of all storages together; a few bytes can name the same storage again and again.
    """
    remaining = limit

    def load(data):
        nonlocal remaining
        if type(data) is not bytes:
            raise TypeError("a storage that is no bytes")
        remaining -= len(data)
        if remaining < 0:
            raise ValueError("its storages are larger than the file")
        return _read_storage(data)

    def rebuild(numbers, offset, shape, strides, *_):
        if type(numbers) is not np.ndarray or numbers.ndim != 1:
            raise TypeError("a tensor without a storage")
        return view(numbers, offset, shape, strides)

    return {
        "torch.storage._load_from_bytes": load,
        "torch._utils._rebuild_tensor_v2": rebuild,
        "torch._utils._rebuild_parameter": _rebuild_parameter,
    }


def _read_storage(data):
    """The numbers of a storage that was pickled on its own, a stream in memory; an array of one dimension."""
    try:
        storage, storages = _read_stream(data)
        if not isinstance(storage, _Storage):
            raise ValueError("no storage")
        return storages[storage.key]
    except (Refusal, _Problem, ArithmeticError, AttributeError, LookupError, TypeError, struct.error) as error:
        raise ValueError(f"a storage that cannot be read ({shown(error)})") from None


def view(numbers, offset, shape, strides):
    """The numbers of a tensor, a read-only view of those of its storage.

    Args:
        numbers: One-dimensional array.
        offset, shape, strides: Place in it, in numbers; int and tuples of int.

    Raises:
        ValueError, TypeError, LookupError: There is no such place.
    """
    if type(shape) is not tuple or type(strides) is not tuple:
        raise TypeError("a tensor without sizes or strides")
    if any(type(number) is not int or number < 0 for number in (offset, *shape, *strides)) or len(shape) != len(
        strides
    ):
        raise ValueError("a tensor of a negative size, or without strides")
    if 0 in shape:
        return np.zeros(shape, numbers.dtype)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if last >= len(numbers):
        raise LookupError(f"reaches to number {last} of a storage of {len(numbers)}")
    strides = [stride * numbers.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(numbers[offset:], shape, strides, writeable=False)


def _read(path, convert, objects=None):
    """What `convert` makes of the content of a file and {key: array} of its storages; the errors of `load_tensors`.

    Args:
        path: The file.
        convert: Function of the two.
        objects: See `Machine`, beside the tensors of early 2017.
    """
    path = Path(path)
    with open(path, "rb") as file:
        try:
            if file.read(2) == b"PK":
                state, storages = _read_zip(file, objects)
            else:
                state, storages = _read_stream(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), objects)
            return convert(state, storages)
        except Refusal as refusal:
            reason = f"needs '{refusal}', which no state dict of plain tensors does; nothing of it was run"
            raise ValueError(f"{path} {reason}.") from None
        except _Problem as reason:
            raise ValueError(f"{path} {reason}.") from None
        except Exception as error:  # Damaged pickles and archives raise whatever they please.
            raise ValueError(f"{path} is damaged, incomplete or not a file of PyTorch's; get it anew.") from error


class _Problem(Exception):
    """The rest of a sentence that begins with the file's name."""


class _Storage(NamedTuple):
    """Where a tensor's numbers are: a key in the file, under which there are `count` numbers of `dtype`."""

    key: str
    dtype: str
    count: int


class _Tensor:
    """A tensor as the pickle describes it, in PyTorch's order: storage, offset in it, sizes, strides."""

    def __init__(self, *state):
        self.set_state(state[:4])

    def set_state(self, state):
        """Files of early 2017 make an empty tensor first and set it with this."""
        self.storage, self.offset, self.shape, self.strides = state


class _OrderedDict(dict):
    def set_state(self, state):
        """Modules add the versions of their parts, which are of no use here."""


class _Attributes:
    """An object that is not looked at."""

    def set_state(self, state):
        """Nothing is kept."""


def _ordered_dict(items=()):
    """Python 2 gave OrderedDict its items when it was made."""
    if any(type(name) is not str for name, _ in items):
        raise TypeError("names that are no text")
    return _OrderedDict(items)


def _rebuild_parameter(data, requires_grad, hooks):
    return data


# All that a pickle may name. Tensors and storages that were on a GPU have names of their own.
CALLS = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": tuple,
    "torch._utils._rebuild_tensor": _Tensor,
    "torch._utils._rebuild_tensor_v2": _Tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
TENSORS = {
    f"{place}.{kind}Tensor": lambda: _Tensor(*[None] * 4) for kind in DTYPES for place in ("torch", "torch.cuda")
}
STORAGES = {f"{place}.{kind}Storage": dtype for kind, dtype in DTYPES.items() for place in ("torch", "torch.cuda")}


class _Machine(Machine):
    """Makes a state dict of descriptions, and notes the storages that they are of: {key: _Storage}."""

    def __init__(self, data, position=0, objects=None):
        super().__init__(data, position, CALLS, TENSORS | (objects or {}), STORAGES, keys=(str, int))
        self.storages = {}

    def persistent(self):
        """A storage; the numbers stand elsewhere in the file."""
        _, kind, key, _, count, *view = self.stack.pop()
        if any(view):
            raise _Problem("holds a storage that is a part of another one, which is not known here; save it again")
        if type(key) is not str or type(count) is not int or count < 0:
            raise ValueError("a storage without name or size")
        storage = _Storage(key, STORAGES[kind.name], count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError("a storage with two types or sizes")
        self.stack.append(storage)

    OPERATIONS = {**Machine.OPERATIONS, pickle.BINPERSID: persistent}


def _read_zip(file, objects):
    """The state and {key: array} of a zip archive."""
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        pickles = [name for name in names if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise _Problem("is a zip archive without data.pkl, so it was not written by torch.save")
        if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
            raise _Problem("is compressed, as torch.save never does")
        folder = pickles[0].removesuffix("data.pkl")
        big_endian = f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") == b"big"
        machine = _Machine(archive.read(pickles[0]), objects=objects)
        state = machine.run()
        storages = {}
        for storage in machine.storages.values():
            data = archive.read(f"{folder}data/{storage.key}")
            storages[storage.key] = _numbers(storage, data, 0, ">" if big_endian else "<")
    return state, storages


def _read_stream(data, objects=None):
    """The state and {key: array} of a stream: magic number, version, system, state, list of keys, then the storages."""
    if data[257:262] == b"ustar":
        raise _Problem("is a tar archive, as PyTorch wrote them in 2016; load it in PyTorch and save it again")
    if data[:1] != pickle.PROTO:
        raise ValueError("no pickle")
    magic, position = _read_pickle(data, 0)
    if magic != MAGIC_NUMBER:
        raise _Problem("was not written by torch.save")
    version, position = _read_pickle(data, position)
    if version != PROTOCOL_VERSION:
        raise _Problem(f"is of another version of PyTorch's format than {PROTOCOL_VERSION}, the one known here")
    _, position = _read_pickle(data, position)  # The system that wrote it; all numbers are little-endian nevertheless.
    machine = _Machine(data, position, objects)
    state = machine.run()
    keys, position = _read_pickle(data, machine.position)
    storages = {}
    for key in keys:
        storage = machine.storages[key]
        (count,) = struct.unpack_from("<q", data, position)
        if count != storage.count:
            raise ValueError("a storage of another size than described")
        storages[key] = _numbers(storage, data, position + 8, "<")
        position += 8 + storages[key].nbytes
    return state, storages


def _read_pickle(data, position):
    """A pickle in the middle of a file, and where it ends."""
    machine = _Machine(data, position)
    return machine.run(), machine.position


def _numbers(storage, data, position, order):
    """The numbers of a storage in native byte order, a view of `data` where that is the file's."""
    dtype = np.dtype(storage.dtype)
    return np.frombuffer(data, dtype.newbyteorder(order), storage.count, position).astype(dtype, copy=False)


def _arrays(state, storages, advice):
    """{name: array} of a state dict."""
    if not isinstance(state, dict):
        raise _Problem(f"does not hold a state dict; {advice}")
    for name, tensor in dict.items(state):
        if not isinstance(name, str) or not isinstance(tensor, _Tensor):
            entry = repr(name[:100]) if isinstance(name, str) else "an entry"
            raise _Problem(f"does not hold a state dict: {entry} is not a tensor; {advice}")
    return {name: _array(name, tensor, storages) for name, tensor in dict.items(state)}


def _array(name, tensor, storages):
    """The numbers of a tensor, a view of its storage."""
    numbers = storages[tensor.storage.key]
    try:
        return view(numbers, tensor.offset, tensor.shape, tensor.strides)
    except LookupError as error:
        raise _Problem(f"is damaged: {name[:100]!r} {error.args[0]}; get it anew") from None

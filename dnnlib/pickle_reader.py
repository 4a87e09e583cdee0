"""Reading pickles as data: nothing that a file names is ever imported or called.

A pickle is a program for a stack machine, and Python's own machine does whatever the program says. This one knows the
operations that numbers, text, lists, dicts and NumPy arrays need, the few names with which arrays are written, and the
names that its caller has put into its tables; everything else in a file is refused by its name.
"""

import functools
import math
import pickle
import pickletools
import struct
from pathlib import Path

import numpy as np

# Most operations are one byte, and make an object of about 100. Three networks at 1024x1024 have some 12,000.
MAX_OPERATIONS = 100_000

DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})
MAX_DIMENSIONS = 32

_CONSTANTS = {pickle.NONE: None, pickle.NEWTRUE: True, pickle.NEWFALSE: False, pickle.EMPTY_TUPLE: ()}
# A set is read as a list: what is in it need not be hashed.
_EMPTY = {pickle.EMPTY_LIST: list, pickle.EMPTY_DICT: dict, pickle.EMPTY_SET: list}
_TUPLES = {pickle.TUPLE1: 1, pickle.TUPLE2: 2, pickle.TUPLE3: 3}
_NUMBERS = {pickle.BININT: "<i", pickle.BININT1: "<B", pickle.BININT2: "<H", pickle.BINFLOAT: ">d"}
_MEMO_READS = {pickle.BINGET: "<B", pickle.LONG_BINGET: "<I"}
_MEMO_WRITES = {pickle.BINPUT: "<B", pickle.LONG_BINPUT: "<I"}


def _utf8(data):
    return str(data, "utf-8", "surrogatepass")


def _latin1(data):
    """Text of Python 2, whose strings are bytes; `encode` gives the bytes of its arrays back."""
    return str(data, "latin1")


def _integer(data):
    return int.from_bytes(data, "little", signed=True)


# Operation: format of the size in front of its bytes, what is made of the bytes.
_SIZED = {
    pickle.SHORT_BINUNICODE: ("<B", _utf8),
    pickle.BINUNICODE: ("<I", _utf8),
    pickle.BINUNICODE8: ("<Q", _utf8),
    pickle.SHORT_BINSTRING: ("<B", _latin1),
    pickle.BINSTRING: ("<I", _latin1),
    pickle.SHORT_BINBYTES: ("<B", bytes),
    pickle.BINBYTES: ("<I", bytes),
    pickle.BINBYTES8: ("<Q", bytes),
    pickle.BYTEARRAY8: ("<Q", bytes),
    pickle.LONG1: ("<B", _integer),
}


class Record:
    """An object in a pickle.

    Attributes:
        name: Its class, as the file calls it.
        state: Its attributes, {name: value}.
    """

    def __init__(self, name):
        self.name, self.state = name, {}

    def set_state(self, state):
        if type(state) is not dict:
            raise TypeError("attributes that are no dict")
        self.state = state


def read_pickle(path, records=(), dicts=(), keys=(str,), operations=MAX_OPERATIONS, calls=None):
    """Reads a pickle of protocol 2 to 5, as Python 2 or 3 and NumPy 1 or 2 write them, as data.

    Needs little more memory than twice the size of the file, five times for files of Python 2 or of protocol 2.

    Args:
        path: The file.
        records: Full names of the classes whose objects are read as `Record`.
        dicts: Full names of the subclasses of dict whose objects are read as dict.
        keys: Types that the keys of dicts may have, of str, bytes and int.
        operations: Most operations; see `MAX_OPERATIONS`.
        calls: See `Machine`.

    Returns:
        None, bool, int, float, str, bytes, list, tuple, dict, NumPy array or scalar of numbers, `Record`, what `calls`
        return, or these within each other; sets are lists. Whoever goes through it should expect anything: cycles, too.
        Strings of Python 2 are str, each character one of their bytes.

    Raises:
        ValueError: The file holds anything else, or is damaged.
        OSError: It cannot be read.
    """
    objects = {name: functools.partial(Record, name) for name in records} | dict.fromkeys(dicts, dict)
    data = Path(path).read_bytes()
    try:
        return Machine(data, calls=calls, objects=objects, keys=keys).run(operations)
    except Refusal as refusal:
        doubt = (
            "" if data[:1] == pickle.PROTO else " It does not begin like a pickle; download it again, if it was one."
        )
        raise ValueError(f"{path} contains {refusal}, which is not data; nothing of it was run.{doubt}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        reason = "it refers to something that is not in it" if isinstance(error, LookupError) else shown(error)
        raise ValueError(f"{path} is damaged or no pickle ({reason}); download it again.") from None


def shown(value):
    """Something from a file as it may stand in a message: one line, not long."""
    text = str(value)
    return text if len(text) <= 100 and text.isprintable() else repr(text[:100])


class Refusal(Exception):
    """What a file contains that is not data."""


class Name:
    """What a file names, a class or a function: it stands on the stack, and is nothing but its name."""

    def __init__(self, name):
        self.name = name


class Machine:
    """Runs the program of a pickle, as far as it makes data.

    Besides `Refusal` it raises what a damaged file leads to: ArithmeticError, AttributeError, LookupError, TypeError,
    ValueError or struct.error.

    Args:
        data: bytes or mmap.
        position: Where the pickle begins; the attribute of this name is where it ends, after `run`.
        calls: {full name of a function: what makes data of the arguments of a call}, besides those of NumPy.
        objects: {full name of a class: what makes an object, without arguments}. One that has a method `set_state` is
            given its attributes, {name: value} or whatever its class had written.
        names: Full names that may stand in the file without being called.
        keys: Types that the keys of dicts may have. A tuple can take for ever to hash, and all of the C stack.
    """

    def __init__(self, data, position=0, calls=None, objects=None, names=(), keys=(str,)):
        self.data, self.position = data, position
        self.stack, self.outer_stacks, self.memo = [], [], {}
        self.objects, self.keys = objects or {}, keys
        # A few bytes can name the same data again and again. Every array, and every text that is made bytes, must be in
        # the file itself, so that they cannot be larger than it.
        self.remaining_bytes = 2 * len(data)
        self.calls = {
            "__builtin__.bytes": _empty_bytes,
            "builtins.bytes": _empty_bytes,
            "_codecs.encode": self.encode,
            "collections.OrderedDict": _empty_dict,
            "__builtin__.set": _set,
            "builtins.set": _set,
            "numpy.dtype": _dtype,
        }
        for core in ("numpy.core", "numpy._core"):
            self.calls[f"{core}.multiarray._reconstruct"] = _empty_array
            self.calls[f"{core}.multiarray.scalar"] = self.scalar
            self.calls[f"{core}.numeric._frombuffer"] = self.array
        self.calls |= calls or {}
        self.known = {"numpy.ndarray", *self.calls, *self.objects, *names}

    def run(self, operations=MAX_OPERATIONS):
        """The data that the pickle makes."""
        for _ in range(operations):
            operation = self.take(1)
            if operation == pickle.STOP:
                return self.stack.pop()
            self.step(operation)
        raise ValueError(f"more than {operations} operations")

    def step(self, operation):
        stack = self.stack
        if operation in _CONSTANTS:
            stack.append(_CONSTANTS[operation])
        elif operation in _EMPTY:
            stack.append(_EMPTY[operation]())
        elif operation in _NUMBERS:
            stack.append(self.number(_NUMBERS[operation]))
        elif operation in _SIZED:
            size, convert = _SIZED[operation]
            stack.append(convert(self.take(self.number(size))))
        elif operation in _TUPLES:
            stack.append(tuple([stack.pop() for _ in range(_TUPLES[operation])][::-1]))
        elif operation in _MEMO_READS:
            stack.append(self.memo[self.number(_MEMO_READS[operation])])
        elif operation in _MEMO_WRITES:
            self.memo[self.number(_MEMO_WRITES[operation])] = stack[-1]
        elif operation in self.OPERATIONS:
            self.OPERATIONS[operation](self)
        else:
            known = pickletools.code2op.get(operation.decode("latin1"))
            raise Refusal(f"the operation {known.name}") if known else ValueError(f"unknown operation {operation}")

    def take(self, count):
        """The next bytes of the file; their number is checked before anything is allocated."""
        if count > len(self.data) - self.position:
            raise ValueError("it ends too early")
        self.position += count
        return self.data[self.position - count : self.position]

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self):
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise ValueError("it ends too early")
        return _utf8(self.take(end + 1 - self.position)[:-1])

    def protocol(self):
        if self.number("<B") > 5:
            raise ValueError("unknown protocol")

    def frame(self):
        if self.number("<Q") > len(self.data) - self.position:
            raise ValueError("it ends too early")

    def mark(self):
        self.outer_stacks.append(self.stack)
        self.stack = []

    def pop_to_mark(self):
        items, self.stack = self.stack, self.outer_stacks.pop()
        return items

    def memoize(self):
        self.memo[len(self.memo)] = self.stack[-1]

    def make_tuple(self):
        items = self.pop_to_mark()  # which changes the stack
        self.stack.append(tuple(items))

    def append(self):
        self.extend_list([self.stack.pop()])

    def append_all(self):
        self.extend_list(self.pop_to_mark())

    def extend_list(self, items):
        if type(self.stack[-1]) is not list:
            raise TypeError("items of something that is no list")
        self.stack[-1].extend(items)

    def set_item(self):
        self.extend_dict([self.stack.pop(), self.stack.pop()][::-1])

    def set_all_items(self):
        self.extend_dict(self.pop_to_mark())

    def extend_dict(self, items):
        if not isinstance(self.stack[-1], dict) or not all(type(key) in self.keys for key in items[::2]):
            raise TypeError("items of something that is no dict, or with keys that are no text")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def name(self):
        self.push_name(self.line(), self.line())

    def name_from_stack(self):
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise TypeError("a name that is no text")
        self.push_name(module, name)

    def push_name(self, module, name):
        name = f"{module}.{name}"
        if name not in self.known:
            raise Refusal(shown(name))
        self.stack.append(Name(name))

    def call(self):
        """What a file calls is among `calls`, whatever it would have been in Python."""
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Name or function.name not in self.calls or type(arguments) is not tuple:
            raise TypeError("a call of something that cannot be called")
        self.stack.append(self.calls[function.name](*arguments))

    def new_object(self):
        arguments, kind = self.stack.pop(), self.stack.pop()
        if type(kind) is not Name or kind.name not in self.objects:
            raise TypeError("an object of something that is no class")
        if type(arguments) is not tuple or arguments:
            raise TypeError("a new object with arguments")
        self.stack.append(self.objects[kind.name]())

    def build(self):
        state, target = self.stack.pop(), self.stack[-1]
        if hasattr(target, "set_state"):
            target.set_state(state)
        elif isinstance(target, np.dtype) and type(state) is tuple:
            _, order, *layout = state
            if not _is_among(order, "<", ">", "|", "=") or any(part is not None for part in layout[:3]):
                raise ValueError("an unknown dtype")
            target.__setstate__((3, order, None, None, None, -1, -1, 0))
        elif type(target) is np.ndarray and type(state) is tuple:
            _, shape, dtype, fortran, data = state
            if type(fortran) not in (bool, int):
                raise TypeError("an array of an unknown order")
            target.__setstate__((1, shape, dtype, bool(fortran), self.numbers(data, dtype, shape)))
        else:
            raise TypeError("a state of something that has none")

    def encode(self, text, encoding):
        """Bytes as protocol 2 writes them, and as Python 2 does."""
        if type(text) is not str or not _is_among(encoding, "latin1"):
            raise TypeError("bytes in another encoding than latin1")
        self.spend(len(text))
        return text.encode("latin1")

    def spend(self, count):
        self.remaining_bytes -= count
        if self.remaining_bytes < 0:
            raise ValueError("its arrays are larger than the file")

    def numbers(self, data, dtype, shape):
        """The bytes of an array, if they are as many as dtype and shape say."""
        if not isinstance(dtype, np.dtype) or type(shape) is not tuple or len(shape) > MAX_DIMENSIONS:
            raise TypeError("an array without dtype or shape")
        if not all(type(size) is int and size >= 0 for size in shape):
            raise TypeError("an array of an unknown shape")
        if type(data) is str:
            data = self.encode(data, "latin1")
        if type(data) is not bytes or len(data) != math.prod(shape) * dtype.itemsize:
            raise ValueError("an array of another size than its shape")
        self.spend(len(data))
        return data

    def array(self, data, dtype, shape, order, axes=None):
        """Arrays as protocol 5 writes them; order "K" is C in memory, with axes in another order."""
        if not _is_among(order, "C", "F", "K"):
            raise ValueError("an array of an unknown order")
        array = np.ndarray(shape, dtype, self.numbers(data, dtype, shape), order="F" if order == "F" else "C")
        array = array.astype(dtype.newbyteorder("="), copy=False)
        return array.transpose(axes) if order == "K" else array

    def scalar(self, dtype, data):
        return np.ndarray((), dtype, self.numbers(data, dtype, ()))[()]

    OPERATIONS = {
        pickle.PROTO: protocol,
        pickle.FRAME: frame,
        pickle.MARK: mark,
        pickle.MEMOIZE: memoize,
        pickle.TUPLE: make_tuple,
        pickle.APPEND: append,
        pickle.APPENDS: append_all,
        pickle.ADDITEMS: append_all,
        pickle.SETITEM: set_item,
        pickle.SETITEMS: set_all_items,
        pickle.GLOBAL: name,
        pickle.STACK_GLOBAL: name_from_stack,
        pickle.REDUCE: call,
        pickle.NEWOBJ: new_object,
        pickle.BUILD: build,
    }


def _is_among(value, *texts):
    """Whether this is one of some texts; what else stands on the stack may not like to be compared."""
    return type(value) is str and value in texts


def _empty_bytes():
    """Protocol 2 writes others as an encoded text."""
    return b""


def _empty_dict():
    return {}


def _set(items=()):
    if type(items) not in (list, tuple):
        raise TypeError("a set of something that is no list")
    return list(items)


def _dtype(code, align=False, copy=True):
    if not _is_among(code, *DTYPES):
        raise TypeError("an array of something else than numbers")
    return np.dtype(code, copy=True)  # a new one, whose byte order the file sets next


def _empty_array(kind, shape, dtype):
    """What `build` fills."""
    return np.ndarray((0,), "u1")

"""Pickles of the original's networks are read, whatever wrote them; all else is refused in one line, and not run."""

import collections
import io
import os
import pickle
import re
import struct
import sys
import time
import tracemalloc
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import scattered

from dnnlib.pickle_reader import MAX_OPERATIONS, Record, read_pickle
from stylegan_tf.files.official import export_variables, load_pickle
from stylegan_tf.networks import (
    Discriminator,
    Generator,
    MappingNetwork,
    ProGANDiscriminator,
    ProGANGenerator,
    StyleGAN2Discriminator,
    StyleGAN2Generator,
    StyleGAN2GrowingDiscriminator,
    StyleGAN2GrowingGenerator,
    SynthesisNetwork,
)

PROTOCOLS = (2, 3, 4, 5)
D_ARGUMENTS = dict(resolution=4, num_channels=1, label_size=0, fmap_base=8, fmap_max=4)
G_ARGUMENTS = dict(D_ARGUMENTS, latent_size=6, dlatent_size=5, mapping_layers=2, mapping_fmaps=7)
D2_ARGUMENTS = dict(D_ARGUMENTS, resolution=8, fmap_base=16)
G2_ARGUMENTS = dict(G_ARGUMENTS, resolution=8, fmap_base=16)


# The function that builds the synthesis network inside a generator, where no argument says which.
SYNTHESIS = {"G_style": "G_synthesis", "G_main": "G_synthesis_stylegan2"}


class Network:
    """Stands in for the original's classes of networks while a pickle is written."""

    def __init__(self, **state):
        self.__dict__.update(state)


class EasyDict(dict):
    """Stands in for the original's dict."""


@pytest.fixture(autouse=True, scope="module")
def original_modules():
    """The modules in which the original's classes are, as far as pickle looks at them when it writes."""
    with pytest.MonkeyPatch.context() as patch:
        for name, members in {
            "dnnlib.tflib": {},
            "dnnlib.tflib.network": {"Network": Network},
            "dnnlib.util": {"EasyDict": EasyDict},
            "tfutil": {"Network": Network},
        }.items():
            patch.setitem(sys.modules, name, types.SimpleNamespace(**members))
        patch.setattr(Network, "__module__", "dnnlib.tflib.network")
        patch.setattr(EasyDict, "__module__", "dnnlib.util")
        yield


class OldNumPyPickler(pickle._Pickler):
    """Writes the names that NumPy 1 gave its modules."""

    def save_text(self, text):
        pickle._Pickler.save_str(self, text.replace("numpy._core.", "numpy.core."))

    dispatch = {**pickle._Pickler.dispatch, str: save_text}


def dumps(content, protocol=4, numpy=2):
    """The pickle of some data, as NumPy 1 or 2 writes it."""
    file = io.BytesIO()
    (OldNumPyPickler if numpy == 1 else pickle._Pickler)(file, protocol).dump(content)
    data = file.getvalue()
    if numpy == 1 and protocol < 4:  # where names are lines
        data = data.replace(b"cnumpy._core.", b"cnumpy.core.")
    assert (b"numpy._core" in data) == (numpy == 2) or b"numpy" not in data
    return data


def state_of(network, function, arguments, **changes):
    """The state of a network, as the original writes it in version 3."""
    variables, components = export_variables(network), {}
    synthesis = arguments.get("synthesis_func", SYNTHESIS.get(function))
    for key, inner, built_by in (
        (("synthesis", "G_synthesis", synthesis), ("mapping", "G_mapping", "G_mapping")) if synthesis else ()
    ):
        own = {
            name.removeprefix(f"{inner}/"): variables.pop(name) for name in list(variables) if name.startswith(inner)
        }
        components[key] = Network(**common_state(inner, built_by, arguments, own), components={})
    name = "D" if function.startswith("D") else "Gs"
    return {**common_state(name, function, arguments, variables), "components": components, **changes}


def common_state(name, function, arguments, variables):
    return {
        "version": 3,
        "name": name,
        "static_kwargs": arguments,
        "build_module_src": "import os\nos.abort()\n",  # would end the tests
        "build_func_name": function,
        "variables": list(variables.items()),
    }


@pytest.fixture(scope="module")
def D():
    return scattered(Discriminator(**D_ARGUMENTS), seed=1)


@pytest.fixture(scope="module")
def G():
    return scattered(Generator(**G_ARGUMENTS), seed=2)


@pytest.fixture(scope="module")
def d_state(D):
    """{field: value} of D's state; change a copy."""
    return state_of(D, "D_basic", D_ARGUMENTS)


@pytest.fixture
def load(tmp_path):
    """Writes some data to a file and opens it with load_pickle."""

    def load(content):
        path = tmp_path / "network.pkl"
        path.write_bytes(content if isinstance(content, bytes) else dumps(content))
        return load_pickle(path)

    return load


def assert_same(network, expected):
    assert type(network) is type(expected)
    exported, variables = export_variables(network), export_variables(expected)
    assert exported.keys() == variables.keys()
    for name, array in exported.items():
        np.testing.assert_array_equal(array, variables[name], err_msg=name, strict=True)


def arrays():
    """Arrays of every kind, type and order."""
    codes = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1")
    yield from (np.arange(6).reshape(2, 3).astype(f"{order}{code}") for order in "<>" for code in codes)
    yield np.asfortranarray(np.arange(6, dtype="f4").reshape(2, 3))
    yield np.arange(24, dtype="f4").reshape(2, 3, 4).transpose(2, 0, 1)
    yield np.arange(24, dtype="f4")[::5]
    yield from (np.float32(1.5), np.array(1.5), np.int64(-3), np.bool_(True), np.zeros((0, 3), "f4"))


@pytest.mark.parametrize("numpy", [1, 2])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_data_comes_back(tmp_path, protocol, numpy):
    written = list(arrays())
    rest = {"none": None, "numbers": (True, -5, 300, 70_000, 2**40, 0.1), "text": "é\n", "empty": ((), [], {}, b"")}
    rest |= {"bytes": bytes(range(256)), "ordered": collections.OrderedDict(a=[1]), "easy": EasyDict(b=2)}
    shared = [1]
    network = Network(state=[shared, shared], long=list(range(3000)))
    path = tmp_path / "data.pkl"
    path.write_bytes(dumps({"arrays": written, "rest": rest, "network": network}, protocol, numpy))

    read = read_pickle(path, ["dnnlib.tflib.network.Network"], ["dnnlib.util.EasyDict"])
    for array, expected in zip(read["arrays"], written, strict=True):
        native = expected.astype(expected.dtype.newbyteorder("="))
        np.testing.assert_array_equal(array, native, strict=True)
        assert type(array) is type(expected)
    assert read["rest"] == rest
    assert isinstance(read["network"], Record) and read["network"].name == "dnnlib.tflib.network.Network"
    assert read["network"].state == vars(network)
    assert read["network"].state["state"][0] is read["network"].state["state"][1]


def test_arrays_of_python_2(tmp_path):
    """Python 2 writes bytes as text, and wrote whole numbers for truth."""
    expected = np.array([1.5, -2.0], "f4")
    path = tmp_path / "data.pkl"
    path.write_bytes(
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"T\x08\x00\x00\x00" + expected.tobytes() + b"tb."
    )
    np.testing.assert_array_equal(read_pickle(path), expected, strict=True)


@pytest.mark.parametrize("numpy", [1, 2])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol(load, D, d_state, protocol, numpy):
    assert_same(load(dumps(Network(**d_state), protocol, numpy)), D)


def test_tuples_and_lists(load, D, G, d_state):
    """The source text in it is not run, and what is twice in the file is one network."""
    Gs = Network(**state_of(G, "G_style", EasyDict(G_ARGUMENTS, truncation_psi=0.5, dtype="float32")))
    for container in (tuple, list):
        networks = load(container([Gs, Network(**d_state), Gs]))
        assert isinstance(networks, tuple) and networks[0] is networks[2]
        assert_same(networks[0], G)
        assert_same(networks[1], D)
        assert [network.name for network in networks[:2]] == ["Gs", "D"]


@pytest.mark.parametrize("version", [2, 3, 4])
@pytest.mark.parametrize(
    ("function", "network_class", "arguments"),
    [
        ("G_paper", ProGANGenerator, dict(D_ARGUMENTS, latent_size=None, fused_scale=False)),
        ("D_paper", ProGANDiscriminator, dict(D_ARGUMENTS, mbstd_group_size=0)),
        ("training.networks_stylegan.G_style", Generator, G_ARGUMENTS),
    ],
)
def test_state_versions(load, monkeypatch, function, network_class, arguments, version):
    """Version 2 has no components: all variables are in one list."""
    network = scattered(network_class(**arguments))
    state = state_of(network, function, arguments, version=version)
    if version == 2:
        monkeypatch.setattr(Network, "__module__", "tfutil")
        del state["components"]
    elif function.endswith("G_style"):
        state = state_of(network, "G_style", arguments, version=version, build_func_name=function)
    assert_same(load(Network(**state)), network)


@pytest.mark.parametrize(
    ("function", "network_class", "arguments"),
    [
        ("G_main", StyleGAN2Generator, dict(G2_ARGUMENTS, architecture="resnet", resample_kernel=[1, 2, 1])),
        ("G_main", StyleGAN2Generator, dict(G2_ARGUMENTS, synthesis_func="G_synthesis_stylegan2", fused_modconv=True)),
        ("G_main", StyleGAN2GrowingGenerator, dict(G2_ARGUMENTS, synthesis_func="G_synthesis_stylegan_revised")),
        ("D_stylegan2", StyleGAN2Discriminator, dict(D2_ARGUMENTS, architecture="skip", nonlinearity="relu")),
        ("D_stylegan", StyleGAN2GrowingDiscriminator, dict(D2_ARGUMENTS, mbstd_group_size=0)),
    ],
)
def test_stylegan2(load, function, network_class, arguments):
    """Its pickles have state version 4, and one function for both of its generators."""
    known = {name: value for name, value in arguments.items() if name not in ("synthesis_func", "fused_modconv")}
    network = scattered(network_class(**known))
    state = state_of(network, function, arguments, version=4)
    assert_same(load(Network(**state)), network)
    for component in state["components"].values():
        component.version = 4
        assert type(load(component)) in (type(network.synthesis), type(network.mapping))


# Of a network that was trained without growing, the original's files have the RGB layers of the full resolution only.
UNGROWN = [
    ("G_style", Generator, dict(G_ARGUMENTS, resolution=16, fmap_base=32)),
    ("D_basic", Discriminator, dict(D_ARGUMENTS, resolution=16, fmap_base=32)),
    ("G_paper", ProGANGenerator, dict(D_ARGUMENTS, resolution=16, fmap_base=32, latent_size=None, fused_scale=False)),
    (
        "G_main",
        StyleGAN2GrowingGenerator,
        dict(G2_ARGUMENTS, resolution=16, synthesis_func="G_synthesis_stylegan_revised"),
    ),
]


def without_lower_rgb(state, also=()):
    """A state without the RGB layers of lower levels, and without other variables."""
    for part in (state, *(vars(component) for component in state["components"].values())):
        part["variables"] = [
            (name, array)
            for name, array in part["variables"]
            if name not in also and not re.fullmatch(r"(To|From)RGB_lod[1-9]/\w+", name)
        ]
    return state


@pytest.mark.parametrize(("function", "cls", "arguments"), UNGROWN, ids=[row[0] for row in UNGROWN])
def test_networks_that_were_not_grown(load, function, cls, arguments):
    network = scattered(cls(**{name: value for name, value in arguments.items() if name != "synthesis_func"}))
    network.growth = None
    state = without_lower_rgb(state_of(network, function, arguments))
    found = load(Network(**state))
    assert type(found) is cls
    kept, variables = export_variables(network), export_variables(found)
    assert {name for name, array in variables.items() if not np.array_equal(array, kept[name])} == {
        name for name in kept if re.search(r"RGB_lod[1-9]/", name)
    }
    inputs = np.random.RandomState(0).randn(2, *((16, 16, 1) if cls is Discriminator else (network.latent_size,)))
    np.testing.assert_array_equal(*(np.asarray(n(inputs.astype("f4"))) for n in (found, network)))


def test_incomplete_files_are_not_taken_for_networks_that_were_not_grown(load):
    function, cls, arguments = UNGROWN[1]
    network = scattered(cls(**arguments))
    with pytest.raises(ValueError, match="FromRGB_lod2/bias, FromRGB_lod2/weight"):
        partly = state_of(network, function, arguments)
        partly["variables"] = [(name, a) for name, a in partly["variables"] if "lod2" not in name]
        load(Network(**partly))
    with pytest.raises(ValueError, match="4x4/Conv/bias"):
        load(Network(**without_lower_rgb(state_of(network, function, arguments), ["4x4/Conv/bias"])))
    growing = without_lower_rgb(state_of(network, function, arguments))
    growing["variables"] = [(name, np.float32(1.5) if name == "lod" else a) for name, a in growing["variables"]]
    with pytest.raises(ValueError, match=r"FromRGB_lod1|are in the file"):
        load(Network(**growing))


def test_parts_of_a_generator(load, G):
    """They come with all arguments of the generator."""
    components = state_of(G, "G_style", G_ARGUMENTS)["components"]
    mapping = components["mapping"]
    mapping.static_kwargs = dict(mapping.static_kwargs, dlatent_broadcast=2)
    for part, expected in ((mapping, G.mapping), (components["synthesis"], G.synthesis)):
        assert_same(load(part), expected)
    assert isinstance(load(mapping), MappingNetwork) and load(mapping).dlatent_broadcast == 2
    assert isinstance(load(components["synthesis"]), SynthesisNetwork)


def test_growth(load):
    """A network that has not finished growing says where it stood."""
    arguments = dict(G_ARGUMENTS, resolution=16)
    state = state_of(Generator(**arguments), "G_style", arguments)
    variables = dict(state["variables"])

    def with_lod(lod):
        return load(Network(**state | {"variables": list((variables | {"lod": np.float32(lod)}).items())}))

    assert with_lod(0).growth is None
    assert with_lod(1.75).growth == (8, 0.25)
    for lod in (-0.5, 2.5, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^\S+ cannot be used: .* Its lod must be from 0 to 2; it is \S+\.$"):
            with_lod(lod)


class Call:
    """Is pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def refusal(load, content):
    """The one line in which a file is refused, soon and without using much memory."""
    data = content if isinstance(content, bytes) else dumps(content)
    tracemalloc.start()
    try:
        start = time.monotonic()
        with pytest.raises(ValueError) as error:
            load(data)
        assert time.monotonic() - start < 10
        # Every operation may make an object, and there are at most MAX_OPERATIONS of them.
        assert tracemalloc.get_traced_memory()[1] < 500_000 + 6 * len(data) + 250 * min(len(data), MAX_OPERATIONS)
    finally:
        tracemalloc.stop()
    message = str(error.value)
    assert "network.pkl" in message and message.isprintable() and len(message) < 600
    return message


def code(path):
    """What a hostile file would do if it could."""
    return f"open({str(path)!r}, 'w').close()"


HOSTILE = {
    "posix.system": lambda path: Call(os.system, f"touch {path}"),
    "os.system": lambda path: b"cos\nsystem\n(S'touch %s'\ntR." % str(path).encode(),
    "builtins.eval": lambda path: Call(eval, code(path)),
    "builtins.exec": lambda path: [1, {"a": (Call(exec, code(path)),)}],
    "builtins.getattr": lambda path: Call(getattr, Call(__import__, "os"), "system"),
    "builtins.__import__": lambda path: Call(__import__, "os"),
    "io.open": lambda path: Network(variables=[("lod", Call(open, str(path), "w"))]),
    "_pickle.loads": lambda path: Call(pickle.loads, dumps(Call(eval, code(path)))),
    "numpy.load": lambda path: b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
    "numpy.core.multiarray.fromfile": lambda path: b"\x80\x02cnumpy.core.multiarray\nfromfile\nU\x01x\x85R.",
    "numpy.f2py.compile": lambda path: b"\x80\x04\x8c\nnumpy.f2py\x8c\x07compile\x93)R.",
    "numpy.dtype.__class__": lambda path: b"\x80\x04\x8c\x05numpy\x8c\x0fdtype.__class__\x93.",
    "the operation INST": lambda path: b"(ios\nsystem\n.",
    "the operation OBJ": lambda path: b"\x80\x02(cnumpy\ndtype\no.",
    "the operation NEWOBJ_EX": lambda path: b"\x80\x04cnumpy\ndtype\n)}\x92.",
    "the operation PERSID": lambda path: b"Pa\n.",
    "the operation BINPERSID": lambda path: b"\x80\x02U\x01aQ.",
    "the operation EXT1": lambda path: b"\x80\x02\x82\x01.",
    "the operation NEXT_BUFFER": lambda path: b"\x80\x05\x97.",
    r"'a\nb.cccc": lambda path: b"\x80\x04\x8c\x03a\nb\x8c\xff" + b"c" * 255 + b"\x93.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_else_is_read_or_run(load, tmp_path, name):
    ran = tmp_path / "ran"
    message = refusal(load, HOSTILE[name](ran))
    assert f"contains {name}" in message
    other = name in ("os.system", "the operation INST", "the operation PERSID")  # without a pickle's first byte
    assert message.endswith("download it again, if it was one." if other else "nothing of it was run.")
    assert not ran.exists()


NETWORK = b"cdnnlib.tflib.network\nNetwork\n"
DTYPE = b"cnumpy\ndtype\nU\x02f4\x85R"
BIG_ENDIAN = DTYPE + b"(K\x03U\x01>NNNtb"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
SCALAR = b"cnumpy.core.multiarray\nscalar\n"
FROM_BUFFER = b"cnumpy.core.numeric\n_frombuffer\n"
KILOBYTES = b"B" + struct.pack("<I", 200_000) + bytes(200_000)
TEXT = b"X" + struct.pack("<I", 200_000) + bytes(200_000)


def shape(*sizes):
    return b"(" + b"".join(b"\x8a\x09" + size.to_bytes(9, "little", signed=True) for size in sizes) + b"t"


# What it claims or does: the bytes.
DAMAGED = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html></html>",
    "10 GB of bytes": b"\x80\x04\x8e" + struct.pack("<Q", 10 * 2**30) + b"x.",
    "all bytes there are": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
    "10 GB of text": b"\x80\x04\x8d" + struct.pack("<Q", 10 * 2**30) + b"x.",
    "10 GB of bytearray": b"\x80\x05\x96" + struct.pack("<Q", 10 * 2**30) + b"x.",
    "text of a negative length": b"\x80\x02T\xff\xff\xff\xffx.",
    "10 GB of frame": b"\x80\x04\x95" + struct.pack("<Q", 10 * 2**30) + b"N.",
    "a memo that is not there": b"\x80\x02j\xff\xff\xff\xff.",
    "bytes(2**31 - 1)": b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "bytes in another encoding": b"\x80\x02c_codecs\nencode\nU\x01aU\x06rot_13\x86R.",
    "an array of 40 GB": ARRAY + b"(K\x01" + shape(10**5, 10**5) + DTYPE + b"\x89U\x04aaaatb.",
    "an array of 2**64 and no bytes": ARRAY + b"(K\x01" + shape(2**33, 2**31, 4) + DTYPE + b"\x89C\x00tb.",
    "an array of nothing times 2**70": ARRAY + b"(K\x01" + shape(0, 2**70) + DTYPE + b"\x89C\x00tb.",
    "an array of a negative size": ARRAY + b"(K\x01" + shape(-1) + DTYPE + b"\x89C\x04aaaatb.",
    "an array of 33 dimensions": ARRAY + b"(K\x01" + shape(*[1] * 33) + DTYPE + b"\x89C\x04aaaatb.",
    "an array without shape": ARRAY + b"(K\x01N" + DTYPE + b"\x89C\x04aaaatb.",
    "an array without dtype": ARRAY + b"(K\x01" + shape(1) + b"N\x89C\x04aaaatb.",
    "an array of a list": ARRAY + b"(K\x01" + shape(1) + DTYPE + b"\x89]tb.",
    "a buffer of 40 GB": FROM_BUFFER + b"(C\x04aaaa" + DTYPE + shape(10**5, 10**5) + b"U\x01CtR.",
    "a buffer in an unknown order": FROM_BUFFER + b"(C\x04aaaa" + DTYPE + shape(1) + b"U\x01AtR.",
    "axes that there are not": FROM_BUFFER + b"(C\x04aaaa" + DTYPE + shape(1) + b"U\x01K" + shape(7) + b"tR.",
    "half a number": SCALAR + b"(" + DTYPE + b"C\x02aatR.",
    "an object as a number": SCALAR + b"(cnumpy\ndtype\nU\x02O8\x85RC\x08aaaaaaaatR.",
    "a dtype of 2 GB": b"cnumpy\ndtype\nU\x0bV2147483647\x85R.",
    "a structured dtype": b"cnumpy\ndtype\nU\x02f4\x85R(K\x03U\x01<N(U\x01atNtb.",
    "a dtype of a list": b"cnumpy\ndtype\n]\x85R.",
    "one array 1,000 times": BIG_ENDIAN + b"q\x01" + KILOBYTES + b"q\x02"
    + (ARRAY + b"(K\x01" + shape(50_000) + b"h\x01\x89h\x02tb") * 1000 + b".",
    "one text 1,000 times as bytes": TEXT + b"q\x01" + b"c_codecs\nencode\nh\x01U\x06latin1\x86R" * 1000 + b".",
    "a call of text": b"\x80\x02U\x06systemU\x01a\x85R.",
    "a call of an object": NETWORK + b")\x81)R.",
    "a call of a class": NETWORK + b")R.",
    "a call without a tuple": b"cnumpy\ndtype\n]R.",
    "an object of a function": b"cnumpy\ndtype\n)\x81.",
    "an object of text": b"U\x01a)\x81.",
    "an object with arguments": NETWORK + b"K\x01\x85\x81.",
    "attributes of a class": NETWORK + b"}U\x08__init__U\x01asb.",
    "attributes in slots": NETWORK + b")\x81N}U\x05stateU\x01as\x86b.",
    "attributes of text": b"U\x01a}b.",
    "attributes of a dict": b"}}b.",
    "items of an object": NETWORK + b")\x81U\x01aNs.",
    "items of an array": ARRAY + b"K\x00K\x01s.",
    "items of a tuple": b")Na.",
    "half an item": b"}(U\x01au.",
    "keys that are no text": b"}K\x01Ns.",
    "a mark too few": b"Nt.",
    "a stack that is empty": b"\x80\x02\x85.",
    "nothing left": b"\x80\x02.",
    "a name that is no text": b"\x80\x04K\x01K\x02\x93.",
    "half a name": b"\x80\x02cnumpy",
    "text that is no text": b"\x80\x04\x8c\x02\xff\xff.",
    "protocol 6": b"\x80\x06N.",
    "an unknown operation": b"\x80\x04\xff.",
    "tuples in tuples, as a key": b"})" + b"\x85" * 90_000 + b"Ns.",
    "too many operations": b"]" * (MAX_OPERATIONS + 1) + b".",
    "too many memos": b"N" + b"\x94" * (MAX_OPERATIONS + 1) + b".",
    "too many marks": b"(" * (MAX_OPERATIONS + 1) + b".",
}  # fmt: skip

# Data, but no networks.
OTHER_DATA = {
    "a number": 5,
    "a set": {1, 2},
    "the last of 4 billion memos": b"\x80\x02Nr\xff\xff\xff\xff.",
    "an empty tuple": (),
    "numbers": [1, 2],
    "a state": {"version": 3},
    "tuples in tuples": b")" + b"\x85" * 90_000 + b".",
    "lists in lists": b"]" * 40_000 + b"a" * 39_999 + b".",
    "a list in itself": b"]q\x00h\x00a.",
    "a billion laughs": b"K\x01\x85q\x00" + b"h\x00h\x00\x86q\x00" * 100 + b".",
    "a billion lists": b"]q\x00" + b"](h\x00h\x00eq\x00" * 100 + b".",
    "a class": NETWORK + b".",
    "an object without state": NETWORK + b")\x81.",
    "an object that is its own state": NETWORK + b")\x81q\x00}U\x07versionh\x00sb.",
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_files_are_refused(load, what):
    message = refusal(load, DAMAGED[what])
    assert "is damaged or no pickle (" in message and message.endswith("); download it again.")


@pytest.mark.parametrize("what", OTHER_DATA)
def test_other_data_is_refused(load, what):
    assert "cannot be used: " in refusal(load, OTHER_DATA[what])


@pytest.mark.parametrize("array", [np.array([None]), np.array(["a"]), np.zeros(2, "c8"), np.zeros(2, "f4,i4")])
def test_arrays_of_anything_but_numbers_are_refused(load, array):
    assert "something else than numbers" in refusal(load, [array])


def test_truncated_files_are_refused(tmp_path, d_state):
    data = dumps((Network(**d_state), Network(**d_state)))
    path = tmp_path / "network.pkl"
    for size in (*range(0, len(data), 97), len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(ValueError, match=r"network\.pkl is damaged .*; download it again\.$"):
            load_pickle(path)


EDITS = st.lists(
    st.tuples(st.sampled_from(["change", "insert", "delete", "double"]), st.integers(0, 2**20), st.integers(0, 255)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200)
@given(edits=EDITS, protocol=st.sampled_from(PROTOCOLS))
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory, d_state, edits, protocol):
    data = bytearray(dumps(Network(**d_state), protocol))
    for kind, position, value in edits:
        position %= len(data)
        if kind == "change":
            data[position] = value
        elif kind == "insert":
            data.insert(position, value)
        elif kind == "delete":
            del data[position : position + value]
        else:
            data[position:position] = data[position : position + value]
    path = tmp_path_factory.getbasetemp() / "network.pkl"
    path.write_bytes(data)
    try:
        network = load_pickle(path)
    except ValueError as error:
        assert str(error).startswith(str(path)) and str(error).isprintable()
    else:
        assert isinstance(network, Discriminator)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "network.pkl")


# Argument of D: what is refused.
WRONG_ARGUMENTS = [
    {"resolution": 2**40},
    {"resolution": 12},
    {"resolution": True},
    {"fmap_base": 10**12},
    {"fmap_base": 10**6, "fmap_max": 10**6},
    {"fmap_base": 1e12},
    {"fmap_base": 0},
    {"fmap_decay": 1e308},
    {"fmap_decay": float("nan")},
    {"fmap_decay": 100.0},
    {"fmap_max": None},
    {"num_channels": 10**7},
    {"label_size": 10**7},
    {"label_size": -1},
    {"label_size": "0"},
    {"mbstd_num_features": 0},
    {"mbstd_num_features": 3},
    {"mbstd_group_size": 10**300},
    {"blur_filter": [1.0] * 100},
    {"blur_filter": [1, -1]},
    {"blur_filter": "121"},
    {"nonlinearity": "tanh"},
    {"nonlinearity": ["lrelu"]},
    {"use_wscale": "no"},
    {"fused_scale": 1},
    {"fused_scale": np.zeros(3)},
    {"dtype": "float16"},
    {"name": "x"},
    {"is\nthis": "known"},
]


@pytest.mark.parametrize("wrong", WRONG_ARGUMENTS, ids=lambda wrong: repr(wrong)[:40])
def test_wrong_arguments_are_refused(load, d_state, wrong):
    message = refusal(load, Network(**{**d_state, "static_kwargs": {**D_ARGUMENTS, **wrong}}))
    assert "it holds a network D_basic that is inconsistent. " in message


# Argument of StyleGAN2's D: what is refused.
WRONG_ARGUMENTS_OF_STYLEGAN2 = [
    {"architecture": "residual"},
    {"architecture": None},
    {"nonlinearity": "gelu"},
    {"resample_kernel": [1, -1]},
    {"resample_kernel": [1]},
    {"resample_kernel": 1331},
    {"resample_kernel": [1.0] * 17},
    {"blur_filter": [1, 2, 1]},
    {"mbstd_num_features": 3},
    {"synthesis_func": "G_synthesis"},
    {"growth": [4, 0.5]},
]


@pytest.mark.parametrize("wrong", WRONG_ARGUMENTS_OF_STYLEGAN2, ids=lambda wrong: repr(wrong)[:40])
def test_wrong_arguments_of_stylegan2_are_refused(load, wrong):
    state = state_of(StyleGAN2Discriminator(**D2_ARGUMENTS), "D_stylegan2", D2_ARGUMENTS | wrong, version=4)
    message = refusal(load, Network(**state))
    assert "it holds a network D_stylegan2 that is inconsistent. " in message


# For each function, arguments that its variables are too few for.
HUGE = {
    "G_style": ["latent_size", "dlatent_size", "mapping_fmaps", "num_channels", "label_size"],
    "G_main": ["latent_size", "dlatent_size", "mapping_fmaps", "num_channels", "label_size"],
    "G_synthesis_stylegan2": ["dlatent_size", "num_channels"],
    "G_synthesis_stylegan_revised": ["dlatent_size", "num_channels"],
    "D_stylegan2": ["num_channels", "label_size"],
    "G_paper": ["latent_size", "num_channels", "label_size"],
    "G_mapping": ["latent_size", "dlatent_size", "mapping_fmaps", "label_size"],
    "G_synthesis": ["dlatent_size", "num_channels"],
}


@pytest.mark.parametrize("function", HUGE)
def test_no_network_is_larger_than_its_file(load, G, function):
    sizes = [{name: 10**7} for name in HUGE[function]]
    if function != "G_mapping":
        sizes.append({"fmap_base": 10**5, "fmap_max": 10**4})
    if function in ("G_style", "G_main", "G_mapping"):
        sizes.append({"mapping_layers": 64})
    known = {"G_paper": {**D_ARGUMENTS, "latent_size": 6}, "D_stylegan2": D_ARGUMENTS}.get(function, G_ARGUMENTS)
    for size in sizes:
        state = state_of(G, "G_style", known | size, build_func_name=function)
        assert "weights or more, but there are" in refusal(load, Network(**state)), size


def test_inconsistent_networks_are_refused(load, G, d_state):
    g_state = state_of(G, "G_style", G_ARGUMENTS)
    mapping, variables = g_state["components"]["mapping"], d_state["variables"]
    other = Network(**{**vars(g_state["components"]["synthesis"]), "build_func_name": "G_synthesis_stylegan2"})
    bias = ("FromRGB_lod0/bias", np.zeros(4, "f4"))
    weight = dict(variables)["4x4/Conv/weight"]
    for state, changes, message in (
        (d_state, {"version": 7}, "it has state version 7; versions 2 to 5 are known"),
        (d_state, {"version": True}, "has no version"),
        (d_state, {"version": 10**300}, "it has state version '1000"),
        (d_state, {"static_kwargs": None}, "has no static_kwargs"),
        (d_state, {"build_func_name": "D_other"}, "it holds a network D_other, which this project does not build"),
        (d_state, {"build_func_name": "D_stylegan2"}, "variables missing for StyleGAN2Discriminator: "),
        (d_state, {"build_func_name": "os.system('x')"}, "a network in it is built by system('x')"),
        (d_state, {"build_func_name": "G_style"}, "weights or more, but there are"),
        (d_state, {"components": {"synthesis": mapping}}, "a component synthesis built by G_mapping"),
        (d_state, {"components": {"mapping": 3}}, "it holds something else than networks"),
        (d_state, {"variables": variables[:-1]}, "1 variable missing for Discriminator: 4x4/Dense1/bias"),
        (d_state, {"variables": [*variables, ("a/b", np.zeros(1))]}, "1 variable unknown to Discriminator: a/b"),
        (d_state, {"variables": [*variables, ("a\nb", np.zeros(1))]}, "has no proper name of its own ('a\\nb')"),
        (d_state, {"variables": [*variables, bias]}, "has no proper name of its own (FromRGB_lod0/bias)"),
        (d_state, {"variables": [*variables, ("a", [0.0])]}, "a variable in it is no pair of name and array"),
        (d_state, {"variables": list({**dict(variables), bias[0]: bias[1][:3]}.items())}, "must have shape (4,)"),
        (d_state, {"variables": [(f"v{i}", weight) for i in range(50)]}, "its networks share variables"),
        (g_state, {"components": {"mapping": mapping}}, "weights or more, but there are"),
        (
            g_state,
            {"components": {"mapping": mapping, "synthesis": other}},
            "Its component synthesis is built by G_synthesis_stylegan2.",
        ),
        (vars(mapping), {"static_kwargs": {**G_ARGUMENTS, "mapping_layers": 10**7}}, "no network takes (10000000)"),
        (g_state, {"static_kwargs": {**G_ARGUMENTS, "synthesis_func": "G_new"}}, "Only G_synthesis is known for"),
    ):
        assert message in refusal(load, Network(**{**state, **changes})), changes


def test_names_and_urls_are_obtained_first(tmp_path, monkeypatch, D, d_state):
    path = tmp_path / "network.pkl"
    path.write_bytes(dumps(Network(**d_state)))
    asked = []
    monkeypatch.setattr("stylegan_tf.files.official.obtain_network", lambda *arguments: asked.append(arguments) or path)
    for source in ("ffhq-1024", "https://example.com/a//b.pkl?c=d"):
        assert_same(load_pickle(source, cache_dir=tmp_path), D)
        assert asked.pop() == (source, tmp_path)
    assert_same(load_pickle(str(path)), D)
    assert not asked

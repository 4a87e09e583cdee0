"""PyTorch's files are read as PyTorch reads them, and nothing in a file is ever run."""

import random
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from tiny_torch import (
    KINDS,
    Code,
    Storages,
    View,
    build,
    call,
    code,
    named,
    ordered,
    save_stream,
    save_tensors,
    save_zip,
)

from dnnlib.torch_files import CALLS, STORAGES, TENSORS, load_tensors

GLOBALS = {**CALLS, **STORAGES, **TENSORS}

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


def save(path, pickled, storages=None, zipped=True):
    (save_zip if zipped else save_stream)(path, pickled, storages or Storages())


def assert_equal(tensors, expected):
    assert list(tensors) == list(expected)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(tensor, expected[name], strict=True)
        assert tensor.dtype.isnative
        assert not tensor.size or not tensor.flags.writeable


@FORMATS
def test_all_types_and_shapes(path, zipped):
    draws = np.random.RandomState(0).uniform(0, 100, (2, 3, 4))
    tensors = {kind: (draws > 50 if kind == "bool" else draws).astype(kind) for kind in KINDS}
    tensors |= {"scalar": np.float32(3.5)[()], "empty": np.zeros((0, 4), "float32"), "last": np.arange(3)}
    save_tensors(path, tensors, zipped)
    assert_equal(load_tensors(path), {name: np.asarray(tensor) for name, tensor in tensors.items()})


@FORMATS
def test_views_share_their_storage(path, zipped):
    storage = np.arange(24, dtype="float32")
    views = {
        "whole": View(storage, 0, (4, 6), (6, 1)),
        "transposed": View(storage, 0, (6, 4), (1, 6)),
        "part": View(storage, 8, (2, 3), (6, 2)),
        "row": View(storage, 23, (3, 1), (0, 1)),
    }
    save_tensors(path, views, zipped)
    tensors = load_tensors(path)
    whole = storage.reshape(4, 6)
    part = [[8, 10, 12], [14, 16, 18]]
    expected = {"whole": whole, "transposed": whole.T, "part": np.array(part), "row": np.full((3, 1), 23)}
    assert_equal(tensors, {name: array.astype("float32") for name, array in expected.items()})
    assert np.shares_memory(tensors["whole"], tensors["transposed"])


def test_big_endian_archive(path):
    tensors = {"a": np.arange(5, dtype="float32"), "b": np.arange(300, 303)}
    save_tensors(path, tensors, byteorder="big")
    assert_equal(load_tensors(path), tensors)


@FORMATS
def test_state_dicts_of_every_age(path, zipped):
    arrays = [np.arange(6, dtype="float32") + i for i in range(4)]
    storages = Storages(zipped)
    place = 0, (2, 3), (3, 1)
    # As PyTorch wrote them in 2017: an empty tensor set afterwards, or rebuilt; on a GPU; sizes of a type of their own.
    empty = Code(named("torch.FloatTensor") + code(()) + b"\x81")
    pickled = {
        "set": build(empty, (storages.code(arrays[0]), *place)),
        "rebuilt": call("torch._utils._rebuild_tensor", storages.code(arrays[1]), *place),
        "gpu": call("torch._utils._rebuild_tensor", storages.code(arrays[2], "torch.cuda"), *place),
    }
    size = call("torch.Size", (2, 3))
    tensor = call("torch._utils._rebuild_tensor_v2", storages.code(arrays[3]), 0, size, (3, 1), False, None)
    pickled["parameter"] = call("torch._utils._rebuild_parameter", tensor, True, None)
    # Python 2 gave OrderedDict its items when it was made; modules add their versions as an attribute.
    metadata = {"_metadata": call("collections.OrderedDict")}
    pickled = build(call("collections.OrderedDict", [[name, tensor] for name, tensor in pickled.items()]), metadata)
    save(path, pickled, storages, zipped)
    names = ["set", "rebuilt", "gpu", "parameter"]
    assert_equal(load_tensors(path), dict(zip(names, (array.reshape(2, 3) for array in arrays), strict=True)))


def test_stream_is_not_copied(path):
    save_tensors(path, {"large": np.ones(2**22, "float32"), "small": np.ones(3, "float32")}, zipped=False)
    tracemalloc.start()
    tensors = load_tensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert tensors["large"].sum() == 2**22
    assert peak < 2**20


@FORMATS
@pytest.mark.parametrize("function", ["posix.system", "os.system", "builtins.eval", "builtins.getattr"])
def test_code_is_refused_by_name_and_not_run(path, tmp_path, zipped, function):
    proof = tmp_path / "proof"
    arguments = {"builtins.eval": f"open({str(proof)!r}, 'w')"}.get(function, f"touch {proof}")
    save(path, ordered({"weight": call(function, arguments)}), zipped=zipped)
    with pytest.raises(
        ValueError, match=rf"weights\.pth needs '{function}', which no state dict .* nothing of it was run\.$"
    ):
        load_tensors(path)
    assert not proof.exists()


def test_code_in_the_first_pickle_is_not_run(path, tmp_path):
    path.write_bytes(b"\x80\x02" + call("posix.system", f"touch {tmp_path / 'proof'}") + b".")
    with pytest.raises(ValueError, match=r"needs 'posix\.system'"):
        load_tensors(path)
    assert not (tmp_path / "proof").exists()


@pytest.mark.parametrize("name", [name for name in GLOBALS if "_rebuild" in name or "Float" in name])
def test_files_cannot_change_the_reader(path, name):
    attributes = [sorted(vars(GLOBALS[name])) if hasattr(GLOBALS[name], "__dict__") else None]
    for state in ({"__doc__": "changed"}, (None, {"__defaults__": (1, 2), "__init__": named("torch.Size")})):
        save(path, build(named(name), state))
        with pytest.raises(ValueError, match=r"weights\.pth is damaged"):
            load_tensors(path)
    attributes.append(sorted(vars(GLOBALS[name])) if hasattr(GLOBALS[name], "__dict__") else None)
    assert attributes[0] == attributes[1]
    save_tensors(path, {"a": np.arange(3)})
    assert_equal(load_tensors(path), {"a": np.arange(3)})


@pytest.mark.parametrize(
    "operations",
    [
        b"N" + b"r" + (2**24).to_bytes(4, "little"),  # Remembered as number 2^24.
        b"\x96" + (2**28).to_bytes(8, "little"),  # A bytearray.
        b"\x8e" + (2**40).to_bytes(8, "little"),  # Bytes.
        b"\x95" + (2**40).to_bytes(8, "little"),  # A frame.
    ],
    ids=["memo", "bytearray", "bytes", "frame"],
)
@FORMATS
def test_memory_that_a_file_asks_for_is_not_given(path, zipped, operations):
    save(path, Code(operations), zipped=zipped)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"weights\.pth (is damaged|does not hold)"):
        load_tensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**22


@FORMATS
@pytest.mark.parametrize(
    ("place", "message"),
    [
        ((0, (2, 4), (3, 1)), r"'weight' reaches to number 6 of a storage of 6"),
        ((5, (2,), (1,)), r"'weight' reaches to number 6 of a storage of 6"),
        ((6, (), ()), r"'weight' reaches to number 6 of a storage of 6"),
        ((0, (2**40, 2**40), (2**40, 1)), r"'weight' reaches to number"),
        ((-1, (2,), (1,)), ""),
        ((0, (2,), (-1,)), ""),
        ((0, (-2,), (1,)), ""),
        ((0, (2, 3), (1,)), ""),
        ((0, "23", (1, 1)), ""),
        ((0, None, (1, 1)), ""),
    ],
)
def test_numbers_outside_of_a_storage(path, zipped, place, message):
    save_tensors(path, {"weight": View(np.arange(6, dtype="float32"), *place)}, zipped)
    with pytest.raises(ValueError, match=rf"weights\.pth is damaged.*{message}.*; get it anew\.$"):
        load_tensors(path)


@FORMATS
@pytest.mark.parametrize("count", [7, 5, -1, "6", None, 2**62])
def test_storages_of_another_size_than_described(path, zipped, count):
    storages = Storages()
    pid = code(("storage", named("torch.FloatStorage"), "0", "cpu", count, None)) + b"Q"
    storages.arrays = [np.arange(6, dtype="float32")]
    save(path, ordered({"a": call("torch._utils._rebuild_tensor", Code(pid), 0, (2,), (1,))}), storages, zipped)
    if zipped and count == 5:  # The archive says where a storage ends.
        np.testing.assert_array_equal(load_tensors(path)["a"], [0, 1])
        return
    with pytest.raises(ValueError, match=r"weights\.pth is damaged"):
        load_tensors(path)


@FORMATS
@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda tensors: [*tensors.values()], r"does not hold a state dict; save module\.state_dict\(\)\.$"),
        (lambda tensors: {"state_dict": tensors, "epoch": 3}, r"'state_dict' is not a tensor"),
        (lambda tensors: {**tensors, "epoch": 3}, r"'epoch' is not a tensor"),
        (lambda tensors: {1: tensors["a"]}, r"an entry is not a tensor"),
        (lambda tensors: tensors["a"], r"does not hold a state dict"),
    ],
)
def test_something_else_than_a_state_dict(path, zipped, state, message):
    save_tensors(path, {"a": np.arange(3)}, zipped, state)
    with pytest.raises(ValueError, match=rf"weights\.pth .*{message}"):
        load_tensors(path)


def test_part_of_another_storage(path):
    pid = ("storage", named("torch.FloatStorage"), "0", "cpu", 6, ("1", 2, 3))
    save(path, ordered({"a": call("torch._utils._rebuild_tensor", Code(code(pid) + b"Q"), 0, (2,), (1,))}))
    with pytest.raises(ValueError, match=r"a storage that is a part of another one"):
        load_tensors(path)


@FORMATS
def test_truncated_anywhere(path, zipped):
    save_tensors(path, {"a": np.arange(6, dtype="float32")}, zipped)
    data = path.read_bytes()
    # In the middle of a name, it is another name.
    message = r"weights\.pth (is damaged, incomplete or not a file of PyTorch's; get it anew|needs '[\w.]*', which)"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=message):
            load_tensors(path)


@FORMATS
def test_damage_anywhere(path, zipped):
    save_tensors(path, {"a": np.arange(6, dtype="float32")}, zipped)
    data, draws, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(draws.randint(1, 3)):
            damaged[draws.randrange(len(data))] = draws.randrange(256)
        path.write_bytes(damaged)
        try:
            load_tensors(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} ") and "\n" not in str(error)
            refused += 1
    assert refused > 100


def test_archives_have_check_sums(path):
    save_tensors(path, {"a": np.full(1000, 7, "uint8")})
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\7" * 1000, b"\7" * 999 + b"\6"))
    with pytest.raises(ValueError, match=r"weights\.pth is damaged"):
        load_tensors(path)


def write_tar(path):
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            archive.addfile(tarfile.TarInfo(name))


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", "")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path: path.write_text("<!DOCTYPE html><html>Quota exceeded</html>"),
            r"is damaged, incomplete or not a file",
        ),
        (lambda path: path.write_bytes(b""), r"is damaged, incomplete or not a file"),
        (lambda path: path.write_bytes(b"\x80\x02K\x05."), r"was not written by torch\.save"),
        (write_tar, r"is a tar archive, as PyTorch wrote them in 2016"),
        (write_zip, r"is a zip archive without data\.pkl"),
        (
            lambda path: save_stream(path, {}, Storages(), version=1002),
            r"is of another version of PyTorch's format than 1001",
        ),
        (lambda path: save_tensors(path, {"a": np.ones(99)}, compression=zipfile.ZIP_DEFLATED), r"is compressed"),
    ],
    ids=["html", "empty", "pickle", "tar", "zip", "version", "compressed"],
)
def test_foreign_files(path, write, message):
    write(path)
    with pytest.raises(ValueError, match=rf"weights\.pth {message}"):
        load_tensors(path)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load_tensors(path)


@FORMATS
@pytest.mark.parametrize("protocol", [2, 4])
def test_files_of_pytorch(path, zipped, protocol):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)).half()
    shared = torch.randn(5, 6)
    state = network.state_dict()
    state |= {
        "shared": shared,
        "transposed": shared.T,
        "part": shared[1:4, ::2],
        "expanded": shared[:1].expand(3, 6),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "double": torch.randn(3, dtype=torch.float64),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    assert_equal(load_tensors(path), {name: tensor.detach().numpy() for name, tensor in state.items()})


@FORMATS
def test_whole_modules_of_pytorch_are_refused(path, zipped):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"weights\.pth needs 'torch\.nn\.modules\.linear\.Linear'"):
        load_tensors(path)


@FORMATS
def test_files_made_by_hand_are_pytorchs(path, zipped):
    torch = pytest.importorskip("torch")
    storage = np.arange(24, dtype="float32")
    save_tensors(path, {"part": View(storage, 8, (2, 3), (6, 2)), "whole": storage, "other": np.arange(3)}, zipped)
    expected = torch.load(path, weights_only=True)
    assert_equal(load_tensors(path), {name: tensor.numpy() for name, tensor in expected.items()})

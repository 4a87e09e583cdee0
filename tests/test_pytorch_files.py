"""PyTorch's networks are read as data: what they say is what they become, and all else is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pickles import EDITS
from tiny_modules import GENERATOR, module, storage, storage_bytes, tensor, tiny_checkpoint, tiny_generator
from tiny_torch import Code, call, code, dump, save_tensors

from stylegan_tf.commands.generate import main
from stylegan_tf.files.find import load_generator, load_trained
from stylegan_tf.files.keras_file import open_network
from stylegan_tf.files.official import load_pickle
from stylegan_tf.networks import StyleGAN2Generator
from stylegan_tf.training.initialize import Transfer

DATA = Path(__file__).parent / "reference" / "data"


@pytest.fixture
def load(tmp_path):
    """Writes a value to a file and opens it."""

    def load(value):
        path = tmp_path / "network.pkl"
        path.write_bytes(dump(value))
        return load_pickle(path)

    return load


@pytest.fixture
def checkpoint(tmp_path):
    """Writes a checkpoint and gives its path."""

    def save(state=None, average=True, zipped=True, **more):
        state = tiny_checkpoint() if state is None else state
        tensors = {**state, **({"latent_avg": np.arange(6, dtype="float32")} if average else {})}
        path = tmp_path / "checkpoint.pt"

        def content(made):
            return {
                "g_ema": {name: made[name] for name in state},
                **({"latent_avg": made["latent_avg"]} if average else {}),
                **more,
            }

        save_tensors(path, tensors, zipped, content)
        return path

    return save


def test_a_generator(load):
    """The source of its classes, which would end the tests, is not run."""
    network = load({"G_ema": tiny_generator(2), "training_set_kwargs": {"path": "x"}, "augment_pipe": None})
    assert isinstance(network, StyleGAN2Generator)
    assert (network.latent_size, network.dlatent_size, network.num_channels) == (5, 6, 2)
    assert network.arguments["fmaps"] == (3, 3) and network.arguments["conv_clamp"] is None
    G, Gs = load({"G_ema": tiny_generator(2), "G": tiny_generator(1)})
    np.testing.assert_array_equal(Gs.w_average, network.w_average)
    assert not np.array_equal(G.w_average, network.w_average)


def test_what_is_not_said_is_that_of_the_layer(load):
    """Later versions of the project have other defaults."""
    assert load({"G_ema": tiny_generator(conv_clamp=256)}).arguments["conv_clamp"] == 256
    said = {"synthesis_kwargs": {"conv_clamp": None}}
    assert load({"G_ema": tiny_generator(arguments=said, conv_clamp=256)}).arguments["conv_clamp"] is None


def test_without_noise(load):
    arguments = {"synthesis_kwargs": {"use_noise": False}}
    network = load({"G_ema": tiny_generator(0, arguments, ("noise_const", "noise_strength"))})
    z = np.ones((1, 5), "float32")
    noise = [np.ones(shape, "float32") for shape in network.noise_shapes]
    np.testing.assert_array_equal(network(z), network(z, noise=noise))


def test_an_average_that_is_missing_is_measured(load, checkpoint):
    for network in (load({"G_ema": tiny_generator(leave_out=["w_avg"])}), load_generator(checkpoint(average=False))):
        w = np.asarray(network.mapping(np.random.RandomState(7).standard_normal((4000, 5)).astype("float32")))[:, 0]
        assert w.std() > 1e-3
        np.testing.assert_allclose(network.w_average, w.mean(axis=0), atol=0.1 * w.std())


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_a_checkpoint(checkpoint, zipped):
    """What a run of training saves beside the networks is passed over."""
    options = Code(b"cargparse\nNamespace\n)\x81" + code({"lr": 0.002}) + b"b")
    more = {"args": options, "g_optim": {"state": {0: 1}}}
    network = load_generator(checkpoint(zipped=zipped, **more))
    assert isinstance(network, StyleGAN2Generator) and network.resolution == 4
    np.testing.assert_array_equal(network.w_average, np.arange(6))


def test_training_starts_from_them_and_copies_know_all(tmp_path):
    _, networks = load_trained(DATA / "networks-adapt-cond.pkl")
    for name, network in networks.items():
        fresh = type(network)(**network.arguments)
        transfer = Transfer(fresh, network, name, "the file")
        assert len(transfer.pairs) == len(fresh.variables)
    networks["D"].save(tmp_path / "D.keras")
    networks["Gs"].save(tmp_path / "Gs.keras")
    z, labels = np.ones((2, 32), "float32"), np.eye(3, dtype="float32")[:2]
    images = networks["Gs"](z, labels)
    np.testing.assert_array_equal(load_generator(tmp_path / "Gs.keras")(z, labels), images)
    copy = open_network(tmp_path / "D.keras", "")
    np.testing.assert_array_equal(copy(images, labels), networks["D"](images, labels))


REMEMBERED = Code(code(tensor(np.zeros(100))) + b"q\x01")
WRONG = {
    "posix.system": {"G_ema": module("Generator", {"weight": call("posix.system", "true")})},
    "builtins.exec": {"G_ema": tiny_generator(arguments={"c_dim": call("builtins.exec", "1")})},
    "is damaged or no pickle (a module of another version": {"G_ema": module("Generator", version=7)},
    "holds something else than networks": {"G": 5},
    "its Gs is a Discriminator, no Generator": {"G_ema": module("Discriminator")},
    "those of later families, such as StyleGAN3, are not known here": {
        "G_ema": tiny_generator(synthesis={"input": module("SynthesisInput")})
    },
    "its argument magnitude_ema_beta is unknown": {"G_ema": tiny_generator(arguments={"magnitude_ema_beta": 0.5})},
    "its argument z_dim is missing": {
        "G_ema": module("Generator", arguments={k: v for k, v in GENERATOR.items() if k != "z_dim"})
    },
    "its resolution is unknown": {"G_ema": tiny_generator(arguments={"img_resolution": 6})},
    "its argument img_resolution is no number": {"G_ema": tiny_generator(arguments={"img_resolution": None})},
    "its variable synthesis.b4.conv1.bias is missing": {"G_ema": tiny_generator(leave_out=["bias"])},
    "its variable mapping.fc0.bias is unknown": {
        "G_ema": tiny_generator(arguments={"mapping_kwargs": {"num_layers": 0}})
    },
    "num_layers has a value that no network takes": {
        "G_ema": tiny_generator(arguments={"mapping_kwargs": {"num_layers": 10**9}})
    },
    "conv_clamp has a value that no network takes": {
        "G_ema": tiny_generator(arguments={"synthesis_kwargs": {"conv_clamp": "a"}})
    },
    "weights or more, but there are": {"G_ema": tiny_generator(arguments={"z_dim": 10**6})},
    "is no module of its own": {
        "G_ema": Code(
            module("Generator", parts={"a": Code(module("MappingNetwork") + b"q\x01"), "b": Code(b"h\x01")})
        )
    },
    "its storages are larger than the file": [
        Code(code(storage_bytes(np.zeros(9000, "float32"))) + b"q\x02"),
        *[Code(b"ctorch.storage\n_load_from_bytes\nh\x02\x85R")] * 3,
    ],
    "its networks share variables": {
        "G_ema": module("Generator", {f"v{i}": (Code(b"h\x01") if i else REMEMBERED) for i in range(90)})
    },
    "a place outside": {
        "G_ema": module("Generator", {"v": call(
            "torch._utils._rebuild_tensor_v2", storage(np.zeros(4, "float32")), 0, (5,), (1,), False, None)})
    },
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_wrong_files_are_refused(load, words):
    with pytest.raises(ValueError, match=r"network\.pkl") as error:
        load(WRONG[words])
    message = str(error.value)
    assert message.isprintable() and len(message) < 600
    assert words.replace("a place outside", "is damaged or no pickle (it refers to something") in message


def test_large_views_of_small_storages_are_refused(load):
    """A stride of 0 makes any number of weights from a few."""
    wide = call(
        "torch._utils._rebuild_tensor_v2", storage(np.zeros(4, "float32")), 0, (10**5, 10**5), (0, 0), False, None
    )
    with pytest.raises(ValueError, match="its networks share variables"):
        load({"G_ema": module("Generator", {"wide": wide})})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"style.1.weight": None}, "its variable style.1.weight is missing"),
        ({"conv7.weight": np.zeros(3, "float32")}, "its variable conv7.weight is unknown"),
        ({"conv1.conv.weight": np.zeros((2, 3, 3, 3, 3), "float32")}, "is not of 4 dimensions"),
        ({"conv1.activate.bias": np.zeros(4, "float32")}, "must have shape (3,); received (4,)"),
    ],
)
def test_wrong_checkpoints_are_refused(checkpoint, changes, words):
    state = {name: array for name, array in (tiny_checkpoint() | changes).items() if array is not None}
    with pytest.raises(ValueError, match=r"checkpoint\.pt") as error:
        load_pickle(checkpoint(state))
    assert words in str(error.value) and str(error.value).isprintable()


def test_other_dictionaries_are_refused(tmp_path):
    save_tensors(tmp_path / "weights.pt", {"a": np.zeros(3, "float32")})
    with pytest.raises(ValueError, match="it holds no state dict g or d or g_ema"):
        load_pickle(tmp_path / "weights.pt")


@settings(max_examples=100, deadline=None)
@given(edits=EDITS, kind=st.sampled_from(["pickle", "zip", "stream"]))
def test_any_file_is_read_or_refused_in_one_line(tmp_path_factory, edits, kind):
    path = tmp_path_factory.getbasetemp() / f"fuzzed-{kind}.p"
    if kind == "pickle":
        data = bytearray(dump({"G_ema": tiny_generator()}))
    else:
        save_tensors(path, tiny_checkpoint(), kind == "zip", lambda made: {"g_ema": made})
        data = bytearray(path.read_bytes())
    for change, position, value in edits:
        position %= len(data)
        if change == "change":
            data[position] = value
        elif change == "insert":
            data.insert(position, value)
        elif change == "delete":
            del data[position : position + value]
        else:
            data[position:position] = data[position : position + value]
    path.write_bytes(data)
    try:
        network = load_pickle(path)
    except ValueError as error:
        assert str(error).startswith(str(path)) and str(error).isprintable()
    else:
        assert isinstance(network, StyleGAN2Generator)


def test_pictures(checkpoint, tmp_path):
    options = ["--seeds=0", "--num-gpus=0", f"--outdir={tmp_path / 'pictures'}"]
    path = checkpoint({**tiny_checkpoint(), "to_rgb1.bias": np.zeros((1, 3, 1, 1), "float32"),
                       "to_rgb1.conv.weight": np.ones((1, 3, 3, 1, 1), "float32")})  # fmt: skip
    result = CliRunner().invoke(main, ["images", f"--network={path}", *options])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "pictures" / "seed0000.png").exists()
    later = tmp_path / "later.pkl"
    later.write_bytes(dump({"G_ema": tiny_generator(synthesis={"input": module("SynthesisInput")})}))
    result = CliRunner().invoke(main, ["images", f"--network={later}", *options])
    assert result.exit_code == 2 and len(result.stderr.splitlines()) == 1 and "StyleGAN3" in result.stderr

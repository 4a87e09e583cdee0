"""Files in Keras' own format, .keras: opened, with whatever was wrong with them in one sentence."""

import contextlib
import json
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras

import stylegan_tf.networks  # noqa: F401, registers the classes that a .keras file names

# What Keras, zipfile and HDF5 raise for damaged or foreign files.
_UNREADABLE = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def open_network(path, advice):
    """Opens a .keras file.

    Args:
        path: The file.
        advice: What the message of the error tells to do.

    Raises:
        ValueError: It is damaged or foreign.
    """
    try:
        with _named_as_keras_wants(path) as file:
            network = keras.saving.load_model(file, compile=False)
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or no network of this project ({type(error).__name__}); {advice}."
        ) from error
    if getattr(network, "growth", False) is None and (growth := _noted_growth(Path(path), advice)):
        network.growth = growth
    return network


@contextlib.contextmanager
def _named_as_keras_wants(path):
    """Yields a path that ends in .keras of a file, which may be called anything."""
    if Path(path).suffix == ".keras":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "network.keras"
        link.symlink_to(Path(path).absolute())
        yield link


def _noted_growth(path, advice):
    """(resolution, fade) as version 0.1 noted it, in a member growth.json of the file; None if there is none."""
    try:
        with zipfile.ZipFile(path) as file:
            if "growth.json" not in file.namelist():
                return None
            growth = json.loads(file.read("growth.json"))
        return int(growth["resolution"]), float(growth["fade"])
    except _UNREADABLE as error:
        raise ValueError(f"growth.json in {path} is damaged ({type(error).__name__}); {advice}.") from error

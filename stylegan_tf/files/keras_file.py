"""Files in Keras' own format, .keras: opened, with whatever was wrong with them in one sentence."""

import json
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
        network = keras.saving.load_model(path, compile=False)
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or no network of this project ({type(error).__name__}); {advice}."
        ) from error
    if getattr(network, "growth", False) is None and (growth := _noted_growth(Path(path), advice)):
        network.growth = growth
    return network


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

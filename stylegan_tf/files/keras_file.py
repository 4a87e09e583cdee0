"""Files in Keras' own format, .keras: opened, with how far a generator in them has grown."""

import json
import zipfile
import zlib

import keras

# The member of a .keras file, a ZIP archive, that tells how far a generator has grown.
_GROWTH = "growth.json"

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


def write_growth(path, resolution, fade):
    """Notes in the .keras file of a generator how far it has grown, which Keras does not look at."""
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(_GROWTH, json.dumps({"resolution": resolution, "fade": fade}))


def read_growth(path):
    """(resolution, fade) of the newest block of the generator in a .keras file, None if that is not noted there."""
    try:
        with zipfile.ZipFile(path) as file:
            if _GROWTH not in file.namelist():
                return None
            growth = json.loads(file.read(_GROWTH))
        return int(growth["resolution"]), float(growth["fade"])
    except _UNREADABLE as error:
        raise ValueError(f"{_GROWTH} in {path} is damaged ({type(error).__name__}); give another file.") from error


def open_network(path, advice):
    """Opens a .keras file; ValueError with the advice if it is damaged or foreign."""
    try:
        return keras.saving.load_model(path, compile=False)
    except _UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or no network of this project ({type(error).__name__}); {advice}."
        ) from error

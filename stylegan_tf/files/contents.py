"""The networks in files of other projects, whoever wrote them: the kinds of files are told apart here."""

import contextlib
import enum
import zipfile
from pathlib import Path

from dnnlib.pickle_reader import read_pickle
from dnnlib.torch_files import is_torch_file, tensors_in_pickles
from stylegan_tf.files import pickles, pytorch, rosinality

# Files that are read here, by the ends of their names.
SUFFIXES = (".pkl", ".pt")


class Kind(enum.Enum):
    """What a network's file is."""

    KERAS = "a .keras file"
    FOREIGN = "a pickle or checkpoint of another program"


def kind_of(path):
    """The `Kind` of a file, None if it is no network's: by what is in it, and where that does not tell, by its name.

    A damaged file passes: whoever opens it says what is wrong with it.
    """
    by_name = Kind.KERAS if Path(path).suffix == ".keras" else Kind.FOREIGN if Path(path).suffix in SUFFIXES else None
    with open(path, "rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80":
        return Kind.FOREIGN
    if start != b"PK":
        return by_name
    with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "metadata.json" in names:
            return Kind.KERAS
        return Kind.FOREIGN if any(name.rpartition("/")[2] == "data.pkl" for name in names) else by_name
    return by_name or Kind.KERAS


def read_networks(path):
    """The `PickledNetwork`s in a file of another project: a tuple, (G, D, Gs) as a rule, or a single one.

    Args:
        path: A pickle of the original's, of StyleGAN2-ADA's for TensorFlow or PyTorch, or a checkpoint of rosinality's;
            what it is, is told by what is in it.

    Raises:
        ValueError: The file is damaged or holds anything but such networks.
        OSError: It cannot be read.
    """
    try:
        if is_torch_file(path):
            return rosinality.read_networks(path)
        calls = tensors_in_pickles(Path(path).stat().st_size) | pytorch.CALLS
        content = read_pickle(path, pickles.NETWORK_CLASSES, pickles.DICT_CLASSES, calls=calls)
        kind = pytorch if isinstance(content, dict | pytorch.Module) else pickles
        return kind.networks_in(content, path)
    except pickles.Unusable as problem:
        raise ValueError(f"{path} cannot be used: {problem}.") from None

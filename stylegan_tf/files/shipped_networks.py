"""The networks that come with the project, a folder each in shipped/: a snapshot, and README.md, its model card."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "shipped"
# {name: what one may do with it}.
SHIPPED = {
    "avatars-64": "CC0 1.0, as the drawings that it was trained on (DiceBear's voxel-art)",
    "digits-32": "CC0 1.0; it was trained on the digits of scikit-learn, CC BY 4.0 "
    "(E. Alpaydin and C. Kaynak, https://doi.org/10.24432/C50P49)",
}


def shipped_folder(name):
    """The folder of one of SHIPPED; None for any other name."""
    return _FOLDER / name if name in SHIPPED else None


def shipped_licence(path):
    """What one may do with the network in a file, if it is one of SHIPPED; else None."""
    folder = Path(path).resolve().parent
    return SHIPPED.get(folder.name) if folder.parent == _FOLDER.resolve() else None

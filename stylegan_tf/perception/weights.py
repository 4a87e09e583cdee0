"""The published networks that metrics compute with: which files they are, and where they are kept."""

import hashlib
import importlib.util
from pathlib import Path

from dnnlib import download
from dnnlib.download import RemoteFile

# Inception-v3 of 2015-12-05, whose pool_3 the Frechet Inception distance is defined on (Heusel et al., 2017).
INCEPTION = RemoteFile(
    name="classify_image_graph_def.pb",
    url="http://download.tensorflow.org/models/image/imagenet/inception-2015-12-05.tgz",
    size=None,
    sha256="009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6",
    option="--inception (run_metrics.py)",
    member="classify_image_graph_def.pb",
)

# torchvision's VGG16 (Simonyan and Zisserman, 2015), on whose features LPIPS is defined.
VGG16 = RemoteFile(
    name="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    size=553433881,
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    option="--vgg16 (run_metrics.py, run_projector.py)",
)

# The linear heads of LPIPS v0.1 for VGG16 (Zhang et al., 2018).
LPIPS = RemoteFile(
    name="lpips-v0.1-vgg.pth",
    url="https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1/vgg.pth",
    size=7289,
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    option="--lpips (run_metrics.py, run_projector.py)",
)

# {published file: (package, where in it)} of PyPI's packages that come with one.
_IN_PACKAGES = {LPIPS: ("lpips", "weights/v0.1/vgg.pth")}


def find(remote, cache_dir, path=None):
    """Returns the checked Path of the user's copy, of the one in CACHE_DIR/weights, or of the same in an installed
    package; None if it is to be downloaded.

    Args:
        remote: INCEPTION, VGG16 or LPIPS.
        cache_dir: Folder of what metrics keep.
        path: The user's own copy, or None.

    Raises:
        ValueError, FileNotFoundError: It is not that file, or there is none at `path`.
    """
    return download.find(remote, _folder(cache_dir), path) or _packaged(remote)


def obtain(remote, cache_dir, path=None):
    """Returns what `find` does, and downloads the file where there is none.

    Raises:
        ValueError, OSError: It is not that file, there is none at `path`, or it could not be downloaded.
    """
    return find(remote, cache_dir, path) or download.obtain(remote, _folder(cache_dir))


def _folder(cache_dir):
    return Path(cache_dir) / "weights"


def _packaged(remote):
    """The Path of a published file in an installed package, if it is that very file; None otherwise."""
    package, where = _IN_PACKAGES.get(remote, (None, None))
    spec = package and importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / where
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == remote.sha256:
            return path
    return None

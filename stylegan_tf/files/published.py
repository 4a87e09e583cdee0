"""The networks that NVIDIA published with its papers, and files at any other URL: downloaded once, licence first."""

import dataclasses
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import click

from dnnlib.download import RemoteFile, find, obtain

_CC_BY_NC = "CC BY-NC 4.0, not for commercial use (https://creativecommons.org/licenses/by-nc/4.0/)"
_NVIDIA_NC = "NVIDIA Source Code License, not for commercial use (https://nvlabs.github.io/{}/license.html)"

_NVIDIA = "https://nvlabs-fi-cdn.nvidia.com"


@dataclasses.dataclass(frozen=True)
class PublishedNetwork:
    """A pickle of G, D and Gs.

    Attributes:
        file: Its name.
        url: Where it is published.
        dataset: What it was trained on.
        resolution: Side of its images.
        rows: The first row of the picture and the one after its last, where images are padded above and below.
        family: What kind of network it is.
        licence: What one may do with it.
    """

    file: str
    url: str
    dataset: str
    resolution: int
    rows: tuple[int, int] | None = None
    family: str = "StyleGAN"
    licence: str = _CC_BY_NC

    @property
    def description(self):
        """What it is, and what one may do with it."""
        what = f"{self.family} of {self.dataset}, {self.resolution} pixels wide"
        return f"NVIDIA Corporation's {what}; licence: {self.licence}"


def _drive(file):
    """The URL of a file on Google Drive; without confirm=t it is a page that asks about viruses."""
    return f"https://drive.usercontent.google.com/download?id={file}&export=download&confirm=t"


def _stylegan2(name, config, dataset, resolution, rows=None):
    """One of StyleGAN2's networks."""
    file = f"stylegan2-{name}-config-{config}.pkl"
    licence = _NVIDIA_NC.format("stylegan2")
    return PublishedNetwork(
        file, f"{_NVIDIA}/stylegan2/networks/{file}", dataset, resolution, rows, f"StyleGAN2 ({config})", licence
    )


def _ada(name, dataset, resolution):
    """One of the networks of stylegan2-ada-pytorch."""
    url = f"{_NVIDIA}/stylegan2-ada-pytorch/pretrained/{name}.pkl"
    licence = _NVIDIA_NC.format("stylegan2-ada-pytorch")
    return PublishedNetwork(
        f"stylegan2-ada-pytorch-{name}.pkl", url, dataset, resolution, family="StyleGAN2-ADA", licence=licence
    )


# Without sizes and hashes, which we do not know: these files could not be downloaded where this was written. What makes
# it safe to open them, or any other file, is that stylegan_tf/files/contents.py reads data only.
PUBLISHED = {
    "ffhq-1024": PublishedNetwork(
        "karras2019stylegan-ffhq-1024x1024.pkl", _drive("1MEGjdvVpUsu1jB4zrXZN7Y4kBBOzizDQ"), "FFHQ", 1024
    ),
    "celebahq-1024": PublishedNetwork(
        "karras2019stylegan-celebahq-1024x1024.pkl", _drive("1MGqJl28pN4t7SAtSrPdSRJSQJqahkzUf"), "CelebA-HQ", 1024
    ),
    "bedrooms-256": PublishedNetwork(
        "karras2019stylegan-bedrooms-256x256.pkl", _drive("1MOSKeGF0FJcivpBI7s63V9YHloUTORiF"), "LSUN Bedroom", 256
    ),
    "cars-512": PublishedNetwork(
        "karras2019stylegan-cars-512x384.pkl", _drive("1MJ6iCfNtMIRicihwRorsM3b7mmtmK9c3"), "LSUN Car", 512, (64, 448)
    ),
    "cats-256": PublishedNetwork(
        "karras2019stylegan-cats-256x256.pkl", _drive("1MQywl0FNt6lHu8E_EUqnRbviagS7fbiJ"), "LSUN Cat", 256
    ),
    # StyleGAN2: rows A to F of its Table 1, and A and F of other data sets.
    **{f"ffhq-config-{config}": _stylegan2("ffhq", config, "FFHQ", 1024) for config in "abcdef"},
    **{f"car-config-{config}": _stylegan2("car", config, "LSUN Car", 512, (64, 448)) for config in "abcdef"},
    **{f"cat-config-{config}": _stylegan2("cat", config, "LSUN Cat", 256) for config in "af"},
    **{f"church-config-{config}": _stylegan2("church", config, "LSUN Church", 256) for config in "af"},
    **{f"horse-config-{config}": _stylegan2("horse", config, "LSUN Horse", 256) for config in "af"},
    "ada-ffhq": _ada("ffhq", "FFHQ", 1024),
    "ada-metfaces": _ada("metfaces", "MetFaces", 1024),
    "ada-afhqcat": _ada("afhqcat", "AFHQ Cat", 512),
    "ada-afhqdog": _ada("afhqdog", "AFHQ Dog", 512),
    "ada-afhqwild": _ada("afhqwild", "AFHQ Wild", 512),
    "ada-brecahad": _ada("brecahad", "BreCaHAD", 512),
    "ada-cifar10": _ada("cifar10", "CIFAR-10, by class", 32),
}


def is_published(source):
    """Whether a string is a name in PUBLISHED or an http(s) URL: what `obtain_network` takes."""
    return source in PUBLISHED or re.match("https?://", str(source), re.IGNORECASE) is not None


def obtain_network(name_or_url, cache_dir="cache"):
    """Returns the Path of a published file in CACHE_DIR/networks; downloads it, its licence shown first, if need be.

    Args:
        name_or_url: A name in PUBLISHED, or the http(s) URL of any .pkl or .pt file.
        cache_dir: Folder of downloads.

    Raises:
        ValueError: There is no network of that name.
        OSError: It could not be downloaded.
    """
    if not is_published(name_or_url):
        raise ValueError(
            f"There is no published network {name_or_url}; there are {', '.join(PUBLISHED)}. Or give a URL."
        )
    network = PUBLISHED.get(name_or_url)
    url, name = (network.url, network.file) if network else (name_or_url, _file_name(name_or_url))
    remote = RemoteFile(name, url, size=None, sha256=None, option="--network")
    folder = Path(cache_dir) / "networks"
    if not find(remote, folder):
        what = f"{name_or_url}, {network.description}" if network else "a network; its licence is its publisher's"
        click.echo(f"Downloading {what}. From {url} to {folder / name}.", err=True)
    return obtain(remote, folder)


def _file_name(url):
    """A name for the file at a URL, other than that of a file of the same name elsewhere."""
    path = Path(urlsplit(url).path)
    stem = re.sub(r"[^\w-]+", "_", path.stem)[:80] or "network"
    return f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}{'.pt' if path.suffix == '.pt' else '.pkl'}"

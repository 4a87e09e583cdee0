"""Pictures of many seeds as files: one PNG a seed, all of them on one page and in one grid."""

import html
import math
import os
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from dnnlib.files import atomic_file
from dnnlib.image_files import read_text, save_image
from stylegan_tf.pictures.sampler import latents

# The longest side of grid.png in pixels, for which images are reduced.
_GRID = 4096
# What says in a PNG file which network has made it.
HASH = "network sha256"
_PAGE_MARK = '<meta name="generator" content="stylegan_tf gallery">'


class Look(NamedTuple):
    """What, besides the seed, an image is made from.

    Attributes:
        network: What its generator is called.
        psi, cutoff: Truncation: its strength, 1 for none, and the number of layers that are truncated.
        noise: One of `sampler.NOISES`; with "random" an image's noise is that of its seed.
        label: Class of conditional networks; None: seeds take turns through the classes.
        precision: What the convolutions compute in.
    """

    network: str
    psi: float
    cutoff: int
    noise: str = "fixed"
    label: int | None = None
    precision: str = "fp32"

    def check(self, sampler):
        """ValueError if the class is none of the generator's, or if it has no noise that could be as asked for."""
        if self.noise in ("random", "fine", "coarse") and not sampler.noise_resolutions:
            raise ValueError(f"The network has no noise; leave --noise={self.noise} out.")
        if self.label is not None and not sampler.label_size:
            raise ValueError("The network has no classes; leave --class out.")
        if self.label is not None and not 0 <= self.label < sampler.label_size:
            raise ValueError(f"There is no class {self.label}; the network's are 0 to {sampler.label_size - 1}.")

    def labels(self, sampler, seeds):
        """One-hot labels of seeds, float32 [N, label_size]; None for a network without classes."""
        if not sampler.label_size:
            return None
        return np.eye(sampler.label_size, dtype=np.float32)[[self.label_of(sampler, seed) for seed in seeds]]

    def label_of(self, sampler, seed):
        """The class of a seed."""
        return sampler.classes[seed % len(sampler.classes)] if self.label is None else self.label

    def styles(self, sampler, seeds):
        """Styles of seeds, truncated, float32 [N, num_layers, dlatent_size]."""
        w = sampler.mapping(latents(seeds, sampler.latent_size), self.labels(sampler, seeds))
        return sampler.truncate(w, self.psi, self.cutoff)

    def images(self, sampler, seeds):
        """Images of seeds, uint8 [N, R, R, C]."""
        return sampler.synthesis(self.styles(sampler, seeds), self.noise, seeds)

    def origin(self, sampler):
        """The text chunks that say which network has made a picture: its name, and what it is known by."""
        return {"network": self.network, HASH: sampler.network_hash, "precision": self.precision}

    def text(self, sampler, seed):
        """The text chunks of a seed's PNG file."""
        text = self.origin(sampler) | {
            "seed": str(seed),
            "truncation psi": f"{self.psi:g} on the first {self.cutoff} layers",
            "noise": self.noise,
        }
        return text | ({"class": sampler.class_name(self.label_of(sampler, seed))} if sampler.label_size else {})


def write_images(sampler, look, seeds, outdir):
    """Writes seed0033.png for each seed, index.html that shows them all, and grid.png.

    Memory does not grow with the number of images. What is there is not made again.

    Args:
        sampler: Sampler.
        look: Look.
        seeds: List of seeds.
        outdir: Path of a folder, created if need be.

    Returns:
        The number of images that were made.

    Raises:
        ValueError: There is an image of another network or look; nothing is written then. Or the network is broken.
    """
    look.check(sampler)
    seeds = list(dict.fromkeys(seeds))
    check_ours(outdir / "index.html", _PAGE_MARK.encode())
    check_ours(outdir / "grid.png", HASH.encode())
    missing = [seed for seed in seeds if not is_there(outdir / file_name(seed), look.text(sampler, seed))]
    outdir.mkdir(parents=True, exist_ok=True)
    progress = tqdm(total=len(seeds), initial=len(seeds) - len(missing), unit="image", disable=None)
    with progress, ThreadPoolExecutor() as pool:
        saving = []
        for start in range(0, len(missing), sampler.batch):
            batch = missing[start : start + sampler.batch]
            images = look.images(sampler, batch)
            # The images before have been packed and written while these were made.
            for task in saving:
                task.result()
            saving = [
                pool.submit(save_image, outdir / file_name(seed), image, look.text(sampler, seed))
                for seed, image in zip(batch, sampler.pictures(images), strict=True)
            ]
            progress.update(len(batch))
        for task in saving:
            task.result()
    files = [outdir / file_name(seed) for seed in seeds]
    write_grid(outdir / "grid.png", files, sampler.resolution, look.origin(sampler))
    write_page(outdir / "index.html", look, seeds)
    return len(missing)


def file_name(seed):
    """Name of a seed's file."""
    return f"seed{seed:04d}.png"


def is_there(path, text):
    """Whether an image has been written; ValueError if it is another one than `text` says.

    What the network's file is called does not matter, but what is in it.
    """
    if not os.path.lexists(path):
        return False
    found = read_text(path)
    for keyword, value in text.items():
        if keyword != "network" and found.get(keyword) != value:
            if keyword == HASH:
                known = f"hash {found[HASH][:8]}, not {value[:8]}" if HASH in found else "which it has no hash of"
                what = f"it was made by another network, {found.get('network')} ({known})"
            else:
                was, wanted = (
                    textwrap.shorten(repr(text), 100, placeholder=" ...") for text in (found.get(keyword), value)
                )
                what = f"its {keyword} is {was}, not {wanted}"
            raise ValueError(f"{path} is another image: {what}; choose another --outdir, or remove it.")
    return True


def check_ours(path, mark):
    """ValueError if there is a file without the mark, bytes, that is in what is written in its place."""
    if os.path.lexists(path) and (not path.is_file() or mark not in path.read_bytes()):
        raise ValueError(f"{path} would be overwritten, and was not made here; choose another --outdir, or remove it.")


def write_grid(path, files, resolution, text):
    """Writes the images of files, of at most R x R, in one, as they are or, if they are many, reduced; with `text`."""
    columns = math.ceil(math.sqrt(len(files)))
    shrink = 1
    while columns * (resolution // shrink) > _GRID and shrink < resolution:
        shrink *= 2
    rows = math.ceil(len(files) / columns)
    grid = None
    for i, file in enumerate(files):
        with Image.open(file) as image:
            image = image.reduce(shrink)
            width, height = image.size
            if grid is None:
                grid = Image.new(image.mode, (columns * width, rows * height))
            grid.paste(image, (i % columns * width, i // columns * height))
    save_image(path, np.asarray(grid), text)


def write_page(path, look, seeds):
    """Writes a page that shows the images of seeds beside it."""
    title = html.escape(f"{look.network}, psi {look.psi:g}, {look.noise} noise")
    figures = "\n".join(
        f'<figure><a href="{file_name(seed)}"><img src="{file_name(seed)}" alt="seed {seed}" loading="lazy"></a>'
        f"<figcaption>{seed}</figcaption></figure>"
        for seed in seeds
    )
    page = f"""<!doctype html>
<meta charset="utf-8">
{_PAGE_MARK}
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1em }}
figure {{ display: inline-block; margin: 2px; text-align: center }}
img {{ width: 128px; height: 128px; object-fit: contain; image-rendering: auto }}
</style>
<h1>{title}</h1>
{figures}
"""
    with atomic_file(path) as temporary:
        Path(temporary).write_text(page, encoding="utf-8")

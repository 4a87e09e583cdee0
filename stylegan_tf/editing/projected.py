"""What a projection leaves on the disk: a folder for each picture, and, while it is under way, what it goes on from."""

import hashlib
import json
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dnnlib.files import atomic_file, atomic_folder
from dnnlib.image_files import save_image, straight, to_uint8_rounded
from dnnlib.videos import save_video
from stylegan_tf.editing.distances import MAX_SIZE
from stylegan_tf.images import reduce, unsqueeze
from stylegan_tf.pictures.gallery import is_there

# Of a picture's folder.
RESULT, TARGET, PROJECTED, WAY = "w.npz", "target.png", "projected.png", "way.mp4"
UNFINISHED = "unfinished.npz"
# Frames of the video, and how many of them are shown in a second.
_FRAMES, _FPS = 100, 20
# Seconds from one saving of what an interrupted projection goes on from to the next.
_SAVE_EVERY = 30
_DAMAGED = (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Projected:
    """Projected pictures.

    Attributes:
        names: What they are called, a list.
        w: float32 [N, num_layers, dlatent_size].
        noise: Their noise images, a list of float32 [N, R, R, 1].
        facts: What is known of each, a list of dicts; `network sha256` is the hash of its network.
    """

    names: list
    w: np.ndarray
    noise: list
    facts: list

    def __str__(self):
        """The pictures, and a hash of what was found: what a file is known by that was made of it."""
        found = hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in (self.w, *self.noise)))
        return f"{', '.join(self.names)} (sha256 {found.hexdigest()})"

    def __getitem__(self, number):
        """One of them, as `Projected`."""
        one = slice(number, number + 1)
        return Projected(self.names[one], self.w[one], [image[one] for image in self.noise], self.facts[one])

    def joined(self, others):
        """It and a list of others of the same network, as one."""
        parts = [self, *others]
        noise = [np.concatenate(images) for images in zip(*(part.noise for part in parts), strict=True)]
        names, facts = ([x for part in parts for x in getattr(part, name)] for name in ("names", "facts"))
        return Projected(names, np.concatenate([part.w for part in parts]), noise, facts)

    def check(self, generator):
        """ValueError unless a generator takes these w and noise images."""
        shape = (generator.num_layers, generator.dlatent_size)
        if self.w.shape[1:] != shape:
            raise ValueError(
                f"The w of {self.names[0]} is {list(self.w.shape[1:])}, and the network takes {list(shape)} (layers, "
                "numbers): it was found in another network; project the picture into this one."
            )
        if [image.shape[1:] for image in self.noise] != [tuple(shape[1:]) for shape in generator.noise_shapes]:
            raise ValueError(
                f"The noise images of {self.names[0]} are not like the network's: it was found in another network; "
                "project the picture into this one."
            )


def read_projected(folder):
    """The pictures that were projected into a folder: one, or those of the folders in it.

    Args:
        folder: A folder with w.npz, or with folders that have one; or a w.npz itself.

    Raises:
        ValueError: There is none, one is damaged, or they are of different networks.
    """
    folder = Path(folder)
    paths = [folder] if folder.is_file() else [folder / RESULT]
    if not paths[0].is_file():
        paths = sorted(folder.glob(f"*/{RESULT}"))
    if not paths:
        raise ValueError(f"There is no {RESULT} in {folder}; give a folder that run_projector.py has written.")
    first, *others = (_read_result(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        if [x.shape for x in (other.w, *other.noise)] != [x.shape for x in (first.w, *first.noise)]:
            raise ValueError(f"{path} and {paths[0]} are of different networks; give them one at a time.")
    return first.joined(others)


def _read_result(path):
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            facts = json.loads(str(file["facts"]))
            w, noise = file["w"], [file[f"noise{i}"] for i in range(facts["noise images"])]
        whole = w.ndim == 3 and w.dtype == np.float32 and len(w) == 1 and all(np.isfinite(x).all() for x in (w, *noise))
    except _DAMAGED:
        whole = False
    if not whole:
        raise ValueError(f"{path} is damaged, or no {RESULT} of run_projector.py; project the picture again.")
    return Projected([path.absolute().parent.name], w, noise, [facts])


def write_result(path, w, noise, facts):
    """Writes w.npz of one picture.

    Args:
        path: Path.
        w: float32 [1, num_layers, dlatent_size].
        noise: List of float32 [1, R, R, 1].
        facts: dict for JSON.
    """
    arrays = {f"noise{i}": image for i, image in enumerate(noise)}
    with atomic_file(path, durable=True) as temporary:
        np.savez(temporary, w=w, **arrays, facts=json.dumps(facts | {"noise images": len(noise)}))


def project(projection, targets, names, outdir, facts):
    """Takes all steps that are left, and writes OUTDIR/NAME for each picture: target, image, w.npz, video of the way.

    What is interrupted goes on where it was, at most half a minute before, when it is called again.

    Args:
        projection: `projection.Projection` that has not begun.
        targets: uint8 [N, R, R, C].
        names: What the pictures are called, N different file names.
        outdir: Path of a folder, created if need be.
        facts: dict for JSON of all that the result depends on; `pictures` is a list of what each is known by.

    Returns:
        The distances that are left, float32 [N].

    Raises:
        ValueError: OUTDIR holds another projection, or the network is broken.
    """
    outdir.mkdir(parents=True, exist_ok=True)
    path, known = outdir / UNFINISHED, json.dumps(facts, sort_keys=True)
    frames = _restore(path, projection, known)
    steps = projection.schedule.num_steps
    every = max(1, steps // _FRAMES)
    state, saved = projection.state(), time.monotonic()

    def save():
        with atomic_file(path) as temporary:
            np.savez(temporary, **state, frames=np.array(frames), facts=known)

    progress = tqdm(total=steps, initial=projection.steps_done, unit="step", disable=None)
    with progress:
        try:
            while not projection.is_done:
                if projection.steps_done % every == 0 and len(frames) <= projection.steps_done // every:
                    frames.append(_frame(projection))
                found = projection.step()
                state = projection.state()
                progress.update()
                progress.set_postfix(distance=f"{np.mean(found.distance):.4g}", refresh=False)
                if time.monotonic() - saved > _SAVE_EVERY:
                    save()
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save()
            raise
    aspect = projection.generator.aspect
    images = to_uint8_rounded(projection.images())
    distances = projection.distances()
    small = _small(targets)
    for i, name in enumerate(names):
        with atomic_folder(outdir / name) as folder:
            save_image(folder / TARGET, _picture(targets[i], aspect))
            save_image(folder / PROJECTED, _picture(images[i], aspect))
            noise = [image[i : i + 1] for image in projection.noise]
            one = {**facts, "pictures": facts["pictures"][i], "final distance": float(distances[i])}
            write_result(folder / RESULT, projection.dlatents[i : i + 1], noise, one)
            target = _picture(small[i], aspect)
            shown = [_picture(frame[i], aspect) for frame in [*frames, _frame(projection)]]
            way = [np.concatenate([target, picture], axis=1) for picture in shown]
            save_video(folder / WAY, way, _FPS)
    path.unlink(missing_ok=True)
    return distances


def _picture(image, aspect):
    """What a square image, uint8 [R, R, C], stands for, as it is saved."""
    return np.asarray(unsqueeze(straight(image), len(image), aspect))


def _restore(path, projection, known):
    """Goes on from an unfinished projection, if there is one; returns its frames, a list."""
    if not path.exists():
        return []
    try:
        with open(path, "rb") as opened, np.load(opened) as file:
            theirs, frames = str(file["facts"]), list(file["frames"])
            if theirs == known:
                projection.restore(file)
    except _DAMAGED:
        raise ValueError(f"{path} is damaged; remove it, and start again.") from None
    if theirs != known:
        ours, theirs = json.loads(known), json.loads(theirs)
        name = next(name for name in ours if ours[name] != theirs.get(name))
        raise ValueError(
            f"{path} is of another projection (its {name} is {theirs.get(name)}, not {ours[name]}); give what it was "
            "started with, choose another --outdir, or remove it."
        )
    return frames


def _frame(projection):
    """The images as they stand, small enough for a video, uint8 [N, S, S, C]."""
    return np.asarray(to_uint8_rounded(reduce(projection.images(), MAX_SIZE)))


def _small(targets):
    """Targets of the size of `_frame`."""
    return to_uint8_rounded(np.asarray(reduce(targets.astype(np.float32), MAX_SIZE)), (0, 255))


def still_to_project(outdir, names, facts):
    """The numbers of those pictures that have not been projected into a folder as `facts` say, a list.

    Raises:
        ValueError: There is another result of that name.
    """
    left = []
    for number, name in enumerate(names):
        path = outdir / name / RESULT
        if not path.parent.exists():
            left.append(number)
            continue
        if not path.is_file():
            raise ValueError(f"{path.parent} is there, and no projection; choose another --outdir.")
        theirs = _read_result(path).facts[0]
        for key, ours in {**facts, "pictures": facts["pictures"][number]}.items():
            if theirs.get(key) != ours:
                raise ValueError(
                    f"{path.parent} is another projection: its {key} is {theirs.get(key)}, not {ours}; choose "
                    "another --outdir, or remove it."
                )
    return left


def write_projected_images(sampler, look, projected, outdir, own_noise):
    """Writes NAME.png for each picture, the image of its w; what is there is not made again.

    Args:
        sampler: Sampler of a network that `projected.check` has passed.
        look: Look: truncation and noise.
        projected: Projected.
        outdir: Path of a folder, created if need be.
        own_noise: Whether to take the noise images that were found, not what `look` says.

    Returns:
        The number of images that were made.

    Raises:
        ValueError: There is another image of that name.
    """
    look.check(sampler)
    origin = look.origin(sampler) | {
        "truncation psi": f"{look.psi:g} on the first {look.cutoff} layers",
        "noise": "as projected" if own_noise else look.noise,
    }
    texts = [origin | {"w": str(projected[number])} for number in range(len(projected.names))]
    paths = [outdir / f"{name}.png" for name in projected.names]
    left = [n for n, (path, text) in enumerate(zip(paths, texts, strict=True)) if not is_there(path, text)]
    outdir.mkdir(parents=True, exist_ok=True)
    if left:
        w = sampler.truncate(projected.w[left], look.psi, look.cutoff)
        noise = [image[left] for image in projected.noise] if own_noise else look.noise
        for number, image in zip(left, sampler.synthesis(w, noise, left), strict=True):
            save_image(paths[number], sampler.pictures(image), texts[number])
    return len(left)

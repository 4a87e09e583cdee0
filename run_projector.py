"""Projects pictures: python run_projector.py --network=results/00000-digits-f-cpu --image=seven.png"""

import functools
import hashlib
from pathlib import Path

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf

from datasets.pictures import SUFFIXES, check_background
from datasets.targets import read_face, read_target_picture
from dnnlib.cli import INTERRUPTED, SEED, Command, UserPath, Whole, one_line_errors
from dnnlib.files import atomic_file, check_new_file
from dnnlib.image_files import save_image
from metrics.options import Options
from metrics.projection_distances import DISTANCES, choose, distance_options, open_distance
from stylegan_tf.editing.projected import RESULT, project, read_projected, still_to_project, write_result
from stylegan_tf.editing.projection import SPACES, Projection, Schedule, sampled_labels, sampled_statistics
from stylegan_tf.editing.tuning import STEPS, tune
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.files.identity import network_hash
from stylegan_tf.pictures.sampler import Sampler

TUNED, TUNED_PICTURE = "tuned.keras", "tuned.png"


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--network",
    type=UserPath(),
    required=True,
    metavar="NETWORK",
    help="Run, snapshot, .keras, .pkl, .pt, URL or name.",
)
@click.option(
    "--image",
    "images",
    type=UserPath(path_type=Path),
    multiple=True,
    required=True,
    metavar="PATH",
    help="A picture, or a folder of pictures; repeatable. All are projected in one batch.",
)
@click.option("--outdir", type=UserPath("folder", path_type=Path), required=True, help="Folder to write to.")
@click.option("--space", type=click.Choice(SPACES), default="w", help="w: one w for all layers; w+: one for each.")
@click.option(
    "--distance",
    type=click.Choice(DISTANCES),
    help="What is made small.  [default: classifier for digits and avatars, else lpips]",
)
@click.option("--steps", type=Whole(1, 10**6), default=Schedule().num_steps, help="Steps of the optimisation.")
@click.option("--class", "label", help="Class of conditional networks to begin at.  [default: all of them]")
@click.option("--crop", is_flag=True, help="Cut the middle out of pictures of another size, and reduce it.")
@click.option("--align", is_flag=True, help="Find the one face in each picture, and cut it out as FFHQ's are.")
@click.option("--background", help="Colour to lay under transparent pixels, such as white.  [default: refuse them]")
@click.option("--tune", "tuning", is_flag=True, help="Fit the network to the pictures afterwards: OUTDIR/tuned.keras.")
@click.option("--tune-steps", type=Whole(1, 10**6), help=f"Steps of --tune.  [default: {STEPS}]")
@click.option("--seed", type=SEED, default=0, help="Seed of everything random.")
@distance_options
@one_line_errors
def main(
    network,
    images,
    outdir,
    space,
    distance,
    steps,
    label,
    crop,
    align,
    background,
    tuning,
    tune_steps,
    seed,
    cache_dir,
    **given,
):
    """Find the w and the noise whose image is nearest to a picture (StyleGAN2, appendix D).

    OUTDIR/NAME holds for each picture: target.png, projected.png, w.npz, and way.mp4, a video of how it was found.
    run_generator.py images --w=OUTDIR/NAME makes its image again. What is interrupted goes on where it was when the
    same command is given again.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    target = find_targets(network, cache_dir=cache_dir)[-1]
    check_background(background)
    paths = pictures_in(images)
    generator = load_generator(target.path)
    if align and (crop or generator.num_channels != 3 or generator.aspect):
        raise ValueError("--align is for networks of square pictures in colour, and without --crop; leave it out.")
    read = read_face if align else functools.partial(read_target_picture, crop=crop)
    pictures = np.array([read(path, generator, background=background) for path in paths])
    named = {name: given.pop(name) for name in ("dataset", "data_dir")}
    dataset, data_dir, distance = choose(target, distance, **named)
    if distance == "lpips" and generator.num_channels not in (1, 3):
        raise ValueError(
            f"--distance=lpips sees grey or RGB, and the network's images have {generator.num_channels} channels, with "
            "transparency; give --distance=pixels."
        )
    check_effect(distance, tuning, tune_steps=tune_steps, **named, **given)
    sampler = Sampler(generator)
    label = None if label is None else sampler.find_class(label)
    names = [path.stem for path in paths]
    facts = {
        "pictures": [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures],
        "network sha256": network_hash(generator),
        "space": space,
        "distance": distance,
        "steps": steps,
        "class": label,
        "seed": seed,
    }
    left = still_to_project(outdir, names, facts)
    if tuning:
        check_new_file(outdir / TUNED)
    elif not left:
        click.echo(f"All pictures are in {outdir} already.")
        return
    options = Options(cache_dir=cache_dir, **given)
    opened = open_distance(generator, distance, dataset, data_dir, options)
    if left:
        chosen = {**facts, "pictures": [facts["pictures"][i] for i in left]}
        projection = Projection(
            generator,
            opened,
            pictures[left],
            sampled_statistics(sampler, sampled_labels(sampler, label)),
            Schedule(steps),
            space,
            seed=seed,
            names=[int(known[:8], 16) for known in chosen["pictures"]],
        )
        try:
            distances = project(projection, pictures[left], [names[i] for i in left], outdir, chosen)
        except KeyboardInterrupt:
            click.echo("Stopped; the same command goes on from here.", err=True)
            raise SystemExit(INTERRUPTED) from None
        for i, found in zip(left, distances, strict=True):
            click.echo(f"{outdir / names[i]}: {distance} distance {found:.4g}")
    if tuning:
        tune_to(generator, [outdir / name for name in names], pictures, opened, tune_steps or STEPS, outdir / TUNED)


def pictures_in(paths):
    """The files that a user's paths name, a list; ValueError if there is none, or if two have one name."""
    found = []
    for path in paths:
        if path.is_dir():
            inside = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.is_dir())
            if not inside:
                raise ValueError(f"There is no picture in {path}; give a picture, or a folder of pictures.")
            found += inside
        else:
            found.append(path)
    for number, path in enumerate(found):
        if not path.is_file():
            raise ValueError(f"{path} does not exist; give a picture, or a folder of pictures.")
        if twin := next((other for other in found[:number] if other.stem == path.stem), None):
            raise ValueError(f"{twin} and {path} would both be written to {path.stem}; project them into two folders.")
    return found


def check_effect(distance, tuning, tune_steps, **given):
    """ValueError for an option that is given and does nothing."""
    if tune_steps is not None and not tuning:
        raise ValueError("--tune-steps has no effect without --tune; leave it out.")
    taken = {"lpips": ("vgg16", "lpips"), "classifier": ("dataset", "data_dir", "classifiers"), "pixels": ()}[distance]
    for name, value in given.items():
        if value is not None and name not in taken:
            raise ValueError(f"--{name.replace('_', '-')} has no effect with --distance={distance}; leave it out.")


def tune_to(generator, folders, pictures, distance, steps, path):
    """Fits a network to pictures that were projected to folders, and writes it, and what it makes of them."""
    parts = [read_projected(folder / RESULT) for folder in folders]
    projected = parts[0].joined(parts[1:])
    before, after = tune(generator, projected, pictures, distance, steps)
    with atomic_file(path, durable=True) as temporary:
        generator.save(temporary)
    sampler = Sampler(generator)
    images = sampler.pictures(sampler.synthesis(projected.w, projected.noise))
    tuned = network_hash(generator)
    for number, folder in enumerate(folders):
        save_image(folder / TUNED_PICTURE, images[number])
        one = projected[number]
        write_result(folder / RESULT, one.w, one.noise, {**one.facts[0], "tuned network sha256": tuned})
        click.echo(f"{folder}: {distance.name} distance {before[number]:.4g} before tuning, {after[number]:.4g} after")
    click.echo(path)


if __name__ == "__main__":
    main()

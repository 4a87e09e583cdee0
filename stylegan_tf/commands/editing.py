"""The verbs of run_generator.py that edit: images along directions of latent space, and networks that are blended."""

from pathlib import Path

import click
import numpy as np

from dnnlib.cli import Command, Finite, Seeds, UserPath, Whole, one_line_errors, options
from dnnlib.files import atomic_file, check_new_file
from stylegan_tf.commands.picture_options import (
    check_source,
    class_option,
    cutoff_option,
    network_options,
    noise_option,
    open_sampler,
    psi_option,
    read_w,
    save_figure,
    w_option,
)
from stylegan_tf.editing.blending import blend
from stylegan_tf.editing.directions import FILE, has_planes, holding
from stylegan_tf.editing.edit import SPACES, edit, find_directions, make_edit, planes_of, sampled_latents
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.pictures.figures import style_layers
from stylegan_tf.pictures.paper_figures import Figure


class Step(click.ParamType):
    """NAME:STRENGTH, a pair; a name may have colons of its own."""

    name = "name:strength"

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        name, _, strength = value.rpartition(":")
        if not name:
            self.fail(f"{value!r} is not a name and a strength, such as glasses:2.", param, ctx)
        return name, Finite(-100, 100).convert(strength, param, ctx)


@click.command("edit", cls=Command)
@network_options
@click.option("--seeds", type=Seeds(), help="Such as 0-4,33: a row each; or --w.")
@click.option(
    "--direction",
    "steps",
    type=Step(),
    multiple=True,
    metavar="NAME:STRENGTH",
    help="Such as glasses:2 or pca-0:3: how far to both sides, in deviations of samples; repeatable.",
)
@click.option("--list", "listed", is_flag=True, help="Name the directions that there are, and stop.")
@click.option("--layers", help="What is moved: coarse, middle, fine, or layers such as 0-7.  [default: all]")
@click.option("--hold", multiple=True, metavar="NAME", help="An attribute that shall not change; repeatable.")
@click.option("--space", type=click.Choice(SPACES), default="w", help="Latent space whose directions are taken.")
@click.option("--columns", type=Whole(3, 99), default=5, help="Images in a row, an odd number.")
@click.option(
    "--directions",
    "file",
    type=UserPath(path_type=Path),
    help=f"What run_metrics.py --metric=ls has found.  [default: {FILE} of the run]",
)
@click.option("--outdir", type=UserPath("folder", path_type=Path), help="Folder to write to.")
@options(w_option, psi_option, cutoff_option, noise_option, class_option)
@one_line_errors
def make_edits(
    network,
    seeds,
    steps,
    listed,
    layers,
    hold,
    space,
    columns,
    file,
    outdir,
    folder,
    psi,
    cutoff,
    noise,
    label,
    **given,
):
    """Edit images: rows that go from one side along a direction to the other, with the image itself in the middle.

    Directions are those of the attributes that python run_metrics.py --metric=ls has told apart (Shen et al., 2020);
    pca-0 to pca-15, the principal components of w (Härkönen et al., 2020); and sefa-0 to sefa-15, in which w changes
    the styles of --layers most (Shen and Zhou, 2021). The unit is the deviation of 10,000 samples along a direction.
    """
    if not listed:
        check_source(folder, seeds, "--seeds")
        for value, option in ((steps, "--direction"), (outdir, "--outdir")):
            if not value:
                raise ValueError(f"Give {option}; --list names the directions that there are.")
        if columns % 2 == 0:
            raise ValueError(f"--columns must be odd, for the image itself to be in the middle; received {columns}.")
        if folder is not None and space == "z":
            raise ValueError("A picture that was projected has no z; leave --space=z or --w out.")
        if space == "z" and (unknown := [name for name, _ in steps if name.startswith(("pca-", "sefa-"))]):
            raise ValueError(f"{unknown[0]} is a direction of w; leave --space=z out.")
    opened = open_sampler(network=network, **given)
    sampler = opened[0]
    chosen = slice(None) if layers is None else style_layers(layers, sampler.num_layers)
    samples = sampled_latents(sampler, space)
    file = file or planes_of(find_targets(network, cache_dir=given["cache_dir"])[-1], sampler.network_hash)
    found = find_directions(sampler, file, space, samples, chosen)
    if listed:
        width = max(map(len, found.names))
        for name, remark in zip(found.names, found.remarks, strict=True):
            click.echo(f"{name:{width}}  {remark}")
        if not has_planes(file, sampler.network_hash):
            click.echo(f"{file} has no attributes of this network; run_metrics.py --metric=ls finds them.", err=True)
        return
    projected = read_w(folder, sampler)
    held = np.array([found.find(name) for name in hold])
    edits = [make_edit(name, strength, holding(found.find(name), held), samples, space) for name, strength in steps]
    source = {"seeds": seeds} if projected is None else {"projected": projected}
    figure = Figure(edit, source | {"edits": edits, "layers": layers, "columns": columns})
    save_figure(figure, outdir, opened, psi=psi, cutoff=cutoff, noise=noise, label=label)


@click.command("blend", cls=Command)
@click.option("--coarse", type=UserPath(), required=True, metavar="NETWORK", help="Network of the layers below --at.")
@click.option("--fine", type=UserPath(), required=True, metavar="NETWORK", help="Network of the layers from --at on.")
@click.option("--at", type=Whole(8, 1024), required=True, help="First resolution that is from --fine.")
@click.option(
    "--smooth", type=Finite(0, 100), default=0.0, help="Width of the passage between them, in octaves; 0 swaps layers."
)
@click.option(
    "--output",
    type=UserPath("file", dir_okay=False, path_type=Path),
    required=True,
    help="File to write, NAME.keras.",
)
@click.option("--cache-dir", type=UserPath(), default="cache", help="Folder of downloaded networks.")
@one_line_errors
def make_blend(coarse, fine, at, smooth, output, cache_dir):
    """Blend two networks: the coarse layers of one with the fine ones of another.

    They fit where one was trained on from the other (run_training.py --init-from). Coarse layers make pose and shape,
    fine ones texture and colour. OUTPUT is a network as any other, to be given as --network.
    """
    if output.suffix != ".keras":
        raise ValueError(f"The file must be called NAME.keras; received --output={output}.")
    check_new_file(output)
    networks = [load_generator(find_targets(name, cache_dir=cache_dir)[-1].path) for name in (coarse, fine)]
    blended = blend(*networks, at, smooth)
    output.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(output) as path:
        blended.save(path)
    click.echo(f"Wrote {output}: {coarse} below {at}x{at}, {fine} from there on.")

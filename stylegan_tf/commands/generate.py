"""Pictures of a trained network: python run_generator.py images --network=results/00000-digits-f-cpu --seeds=0-24"""

from pathlib import Path

import click
from click.core import ParameterSource

import dnnlib.quiet_tensorflow  # noqa: F401
from dnnlib.cli import SEED, Finite, Group, Numbers, Seeds, UserPath, Whole, one_line_errors, options
from dnnlib.files import check_new_file
from dnnlib.videos import MOST_FPS, check_colour, check_video
from stylegan_tf.commands.editing import make_blend, make_edits
from stylegan_tf.commands.picture_options import (
    check_source,
    class_option,
    cutoff_option,
    make_look,
    network_options,
    noise_option,
    open_sampler,
    outdir_option,
    psi_option,
    read_w,
    save_figure,
    w_option,
)
from stylegan_tf.editing.projected import write_projected_images
from stylegan_tf.files.find import find_targets
from stylegan_tf.pictures.contributions import SEEDS, write_contributions
from stylegan_tf.pictures.convergence import write_convergence
from stylegan_tf.pictures.figures import noise_components, noise_detail, style_mixing, truncation, uncurated
from stylegan_tf.pictures.gallery import write_images
from stylegan_tf.pictures.paper_figures import PAPER, Figure, paper_set, save_paper_figures
from stylegan_tf.pictures.video import SPACES, Interpolation


@click.group(cls=Group, context_settings={"show_default": True, "max_content_width": 110})
def main():
    """Make pictures with a trained network: images of seeds, the paper's figures, videos.

    A network is a run (its newest snapshot), a snapshot, a .keras file, a .pkl or .pt file of another project or its
    URL, or the name of a published network such as ffhq-1024. The same seed gives the latents, and with a published
    network the picture, that it gives with the original.
    """


@main.command("images")
@network_options
@click.option("--seeds", type=Seeds(), help="Such as 0-24,33: an image each.")
@options(w_option, psi_option, cutoff_option, noise_option, class_option, outdir_option)
@one_line_errors
def images(seeds, folder, outdir, psi, cutoff, noise, label, **given):
    """Make an image a seed, and a page and a grid of them all; or an image of each picture that was projected.

    Each PNG file carries its seed, psi and network as text, with a hash of the network. What is there and was made by
    the same network in the same way is not made again, so an interrupted command goes on when it is given again; any
    other picture of that name is an error.
    """
    check_source(folder, seeds, "--seeds")
    if folder is not None and label is not None:
        raise ValueError("--class is for seeds, and has no effect on the pictures of --w; leave it out.")
    sampler, look = open_sampler(**given)
    projected = read_w(folder, sampler)
    if projected is not None:
        # They are as they were found, unless something else is asked for.
        own = click.get_current_context().get_parameter_source("noise") is ParameterSource.DEFAULT
        look = make_look(sampler, look, 1.0 if psi is None else psi, cutoff=cutoff, noise=noise)
        made = write_projected_images(sampler, look, projected, outdir, own)
        click.echo(f"{made} of {len(projected.names)} images made; see {outdir}.")
        return
    look = make_look(sampler, look, psi, cutoff=cutoff, noise=noise, label=label)
    made = write_images(sampler, look, seeds, outdir)
    click.echo(f"{made} of {len(set(seeds))} images made; see {outdir / 'index.html'}.")


rows_option = click.option("--seeds", type=Seeds(), required=True, help="Such as 0-2,33: a row each.")


def close_up_option(default):
    """--crop of verbs that show close-ups."""
    text = f"Close-up, in pixels.  [default: {default}]"
    return click.option("--crop", type=Numbers(Whole(0, 65536), 3), metavar="X,Y,SIZE", help=text)


@main.command("style-mixing")
@network_options
@click.option("--rows", type=Seeds(), help="Seeds of source A, down the left; or --w.")
@click.option("--columns", type=Seeds(), required=True, help="Seeds of source B, along the top.")
@click.option(
    "--styles",
    default="coarse",
    help="What B gives: coarse (layers 0-3), middle (4-7), fine (8 on), or such as 2-5; one, or one a row: a,b,c.",
)
@options(w_option, psi_option, cutoff_option, noise_option, class_option, outdir_option)
@one_line_errors
def make_style_mixing(rows, folder, columns, styles, outdir, psi, cutoff, noise, label, **given):
    """Mix the styles of two sources (Figure 3).

    A cell is its row's image with some styles of its column's. With --w, a row is a picture that was projected, as it
    was found.
    """
    check_source(folder, rows, "--rows")
    opened = open_sampler(**given)
    projected = read_w(folder, opened[0])
    source = {"row_seeds": rows} if projected is None else {"projected": projected}
    figure = Figure(style_mixing, {**source, "column_seeds": columns, "styles": styles.split(",")})
    save_figure(figure, outdir, opened, psi=psi, cutoff=cutoff, noise=noise, label=label)


@main.command("truncation")
@network_options
@options(rows_option)
@click.option(
    "--truncation-psi",
    "psis",
    type=Numbers(Finite()),
    default="1,0.7,0.5,0,-0.5,-1",
    metavar="PSI,PSI,...",
    help="A column each; negative: the opposite of the seed's image.",
)
@click.option("--truncation-cutoff", "cutoff", type=Whole(0, 1000), help="Layers that are truncated.  [default: all]")
@click.option(
    "--psi-per-layer",
    type=Numbers(Finite()),
    multiple=True,
    metavar="PSI,PSI,...",
    help="One psi a layer, instead of both: a column each time it is given.",
)
@options(noise_option, class_option, outdir_option)
@one_line_errors
def make_truncation(seeds, psis, cutoff, psi_per_layer, outdir, noise, label, **given):
    """Show what truncation does (Figure 8). With psi 0 in all layers, every seed gives the average image."""
    given_psis = click.get_current_context().get_parameter_source("psis") is ParameterSource.COMMANDLINE
    if psi_per_layer and (given_psis or cutoff is not None):
        raise ValueError(
            "--psi-per-layer takes the place of --truncation-psi and --truncation-cutoff; leave those out."
        )
    arguments = {"psis": psi_per_layer} if psi_per_layer else {"psis": psis, "cutoff": cutoff}
    save_figure(Figure(truncation, {"seeds": seeds, **arguments}), outdir, given, noise=noise, label=label)


@main.command("noise-detail")
@network_options
@options(rows_option, close_up_option("the middle"), psi_option, cutoff_option, class_option, outdir_option)
@one_line_errors
def make_noise_detail(seeds, crop, outdir, psi, cutoff, label, **given):
    """Show what noise changes (Figure 4).

    Image, close-up, close-ups with other noise, standard deviation. The standard deviation of each pixel is
    over 100 draws; white means 25.5 grey levels and more.
    """
    figure = Figure(noise_detail, {"seeds": seeds, "crop": crop})
    save_figure(figure, outdir, given, psi=psi, cutoff=cutoff, label=label)


@main.command("noise-components")
@network_options
@options(rows_option, close_up_option("none"), psi_option, cutoff_option, class_option, outdir_option)
@one_line_errors
def make_noise_components(seeds, crop, outdir, psi, cutoff, label, **given):
    """Show what noise does where (Figure 5).

    In all layers, in none, in the fine ones, in the coarse ones. Fine are resolutions of 64 and more;
    of smaller networks than 128, the upper two.
    """
    figure = Figure(noise_components, {"seeds": seeds, "crop": crop})
    save_figure(figure, outdir, given, psi=psi, cutoff=cutoff, label=label)


@main.command("uncurated")
@network_options
@click.option("--seed", type=SEED, default=5, help="Seed of all latents.")
@click.option("--rows", type=Whole(1, 65536), default=3, help="Images of full size, one above the other.")
@click.option(
    "--lods",
    type=Numbers(Whole(0, 10)),
    default="0,1,2,2,3,3",
    metavar="LOD,LOD,...",
    help="A column each, of images 2^lod times smaller.",
)
@click.option(
    "--crop",
    type=Numbers(Whole(0, 65536), 4),
    metavar="X,Y,WIDTH,HEIGHT",
    help="Part of the images, in pixels.  [default: all]",
)
@options(psi_option, cutoff_option, noise_option, class_option, outdir_option)
@one_line_errors
def make_uncurated(seed, rows, lods, crop, outdir, psi, cutoff, noise, label, **given):
    """Show images as they come (Figures 2, 10 to 12).

    Nobody has chosen them. They stand in columns of different sizes.
    """
    figure = Figure(uncurated, {"seed": seed, "rows": rows, "lods": lods, "crop": crop})
    save_figure(figure, outdir, given, psi=psi, cutoff=cutoff, noise=noise, label=label)


@main.command("figures")
@network_options
@click.option(
    "--set",
    "name",
    type=click.Choice(list(PAPER)),
    help="Which.  [default: the network's paper's; StyleGAN's by the data set, else faces]",
)
@options(class_option, outdir_option)
@one_line_errors
def make_figures(name, outdir, label, **given):
    """Make the paper's figures with their published seeds.

    Of faces 2, 3, 4, 5 and 8, of bedrooms 10, of cars 11, of cats 12. For StyleGAN2's networks, the same kinds with
    other seeds, small networks included, and what each resolution contributes. Truncation is the network's usual one.
    What the network cannot show, for want of fine styles or of noise, is left out with a line that says why.
    """
    targets = find_targets(given["network"], all_snapshots=True, cache_dir=given["cache_dir"])
    sampler, look = open_sampler(**given)
    own = targets[-1].config.dataset if targets[-1].config else targets[-1].path.name
    name = name or sampler.generator.figures or paper_set(own)
    look = make_look(sampler, look, label=label)
    for path, reason in save_paper_figures(sampler, look, name, outdir, targets):
        click.echo(f"{path} is left out: {reason}" if reason else path)


@main.command("contributions")
@network_options
@click.option(
    "--seeds",
    type=Seeds(),
    default=f"0-{SEEDS[-1]}",
    help="Such as 0-24,33: images that are looked at, without truncation.",
)
@options(noise_option, class_option, outdir_option)
@one_line_errors
def make_contributions(seeds, outdir, noise, label, **given):
    """Draw what each resolution contributes to the image (StyleGAN2, section 4.2).

    The standard deviation of what each resolution adds, over all images, channels and pixels, as a share of their sum:
    of a run over training, of another network as bars. For networks with skip connections, StyleGAN2's. The numbers are
    written beside the figure, as CSV.
    """
    path = outdir / "contributions.png"
    targets = find_targets(given["network"], all_snapshots=True, cache_dir=given["cache_dir"])
    sampler, look = open_sampler(**given)
    look = make_look(sampler, look, psi=1.0, noise=noise, label=label)
    write_contributions(targets, sampler, look, seeds, path)
    click.echo(path)


@main.command("interpolate")
@network_options
@click.option("--seeds", type=Seeds(most=1000), required=True, help="Such as 0-4,33: the way of the video.")
@click.option(
    "--space",
    type=click.Choice(SPACES),
    default="z",
    help="z: arcs between latents (slerp); w: lines between styles (lerp).",
)
@click.option("--loop/--no-loop", default=True, help="Go back from the last seed to the first.")
@click.option("--seconds", type=Finite(0, 1e6, least_open=True), default=2, help="Time from one seed to the next.")
@click.option(
    "--fps", type=Whole(1, max(MOST_FPS.values())), default=30, help="Frames a second; of GIF files at most 50."
)
@click.option(
    "--grid",
    type=Numbers(Whole(1, 1000), 2),
    default="1,1",
    metavar="COLUMNS,ROWS",
    help="Several interpolations at once, which share the seeds out.",
)
@click.option(
    "--scale", type=Whole(1, 8192), help="Enlarge pixels to squares.  [default: so that sides have 256 pixels]"
)
@click.option("--background", help="Colour behind transparent images, such as white or #808080.  [default: white]")
@click.option("--format", "suffix", type=click.Choice(["mp4", "gif"]), default="mp4", help="H.264, or GIF.")
@options(psi_option, cutoff_option, noise_option, class_option, outdir_option)
@one_line_errors
def make_interpolation(
    seeds, space, loop, seconds, fps, grid, scale, background, suffix, outdir, psi, cutoff, noise, label, **given
):
    """Make a video that goes from seed to seed.

    With --noise=random, every frame has noise of its own. A video that is there is not overwritten.
    """
    path = outdir / f"interpolation.{suffix}"
    check_video(path, fps)
    check_new_file(path)
    check_colour(background or "white")
    sampler, look = open_sampler(**given)
    if background and sampler.num_channels != 4:
        raise ValueError("--background has no effect on a network whose images are not transparent; leave it out.")
    look = make_look(sampler, look, psi, cutoff=cutoff, noise=noise, label=label)
    video = Interpolation(sampler, look, seeds, round(seconds * fps), space=space, loop=loop, grid=grid)
    video.save(path, fps, scale, background or "white")
    click.echo(path)


main.add_command(make_edits)
main.add_command(make_blend)


@main.command("convergence")
@click.option(
    "--network",
    "runs",
    type=UserPath(path_type=Path),
    multiple=True,
    required=True,
    metavar="RUN",
    help="A run; repeatable, to compare several.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="A result, such as fid50k or ls_z; repeatable.  [default: all there are]",
)
@outdir_option
@one_line_errors
def make_convergence(runs, metrics, outdir):
    """Draw metrics of runs over training (Figure 9).

    The numbers are written beside the figure, as CSV. What was measured in training is there already;
    python run_metrics.py --network=RUN --all-snapshots measures more.
    """
    path = outdir / "convergence.png"
    write_convergence(runs, path, metrics)
    click.echo(path)

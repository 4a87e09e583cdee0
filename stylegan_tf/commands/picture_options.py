"""What the verbs of run_generator.py share: options, and the sampler and look that they ask for."""

from pathlib import Path

import click

from dnnlib.cli import MINIBATCH, NUM_GPUS, Finite, UserPath, Whole, options
from stylegan_tf.editing.projected import read_projected
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.networks.families import usual_truncation
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import NOISES, Sampler
from stylegan_tf.runtime.devices import count_gpus, make_strategy
from stylegan_tf.runtime.hosts import Hosts
from stylegan_tf.runtime.precision import PRECISIONS, dtype_policy, use_precision
from stylegan_tf.runtime.processor import remark_on_precision

# What an option is called is a parameter of `open_sampler` or `Look`.
network_options = options(
    click.option(
        "--network", type=UserPath(), required=True, metavar="NETWORK", help="Run, snapshot, .keras, .pkl, URL or name."
    ),
    click.option("--num-gpus", type=NUM_GPUS, help="GPUs to use; 0 for the CPU.  [default: all there are]"),
    click.option("--minibatch", type=MINIBATCH, help="Images at a time on each GPU.  [default: by the size]"),
    click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", help="What convolutions compute in."),
    click.option("--cache-dir", type=UserPath(), default="cache", help="Folder of downloaded networks."),
)
psi_option = click.option(
    "--truncation-psi",
    "psi",
    type=Finite(),
    help=f"Strength of truncation; 1: none.  [default: {usual_truncation('psi')}; 1 for networks without styles]",
)
cutoff_option = click.option(
    "--truncation-cutoff",
    "cutoff",
    type=Whole(0, 1000),
    help=f"Layers that are truncated, the first ones.  [default: {usual_truncation('cutoff')}]",
)
noise_option = click.option("--noise", type=click.Choice(NOISES), default="fixed", help="Noise of the layers.")
class_option = click.option(
    "--class", "label", help="Name or number of a class, for conditional networks.  [default: each in turn]"
)
outdir_option = click.option(
    "--outdir", type=UserPath("folder", path_type=Path), required=True, help="Folder to write to."
)


def open_sampler(network, num_gpus, minibatch, precision, cache_dir):
    """The Sampler of a user's options, and the Look that says what it computes with."""
    target = find_targets(network, cache_dir=cache_dir)[-1]
    use_precision(precision)
    num_gpus = count_gpus() if num_gpus is None else num_gpus
    if remark := remark_on_precision(precision, num_gpus):
        click.echo(remark, err=True)
    with make_strategy(num_gpus, Hosts()).scope():
        generator = load_generator(target.path, dtype_policy(precision))
    sampler = Sampler(generator, minibatch)
    return sampler, Look(str(target.path), sampler.usual_psi, sampler.truncated_layers, precision=precision)


def make_look(sampler, look, psi=None, cutoff=None, label=None, **changes):
    """The Look of a user's options, made of that of `open_sampler`; where they do not say how to truncate, as is usual
    for the network."""
    psi = sampler.usual_psi if psi is None else psi
    cutoff = sampler.truncated_layers if cutoff is None else cutoff
    label = None if label is None else sampler.find_class(label)
    return look._replace(psi=psi, cutoff=cutoff, label=label, **changes)


w_option = click.option(
    "--w", "folder", type=UserPath(path_type=Path), help="Folder of run_projector.py: its pictures, not seeds."
)


def check_source(folder, seeds, option):
    """ValueError unless either --w or the seeds of an option are given."""
    if (folder is None) == (seeds is None):
        raise ValueError(f"Give {option} or --w, one of them.")


def read_w(folder, sampler):
    """The Projected of --w; None for seeds."""
    if folder is None:
        return None
    projected = read_projected(folder)
    projected.check(sampler.generator)
    known = [{fact.get("network sha256"), fact.get("tuned network sha256")} for fact in projected.facts]
    if not all(sampler.network_hash in hashes for hashes in known):
        click.echo(f"{folder} was found in another network of the same size; its images are others here.", err=True)
    return projected


def save_figure(figure, outdir, given, **changes):
    """Writes a figure to OUTDIR/NAME.png.

    Args:
        figure: Figure.
        outdir: Path.
        given: Arguments of `open_sampler`, or what it returned.
        **changes: Those of `make_look`.
    """
    sampler, look = open_sampler(**given) if isinstance(given, dict) else given
    path = outdir / f"{figure.name}.png"
    figure.save(path, sampler, make_look(sampler, look, **changes))
    click.echo(path)

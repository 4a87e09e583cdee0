"""Measures networks: python run_metrics.py --metric=ls --network=results/00000-digits-f-cpu"""

import json

import click

import dnnlib.quiet_tensorflow  # noqa: F401
from dnnlib.cli import INTERRUPTED, MINIBATCH, NUM_GPUS, SEED, Command, Finite, UserPath, Whole, one_line_errors
from metrics import METRICS
from metrics.evaluate import PAPER, evaluate, resolve
from metrics.options import CROPS, DEGENERATE, SVMS
from stylegan_tf.files.published import PUBLISHED
from stylegan_tf.files.shipped_networks import SHIPPED
from stylegan_tf.runtime.devices import count_gpus


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--metric",
    "names",
    type=click.Choice([*METRICS, "paper"]),
    multiple=True,
    required=True,
    metavar="NAME",
    help=f"What to measure; repeatable. paper is {', '.join(PAPER)}; the others: "
    f"{', '.join(name for name in METRICS if name not in PAPER)}.",
)
@click.option(
    "--network",
    type=UserPath(),
    required=True,
    metavar="NETWORK",
    help="A run (for its newest snapshot), a snapshot, a .keras, .pkl or .pt file, the URL of a .pkl or .pt, or the "
    f"name of a network that comes with the project ({', '.join(SHIPPED)}) or is published: {', '.join(PUBLISHED)}.",
)
@click.option("--all-snapshots", is_flag=True, help="Measure every snapshot of the run.")
@click.option("--dataset", help="Data set: a folder in --data-dir, or its path.  [default: the run's]")
@click.option("--data-dir", type=UserPath(), help="Folder of data sets.  [default: the run's, or data]")
@click.option("--num-gpus", type=NUM_GPUS, help="GPUs to use; 0 for the CPU.  [default: all there are]")
@click.option("--minibatch", type=MINIBATCH, help="Images at a time on each GPU.  [default: by the resolution]")
@click.option("--num-samples", type=Whole(2, 10**8), help="Generated images.  [default: the metric's]")
@click.option("--seed", type=SEED, help="Seed of everything random.  [default: 0]")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the real images.  [default: the run's]")
@click.option(
    "--crop", type=click.Choice(CROPS), help="Path lengths: of the face only.  [default: face for ffhq and celebahq]"
)
@click.option("--truncation-psi", type=Finite(), help="Truncate the images that are compared with real ones.")
@click.option("--svm", type=click.Choice(SVMS), help="Solver of linear separability.  [default: primal]")
@click.option(
    "--degenerate",
    type=click.Choice(DEGENERATE),
    help="Attributes of one class only: left out, or perfect as in the original.  [default: skip]",
)
@click.option(
    "--classifiers", type=UserPath(), metavar="DIR", help="Folder of attribute classifiers.  [default: the data set's]"
)
@click.option("--inception", type=UserPath(), metavar="PATH", help="Local copy of classify_image_graph_def.pb.")
@click.option("--vgg16", type=UserPath(), metavar="PATH", help="Local copy of torchvision's vgg16-397923af.pth.")
@click.option("--lpips", type=UserPath(), metavar="PATH", help="Local copy of vgg.pth of LPIPS 0.1.")
@click.option(
    "--cache-dir", type=UserPath("folder"), help="Folder of weights, features and unfinished work.  [default: cache]"
)
@click.option("--outdir", type=UserPath("folder"), help="Folder of metrics.jsonl.  [default: the run's]")
@click.option("--dry-run", is_flag=True, help="Print what would be measured, and stop.")
@one_line_errors
def main(dry_run, num_gpus, **options):
    """Measure a network: FID, perceptual path length, linear separability and more.

    Each result is a line of metrics.jsonl. What is interrupted, also by kill -9, goes on where it was when the same
    command is given again. The same seed gives the same value with any minibatch and any number of GPUs.
    """
    request = resolve(num_gpus=count_gpus() if num_gpus is None else num_gpus, **options)
    if dry_run:
        request.check()
        click.echo(json.dumps(request.describe(), indent=2))
        return
    try:
        evaluate(request)
    except KeyboardInterrupt:
        click.echo("Stopped; the same command goes on from here.", err=True)
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()

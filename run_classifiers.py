"""Trains attribute classifiers for linear separability: python run_classifiers.py --dataset=celebahq --num-gpus=8"""

import json
from dataclasses import asdict, replace

import click

import dnnlib.quiet_tensorflow  # noqa: F401
from datasets.opening import is_created, open_dataset, split_path
from dnnlib.cli import MINIBATCH, NUM_GPUS, SEED, Command, Finite, UserPath, one_line_errors
from dnnlib.files import check_can_create
from metrics.attribute_classifier import classifiers_folder
from metrics.classifier_data import make_jobs
from metrics.classifier_training import accuracies, settings_of, train_classifiers
from stylegan_tf.runtime.devices import count_gpus


def parse_attributes(ctx, param, value):
    """The names in A,B,C; None for all attributes."""
    return None if value is None else [name.strip() for name in value.split(",")]


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--dataset", required=True, help="Labelled data set: a folder in --data-dir, its path, digits or avatars."
)
@click.option("--data-dir", type=UserPath(), help="Folder of data sets.  [default: data]")
@click.option(
    "--outdir", type=UserPath("folder"), help="Folder for the classifiers.  [default: cache/classifiers/DATASET]"
)
@click.option(
    "--attributes", metavar="A,B,...", callback=parse_attributes, help="Attributes to classify.  [default: all]"
)
@click.option("--shared-trunk", is_flag=True, help="One network for all attributes: faster, ours and not the paper's.")
@click.option("--num-gpus", type=NUM_GPUS, help="GPUs, one classifier on each; 0 for the CPU.  [default: all]")
@click.option("--minibatch", type=MINIBATCH, help="Images in a minibatch.  [default: the data set's]")
@click.option(
    "--total-kimg",
    type=Finite(0, 1e9, least_open=True),
    help="Training images of each classifier, in thousands.  [default: the data set's]",
)
@click.option("--seed", type=SEED, help="Seed of everything random.  [default: 0]")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the images.  [default: the data set's]")
@click.option("--dry-run", is_flag=True, help="Print the resolved settings and stop.")
@one_line_errors
def main(dataset, data_dir, outdir, attributes, shared_trunk, num_gpus, dry_run, **options):
    """Train attribute classifiers.

    One network for each label column of a data set, or for each of --attributes, is written to the folder as .keras,
    with its accuracy on held-out images in the .json beside it. Ctrl-C keeps those that are finished; the same command
    goes on with the others.
    """
    dataset, data_dir = split_path(dataset, data_dir)
    data_dir = data_dir or "data"
    given = {name: value for name, value in options.items() if value is not None}
    settings = replace(settings_of(dataset, shared_trunk), **given)
    folder = outdir or str(classifiers_folder("cache", dataset))
    num_gpus = count_gpus() if num_gpus is None else num_gpus
    check_can_create(folder)
    if dry_run:
        if is_created(dataset, data_dir):
            make_jobs(open_dataset(dataset, data_dir, max_label_size="full"), attributes, shared_trunk)
        where = {"dataset": dataset, "data_dir": data_dir, "outdir": folder, "attributes": attributes}
        click.echo(
            json.dumps(where | {"shared_trunk": shared_trunk, "num_gpus": num_gpus} | asdict(settings), indent=2)
        )
        return
    data = open_dataset(dataset, data_dir, max_label_size="full")
    what = "One network for all attributes, which is ours and not the paper's," if shared_trunk else "One network each"
    click.echo(f"{what} sees {settings.total_kimg:g} kimg of {data.folder}; finished ones stay in {folder}.")
    print_table(train_classifiers(data, folder, settings, attributes, num_gpus, shared_trunk))


def print_table(metadata):
    """Prints the accuracy of each attribute or factor on held-out images beside what guessing gives."""
    rows = [row for item in metadata for row in accuracies(item)]
    width = max(len("attribute"), *(len(name) for name, _, _ in rows))
    click.echo(f"\n{'attribute':<{width}}  accuracy  guessing    ({metadata[0]['held_out_images']:,} held-out images)")
    for name, accuracy, larger in rows:
        click.echo(f"{name:<{width}}  {accuracy:8.2%}  {larger:8.2%}")


if __name__ == "__main__":
    main()

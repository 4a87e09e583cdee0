"""Makes, checks and shows data sets: python dataset_tool.py create-from-images data/custom ~/images"""

import functools
import os
import time

# Hides TensorFlow's start-up messages, which a CPU user would take for errors; 0 shows them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click

from datasets import alignment, celeba, cifar, ffhq, hdf5, images, lsun, mnist, reshard, svhn, views
from datasets import verify as verification
from datasets.convert import create_dataset, plan_dataset
from datasets.digits import digits
from datasets.errors import DatasetError
from datasets.pyramid import ENCODINGS, describe_shape
from dnnlib.cli import Group, fail
from dnnlib.files import check_new_folder

MAX_LISTED = 20


@click.group(cls=Group, context_settings={"show_default": True, "max_content_width": 110})
def main():
    """Make, check and look at data sets for run_training.py.

    A data set is a folder of multi-resolution TFRecords, data/NAME, in the original's format. It is written under
    NAME.partial and renamed when it is complete.
    """


def command(function):
    """A command of the tool; wrong input ends it with exit code 2 and one line."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (DatasetError, OSError, ValueError) as error:
            fail(error)

    return main.command(name=function.__name__.replace("_", "-"))(run)


WORKERS = click.option("--workers", type=click.IntRange(min=1), help="Worker processes.  [default: one a core]")
ON_ERROR = click.option(
    "--on-error",
    type=click.Choice(["stop", "skip"]),
    default="stop",
    help="What to do about a file that cannot be used; skipped ones are listed at the end.",
)
CREATE_OPTIONS = (
    click.option("--max-images", type=click.IntRange(min=1), help="Take the first images only.  [default: all]"),
    click.option(
        "--encoding",
        type=click.Choice(ENCODINGS),
        default="raw",
        help="raw is the original's format; png and jpeg take less disk and more time to read.",
    ),
    click.option("--quality", type=click.IntRange(1, 100), default=95, help="Quality of --encoding=jpeg."),
    click.option("--shards", type=click.IntRange(min=1), default=1, help="Files that each level is spread over."),
    WORKERS,
    ON_ERROR,
    click.option("--dry-run", is_flag=True, help="Check the source, say what would be made, and stop."),
)


def create_command(shuffle=True):
    """Decorates a function that returns a Source: a command that creates the data set OUT from it."""

    def decorate(function):
        @functools.wraps(function)
        def run(out, dry_run, shuffle, max_images, encoding, quality, shards, workers, on_error, **source_options):
            check_new_folder(out)  # before the source is looked through, which can take minutes
            source = function(**source_options)
            options = {"shuffle": shuffle, "max_images": max_images, "encoding": encoding, "quality": quality}
            options |= {"on_error": on_error}
            if dry_run:
                describe_plan(out, plan_dataset(out, source, **options))
            else:
                create(out, source, shards=shards, workers=workers, **options)

        for option in reversed(CREATE_OPTIONS):
            run = option(run)
        order = "Store the images in the original's shuffled order, or in the source's."
        run = click.option("--shuffle/--no-shuffle", default=shuffle, help=order)(run)
        return command(click.argument("out", type=click.Path())(run))

    return decorate


def common_option(name):
    """The value of a common option, for a source that needs it too."""
    return click.get_current_context().params[name]


def create(out, source, **options):
    """Creates a data set and says what came of it."""
    start = time.perf_counter()
    created = create_dataset(out, source, **options)
    minutes, seconds = divmod(round(time.perf_counter() - start), 60)
    name = os.path.basename(os.path.normpath(out))
    click.echo(f"Created {out} with {created.num_images:,} images in {minutes} min {seconds} s.")
    report_skipped(created.skipped, f"; all are in {os.path.join(out, name)}-skipped.txt")
    click.echo(f"Train on it: python run_training.py --dataset={name}{data_dir_option(out)}")


def data_dir_option(out):
    """The option that run_training.py needs to find `out`, with a space before it, or nothing."""
    folder = os.path.dirname(os.path.normpath(out)) or "."
    return "" if folder == "data" else f" --data-dir={folder}"


def describe_plan(out, plan):
    """Says what would be created."""
    labels = f"{plan.labels.shape[1]} label columns" if plan.labels is not None else "no labels"
    click.echo(
        f"Would create {out}: {len(plan.order):,} images of {describe_shape(plan.shape)}, {labels}, "
        f"about {plan.num_bytes / 2**20:,.0f} MiB."
    )


def report_skipped(skipped, where=""):
    """Lists what was skipped, and why."""
    if skipped:
        click.echo(f"Skipped {len(skipped):,} that could not be used{where}:")
        for name, reason in skipped[:MAX_LISTED]:
            click.echo(f"  {name}: {reason}")
        if len(skipped) > MAX_LISTED:
            click.echo(f"  and {len(skipped) - MAX_LISTED:,} more")


SOURCE = click.argument("source", type=click.Path())
FOLDER = click.argument("folder", type=click.Path())


@create_command()
@SOURCE
@click.option("--resolution", type=click.IntRange(min=4), help="Resize to this side.  [default: as they are]")
@click.option("--crop", type=click.Choice(["center", "none"]), default="none", help="Cut out the largest square.")
@click.option("--resize", type=click.Choice(["box", "lanczos"]), default="lanczos", help="Filter of --resolution.")
@click.option("--background", help="Colour to lay transparent images on, such as white.  [default: refuse them]")
@click.option("--labels", type=click.Choice(["auto", "none"]), default="auto", help="Whether to look for labels.")
def create_from_images(source, resolution, crop, resize, background, labels):
    """From SOURCE: a folder (with the folders in it), a .zip, or a text file with one path a line.

    Labels come from a dataset.json in SOURCE, {"labels": [["a/1.png", 0], ...]}, else from folders named like classes.
    """
    return images.from_images(
        source,
        resolution=resolution,
        crop=crop,
        resize=resize,
        background=background,
        labels=labels,
        on_error=common_option("on_error"),
    )


@create_command()
@SOURCE
@click.option("--metadata", type=click.Path(), help="ffhq-dataset-v2.json, which tells the split.")
@click.option("--split", type=click.Choice(["all", "training", "validation"]), default="all", help="Part to take.")
def create_ffhq(source, metadata, split):
    """From FFHQ's images1024x1024 (or thumbnails128x128), folder or zip."""
    return ffhq.ffhq(source, metadata=metadata, split=split)


@create_command()
@SOURCE
@click.option("--attributes", type=click.Path(), help="The list of 40 attributes, which become labels.")
def create_celebahq(source, attributes):
    """From CelebA-HQ's 30,000 images, folder or zip."""
    return celeba.celebahq(source, attributes=attributes)


@create_command()
@SOURCE
def create_celeba(source):
    """From CelebA's img_align_celeba, whose faces are cut out as 128x128."""
    return celeba.celeba(source)


@create_command(shuffle=False)
@click.argument("database", type=click.Path())
@click.option("--resolution", type=click.IntRange(min=4), default=256, help="Side to resize the middle square to.")
def create_lsun(database, resolution):
    """From an LSUN category, the folder of an LMDB database."""
    return lsun.lsun(database, resolution=resolution, max_images=common_option("max_images"))


@create_command(shuffle=False)
@click.argument("database", type=click.Path())
@click.option("--width", type=click.IntRange(min=4), default=512, help="Width, and side of the square.")
@click.option("--height", type=click.IntRange(min=4), default=384, help="Height; above and below is black.")
def create_lsun_wide(database, width, height):
    """From an LSUN category of wide images, such as cars, letterboxed into squares."""
    return lsun.lsun_wide(database, width=width, height=height, max_images=common_option("max_images"))


@create_command()
@FOLDER
def create_mnist(folder):
    """From MNIST's two training files, padded to 32x32."""
    return mnist.mnist(folder)


@create_command()
@FOLDER
@click.option("--num-images", type=click.IntRange(min=1), default=1_000_000, help="Images to compose.")
@click.option("--seed", type=click.IntRange(min=0), default=123, help="Seed of the composition.")
def create_mnistrgb(folder, num_images, seed):
    """From MNIST's training images, three random ones as red, green and blue."""
    return mnist.mnistrgb(folder, num_images=num_images, seed=seed)


@create_command()
@FOLDER
def create_cifar10(folder):
    """From cifar-10-batches-py, the training images of CIFAR-10's Python version."""
    return cifar.cifar10(folder)


@create_command()
@FOLDER
def create_cifar100(folder):
    """From cifar-100-python, the training images of CIFAR-100's Python version with their 100 fine labels."""
    return cifar.cifar100(folder)


@create_command()
@click.argument("path", type=click.Path())
def create_svhn(path):
    """From SVHN's train_32x32.mat, or the folder that holds it."""
    return svhn.svhn(path)


@create_command()
@click.argument("path", type=click.Path())
def create_from_hdf5(path):
    """From a file in Progressive GAN's HDF5 format, with the labels beside it."""
    return hdf5.from_hdf5(path)


@create_command()
def create_digits():
    """From scikit-learn's 1,797 handwritten digits, which come with the package."""
    return digits()


@command
@click.argument("out", type=click.Path())
@click.argument("pictures", type=click.Path())
@click.argument("landmarks", type=click.Path())
@click.option("--output-size", type=click.IntRange(min=4), default=1024, help="Side of the aligned faces.")
@click.option("--transform-size", type=click.IntRange(min=4), default=4096, help="Side of the intermediate image.")
@WORKERS
@ON_ERROR
def align_faces(out, pictures, landmarks, output_size, transform_size, workers, on_error):
    """Cut faces out of PICTURES as FFHQ does, by 68 LANDMARKS each (a .json file), into PNG files in OUT.

    LANDMARKS is {"picture.jpg": [[x, y], ... 68 points], ...}, in pixels of the upright picture, or a list of such
    lists for several faces; or FFHQ's ffhq-dataset-v2.json. Any detector of the usual 68 points can write it.
    """
    aligned = alignment.align_faces(
        out,
        pictures,
        landmarks,
        output_size=output_size,
        transform_size=transform_size,
        workers=workers,
        on_error=on_error,
    )
    click.echo(f"Cut out {aligned.num_faces:,} faces to {out}; {aligned.contact_sheet} shows some.")
    if aligned.num_without_landmarks:
        click.echo(f"{aligned.num_without_landmarks:,} pictures have no landmarks.")
    report_skipped(aligned.skipped)


DATASET = click.argument("dataset", type=click.Path())
LEVEL = click.option("--resolution", type=click.IntRange(min=4), help="Level to take.")


@command
@DATASET
def info(dataset):
    """Say what a data set holds."""
    click.echo(views.describe(dataset))


@command
@DATASET
def verify(dataset):
    """Prove a data set good: every record, every level, labels and checksums; exit code 1 if it is not."""
    result = verification.verify(dataset)
    for line in (*result.notes, *result.problems):
        click.echo(line)
    if result.problems:
        click.echo(f"{dataset} is damaged.")
        raise SystemExit(1)
    click.echo(f"{dataset} is good: {result.num_images:,} images.")


@command
@DATASET
@click.argument("out", type=click.Path())
@LEVEL
@click.option("--max-images", type=click.IntRange(min=1), help="Take the first images only.  [default: all]")
def extract(dataset, out, resolution, max_images):
    """Write a data set's images as PNG files to OUT, with a dataset.json if there are labels."""
    count = views.extract(dataset, out, resolution=resolution, max_images=max_images)
    click.echo(f"Wrote {count:,} images to {out}.")


@command
@click.argument("first", type=click.Path())
@click.argument("second", type=click.Path())
def compare(first, second):
    """Compare two data sets image by image, whatever their encoding and files; exit code 1 if they differ."""
    differences = verification.compare(first, second)
    for line in differences:
        click.echo(line)
    if differences:
        raise SystemExit(1)
    click.echo(f"{first} and {second} hold the same images and labels.")


@command
@DATASET
@click.option("--output", type=click.Path(), default="preview.png", help="PNG file to write.")
@LEVEL
def preview(dataset, output, resolution):
    """Draw a contact sheet of the first images."""
    views.preview(dataset, output, resolution=resolution)
    click.echo(f"Wrote {output}.")


@command
@DATASET
@click.argument("out", type=click.Path())
@click.option("--shards", type=click.IntRange(min=1), required=True, help="Files of each level; 1 joins them.")
def shard(dataset, out, shards):
    """Copy a data set to OUT with its levels split into several files, or joined."""
    reshard.reshard(dataset, out, shards)
    click.echo(f"Wrote {out}.")


if __name__ == "__main__":
    main()

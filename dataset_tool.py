"""Makes, checks and shows data sets: python dataset_tool.py create-from-images data/custom ~/images"""

from pathlib import Path

import click

import dnnlib.quiet_tensorflow  # noqa: F401
from datasets import alignment, avatars, celeba, cifar, ffhq, hdf5, image_folder, lsun, mnist, reshard, svhn, views
from datasets import verify as verification
from datasets.convert import raw_bytes
from datasets.creating import common_option, creates
from datasets.digits import digits
from datasets.errors import DatasetError
from datasets.face_mesh import CONFIDENCE, LEAST_SIDE, find_landmarks
from datasets.parameters import (
    ASPECT,
    BACKGROUND,
    DATABASE,
    DATASET,
    FILE,
    FOLDER,
    LEVELS,
    MOST_SIDE,
    ON_ERROR,
    OUT,
    PATH,
    SHEET,
    SIDE,
    SOURCE,
    WORKERS,
    check_name,
)
from datasets.summary import describe_skipped
from dnnlib.cli import SEED, Finite, Group, UserPath, Whole, one_line_errors
from dnnlib.files import check_room


@click.group(cls=Group, invoke_without_command=True, context_settings={"show_default": True, "max_content_width": 110})
@click.pass_context
def main(context):
    """Make, check and look at data sets for run_training.py.

    A data set is a folder, data/NAME, of multi-resolution TFRecords in the format of the original StyleGAN. It is
    written as NAME.partial and renamed when it is complete. For example:

    \b
        python dataset_tool.py create-from-images data/cats ~/cats --resolution=256 --crop=center
        python dataset_tool.py preview data/cats
        python run_training.py --dataset=cats

    COMMAND --help says what a command needs.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def command(function):
    """A command of the tool, named like the function."""
    return main.command(name=function.__name__.replace("_", "-"))(one_line_errors(function))


@command
@creates(
    SOURCE,
    click.option("--resolution", **SIDE, help="Reduce the images to this side.  [default: as they are]"),
    click.option(
        "--crop",
        type=click.Choice(["center", "none"]),
        default="none",
        help="Cut the largest square out of the middle, or refuse images that are not square.",
    ),
    ASPECT,
    click.option("--resize", type=click.Choice(["box", "lanczos"]), help="Filter of --resolution.  [default: lanczos]"),
    BACKGROUND,
    click.option(
        "--channels",
        type=click.Choice(["auto", "rgba"]),
        default="auto",
        help="auto: greyscale if all files are, else RGB. rgba: keep transparency, as of logos or sprites.",
    ),
    click.option("--labels", type=click.Choice(["auto", "none"]), default="auto", help="Look for labels, or do not."),
    LEVELS,
)
def create_from_images(source, resolution, crop, aspect, resize, background, channels, labels, value_range):
    """From a folder of images, a .zip, or a list of files.

    SOURCE is a folder (with all folders in it), a .zip, or a text file with the path of an image on each line.

    Labels come from a file dataset.json in SOURCE, {"labels": [["a/1.png", 0], ...]}, or else from the folders: if all
    images are in two folders or more, these are the classes. docs/datasets.md tells the rules.
    """
    if resize and not resolution:
        raise DatasetError(f"--resize={resize} has no effect without --resolution; leave it out.")
    if aspect and not resolution:
        raise DatasetError("--aspect squeezes pictures to squares; say with --resolution of which side.")
    if channels == "rgba" and background:
        raise DatasetError("--channels=rgba keeps transparent pixels, and --background paints them; give one of both.")
    if channels == "rgba" and common_option("encoding") == "jpeg":
        raise DatasetError("JPEG files have no transparency; give --channels=rgba with --encoding=png or raw.")
    return image_folder.from_images(
        source,
        resolution=resolution,
        crop=crop,
        aspect=aspect,
        resize=resize or "lanczos",
        background=background,
        channels=4 if channels == "rgba" else None,
        labels=labels,
        value_range=value_range,
        max_images=common_option("max_images"),
        on_error=common_option("on_error"),
    )


@command
@creates(
    SOURCE,
    click.option("--metadata", type=FILE, help="ffhq-dataset-v2.json, to split by.  [default: the published split]"),
    click.option("--split", type=click.Choice(["all", "training", "validation"]), default="all", help="Part to take."),
)
def create_ffhq(source, metadata, split):
    """From FFHQ's images1024x1024 or thumbnails128x128.

    SOURCE is the folder, or a .zip of it; the files are called 00000.png to 69999.png.
    """
    if metadata and split == "all":
        raise DatasetError("--metadata has no effect without --split, which it decides; leave it out.")
    return ffhq.ffhq(source, metadata=metadata, split=split)


@command
@creates(
    SOURCE,
    click.option(
        "--attributes", type=FILE, help="The list of 40 attributes, which become labels.  [default: no labels]"
    ),
)
def create_celebahq(source, attributes):
    """From CelebA-HQ's 30,000 images.

    SOURCE is a folder or a .zip; the files are called 0.jpg to 29999.jpg, or .png.
    """
    return celeba.celebahq(source, attributes=attributes)


@command
@creates(SOURCE)
def create_celeba(source):
    """From CelebA's aligned faces, cut out as 128x128.

    SOURCE is the folder img_align_celeba, or a .zip of it.
    """
    return celeba.celeba(source)


@command
@creates(
    DATABASE,
    click.option("--resolution", **SIDE, default=256, help="Side to resize the middle squares to."),
    shuffle=False,
)
def create_lsun(database, resolution):
    """From an LSUN category: the squares in the middle.

    DATABASE is the folder of a category, an LMDB database.
    """
    return lsun.lsun(database, resolution=resolution, max_images=common_option("max_images"))


@command
@creates(
    DATABASE,
    click.option("--width", **SIDE, default=512, help="Width of the images, and side of the squares."),
    click.option("--height", type=Whole(4, MOST_SIDE), default=384, help="Height of the images between the bars."),
    shuffle=False,
)
def create_lsun_wide(database, width, height):
    """From an LSUN category: wide images between black bars.

    DATABASE is the folder of a category, such as cars, an LMDB database.
    """
    return lsun.lsun_wide(database, width=width, height=height, max_images=common_option("max_images"))


@command
@creates(FOLDER)
def create_mnist(folder):
    """From MNIST's training images, padded to 32x32.

    FOLDER holds train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz. The digits become labels.
    """
    return mnist.mnist(folder)


@command
@creates(
    FOLDER,
    click.option("--num-images", type=Whole(1, 10**8), default=1_000_000, help="Images to compose."),
    click.option("--seed", type=SEED, default=123, help="Seed of the composition."),
)
def create_mnistrgb(folder, num_images, seed):
    """From MNIST: random digits as red, green and blue.

    FOLDER holds train-images-idx3-ubyte, with or without .gz.
    """
    return mnist.mnistrgb(folder, num_images=num_images, seed=seed)


@command
@creates(FOLDER)
def create_cifar10(folder):
    """From CIFAR-10's training images.

    FOLDER is cifar-10-batches-py, the "python version". The classes become labels.
    """
    return cifar.cifar10(folder)


@command
@creates(FOLDER)
def create_cifar100(folder):
    """From CIFAR-100's training images.

    FOLDER is cifar-100-python, the "python version". The 100 fine classes become labels.
    """
    return cifar.cifar100(folder)


@command
@creates(PATH)
def create_svhn(path):
    """From SVHN's cropped digits.

    PATH is train_32x32.mat, or the folder that holds it. The digits become labels.
    """
    return svhn.svhn(path)


@command
@creates(PATH)
def create_from_hdf5(path):
    """From a file in Progressive GAN's HDF5 format.

    PATH is NAME.h5. Labels come from NAME-labels.npy, if it is beside it.
    """
    return hdf5.from_hdf5(path)


@command
@creates()
def create_digits():
    """From scikit-learn's 1,797 handwritten digits.

    They come with the package and need no download. The digits become labels.
    """
    return digits()


@command
@creates(
    click.option("--style", default=avatars.STYLE, help="Style of DiceBear; its licence must be free."),
    click.option("--count", type=Whole(1, 10**7), default=avatars.COUNT, help="Avatars to draw."),
    click.option("--resolution", **(SIDE | {"type": Whole(4, 1024)}), default=avatars.RESOLUTION, help="Their side."),
    shuffle=False,
)
def create_avatars(style, count, resolution):
    """From DiceBear's avatars, drawn here.

    They need no download. What each was drawn from, such as hair, glasses and the colour of the skin, becomes labels.
    """
    count = min(count, common_option("max_images") or count)
    if common_option("encoding") == "raw":
        check_room(common_option("out"), count * raw_bytes(resolution, 3))
    return avatars.avatars(style, count, resolution, workers=common_option("workers"))


@command
@OUT
@click.argument("pictures", type=UserPath())
@click.argument("landmarks", type=FILE, required=False)
@click.option(
    "--detector",
    type=click.Choice(["mesh"]),
    help="Find the faces, and write OUT-landmarks.json.  [default: LANDMARKS]",
)
@click.option("--confidence", type=Finite(0, 1), help=f"Of --detector: the least of a face.  [default: {CONFIDENCE}]")
@click.option(
    "--min-face", type=Whole(1, MOST_SIDE), help=f"Of --detector: least side of a face.  [default: {LEAST_SIDE} pixels]"
)
@click.option("--output-size", type=Whole(4, MOST_SIDE), default=1024, help="Side of the aligned faces.")
@click.option("--transform-size", type=Whole(4, MOST_SIDE), default=4096, help="Side at which they are sampled.")
@BACKGROUND
@WORKERS
@ON_ERROR
def align_faces(
    out, pictures, landmarks, detector, confidence, min_face, output_size, transform_size, background, workers, on_error
):
    """Cut faces out of pictures as FFHQ does.

    The faces in the folder PICTURES become PNG files in the folder OUT, from which create-from-images makes a data set.

    LANDMARKS is a .json file with 68 points of each face, {"picture.jpg": [[x, y], ... 68 points], ...}, in pixels of
    the upright picture, or a list of such lists for several faces; or FFHQ's ffhq-dataset-v2.json. Any detector of the
    usual 68 points can write it. With --detector=mesh, which MediaPipe's networks are, nobody has to: leave LANDMARKS
    out, and look at OUT-landmarks.json and the contact sheet afterwards.
    """
    if (landmarks is None) == (detector is None):
        raise ValueError("Give LANDMARKS or --detector=mesh, one of them.")
    if detector is None and (confidence, min_face) != (None, None):
        raise ValueError("--confidence and --min-face are of --detector; leave them out.")
    if detector:
        landmarks = Path(out).with_name(f"{Path(out).name}-landmarks.json")
        left_out = find_landmarks(landmarks, pictures, background, confidence, min_face, workers, on_error)
        click.echo("\n".join([f"Wrote {landmarks}.", *describe_skipped(left_out)]))
    aligned = alignment.align_faces(
        out,
        pictures,
        landmarks,
        output_size=output_size,
        transform_size=transform_size,
        background=background,
        workers=workers,
        on_error=on_error,
    )
    click.echo(f"Cut out {aligned.num_faces:,} faces to {out}; {aligned.contact_sheet} shows some.")
    if aligned.num_without_landmarks:
        click.echo(f"Left out, as they have no landmarks: {aligned.num_without_landmarks:,} of the pictures.")
    for line in describe_skipped(aligned.skipped):
        click.echo(line)


@command
@DATASET
def info(dataset):
    """Say what a data set holds.

    DATASET is its folder, data/NAME.
    """
    click.echo(views.describe(dataset))


@command
@DATASET
def verify(dataset):
    """Prove a data set good, or say what is wrong with it.

    DATASET is its folder, data/NAME. Every file is compared with its checksum, every record is read, every resolution
    is compared with the largest, and the labels are counted. The exit code is 1 if something is wrong.
    """
    result = verification.verify(dataset)
    for line in (*result.problems, *result.notes):
        click.echo(line)
    if result.problems:
        click.echo(f"{dataset} is not good.")
        raise SystemExit(1)
    click.echo(f"{dataset} is good: {result.num_images:,} images.")


@command
@DATASET
@OUT
@click.option("--resolution", type=Whole(4, MOST_SIDE), help="Resolution to take.  [default: the largest]")
@click.option("--max-images", type=Whole(1), help="Take so many of the first images.  [default: all]")
def extract(dataset, out, resolution, max_images):
    """Write a data set's images as PNG files.

    DATASET is its folder, and OUT the one to create. Labels become OUT/dataset.json, as create-from-images reads it.
    """
    count = views.extract(dataset, out, resolution=resolution, max_images=max_images)
    click.echo(f"Wrote {count:,} images to {out}.")


@command
@click.argument("first", type=UserPath(), callback=check_name)
@click.argument("second", type=UserPath(), callback=check_name)
def compare(first, second):
    """Compare two data sets image by image.

    FIRST and SECOND are their folders. How the images are encoded, and in how many files, does not matter. The exit
    code is 1 if they differ.
    """
    differences = verification.compare(first, second)
    for line in differences:
        click.echo(line)
    if differences:
        click.echo(f"{first} and {second} differ.")
        raise SystemExit(1)
    click.echo(f"{first} and {second} hold the same images and labels.")


@command
@DATASET
@SHEET
@click.option("--resolution", type=Whole(4, MOST_SIDE), help="Resolution to show.  [default: the largest up to 128]")
def preview(dataset, output, resolution):
    """Draw a contact sheet of the first images.

    DATASET is the data set's folder. The sheet is a PNG file with as many of the images as fit a screen.
    """
    views.preview(dataset, output, resolution=resolution)
    click.echo(f"Wrote {output}.")


@command
@DATASET
@OUT
@click.option("--shards", type=Whole(1, 99_999), required=True, help="Files of each resolution; 1 joins them.")
def shard(dataset, out, shards):
    """Copy a data set into more or fewer files.

    DATASET is its folder, and OUT the one to create. The images stay as they are encoded.
    """
    reshard.reshard(dataset, out, shards)
    click.echo(f"Wrote {out}.")


if __name__ == "__main__":
    main()

"""What a projection makes small: which distance fits a network's data set, and opening it."""

import click

from datasets.opening import EMBEDDED, is_created, open_dataset, split_path
from dnnlib.cli import UserPath, options
from metrics import networks
from metrics.classifier_training import RECIPES
from metrics.session import Session
from stylegan_tf.editing.distances import PixelDistance, lpips_distance
from stylegan_tf.perception import weights
from stylegan_tf.perception.lpips import LPIPS
from stylegan_tf.recipes.presets import split_size

DISTANCES = ("lpips", "classifier", "pixels")
# Where they are, of commands that project; each is called as the parameter that it becomes.
distance_options = options(
    click.option("--dataset", help="Data set whose classifiers to take.  [default: the run's]"),
    click.option("--data-dir", type=UserPath(), help="Folder of data sets.  [default: the run's, or data]"),
    click.option(
        "--classifiers", type=UserPath(), metavar="DIR", help="Folder of classifiers.  [default: the data set's]"
    ),
    click.option("--vgg16", type=UserPath(), metavar="PATH", help="Local copy of torchvision's vgg16-397923af.pth."),
    click.option("--lpips", type=UserPath(), metavar="PATH", help="Local copy of vgg.pth of LPIPS 0.1."),
    click.option("--cache-dir", type=UserPath("folder"), default="cache", help="Folder of weights and classifiers."),
)


def choose(target, distance, dataset, data_dir):
    """(data set, its folder, distance) of a user's options and of the network's run; no data set is None."""
    if dataset is not None:
        dataset, data_dir = split_path(dataset, data_dir)
    config = target.config
    own = config is not None and dataset in (None, config.dataset)
    dataset = config.dataset if dataset is None and config else dataset
    data_dir = data_dir or (config.data_dir if own else "data")
    # Small drawings, which have little to do with LPIPS's photographs; their classifiers are trained within minutes.
    classified = dataset is not None and split_size(dataset)[0] in RECIPES
    return dataset, data_dir, distance or ("classifier" if classified else "lpips")


def open_distance(generator, name, dataset, data_dir, options, report=lambda what, share=None: None):
    """What is made small, one of `editing.distances`.

    Args:
        generator: A generator.
        name: One of DISTANCES.
        dataset, data_dir: See `choose`.
        options: `metrics.options.Options`.
        report: Function of what takes a while, in a few words, and which share of it is done, or None; what it raises
            ends the work.

    Raises:
        ValueError, OSError: Something is missing, damaged, or cannot be downloaded or written.
    """
    if name == "pixels":
        return PixelDistance()
    if name == "lpips":
        files = networks.files_of(networks.lpips, options)
        report("Opening LPIPS")
        paths = []
        for file, path in files:
            if (found := weights.find(file, options.cache_dir, path)) is None:
                report(f"Downloading {file.name}, {-(-file.size // 10**6)} MB, once")
                found = weights.obtain(file, options.cache_dir)
            paths.append(found)
        return lpips_distance(LPIPS(*paths))
    folder = options.classifiers
    if folder is None:
        if dataset is None:
            raise ValueError("--distance=classifier needs the classifiers of a data set; name it with --dataset.")
        if dataset in EMBEDDED and not is_created(dataset, data_dir):
            report(f"Creating the data set {dataset}, once")
        data = open_dataset(dataset, data_dir, generator.resolution, generator.label_size)
        with Session(generator, data, options) as session:
            folder = networks.classifiers_of(session, shared_trunk=True, report=report)
    report("Opening the classifiers")
    return networks.classifier_distance(folder, generator)

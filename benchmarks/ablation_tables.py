"""The rows of the papers' tables at a small scale: what each is trained with, and what it is asked.

All rows of a table see as many images and have one recipe, the data set's, in which only what the row is about differs.
"""

from typing import NamedTuple

from stylegan_tf.recipes.paper import SG2_TABLE_1, TABLE_1, TABLE_2, TABLE_4
from stylegan_tf.recipes.presets import full_resolution, make_config
from stylegan_tf.recipes.settings import override

# Images that the metrics look at which do not compare with real ones.
SAMPLES = 10_000
# Runs keep a network every two ticks, 10 kimg: the curves of Figure 9 are made of them.
EVERY_ROW = ("snapshot_ticks=2",)
COMPARED = ("fd_classifier", "pr_classifier")
LATENT = ("ls", "pl_classifier_wfull", "pl_classifier_wend")
# StyleGAN2's recipes for small data have this minibatch, and those of StyleGAN one of 32.
SG2_MINIBATCH = ("schedule.minibatch_base=16",)
# In a run of 60 kimg, the 500 kimg of the paper would leave p below 0.12.
ADA_KIMG = 20
SG2_NOTE = "All rows have minibatches of 16, those of the recipe for E and F; in other tables A has 32."
SHORTENED_NOTE = (
    "The recipes are shortened as a whole: growth and the half-life of the average Gs take the share of the images "
    "that they take in the row's whole recipe."
)


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        name: What the paper calls it.
        text: What it is, in a few words.
        config: Name of the configuration.
        changes: Settings of the form KEY=VALUE.
        paper: The FID that the paper reports for it on FFHQ, None if there is none.
    """

    name: str
    text: str
    config: str
    changes: tuple = ()
    paper: float | None = None


class Table(NamedTuple):
    """A table.

    Attributes:
        title: What it compares.
        rows: Function of the data set's number of images and a configuration that returns the rows.
        metrics: Names of the metrics.
        config: The configuration that its rows vary, None if the rows are configurations themselves.
        changes: Settings of every row, of the form KEY=VALUE.
        notes: Sentences on what differs between rows besides what they are about.
    """

    title: str
    rows: object
    metrics: tuple
    config: str | None = None
    changes: tuple = ()
    notes: tuple = ()


def _configurations(texts, paper):
    """Rows that are configurations: {name: text}, and {name: FID}."""
    rows = [Row(name.removeprefix("sg2-").upper(), text, name, (), paper[name]) for name, text in texts.items()]
    return lambda images, config: rows


def _depths(images, config):
    texts = {
        "traditional-0": "traditional generator, z as it is",
        "traditional-8": "traditional generator, mapping of 8 layers",
        "style-0": "styles from z as it is",
        "style-1": "mapping of 1 layer",
        "style-2": "mapping of 2 layers",
        "style-8": "mapping of 8 layers",
    }
    return [Row(name.replace("-", " "), text, name, (), TABLE_4[name]) for name, text in texts.items()]


def _mixing(images, config):
    return [
        Row(f"{share:.0%}", f"{share:.0%} of the images mixed", config, (f"style_mixing_prob={share:g}",), paper)
        for share, paper in (TABLE_2.items() if config == "f" else dict.fromkeys(TABLE_2).items())
    ]


def _architectures(images, config):
    kinds = {"orig": "original", "skip": "skip connections", "resnet": "residual"}
    return [
        Row(
            f"G {g}, D {d}",
            f"{kinds[g]} generator, {kinds[d]} discriminator",
            config,
            (f"generator.architecture={g}", f"discriminator.architecture={d}"),
        )
        for g in kinds
        for d in kinds
    ]


def _augmentation(images, config):
    counts = [count for count in (100, 200, 500, 2000) if count < images] + [images]
    kinds = {
        "none": ("as they are", ("augment=none",)),
        "ADA": ("with ADA", ("augment=ada", f"ada.kimg={ADA_KIMG}")),
    }
    return [
        Row(
            f"{count:,}, {name}",
            f"{count:,} images, {text}",
            config,
            (f"max_images={count}", *changes),
        )
        for count in counts
        for name, (text, changes) in kinds.items()
    ]


TABLES = {
    "1": Table(
        "StyleGAN, Table 1: its configurations",
        _configurations(
            {
                "a": "Progressive GAN",
                "b": "+ tuning, bilinear up- and downsampling",
                "c": "+ mapping network and styles",
                "d": "+ learned constant for the traditional input",
                "e": "+ noise",
                "f": "+ mixing regularization",
            },
            {name: ffhq for name, (_, ffhq) in TABLE_1.items()},
        ),
        (*COMPARED, *LATENT),
        notes=(
            "A is Progressive GAN, as in the paper: it starts at 4x4, one level lower, with the loss WGAN-GP.",
            "The recipe's mapping network has 4 layers of 64, not 8 of 512.",
            SHORTENED_NOTE,
        ),
    ),
    "2": Table(
        "StyleGAN, Table 2: mixing regularization, and images of 1 to 4 mixed latents",
        _mixing,
        ("fd_classifier", "fd_classifier_mix2", "fd_classifier_mix3", "fd_classifier_mix4"),
        config="f",
        notes=(SHORTENED_NOTE,),
    ),
    "4": Table(
        "StyleGAN, Table 4: depth of the mapping network",
        _depths,
        (*COMPARED, *LATENT, "pl_classifier_zfull", "pl_classifier_zend"),
        notes=("Traditional generators are row B's, without noise and mixing; the others are F's.", SHORTENED_NOTE),
    ),
    "sg2": Table(
        "StyleGAN2, Table 1: its configurations",
        _configurations(
            {
                "sg2-a": "StyleGAN",
                "sg2-b": "+ weight demodulation",
                "sg2-c": "+ lazy regularization",
                "sg2-d": "+ path length regularization",
                "sg2-e": "+ no growing, new G and D architectures",
                "sg2-f": "+ large networks",
            },
            {name: ffhq for name, (ffhq, _) in SG2_TABLE_1.items()},
        ),
        (*COMPARED, *LATENT),
        changes=SG2_MINIBATCH,
        notes=(SG2_NOTE, SHORTENED_NOTE),
    ),
    "grid": Table(
        "StyleGAN2, Table 2: architectures of G and D",
        _architectures,
        (*COMPARED, *LATENT),
        config="sg2-e",
        notes=(SHORTENED_NOTE,),
    ),
    "ada": Table(
        "StyleGAN2-ADA: few images, with and without augmentation",
        _augmentation,
        COMPARED,
        config="sg2-e",
        notes=(
            SHORTENED_NOTE,
            "Compared is with all images of the data set, also where fewer were trained with.",
            f"ADA's p may change by 1 within {ADA_KIMG} kimg, not 500, as the runs are so short.",
        ),
    ),
}
# What a data set is asked besides.
MORE_METRICS = {"digits": (), "avatars": ("factors",)}


def metrics_of(table, dataset):
    """Names of a table's metrics on a data set."""
    return [*TABLES[table].metrics, *MORE_METRICS[dataset]]


def configure(row, table, dataset, kimg, seed, settings=()):
    """What a row is trained with.

    Args:
        row: Row.
        table: Table.
        dataset: "digits" or "avatars".
        kimg: Thousands of images.
        seed: Seed of the run.
        settings: Settings of the user's, of the form KEY=VALUE.

    Returns:
        (TrainingConfig, the settings that make it of `row.config`, of the form KEY=VALUE).

    Raises:
        ValueError: There is no such setting, or a value is impossible.
    """
    preset = make_config(row.config, dataset)
    share = kimg / preset.total_kimg
    changes = [
        f"total_kimg={kimg}",
        f"seed={seed}",
        f"average_half_life_kimg={preset.average_half_life_kimg * share!r}",
    ]
    changes += [*EVERY_ROW, *table.changes, *row.changes, *settings]
    schedule, resolution = preset.schedule, override(preset, changes).resolution or full_resolution(dataset)
    if schedule.lod_initial_resolution < resolution:
        changes += [f"schedule.lod_training_kimg={schedule.lod_training_kimg * share!r}"]
        changes += [f"schedule.lod_transition_kimg={schedule.lod_transition_kimg * share!r}"]
    return override(preset, changes), changes

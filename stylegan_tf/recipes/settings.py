"""What a training run is: frozen dataclasses, and JSON in and out. Those of the papers are in `presets.py`.

docs/settings.md is made of the declarations here. Origins of the constants are listed in PROVENANCE.md.
"""

import dataclasses
import json
import math
import types
import typing
from dataclasses import dataclass

from dnnlib.files import expand_home
from stylegan_tf.augment.pipelines import PIPELINES
from stylegan_tf.recipes.augment_choices import Augmentations, Policies
from stylegan_tf.recipes.declaration import (
    COUNT,
    COUNT_OR_NONE,
    MINIBATCH,
    NOT_NEGATIVE,
    POSITIVE,
    SHARE,
    Choices,
    Range,
    check_allowed,
    setting,
    settings_of,
)
from stylegan_tf.recipes.old_settings import ask_for_old_loss, convert_loss
from stylegan_tf.recipes.schedule import TICK_KIMG, training_schedule

RESOLUTION = Range(4, 1024)
# Over so many kimg, ADA's p may rise from 0 to 1: with random weights at the start, and with another run's.
ADA_KIMG, ADA_TRANSFER_KIMG = 500, 100

PAPER_RATES = {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003}


@dataclass(frozen=True)
class ScheduleConfig:
    """Arguments of `training_schedule`; the paper's growth (section 3 and appendix C) by default."""

    lod_initial_resolution: int = setting(8, "Resolution at which training starts.", RESOLUTION)
    lod_training_kimg: float = setting(
        600, "Thousands of images for a resolution before the next one fades in.", NOT_NEGATIVE
    )
    lod_transition_kimg: float = setting(600, "Thousands of images during which a resolution fades in.", NOT_NEGATIVE)
    minibatch_base: int = setting(
        4, "Images in a minibatch over all GPUs, where minibatch_dict has no entry for the resolution.", MINIBATCH
    )
    minibatch_dict: dict[int, int] = setting(dict, "Images in a minibatch by resolution.", MINIBATCH)
    max_minibatch_per_gpu: dict[int, int] = setting(
        dict, "Most images that a GPU gets of a minibatch, by resolution.", MINIBATCH
    )
    G_lrate_base: float = setting(
        0.001, "Learning rate of G, where G_lrate_dict has no entry for the resolution.", NOT_NEGATIVE
    )
    G_lrate_dict: dict[int, float] = setting(PAPER_RATES.copy, "Learning rate of G by resolution.", NOT_NEGATIVE)
    D_lrate_base: float = setting(
        0.001, "Learning rate of D, where D_lrate_dict has no entry for the resolution.", NOT_NEGATIVE
    )
    D_lrate_dict: dict[int, float] = setting(PAPER_RATES.copy, "Learning rate of D by resolution.", NOT_NEGATIVE)
    lrate_rampup_kimg: float = setting(
        0, "Thousands of images over which both learning rates rise from 0.", NOT_NEGATIVE
    )
    tick_kimg_base: float = setting(
        160,
        "Thousands of images between two progress reports, where tick_kimg_dict has no entry for the resolution.",
        POSITIVE,
        learned=False,
    )
    tick_kimg_dict: dict[int, float] = setting(
        TICK_KIMG.copy, "Thousands of images between two progress reports by resolution.", POSITIVE, learned=False
    )


@dataclass(frozen=True)
class LossConfig:
    """A base loss for each network, and penalties with their weights; `training/losses.py` computes them.

    By default the paper's for FFHQ: the non-saturating logistic loss with R1.
    """

    generator: str = setting(
        "logistic-nonsaturating",
        "Loss of G.",
        Choices(("wgan", "logistic-saturating", "logistic-nonsaturating")),
    )
    discriminator: str = setting("logistic", "Loss of D, without penalties.", Choices(("wgan", "hinge", "logistic")))
    r1_gamma: float = setting(10.0, "Weight of R1, the squared gradient of D at real images.", NOT_NEGATIVE)
    r1_interval: int = setting(
        1, "Steps between two evaluations of R1; above 1, it is an update of its own (lazy regularization).", COUNT
    )
    r2_gamma: float = setting(0.0, "Weight of R2, the squared gradient of D at generated images.", NOT_NEGATIVE)
    gradient_penalty: float = setting(
        0.0, "Weight of the gradient penalty (WGAN-GP's lambda) between real and generated images.", NOT_NEGATIVE
    )
    gradient_penalty_target: float = setting(1.0, "Norm of the gradient that it asks for.", POSITIVE)
    drift: float = setting(0.0, "Weight of the squared scores of real images.", NOT_NEGATIVE)
    path_length_weight: float = setting(0.0, "Weight of StyleGAN2's path length penalty on G.", NOT_NEGATIVE)
    path_length_interval: int = setting(
        1, "Steps between two evaluations of it; above 1, it is an update of its own (lazy regularization).", COUNT
    )
    path_length_decay: float = setting(0.01, "Share of a step in the running mean of the path lengths.", SHARE)

    @property
    def lazy_r1(self):
        """Whether R1 is an update of its own."""
        return self.r1_gamma > 0 and self.r1_interval > 1

    @property
    def lazy_path_length(self):
        """Whether the path length penalty is an update of its own."""
        return self.path_length_weight > 0 and self.path_length_interval > 1


@dataclass(frozen=True)
class AdaConfig:
    """Adaptive discriminator augmentation (Karras et al., 2020a), where `augment` asks for it."""

    pipeline: str = setting(
        "bgc", "Which transforms: b blit, g geometry, c colour, f filter, n noise, c cutout.", Choices(PIPELINES)
    )
    target: float = setting(
        0.6,
        "Mean sign of D's scores of real images above which the probability p rises, and below which it falls.",
        Range(-1, 1),
    )
    interval: int = setting(4, "Minibatches between two changes of p.", COUNT)
    kimg: float | None = setting(
        None,
        "Thousands of images over which p may change by 1.",
        POSITIVE,
        unset=f"{ADA_KIMG}, or {ADA_TRANSFER_KIMG} with --init-from",
    )

    def kimg_for(self, init_from):
        """`kimg`, or its default for a run that starts with the networks `init_from`, or with none."""
        return self.kimg or (ADA_TRANSFER_KIMG if init_from else ADA_KIMG)


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam, as in the paper (appendix C)."""

    beta1: float = setting(0.0, "Decay of Adam's first moment.", Range(0, 1, excluded=1))
    beta2: float = setting(0.99, "Decay of Adam's second moment.", Range(0, 1, excluded=1))
    epsilon: float = setting(1e-8, "Adam's epsilon.", POSITIVE)


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. What each setting means stands beside it, and in docs/settings.md."""

    config: str = setting(
        "f",
        "Configuration of a paper: a to f of StyleGAN's Table 1, sg2-a to sg2-f of StyleGAN2's; the others of Table 4.",
        learned=False,
    )
    dataset: str = setting(
        "ffhq",
        "Data set: a folder in --data-dir, its path, or digits or avatars, which create themselves.",
        learned=False,
    )
    data_dir: str = setting("data", "Folder of data sets.", resumable=True, learned=False, path=True)
    resolution: int | None = setting(None, "Side of the images.", RESOLUTION, learned=False, unset="the data set's")
    max_label_size: int | str = setting(
        0, 'Labels to train with: 0 for none, "full" for all of the data set\'s, n for its first n columns.'
    )
    max_images: int | None = setting(None, "Train with the first images of the data set alone.", COUNT, unset="all")
    shuffle_megabytes: float = setting(
        4096, "Size of the window in which real images are shuffled.", NOT_NEGATIVE, learned=False
    )
    cache_megabytes: float = setting(
        1024,
        "A level of the data set that takes no more is kept in memory.",
        NOT_NEGATIVE,
        resumable=True,
        learned=False,
    )
    mirror: bool = setting(True, "Mirror half of the real images.")
    num_gpus: int = setting(0, "GPUs of each host; 0 trains on the CPU.", COUNT_OR_NONE, resumable=True, learned=False)
    num_hosts: int = setting(1, "Machines that train together.", COUNT, resumable=True, learned=False)
    accumulate: int = setting(
        1, "Rounds in which a GPU goes through its images, to save memory.", COUNT, resumable=True, learned=False
    )
    precision: str = setting(
        "tf32",
        "Arithmetic of the convolutions; weights and statistics are float32. tf32 is float32, of whose products GPUs "
        "from 2020 on keep 10 bits after the point; elsewhere it is fp32.",
        Choices(("fp32", "tf32", "bf16", "fp16")),
    )
    xla: bool | None = setting(
        None, "Compile the networks with XLA.", resumable=True, learned=False, unset="on GPUs only"
    )
    threads_per_operation: int = setting(
        0,
        "Threads among which the CPU divides an operation; 0: as many as there are cores. Small networks are faster "
        "with 1: operations that do not wait for one another still run at the same time.",
        COUNT_OR_NONE,
        resumable=True,
        learned=False,
    )
    seed: int = setting(1000, "Seed of everything random.", Range(0, 2**32 - 1), learned=False)
    total_kimg: float = setting(25000, "Length of the run in thousands of real images.", POSITIVE, resumable=True)
    networks: str = setting(
        "stylegan", "Family of the networks, such as stylegan, or progan for Progressive GAN's own."
    )
    generator: dict = setting(dict, "Keyword arguments of the family's generator.")
    discriminator: dict = setting(dict, "Keyword arguments of the family's discriminator.")
    init_from: str | None = setting(
        None,
        "Start with the weights of a snapshot, a run, a .pkl or .pt, its URL or its name.",
        unset="random weights",
        path=True,
    )
    freeze_d: int = setting(0, "Layers of D, from the image on, not to train.", COUNT_OR_NONE)
    augment: str = setting(
        "none",
        "What D sees instead of images, real and generated, where there are few: none, ada (as strong as D needs it), "
        "ada-fixed:P with a probability P, or diffaugment.",
        Augmentations(),
    )
    ada: AdaConfig = AdaConfig()
    diffaugment: str = setting(
        "color,translation,cutout", "DiffAugment's policies, in their order, where augment asks for it.", Policies()
    )
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    step_order: str = setting(
        "d-average-g",
        "Order of a step: both networks' updates, and the moving average of G.",
        Choices(("d-average-g", "g-average-d")),
    )
    style_mixing_prob: float = setting(
        0.9, "Probability of style mixing: a second latent takes over at a random layer.", SHARE
    )
    w_average_beta: float = setting(0.995, "Decay of the running average of w, per step.", SHARE)
    average_half_life_kimg: float = setting(
        10, "Half-life of the moving average Gs of G's weights, in thousands of images.", NOT_NEGATIVE
    )
    minibatch_repeats: int = setting(4, "Minibatches between two looks at the schedule.", COUNT)
    snapshot_ticks: int = setting(
        10, "Ticks between two snapshots of the networks.", COUNT, resumable=True, learned=False
    )
    keep_snapshots: int | None = setting(
        None,
        "Newest snapshots to keep; 0 for all.",
        COUNT_OR_NONE,
        resumable=True,
        learned=False,
        unset="all where they take at most 10 GB together, else 10",
    )
    keep_checkpoints: int = setting(3, "Newest checkpoints to keep.", COUNT, resumable=True, learned=False)
    checkpoint_hours: float = setting(
        1,
        "Of the older checkpoints, one in so many hours is kept; 0 for none.",
        NOT_NEGATIVE,
        resumable=True,
        learned=False,
    )
    nonfinite_limit: int = setting(
        100,
        "Updates of a network, skipped one after the other since they are not finite, that end the run.",
        COUNT,
        resumable=True,
        learned=False,
    )
    metrics: list[str] = setting(list, "Metrics of snapshots, such as fid50k,ppl_wend.", resumable=True, learned=False)
    metric_ticks: int = setting(
        1,
        "Of the snapshots, those of every so many ticks are measured, and the last.",
        COUNT,
        resumable=True,
        learned=False,
    )
    deterministic: bool = setting(False, "Ask TensorFlow for bitwise repeatable (slower) operations.", learned=False)

    def __post_init__(self):
        check_allowed(self)

    @property
    def num_replicas(self):
        return max(self.num_gpus, 1) * self.num_hosts

    @property
    def use_xla(self):
        return self.num_gpus > 0 if self.xla is None else self.xla

    def phase(self, images_seen):
        """The schedule's `Phase` after `images_seen` real images; `resolution` must be known."""
        return training_schedule(
            images_seen,
            resolution=self.resolution,
            num_gpus=self.num_replicas,
            **{f.name: getattr(self.schedule, f.name) for f in dataclasses.fields(self.schedule)},
        )


SETTINGS = settings_of(TrainingConfig)


def override(config, settings):
    """Applies settings of the form KEY=VALUE, such as `schedule.lod_training_kimg=100`, with JSON or plain text values.

    Raises:
        ValueError: A key does not exist, or a value has the wrong type or is out of range.
    """
    values = json.loads(json.dumps(to_dict(config)))  # the keys of tables as text, as they are in settings
    given = set()
    for change in settings:
        key, separator, text = change.partition("=")
        if not separator:
            raise ValueError(f"A setting has the form KEY=VALUE; received {change!r}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        if isinstance(value, str) and key in SETTINGS and SETTINGS[key].path:
            value = expand_home(value)
        *path, last = key.split(".")
        target = values
        for part in path:
            target = target.get(part) if isinstance(target, dict) else None
        free = path in (["generator"], ["discriminator"])  # their constructors know which keywords exist
        if not isinstance(target, dict) or (last not in target and not free):
            names = ", ".join(target if isinstance(target, dict) else values)
            raise ValueError(f"There is no setting {key!r}; there are: {names}.")
        target[last] = value
        given.add(key)
    ask_for_old_loss(values["loss"], {key.removeprefix("loss.") for key in given})
    return from_dict(type(config), values)


def to_dict(config):
    """Nested plain dicts, ready for JSON."""
    return dataclasses.asdict(config)


def from_dict(cls, values):
    """The inverse of `to_dict`, also after a way through JSON, where integer keys have become text.

    Raises:
        ValueError: An unknown name, or a value of the wrong type or out of range.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{cls.__name__} must be a table of settings; received {values!r}.")
    if cls is LossConfig:
        values = convert_loss(values)
    types_by_name = typing.get_type_hints(cls)
    unknown = values.keys() - types_by_name.keys()
    if unknown:
        raise ValueError(f"{cls.__name__} has no setting {', '.join(sorted(unknown))}.")
    return cls(**{name: _convert(name, value, types_by_name[name]) for name, value in values.items()})


def _convert(name, value, kind):
    if dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    if typing.get_origin(kind) is dict:
        try:
            return {int(key): _convert(name, item, typing.get_args(kind)[1]) for key, item in value.items()}
        except (AttributeError, ValueError):
            raise ValueError(f'{name} must be a table such as {{"64": 32}}; received {value!r}.') from None
    if typing.get_origin(kind) is list:
        if not isinstance(value, list):
            raise ValueError(f"{name} must be a list; received {value!r}.")
        return [_convert(f"Every item of {name}", item, typing.get_args(kind)[0]) for item in value]
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    # A bool is an int to Python, and an int serves as a float; neither the other way round.
    allowed = any(isinstance(value, (int, float) if k is float else k) for k in kinds)
    if not allowed or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(k.__name__ for k in kinds)
        raise ValueError(f"{name} must be {expected}; received {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} must be finite; received {value!r}.")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"{name} must be below 2^63; received {value!r}.")
    # TensorFlow does not mix integers and floats.
    return float(value) if kinds == (float,) else value

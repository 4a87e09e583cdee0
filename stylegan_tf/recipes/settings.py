"""What a training run is: frozen dataclasses, and JSON in and out. Those of the paper are in `presets.py`.

Origins of the constants are listed in PROVENANCE.md.
"""

import dataclasses
import json
import math
import operator
import types
import typing
from dataclasses import dataclass, field

from stylegan_tf.recipes.schedule import TICK_KIMG, training_schedule


@dataclass(frozen=True)
class ScheduleConfig:
    """Arguments of `training_schedule`; the paper's growth (section 3 and appendix C) by default."""

    lod_initial_resolution: int = 8
    lod_training_kimg: float = 600
    lod_transition_kimg: float = 600
    minibatch_base: int = 4
    minibatch_dict: dict[int, int] = field(default_factory=dict)
    max_minibatch_per_gpu: dict[int, int] = field(default_factory=dict)
    G_lrate_base: float = 0.001
    G_lrate_dict: dict[int, float] = field(default_factory=lambda: {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003})
    D_lrate_base: float = 0.001
    D_lrate_dict: dict[int, float] = field(default_factory=lambda: {128: 0.0015, 256: 0.002, 512: 0.003, 1024: 0.003})
    lrate_rampup_kimg: float = 0
    tick_kimg_base: float = 160
    tick_kimg_dict: dict[int, float] = field(default_factory=lambda: dict(TICK_KIMG))


@dataclass(frozen=True)
class LossConfig:
    """Names and weights of `losses.py`; non-saturating logistic loss with R1 by default (the paper's for FFHQ)."""

    generator: str = "logistic-nonsaturating"
    discriminator: str = "logistic-simplegp"
    r1_gamma: float = 10.0
    r2_gamma: float = 0.0
    wgan_lambda: float = 10.0
    wgan_epsilon: float = 0.001
    wgan_target: float = 1.0
    path_length_weight: float = 0.0
    path_length_decay: float = 0.01


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam, as in the paper (appendix C)."""

    beta1: float = 0.0
    beta2: float = 0.99
    epsilon: float = 1e-8


@dataclass(frozen=True)
class TrainingConfig:
    """One training run.

    Attributes:
        config: Name of the configuration it started from, among `presets.CONFIGS`.
        dataset: Name of the data set, a folder in `data_dir`.
        data_dir: Folder of data sets.
        resolution: Side of the images; None, until the data set is opened, for its own.
        max_label_size: Labels to train with: 0 for none, "full" for all of the data set's, n for its first n columns.
        shuffle_megabytes: Size of the window in which real images are shuffled.
        cache_megabytes: A level of the data set that takes no more is kept in memory.
        mirror: Whether to mirror half of the real images.
        num_gpus: Replicas on each host; 0 is one replica on the CPU.
        num_hosts: Machines that train together.
        accumulate: Rounds in which a replica goes through its share of a minibatch, to save memory.
        precision: "fp32", "tf32", "bf16" or "fp16".
        xla: Whether to compile each replica's part of a step with XLA; None: where it is faster, on GPUs.
        seed: Seed of everything random.
        total_kimg: Length of the run in thousands of real images.
        networks: Family of the networks, a name in `networks.families.FAMILIES`.
        generator: Keyword arguments of `Generator`.
        discriminator: Keyword arguments of `Discriminator`.
        init_from: Snapshot, run, or pickle (its path, URL or published name) whose weights the run starts with; None
            for random ones.
        freeze_d: Number of D's layers, counted from the image, that are not trained.
        style_mixing_prob: Probability that a second latent takes over at a random layer.
        w_average_beta: Decay of the running average of w, per step.
        average_half_life_kimg: Half-life of the moving average Gs of the generator's weights.
        minibatch_repeats: Minibatches between two looks at the schedule.
        snapshot_ticks: Ticks between two snapshots, checkpoints and image grids.
        keep_checkpoints: Newest checkpoints that are kept.
        checkpoint_hours: Of the older ones, one in so many hours is kept; 0 for none.
        nonfinite_limit: Updates of a network, skipped one after the other since they are not finite, that end the run.
        metrics: Names of the metrics of snapshots.
        metric_ticks: Ticks between two snapshots that are measured.
        deterministic: Whether to ask TensorFlow for bitwise repeatable (slower) operations.
    """

    config: str = "f"
    dataset: str = "ffhq"
    data_dir: str = "data"
    resolution: int | None = None
    max_label_size: int | str = 0
    shuffle_megabytes: float = 4096
    cache_megabytes: float = 1024
    mirror: bool = True
    num_gpus: int = 0
    num_hosts: int = 1
    accumulate: int = 1
    precision: str = "fp32"
    xla: bool | None = None
    seed: int = 1000
    total_kimg: float = 25000
    networks: str = "stylegan"
    generator: dict = field(default_factory=dict)
    discriminator: dict = field(default_factory=dict)
    init_from: str | None = None
    freeze_d: int = 0
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    style_mixing_prob: float = 0.9
    w_average_beta: float = 0.995
    average_half_life_kimg: float = 10
    minibatch_repeats: int = 4
    snapshot_ticks: int = 1
    keep_checkpoints: int = 3
    checkpoint_hours: float = 1
    nonfinite_limit: int = 100
    metrics: list[str] = field(default_factory=list)
    metric_ticks: int = 1
    deterministic: bool = False

    def __post_init__(self):
        for name, allowed in RANGES.items():
            value = operator.attrgetter(name)(self)
            values = {f"{name}[{key}]": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
            for label, number in values.items():
                if not allowed.holds(number):
                    raise ValueError(f"{label} must be {allowed}; received {number}.")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}; received {getattr(self, name)!r}.")

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


@dataclass(frozen=True)
class Range:
    """Numbers from `least` to `most`, without the one of them that is `excluded`."""

    least: float
    most: float = math.inf
    excluded: float | None = None

    def holds(self, value):
        return self.least <= value <= self.most and value != self.excluded

    def __str__(self):
        if self.excluded == self.least:
            return f"greater than {self.least}"
        if self.most == math.inf:
            return f"at least {self.least}"
        return f"from {self.least} to {'below ' if self.excluded == self.most else ''}{self.most}"


NOT_NEGATIVE, COUNT, SHARE = Range(0), Range(1), Range(0, 1)

RANGES = {
    "num_gpus": NOT_NEGATIVE,
    "num_hosts": COUNT,
    "accumulate": COUNT,
    "freeze_d": NOT_NEGATIVE,
    "keep_checkpoints": COUNT,
    "checkpoint_hours": NOT_NEGATIVE,
    "nonfinite_limit": COUNT,
    "metric_ticks": COUNT,
    "shuffle_megabytes": NOT_NEGATIVE,
    "cache_megabytes": NOT_NEGATIVE,
    "seed": Range(0, 2**32 - 1),
    "total_kimg": NOT_NEGATIVE,
    "style_mixing_prob": SHARE,
    "w_average_beta": SHARE,
    "average_half_life_kimg": NOT_NEGATIVE,
    "minibatch_repeats": COUNT,
    "snapshot_ticks": COUNT,
    "loss.r1_gamma": NOT_NEGATIVE,
    "loss.r2_gamma": NOT_NEGATIVE,
    "loss.wgan_lambda": NOT_NEGATIVE,
    "loss.wgan_epsilon": NOT_NEGATIVE,
    "loss.wgan_target": Range(0, excluded=0),
    "loss.path_length_weight": NOT_NEGATIVE,
    "loss.path_length_decay": SHARE,
    "optimizer.beta1": Range(0, 1, excluded=1),
    "optimizer.beta2": Range(0, 1, excluded=1),
    "optimizer.epsilon": Range(0, excluded=0),
    "schedule.lod_training_kimg": NOT_NEGATIVE,
    "schedule.lod_transition_kimg": NOT_NEGATIVE,
    "schedule.minibatch_base": COUNT,
    "schedule.minibatch_dict": COUNT,
    "schedule.max_minibatch_per_gpu": COUNT,
    "schedule.G_lrate_base": NOT_NEGATIVE,
    "schedule.G_lrate_dict": NOT_NEGATIVE,
    "schedule.D_lrate_base": NOT_NEGATIVE,
    "schedule.D_lrate_dict": NOT_NEGATIVE,
    "schedule.lrate_rampup_kimg": NOT_NEGATIVE,
    "schedule.tick_kimg_base": Range(0, excluded=0),
    "schedule.tick_kimg_dict": Range(0, excluded=0),
}

CHOICES = {
    "precision": ("fp32", "tf32", "bf16", "fp16"),
}


def override(config, settings):
    """Applies settings of the form KEY=VALUE, such as `schedule.lod_training_kimg=100`, with JSON or plain text values.

    Raises:
        ValueError: A key does not exist, or a value has the wrong type or is out of range.
    """
    values = json.loads(json.dumps(to_dict(config)))  # the keys of tables as text, as they are in settings
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator:
            raise ValueError(f"A setting has the form KEY=VALUE; received {setting!r}.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        *path, last = key.split(".")
        target = values
        for part in path:
            target = target.get(part) if isinstance(target, dict) else None
        free = path in (["generator"], ["discriminator"])  # their constructors know which keywords exist
        if not isinstance(target, dict) or (last not in target and not free):
            names = ", ".join(target if isinstance(target, dict) else values)
            raise ValueError(f"There is no setting {key!r}; there are: {names}.")
        target[last] = value
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
    # TensorFlow does not mix integers and floats.
    return float(value) if kinds == (float,) else value

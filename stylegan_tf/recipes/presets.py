"""The papers' configurations, and what each data set changes.

`make_config("b", "ffhq", num_gpus=8)` is row B of StyleGAN's Table 1, "sg2-b" that of StyleGAN2's. Origins of the
constants are listed in PROVENANCE.md.
"""

import re

from stylegan_tf.recipes.schedule import TICK_KIMG
from stylegan_tf.recipes.settings import TrainingConfig, from_dict


def merge(base, changes):
    """A copy of nested dicts with changes; the tables of a schedule are replaced as a whole."""
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict) and not key.endswith("_dict")
        merged[key] = merge(base[key], value) if nested else value
    return merged


# Minibatch by resolution for a number of GPUs (paper, appendix C); larger resolutions take the base.
MINIBATCHES = {
    1: {"minibatch_base": 4, "minibatch_dict": {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4}},
    2: {"minibatch_base": 8, "minibatch_dict": {4: 256, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}},
    4: {"minibatch_base": 16, "minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32, 128: 16}},
    8: {"minibatch_base": 32, "minibatch_dict": {4: 512, 8: 256, 16: 128, 32: 64, 64: 32}},
}

# With this schedule, the networks of any configuration have their full resolution at once.
FULL_RESOLUTION_AT_ONCE = {"lod_initial_resolution": 1024, "lod_training_kimg": 0, "lod_transition_kimg": 0}
# The same as settings, as `override` takes them.
NO_GROWING = tuple(f"schedule.{name}={value}" for name, value in FULL_RESOLUTION_AT_ONCE.items())

# What a configuration changes in `TrainingConfig`, whose defaults are F on FFHQ; each of E to B leaves out more.
WGAN_GP = {"generator": "wgan", "discriminator": "wgan", "r1_gamma": 0.0, "gradient_penalty": 10.0, "drift": 0.001}
NO_MAPPING = {"generator": {"mapping_layers": 0}}
NO_STYLES = {"generator": {"use_styles": False, "use_instance_norm": False, "use_pixel_norm": True}}

F = {}
E = merge(F, {"style_mixing_prob": 0.0})
D = merge(E, {"generator": {"use_noise": False}})
C = merge(D, {"generator": {"const_input_layer": False}})
B = merge(C, merge(NO_STYLES, NO_MAPPING))

# StyleGAN2, from its baseline A, which is StyleGAN's F. Each of B to F adds something.
SG2_B = {
    "networks": "stylegan2-growing",
    "generator": {"fmap_base": 8192},
    "discriminator": {"fmap_base": 8192},
    "loss": {
        "generator": "logistic-nonsaturating",
        "discriminator": "logistic",
        "r1_gamma": 10.0,
        "gradient_penalty": 0.0,
        "drift": 0.0,
    },
    # The same minibatches on any number of GPUs, and a fifth of StyleGAN's ticks.
    "schedule": {
        **MINIBATCHES[8],
        "tick_kimg_base": 4,
        "tick_kimg_dict": {resolution: kimg / 5 for resolution, kimg in TICK_KIMG.items() if resolution > 4},
    },
    "step_order": "g-average-d",
    "snapshot_ticks": 50,
}
SG2_C = merge(SG2_B, {"loss": {"r1_interval": 16}})
SG2_D = merge(SG2_C, {"loss": {"path_length_weight": 2.0, "path_length_interval": 4}})
SG2_E = merge(
    SG2_D,
    {
        "networks": "stylegan2",
        "schedule": {
            **FULL_RESOLUTION_AT_ONCE,
            "minibatch_base": 32,
            "minibatch_dict": {},
            "G_lrate_base": 0.002,
            "G_lrate_dict": {},
            "D_lrate_base": 0.002,
            "D_lrate_dict": {},
        },
    },
)
SG2_F = merge(SG2_E, {"generator": {"fmap_base": 16384}, "discriminator": {"fmap_base": 16384}})

CONFIGS = {
    # Table 1.
    # Progressive GAN: its own networks, without blur, from 4x4, and its loss.
    "a": {
        "networks": "progan",
        "style_mixing_prob": 0.0,
        "loss": WGAN_GP,
        "schedule": {"lod_initial_resolution": 4},
        "total_kimg": 12000,
    },
    "b": B,  # + tuning: bilinear resampling, R1, from 8x8, longer
    "c": C,  # + mapping network and styles
    "d": D,  # + learned constant in place of the traditional input
    "e": E,  # + noise
    "f": F,  # + mixing regularization
    # Table 4: B and F with mapping networks of other depths.
    "traditional-0": B,
    "traditional-8": merge(B, {"generator": {"mapping_layers": 8}}),
    "style-0": merge(F, NO_MAPPING),
    "style-1": merge(F, {"generator": {"mapping_layers": 1}}),
    "style-2": merge(F, {"generator": {"mapping_layers": 2}}),
    "style-8": merge(F, {"generator": {"mapping_layers": 8}}),
    # Table 1 of StyleGAN2.
    "sg2-a": F,  # StyleGAN
    "sg2-b": SG2_B,  # + weight demodulation
    "sg2-c": SG2_C,  # + lazy regularization
    "sg2-d": SG2_D,  # + path length regularization
    "sg2-e": SG2_E,  # no growing, new architectures of G and D
    "sg2-f": SG2_F,  # + large networks
}

# Rows that are only another name of a run that grows: {configuration: the one for what shall not grow}.
GROWN = {"sg2-a": "f"}

AT_MOST_0_002 = {128: 0.0015, 256: 0.002, 512: 0.002, 1024: 0.002}

# What a data set changes. It goes before the configuration, but for the loss and the keywords of the generator.
DATASETS = {
    "ffhq": {"mirror": True},
    "celebahq": {
        "mirror": True,
        "loss": WGAN_GP,
        "schedule": {"G_lrate_dict": AT_MOST_0_002, "D_lrate_dict": AT_MOST_0_002},
    },
    "lsun-bedroom": {"mirror": False, "total_kimg": 70000},
    "lsun-cat": {"mirror": False, "total_kimg": 70000},
    "lsun-car": {"mirror": False, "total_kimg": 46000},
    # Ours: the paper's settings, with the classes as labels.
    "cifar10": {"mirror": True, "max_label_size": "full"},
    # Ours: the 1,797 digits of scikit-learn at 32x32, minutes on two CPU cores.
    "digits": {
        "mirror": False,
        "total_kimg": 140,
        "generator": {
            "fmap_base": 256,
            "fmap_max": 64,
            "latent_size": 64,
            "dlatent_size": 64,
            "mapping_fmaps": 64,
            "mapping_layers": 4,
        },
        "discriminator": {"fmap_base": 256, "fmap_max": 64},
        "loss": {"r1_gamma": 0.5},
        "schedule": {
            "lod_training_kimg": 50,
            "lod_transition_kimg": 10,
            "minibatch_base": 32,
            "minibatch_dict": {},
            "G_lrate_base": 0.01,
            "D_lrate_base": 0.01,
            "tick_kimg_base": 5,
            "tick_kimg_dict": {},
        },
        "average_half_life_kimg": 3,
        "threads_per_operation": 1,
        "snapshot_ticks": 4,
    },
}
# Ours: the avatars that dataset_tool.py draws, at 64x64, for two CPU cores: the digits' recipe, but for this.
# They are not mirrored, as all look to the same side.
DATASETS["avatars"] = merge(
    DATASETS["digits"],
    {
        "total_kimg": 240,
        "generator": {"fmap_base": 384},
        "discriminator": {"fmap_base": 384},
        "loss": {"r1_gamma": 1.0},
        "schedule": {"lod_training_kimg": 40},
    },
)

# Sides of the images of the data sets themselves.
RESOLUTIONS = {
    "ffhq": 1024,
    "celebahq": 1024,
    "lsun-bedroom": 256,
    "lsun-cat": 256,
    "lsun-car": 512,
    "cifar10": 32,
    "digits": 32,
    "avatars": 64,
}

# Any other: the paper's settings, but for those of `own_data.py`, which depend on the data; and not every image may be
# mirrored: text, digits and maps may not.
OTHER_DATASET = {"mirror": False}

# Ours: StyleGAN2's networks for digits and avatars are as small as StyleGAN's; F's are twice as wide, as the paper's.
SG2_DIGITS = {"generator": {"fmap_base": 256}, "loss": {"r1_gamma": 0.5}}
SG2_AVATARS = {"generator": {"fmap_base": 384}, "loss": {"r1_gamma": 1.0}}
LARGE = {part: {"fmap_base": 512} for part in ("generator", "discriminator")}
# Every image of these is at the full resolution, and takes longer. Smaller minibatches get further in the same time.
NOT_GROWN = {"schedule": {**FULL_RESOLUTION_AT_ONCE, "minibatch_base": 16}}
SG2_DIGITS_NOT_GROWN = merge(SG2_DIGITS, merge(NOT_GROWN, {"total_kimg": 75}))
SG2_AVATARS_NOT_GROWN = merge(
    SG2_AVATARS,
    merge(
        NOT_GROWN,
        {
            "total_kimg": 240,
            "generator": {"fmap_base": 256},
            "discriminator": {"fmap_base": 256},
            "loss": {"r1_gamma": 0.2},
            "average_half_life_kimg": 5,
        },
    ),
)

# What neither table can say alone.
EXCEPTIONS = {
    ("ffhq", "sg2-e"): {"loss": {"r1_gamma": 100.0}},
    **{("lsun-car", f"sg2-{name}"): {"total_kimg": 57000} for name in "bcde"},
    ("lsun-car", "sg2-f"): {"total_kimg": 57000, "loss": {"r1_gamma": 100.0}},
    **{("digits", f"sg2-{name}"): SG2_DIGITS for name in "bcd"},
    ("digits", "sg2-e"): SG2_DIGITS_NOT_GROWN,
    ("digits", "sg2-f"): merge(SG2_DIGITS_NOT_GROWN, LARGE),
    **{("avatars", f"sg2-{name}"): SG2_AVATARS for name in "bcd"},
    ("avatars", "sg2-e"): SG2_AVATARS_NOT_GROWN,
    ("avatars", "sg2-f"): merge(SG2_AVATARS_NOT_GROWN, LARGE),
    # Starting one level lower takes one level, 60 kimg, longer to get as far.
    ("digits", "a"): {"total_kimg": 200},
    ("avatars", "a"): {"total_kimg": 300},
    # Without a mapping network, w is z with the embedded label, twice as long.
    ("cifar10", "b"): {"generator": {"dlatent_size": 1024}},
    ("cifar10", "traditional-0"): {"generator": {"dlatent_size": 1024}},
    ("cifar10", "style-0"): {"generator": {"dlatent_size": 1024}},
}

# Keywords that Progressive GAN's generator does not have.
STYLE_KEYWORDS = ("dlatent_size", "mapping_fmaps", "mapping_layers")


def make_config(config="f", dataset="ffhq", num_gpus=0, num_hosts=1):
    """The `TrainingConfig` of one of the `CONFIGS` on a data set, with the minibatches for all GPUs of all hosts.

    A number of GPUs without a row of its own takes that of the next smaller number.

    Args:
        config: "a" to "f" (Table 1), "traditional-0", "traditional-8", "style-0", "style-1", "style-2", "style-8"
            (Table 4), "sg2-a" to "sg2-f" (Table 1 of StyleGAN2).
        dataset: Name of the data set; "ffhq256" and "ffhq-256" take what is written for "ffhq".
        num_gpus: GPUs of each host; 0 is one replica on the CPU.
        num_hosts: Machines that train together.

    Raises:
        ValueError: There is no such configuration.
    """
    if config not in CONFIGS:
        raise ValueError(f"There is no configuration {config!r}; there are: {', '.join(CONFIGS)}.")
    devices = {"num_gpus": num_gpus, "num_hosts": num_hosts}
    num_replicas = TrainingConfig(**devices).num_replicas
    row = MINIBATCHES[max(number for number in MINIBATCHES if number <= num_replicas)]
    name, _ = split_size(dataset)
    recipe = DATASETS.get(name, OTHER_DATASET)
    changes = merge(CONFIGS[config], recipe)
    # What the generator is made of is the configuration's to say, and the data set's how large it is; and which losses
    # there are, and the data set's how much they weigh.
    for part in ("generator", "loss"):
        changes[part] = merge(recipe.get(part, {}), CONFIGS[config].get(part, {}))
    changes = merge(changes, EXCEPTIONS.get((name, config), {}))
    if changes.get("networks") == "progan":
        changes["generator"] = {k: v for k, v in changes["generator"].items() if k not in STYLE_KEYWORDS}
    base = {"config": config, "dataset": dataset, **devices, "schedule": row, "discriminator": {}}
    return from_dict(TrainingConfig, merge(base, changes))


def split_size(dataset):
    """("ffhq", 256) of "ffhq256" or "ffhq-256"; ("ffhq", None) of "ffhq". A name in `DATASETS` is left whole."""
    match = re.fullmatch(r"(.+?)[-_]?(\d+)", dataset)
    return (match[1], int(match[2])) if match and dataset not in DATASETS else (dataset, None)


def full_resolution(dataset):
    """The side of the images of a data set's name, such as ffhq or ffhq-256; None if the name does not tell."""
    name, size = split_size(dataset)
    return size or RESOLUTIONS.get(name)


def is_known(dataset):
    """Whether there is a recipe for a data set's name."""
    return split_size(dataset)[0] in DATASETS


def is_mirrored(dataset):
    """Whether the recipe of a data set's name mirrors half of the images."""
    return DATASETS.get(split_size(dataset)[0], OTHER_DATASET)["mirror"]

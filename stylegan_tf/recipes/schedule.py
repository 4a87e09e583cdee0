"""The training schedule: everything that depends on how many real images the discriminator has seen."""

import dataclasses
import math

TICK_KIMG = {4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40, 512: 30, 1024: 20}


@dataclasses.dataclass(frozen=True)
class Phase:
    """What holds at one moment of a training run.

    Attributes:
        resolution: Side of the images both networks work on, full resolution / 2^floor(lod).
        fade: Weight of the newest block, in (0, 1]; 1 once it has faded in.
        lod: Level of detail, log2(full resolution / current resolution), fractional while a block fades in.
        minibatch: Images in one step over all GPUs, a multiple of their number.
        G_lrate: Learning rate of the generator.
        D_lrate: Learning rate of the discriminator.
        tick_kimg: Thousands of images between two progress reports.
    """

    resolution: int
    fade: float
    lod: float
    minibatch: int
    G_lrate: float
    D_lrate: float
    tick_kimg: float


def training_schedule(
    images_seen,
    *,
    resolution,
    num_gpus=1,
    lod_initial_resolution=4,
    lod_training_kimg=600,
    lod_transition_kimg=600,
    minibatch_base=16,
    minibatch_dict=None,
    max_minibatch_per_gpu=None,
    G_lrate_base=0.001,
    G_lrate_dict=None,
    D_lrate_base=0.001,
    D_lrate_dict=None,
    lrate_rampup_kimg=0,
    tick_kimg_base=160,
    tick_kimg_dict=TICK_KIMG,
):
    """Returns the phase that holds after a number of real images.

    Training starts at `lod_initial_resolution`. Every resolution is trained for `lod_training_kimg`, then the next
    block fades in during `lod_transition_kimg`; from the first moment of the fade, the settings of the higher
    resolution hold. With both set to 0 the networks do not grow.

    Args:
        images_seen: Real images shown to the discriminator so far.
        resolution: Full resolution, a power of two from 4 up.
        num_gpus: Number of replicas that share a minibatch.
        lod_initial_resolution: Resolution of the first phase; at or above `resolution`, there is no growing.
        lod_training_kimg: Thousands of images for a resolution before the next one fades in.
        lod_transition_kimg: Thousands of images during which a resolution fades in.
        minibatch_base: Images in a minibatch, where `minibatch_dict` has no entry {resolution: images}. Rounded down to
            a multiple of `num_gpus`.
        minibatch_dict: See `minibatch_base`.
        max_minibatch_per_gpu: Upper limits {resolution: images}, for GPUs with little memory.
        G_lrate_base: Learning rate of the generator, where `G_lrate_dict` has no entry.
        G_lrate_dict: See `G_lrate_base`.
        D_lrate_base: Learning rate of the discriminator, where `D_lrate_dict` has no entry.
        D_lrate_dict: See `D_lrate_base`.
        lrate_rampup_kimg: Thousands of images over which both learning rates rise from 0.
        tick_kimg_base: Thousands of images between two progress reports, where `tick_kimg_dict` has no entry.
        tick_kimg_dict: See `tick_kimg_base`.

    Returns:
        A `Phase`.

    Raises:
        ValueError: If a setting is impossible, such as a minibatch smaller than the number of GPUs at any resolution of
            the run.

    Reference:
        Karras et al., 2018, appendix C; Karras et al., 2017, appendix A.
    """
    for name, value, least in (
        ("images_seen", images_seen, 0),
        ("num_gpus", num_gpus, 1),
        ("lod_training_kimg", lod_training_kimg, 0),
        ("lod_transition_kimg", lod_transition_kimg, 0),
        ("lrate_rampup_kimg", lrate_rampup_kimg, 0),
    ):
        if value < least:
            raise ValueError(f"{name} must be at least {least}; received {value}.")
    tables = {
        "minibatch_dict": minibatch_dict or {},
        "max_minibatch_per_gpu": max_minibatch_per_gpu or {},
        "G_lrate_dict": G_lrate_dict or {},
        "D_lrate_dict": D_lrate_dict or {},
        "tick_kimg_dict": tick_kimg_dict or {},
    }
    for name, table in tables.items():
        for key in table:
            level_of(key, f"Every key of {name}")
    full_level = level_of(resolution, "resolution")
    first_level = min(level_of(lod_initial_resolution, "lod_initial_resolution"), full_level)

    minibatches = {
        2**level: minibatch_size(
            2**level, num_gpus, minibatch_base, tables["minibatch_dict"], tables["max_minibatch_per_gpu"]
        )
        for level in range(first_level, full_level + 1)
    }
    kimg = images_seen / 1000
    lod = level_of_detail(kimg, full_level - first_level, lod_training_kimg, lod_transition_kimg)
    current, fade = growth_at(lod, resolution)
    rampup = min(kimg / lrate_rampup_kimg, 1.0) if lrate_rampup_kimg > 0 else 1.0
    return Phase(
        resolution=current,
        fade=fade,
        lod=lod,
        minibatch=minibatches[current],
        G_lrate=tables["G_lrate_dict"].get(current, G_lrate_base) * rampup,
        D_lrate=tables["D_lrate_dict"].get(current, D_lrate_base) * rampup,
        tick_kimg=tables["tick_kimg_dict"].get(current, tick_kimg_base),
    )


def level_of_detail(kimg, initial_lod, training_kimg, transition_kimg):
    """The lod after `kimg`: constant for `training_kimg`, one lower `transition_kimg` later, and so on down to 0."""
    phase_kimg = training_kimg + transition_kimg
    phases = math.floor(kimg / phase_kimg) if phase_kimg > 0 else 0
    lod = float(initial_lod - phases)
    if transition_kimg > 0:
        lod -= max(kimg - phases * phase_kimg - training_kimg, 0.0) / transition_kimg
    return max(lod, 0.0)


def growth_at(lod, resolution):
    """The resolution of the newest block at a level of detail, and its weight in (0, 1]; see `Phase`."""
    return resolution >> math.floor(lod), 1.0 - (lod - math.floor(lod))


def minibatch_size(resolution, num_gpus, base, sizes, max_per_gpu):
    """Images in a minibatch at one resolution: a multiple of `num_gpus`, at most `max_per_gpu` on each."""
    wanted = sizes.get(resolution, base)
    minibatch = wanted - wanted % num_gpus
    if resolution in max_per_gpu:
        minibatch = min(minibatch, max_per_gpu[resolution] * num_gpus)
    if minibatch <= 0:
        raise ValueError(
            f"The minibatch at {resolution}x{resolution} must have at least one image for each of {num_gpus} GPUs; "
            f"received {wanted} images, with a limit of {max_per_gpu.get(resolution, 'none')} per GPU."
        )
    return minibatch


def level_of(resolution, name):
    """log2 of a resolution; ValueError, with `name` in it, unless it is a power of two from 4 up."""
    if not isinstance(resolution, int) or resolution < 4 or resolution & (resolution - 1):
        raise ValueError(f"{name} must be a power of two, 4 or larger; received {resolution!r}.")
    return resolution.bit_length() - 1

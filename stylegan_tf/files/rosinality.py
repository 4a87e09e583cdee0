"""What checkpoints of rosinality's stylegan2-pytorch say about networks: sizes follow from the tensors' shapes."""

import numpy as np

from dnnlib.torch_files import load_checkpoint
from stylegan_tf.files.pickles import Unusable, check_size
from stylegan_tf.files.torch_layout import Tensors, discriminator, generator, layers_of, sizes_up_to

# The networks in a file, in our order, and our names for them.
_NETWORKS = {"g": "G", "d": "D", "g_ema": "Gs"}
_AVERAGE = "latent_avg"

_TAPS = (1, 3, 3, 1)
_LARGEST_SIZE = 1024


def read_networks(path):
    """The PickledNetworks in a checkpoint: a tuple (G, D, Gs), less what is missing, or a single one.

    Raises:
        Unusable: It holds anything but such networks.
        ValueError: It is damaged, or no data.
        OSError: It cannot be read.
    """
    content = load_checkpoint(path, [*_NETWORKS, _AVERAGE])
    states = {key: content[key] for key in _NETWORKS if key in content}
    if not states or not all(isinstance(state, dict) for state in states.values()):
        raise Unusable(f"it holds no state dict {' or '.join(_NETWORKS)}")
    average = content.get(_AVERAGE)
    if isinstance(average, dict):
        raise Unusable(f"its {_AVERAGE} is no tensor")
    arrays = [array for state in states.values() for array in state.values()]
    check_size(path, arrays if average is None else [*arrays, average])
    networks = tuple(
        _discriminator(state) if key == "d" else _generator(_NETWORKS[key], state, average)
        for key, state in states.items()
    )
    return networks if len(networks) > 1 else networks[0]


def _count(state, name, first=0):
    """How many tensors there are whose names are `name` with the numbers from `first` on."""
    count = 0
    while name.format(count + first) in state:
        count += 1
    return count


def _resolution(doublings):
    if 4 << doublings > _LARGEST_SIZE:
        raise Unusable(f"its images are larger than {_LARGEST_SIZE} pixels")
    return 4 << doublings


def _taps(state, name):
    """Taps of the filter whose two-dimensional form has this name; they are what it has in a row, but for a factor."""
    kernel = state.get(name)
    if kernel is None:
        return _TAPS
    if kernel.ndim != 2 or 0 in kernel.shape or not np.isfinite(kernel).all():
        raise Unusable(f"its variable {name} is no filter")
    taps = kernel.sum(axis=1, dtype=np.float64)
    expected = np.multiply(_TAPS, taps.sum() / sum(_TAPS))
    return _TAPS if taps.shape == expected.shape and np.allclose(taps, expected) else tuple(map(float, taps))


def _generator(name, state, average):
    tensors = Tensors(state, derived=".kernel")
    resolution = _resolution(_count(state, "to_rgbs.{}.bias"))
    layers = _count(state, "style.{}.weight", first=1)
    first, last = (tensors.look(f"style.{number}.weight", 2) for number in (1, layers))
    mapping = {}
    for i in range(layers):
        mapping |= tensors.dense(f"Dense{i}", f"style.{i + 1}.weight", f"style.{i + 1}.bias")
    maps, variables = [], {"4x4/Const/const": tensors.take("input.input", 4 if _is_batch(state) else 3)}
    for number, (size, layer, up) in enumerate(layers_of(resolution)):
        theirs, layer = "conv1" if number == 0 else f"convs.{number - 1}", f"{size}x{size}/{layer}"
        if not up:
            maps.append(tensors.outputs(f"{theirs}.conv.weight"))
        weight, affine = f"{theirs}.conv.weight", f"{theirs}.conv.modulation"
        variables |= tensors.modulated(layer, weight, f"{theirs}.activate.bias", affine, up)
        variables |= tensors.noise(layer, number, f"noises.noise_{number}", f"{theirs}.noise.weight")
    for number, size in enumerate(sizes_up_to(resolution)):
        theirs = f"to_rgbs.{number - 1}" if number else "to_rgb1"
        channels = tensors.outputs(f"{theirs}.conv.weight")
        weight, affine = f"{theirs}.conv.weight", f"{theirs}.conv.modulation"
        variables |= tensors.modulated(f"{size}x{size}/ToRGB", weight, f"{theirs}.bias", affine)
    tensors.check_empty()
    arguments = {
        "resolution": resolution,
        "num_channels": channels,
        "label_size": 0,
        "latent_size": first.shape[1],
        "dlatent_size": last.shape[0],
        "mapping_layers": layers,
        "mapping_fmaps": first.shape[0],
        "resample_kernel": _taps(state, "convs.0.conv.blur.kernel"),
        "fmaps": [maps[0], *maps],
    }
    average = None if average is None else Tensors({_AVERAGE: average}, derived=".kernel").take(_AVERAGE, 1)
    return generator(name, arguments, average, mapping, variables)


def _is_batch(state):
    return getattr(state.get("input.input"), "ndim", 0) == 4


def _discriminator(state):
    tensors = Tensors(state, derived=".kernel")
    resolution = _resolution(_count(state, "convs.{}.conv1.0.weight", first=1))
    channels = tensors.look("convs.0.0.weight", 4).shape[1]
    maps = [tensors.outputs("final_linear.0.weight", 2), tensors.outputs("final_conv.0.weight")]
    variables = tensors.conv(f"{resolution}x{resolution}/FromRGB", "convs.0.0.weight", "convs.0.1.bias")
    blocks = list(enumerate(reversed(sizes_up_to(resolution)[1:]), start=1))
    for number, size in reversed(blocks):
        official, theirs = f"{size}x{size}", f"convs.{number}"
        maps.append(tensors.outputs(f"{theirs}.conv1.0.weight"))
        variables |= tensors.conv(f"{official}/Conv0", f"{theirs}.conv1.0.weight", f"{theirs}.conv1.1.bias")
        variables |= tensors.conv(f"{official}/Conv1_down", f"{theirs}.conv2.1.weight", f"{theirs}.conv2.2.bias")
        variables |= tensors.conv(f"{official}/Skip", f"{theirs}.skip.1.weight")
    variables |= tensors.conv("4x4/Conv", "final_conv.0.weight", "final_conv.1.bias")
    variables |= tensors.dense("4x4/Dense0", "final_linear.0.weight", "final_linear.0.bias")
    variables |= tensors.dense("Output", "final_linear.1.weight", "final_linear.1.bias")
    tensors.check_empty()
    arguments = {
        "resolution": resolution,
        "num_channels": channels,
        "label_size": 0,
        "mbstd_group_size": 4,
        "resample_kernel": _taps(state, "convs.1.conv2.0.kernel"),
        "fmaps": maps,
    }
    return discriminator(arguments, variables)

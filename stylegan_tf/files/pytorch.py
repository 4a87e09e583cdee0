"""What pickles of stylegan2-ada-pytorch say about networks: modules as data, their classes' source unread."""

import numpy as np

from dnnlib.pickle_reader import Record, shown
from stylegan_tf.files.pickles import Unusable, check_size
from stylegan_tf.files.torch_layout import Tensors, discriminator, generator, layers_of, sizes_up_to
from stylegan_tf.networks.network import log2_resolution

# The version of the dictionaries that modules are pickled as.
_VERSION = 6

# The networks in a file, and our names for them.
_NETWORKS = {"G": "G", "D": "D", "G_ema": "Gs"}

# Classes of the modules that StyleGAN2's networks consist of.
_PARTS = frozenset(
    {
        *("Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer"),
        *("FullyConnectedLayer", "Conv2dLayer"),
        *("Discriminator", "DiscriminatorBlock", "DiscriminatorEpilogue", "MinibatchStdLayer"),
    }
)

# Arguments with their defaults, and those without. What concerns half precision is of no importance: all is stored, and
# run, in single.
_COMMON = {"c_dim": ..., "img_resolution": ..., "img_channels": ...}
_GENERATOR = {**_COMMON, "z_dim": ..., "w_dim": ..., "mapping_kwargs": {}, "synthesis_kwargs": {}}
_MAPPING = {
    "num_layers": 8,
    "embed_features": None,
    "layer_features": None,
    "activation": "lrelu",
    "lr_multiplier": 0.01,
    "w_avg_beta": 0.995,
}
_CHANNELS = {
    "channel_base": 32768,
    "channel_max": 512,
    "num_fp16_res": 0,
    "conv_clamp": None,
}
_LAYERS = {"activation": "lrelu", "resample_filter": [1, 3, 3, 1], "fp16_channels_last": False}
_SYNTHESIS = {**_CHANNELS, **_LAYERS, "architecture": "skip", "use_noise": True}
_DISCRIMINATOR = {
    **_COMMON,
    **_CHANNELS,
    "architecture": "resnet",
    "cmap_dim": None,
    "block_kwargs": {},
    "mapping_kwargs": {},
    "epilogue_kwargs": {},
}
_BLOCK = {**_LAYERS, "freeze_layers": 0}
_EPILOGUE = {"mbstd_group_size": 4, "mbstd_num_channels": 1, "activation": "lrelu"}


class Module(Record):
    """A module, such as a network or a layer; its name is that of its class."""


def _module(meta):
    """What the function makes that modules are pickled as a call of."""
    if type(meta) is not dict or type(meta.get("class_name")) is not str or type(meta.get("state")) is not dict:
        raise TypeError("a module without class or state")
    if type(meta.get("version")) is not int or meta["version"] != _VERSION:
        raise ValueError(f"a module of another version than {_VERSION}")
    module = Module(meta["class_name"])
    module.set_state(meta["state"])
    return module


CALLS = {"torch_utils.persistence._reconstruct_persistent_obj": _module}


def networks_in(content, path):
    """The PickledNetworks in what was read from a file: a tuple (G, D, Gs), less what is missing, or a single one.

    Args:
        content: A dict of modules, or one of them.
        path: The file.

    Raises:
        Unusable: It is anything but such networks.
    """
    if isinstance(content, Module):
        content = {"G_ema": content}
    modules = {name: content[key] for key, name in _NETWORKS.items() if key in content}
    if not modules or not all(isinstance(module, Module) for module in modules.values()):
        raise Unusable(f"it holds something else than networks {', '.join(_NETWORKS)}")
    tensors = {}
    for name, module in modules.items():
        expected = "Discriminator" if name == "D" else "Generator"
        if module.name != expected:
            raise Unusable(f"its {name} is a {shown(module.name)}, no {expected}")
        tensors[name] = dict(_tensors(module, "", {id(module)}))
    check_size(path, [array for arrays in tensors.values() for array in arrays.values()])
    networks = tuple(
        _discriminator(module, tensors[name]) if name == "D" else _generator(name, module, tensors[name])
        for name, module in modules.items()
    )
    return networks if len(networks) > 1 else networks[0]


def _tensors(module, prefix, seen):
    """(name, array) of the parameters and buffers of a module and of its parts."""
    if module.name not in _PARTS:
        raise Unusable(
            f"it holds a {shown(module.name)}, which is no part of StyleGAN2's networks; those of later families, such "
            "as StyleGAN3, are not known here"
        )
    for kind in ("_parameters", "_buffers"):
        for name, array in _field(module, kind).items():
            if array is None:
                continue
            if not isinstance(array, np.ndarray):
                raise Unusable(f"its variable {shown(prefix + name)} is no tensor")
            yield prefix + name, array
    for name, part in _field(module, "_modules").items():
        if part is None:
            continue
        # A few bytes can name the same part again and again, or one within itself.
        if not isinstance(part, Module) or id(part) in seen:
            raise Unusable(f"its part {shown(prefix + name)} is no module of its own")
        seen.add(id(part))
        yield from _tensors(part, f"{prefix}{name}.", seen)


def _field(module, name):
    value = module.state.get(name)
    if type(value) is not dict:
        raise Unusable(f"a {shown(module.name)} in it has no {name}")
    return value


def _given(arguments, known):
    """Arguments with the defaults of those that are not given."""
    if type(arguments) is not dict:
        raise Unusable("its arguments are none")
    if unknown := [name for name in arguments if name not in known]:
        raise Unusable(f"its argument {shown(unknown[0])} is unknown")
    arguments = {**known, **arguments}
    if missing := [name for name, value in arguments.items() if value is ...]:
        raise Unusable(f"its argument {missing[0]} is missing")
    return arguments


def _network_arguments(module, known):
    arguments = _given(_field(module, "_init_kwargs"), known)
    resolution = arguments["img_resolution"]
    if module.state.get("_init_args"):
        raise Unusable("it has arguments without names")
    if type(resolution) is not int:
        raise Unusable("its argument img_resolution is no number")
    try:
        log2_resolution(resolution)
    except ValueError as error:
        raise Unusable(f"its resolution is unknown: {error}") from None
    common = {"resolution": "img_resolution", "num_channels": "img_channels", "label_size": "c_dim"}
    return arguments, {ours: arguments[theirs] for ours, theirs in common.items()}


def _clamp(arguments, module, *path):
    """The argument conv_clamp; where it is not given, what the part at this path has."""
    if "conv_clamp" in arguments:
        return arguments["conv_clamp"]
    for name in path:
        module = _field(module, "_modules").get(name)
        if not isinstance(module, Module):
            return None
    return module.state.get("conv_clamp")


def _mapping(tensors, arguments, has_labels, name):
    """{official name: array} of a mapping network, and its arguments as ours."""
    layers = arguments["num_layers"]
    if type(layers) is not int or not 0 <= layers <= 64:
        raise Unusable(f"its argument num_layers has a value that no network takes ({shown(layers)})")
    variables = tensors.dense("LabelEmbed", "mapping.embed.weight", "mapping.embed.bias") if has_labels else {}
    for i in range(layers):
        variables |= tensors.dense(f"{name}{i}", f"mapping.fc{i}.weight", f"mapping.fc{i}.bias")
    return variables, {
        "mapping_layers": layers,
        "mapping_lrmul": arguments["lr_multiplier"],
        "mapping_nonlinearity": arguments["activation"],
    }


def _layer_arguments(arguments):
    taps = arguments["resample_filter"]
    if type(taps) not in (list, tuple):
        raise Unusable("its argument resample_filter is no list")
    return {"nonlinearity": arguments["activation"], "resample_kernel": taps}


def _generator(name, module, arrays):
    arguments, ours = _network_arguments(module, _GENERATOR)
    tensors = Tensors(arrays, derived="resample_filter")
    resolution, width = ours["resolution"], arguments["w_dim"]
    own = _given(arguments["synthesis_kwargs"], _SYNTHESIS)
    maps = [tensors.outputs(f"synthesis.b{size}.conv1.weight") for size in sizes_up_to(resolution)]
    variables = {"4x4/Const/const": tensors.take("synthesis.b4.const", 3)[None]}
    for number, (size, layer, up) in enumerate(layers_of(resolution)):
        theirs, layer = f"synthesis.b{size}.conv{0 if up else 1}", f"{size}x{size}/{layer}"
        variables |= tensors.modulated(layer, f"{theirs}.weight", f"{theirs}.bias", f"{theirs}.affine", up)
        if own["use_noise"]:
            variables |= tensors.noise(layer, number, f"{theirs}.noise_const", f"{theirs}.noise_strength")
        else:
            none = {f"noise{number}": (1, 1, size, size), f"{layer}/noise_strength": ()}
            variables |= {key: np.zeros(shape, np.float32) for key, shape in none.items()}
    for size in sizes_up_to(resolution):
        theirs = f"synthesis.b{size}"
        if own["architecture"] == "skip" or size == resolution:
            rgb = f"{theirs}.torgb"
            variables |= tensors.modulated(f"{size}x{size}/ToRGB", f"{rgb}.weight", f"{rgb}.bias", f"{rgb}.affine")
        if own["architecture"] == "resnet" and size > 4:
            variables |= tensors.conv(f"{size}x{size}/Skip", f"{theirs}.skip.weight")
    mapping_arguments = _given(arguments["mapping_kwargs"], _MAPPING)
    mapping, mapping_ours = _mapping(tensors, mapping_arguments, ours["label_size"], "Dense")
    average = tensors.take("mapping.w_avg", 1) if "mapping.w_avg" in arrays else None
    tensors.check_empty()
    ours |= {
        **mapping_ours,
        **_layer_arguments(own),
        "latent_size": arguments["z_dim"],
        "dlatent_size": width,
        "mapping_fmaps": width if mapping_arguments["layer_features"] is None else mapping_arguments["layer_features"],
        "label_fmaps": width if mapping_arguments["embed_features"] is None else mapping_arguments["embed_features"],
        "architecture": own["architecture"],
        "conv_clamp": _clamp(arguments["synthesis_kwargs"], module, "synthesis", "b4", "conv1"),
        "fmaps": [maps[0], *maps],
    }
    return generator(name, ours, average, mapping, variables)


def _discriminator(module, arrays):
    arguments, ours = _network_arguments(module, _DISCRIMINATOR)
    tensors = Tensors(arrays, derived="resample_filter")
    resolution, architecture = ours["resolution"], arguments["architecture"]
    block, epilogue = (
        _given(arguments["block_kwargs"], _BLOCK),
        _given(arguments["epilogue_kwargs"], _EPILOGUE),
    )
    if type(block["activation"]) is not str or block["activation"] != epilogue["activation"]:
        raise Unusable("its layers at 4x4 have another activation than the others, or none that is known")
    above = sizes_up_to(resolution)[1:]
    maps = [tensors.outputs("b4.fc.weight", 2), tensors.outputs("b4.conv.weight")]
    maps += [tensors.outputs(f"b{size}.conv0.weight") for size in above]
    variables = {}
    for size in (*above, 4):
        official, theirs = f"{size}x{size}", f"b{size}"
        if architecture == "skip" or size == resolution:
            variables |= tensors.conv(f"{official}/FromRGB", f"{theirs}.fromrgb.weight", f"{theirs}.fromrgb.bias")
        if size > 4:
            variables |= tensors.conv(f"{official}/Conv0", f"{theirs}.conv0.weight", f"{theirs}.conv0.bias")
            variables |= tensors.conv(f"{official}/Conv1_down", f"{theirs}.conv1.weight", f"{theirs}.conv1.bias")
        if size > 4 and architecture == "resnet":
            variables |= tensors.conv(f"{official}/Skip", f"{theirs}.skip.weight")
    variables |= tensors.conv("4x4/Conv", "b4.conv.weight", "b4.conv.bias")
    variables |= tensors.dense("4x4/Dense0", "b4.fc.weight", "b4.fc.bias")
    variables |= tensors.dense("Output", "b4.out.weight", "b4.out.bias")
    outputs = maps[1] if arguments["cmap_dim"] is None else arguments["cmap_dim"]
    mapping_arguments = _given(arguments["mapping_kwargs"], _MAPPING)
    if ours["label_size"]:
        mapping, mapping_ours = _mapping(tensors, mapping_arguments, True, "Mapping")
        variables |= mapping
        ours |= {
            **mapping_ours,
            "mapping_fmaps": outputs,
            "mapping_width": mapping_arguments["layer_features"],
            "label_fmaps": mapping_arguments["embed_features"],
        }
    tensors.check_empty()
    ours |= {
        **_layer_arguments(block),
        "architecture": architecture,
        "conv_clamp": _clamp(_field(module, "_init_kwargs"), module, "b4", "conv"),
        "clamp_smallest_rgb": False,
        "mbstd_group_size": epilogue["mbstd_group_size"],
        "mbstd_num_features": epilogue["mbstd_num_channels"],
        "fmaps": maps,
    }
    return discriminator(ours, variables)

"""The original's names of StyleGAN's and Progressive GAN's variables, and how many weights arguments stand for."""

from itertools import pairwise
from typing import NamedTuple

from stylegan_tf.networks.discriminator import Discriminator
from stylegan_tf.networks.generator import Generator
from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.network import feature_maps_by_stage
from stylegan_tf.networks.progan import ProGANGenerator
from stylegan_tf.networks.synthesis import SynthesisNetwork


class Variable(NamedTuple):
    """One official variable: ours (None for the original's `lod`, which is the network's `growth`) and its layout."""

    variable: object
    layout: str = "same"  # "same", "image" (NCHW <-> NHWC), "flatten" (C, H, W -> units) or "unflatten" (-> C, H, W)


def stylegan(network):
    """{official name: Variable} of one of StyleGAN's networks."""
    if isinstance(network, MappingNetwork):
        return mapping_variables(network)
    if isinstance(network, SynthesisNetwork):
        return _synthesis(network)
    if isinstance(network, Generator):
        return {
            "lod": Variable(None),
            "dlatent_avg": Variable(network.w_average),
            **{f"G_synthesis/{name}": variable for name, variable in _synthesis(network.synthesis).items()},
            **{f"G_mapping/{name}": variable for name, variable in mapping_variables(network.mapping).items()},
        }
    return _discriminator(network)


def progan(network):
    """{official name: Variable} of one of Progressive GAN's networks."""
    if isinstance(network, Discriminator):
        return _discriminator(network)
    # Progressive GAN's names tell whether a resampling convolution is fused, StyleGAN's do not.
    return _synthesis(network.synthesis, unfused="Conv0")


def mapping_variables(network):
    """{official name: Variable} of a mapping network."""
    variables = {"LabelConcat/weight": Variable(network.embedding.embedding)} if network.embedding else {}
    for i, dense in enumerate(network.dense):
        variables |= weight_and_bias(f"Dense{i}", dense)
    return variables


def _synthesis(network, unfused="Conv0_up"):
    variables = {"lod": Variable(None)}
    variables |= {f"noise{i}": Variable(noise, "image") for i, noise in enumerate(network.noise_images)}
    for i, (res, (first, second)) in enumerate(zip(network.resolutions, network.layers_by_resolution, strict=True)):
        if res > 4:
            name = "Conv0_up" if first.source.fused else unfused
            weight = {"weight": Variable(first.source.kernel)}
        elif network.const_input_layer:
            name, weight = "Const", {"const": Variable(first.source.constant, "image")}
        else:
            name, weight = "Dense", {"weight": Variable(first.source.dense.kernel, "unflatten")}
        variables |= _synthesis_layer(f"{res}x{res}/{name}", weight, first)
        name = "Conv1" if res > 4 else "Conv"
        variables |= _synthesis_layer(f"{res}x{res}/{name}", {"weight": Variable(second.source.kernel)}, second)
        variables |= weight_and_bias(f"ToRGB_lod{len(network.resolutions) - 1 - i}", network.to_rgb[i])
    return variables


def _synthesis_layer(name, weight, layer):
    variables = {f"{name}/{key}": variable for key, variable in weight.items()}
    if layer.noise:
        variables[f"{name}/Noise/weight"] = Variable(layer.noise.strength)
    variables[f"{name}/bias"] = Variable(layer.bias.bias)
    if layer.style:
        variables |= weight_and_bias(f"{name}/StyleMod", layer.style.style)
    return variables


def _discriminator(network):
    variables = {"lod": Variable(None)}
    for lod, from_rgb in enumerate(network.from_rgb):
        variables |= weight_and_bias(f"FromRGB_lod{lod}", from_rgb)
        if lod < len(network.blocks):
            res, (first, second) = network.resolutions[lod], network.blocks[lod]
            variables |= weight_and_bias(f"{res}x{res}/Conv0", first)
            variables |= weight_and_bias(f"{res}x{res}/Conv1{'_down' if second.resample else ''}", second)
    variables |= weight_and_bias("4x4/Conv", network.conv)
    variables |= weight_and_bias("4x4/Dense0", network.dense, layout="flatten")
    return variables | weight_and_bias("4x4/Dense1", network.output_layer)


def weight_and_bias(name, layer, layout="same"):
    """{official name: Variable} of a layer, with the layout of its kernel."""
    return {f"{name}/weight": Variable(layer.kernel, layout), f"{name}/bias": Variable(layer.bias)}


def count_weights(network, arguments):
    """The number of weights in the kernels and matrices of a network, which are nearly all that it has."""
    if network is MappingNetwork:
        return count_mapping(arguments)
    if network is ProGANGenerator:
        latent_size = arguments["latent_size"] or feature_maps_of_stages(arguments)[0]
        traditional = dict(use_styles=False, const_input_layer=False)
        arguments = {**arguments, **traditional, "dlatent_size": latent_size + arguments["label_size"]}
    maps = feature_maps_of_stages(arguments)
    count = 9 * maps[1] ** 2 + sum(9 * above * (above + below) for below, above in pairwise(maps[1:]))
    count += arguments["num_channels"] * sum(maps[1:])
    if issubclass(network, Discriminator):
        return count + maps[0] * (16 * maps[1] + max(arguments["label_size"], 1))
    count += arguments["dlatent_size"] * (4 * sum(maps[1:]) if arguments["use_styles"] else 0)
    count += 0 if arguments["const_input_layer"] else arguments["dlatent_size"] * 16 * maps[1]
    return count + (count_mapping(arguments) if network is Generator else 0)


def count_mapping(arguments):
    """`count_weights` of a mapping network."""
    latent_size, label_size, layers = (arguments[name] for name in ("latent_size", "label_size", "mapping_layers"))
    inputs = 2 * latent_size if label_size else latent_size
    widths = [inputs, *[arguments["mapping_fmaps"]] * (layers - 1), arguments["dlatent_size"]] if layers else []
    return label_size * latent_size + sum(a * b for a, b in pairwise(widths))


def feature_maps_of_stages(arguments):
    """Feature maps of every stage from 0 on; resolution 2^r is stage r - 1. ValueError where there are none."""
    growth = [arguments[name] for name in ("resolution", "fmap_base", "fmap_decay", "fmap_max")]
    try:
        maps = feature_maps_by_stage(*growth, arguments.get("fmaps"))
    except (OverflowError, ZeroDivisionError):
        maps = [0]
    if min(maps) < 1:
        raise ValueError("Its arguments fmap_base and fmap_decay leave a resolution without feature maps.")
    return maps

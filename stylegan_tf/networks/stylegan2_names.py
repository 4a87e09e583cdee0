"""The original's names of StyleGAN2's variables, and how many weights arguments stand for."""

from itertools import pairwise

from stylegan_tf.networks.mapping import MappingNetwork
from stylegan_tf.networks.official_names import (
    Variable,
    count_mapping,
    feature_maps_of_stages,
    mapping_variables,
    weight_and_bias,
)
from stylegan_tf.networks.stylegan2 import StyleGAN2Generator
from stylegan_tf.networks.stylegan2_discriminator import StyleGAN2Discriminator, StyleGAN2GrowingDiscriminator
from stylegan_tf.networks.stylegan2_synthesis import StyleGAN2GrowingSynthesis, StyleGAN2Synthesis


def stylegan2(network):
    """{official name: Variable} of one of StyleGAN2's networks."""
    if isinstance(network, MappingNetwork):
        return mapping_variables(network)
    if isinstance(network, StyleGAN2Synthesis):
        return _synthesis(network)
    if isinstance(network, StyleGAN2Discriminator):
        return _discriminator(network)
    return {
        "lod": Variable(None),
        "dlatent_avg": Variable(network.w_average),
        **{f"G_synthesis/{name}": variable for name, variable in _synthesis(network.synthesis).items()},
        **{f"G_mapping/{name}": variable for name, variable in mapping_variables(network.mapping).items()},
    }


def _synthesis(network):
    grows = isinstance(network, StyleGAN2GrowingSynthesis)
    variables = {"lod": Variable(None)} if grows else {}
    variables |= {f"noise{i}": Variable(noise, "image") for i, noise in enumerate(network.noise_images)}
    variables["4x4/Const/const"] = Variable(network.constant.constant, "image")
    count = len(network.resolutions)
    for block, (res, layers) in enumerate(zip(network.resolutions, network.layers_by_resolution, strict=True)):
        for name, layer in zip(["Conv"] if res == 4 else ["Conv0_up", "Conv1"], layers, strict=True):
            strength = {f"{res}x{res}/{name}/noise_strength": Variable(layer.noise.strength)}
            variables |= _modulated(f"{res}x{res}/{name}", layer.conv) | strength
        if network.skip and block:
            variables[f"{res}x{res}/Skip/weight"] = Variable(network.skip[block - 1].kernel)
        to_rgb = block - count + len(network.to_rgb)
        if to_rgb >= 0:
            name = f"ToRGB_lod{count - 1 - block}" if grows else f"{res}x{res}/ToRGB"
            variables |= _modulated(name, network.to_rgb[to_rgb])
    return variables


def _modulated(name, layer):
    style = {"mod_weight": layer.style.kernel, "mod_bias": layer.style.bias}
    return weight_and_bias(name, layer) | {f"{name}/{key}": Variable(variable) for key, variable in style.items()}


def _discriminator(network):
    grows = isinstance(network, StyleGAN2GrowingDiscriminator)
    variables = {"lod": Variable(None)} if grows else {}
    for number, res in enumerate(network.resolutions):
        if number < len(network.from_rgb):
            name = f"FromRGB_lod{number}" if grows else f"{res}x{res}/FromRGB"
            variables |= weight_and_bias(name, network.from_rgb[number])
        if number < len(network.blocks):
            first, second = network.blocks[number]
            variables |= weight_and_bias(f"{res}x{res}/Conv0", first)
            variables |= weight_and_bias(f"{res}x{res}/Conv1_down", second)
        if number < len(network.skip):
            variables[f"{res}x{res}/Skip/weight"] = Variable(network.skip[number].kernel)
    variables |= weight_and_bias("4x4/Conv", network.conv)
    variables |= weight_and_bias("4x4/Dense0", network.dense, layout="flatten")
    return variables | weight_and_bias("Output", network.output_layer)


def count_weights(network, arguments):
    """The number of weights in the kernels and matrices of a network, which are nearly all that it has."""
    if issubclass(network, MappingNetwork):
        return count_mapping(arguments)
    maps = feature_maps_of_stages(arguments)
    pairs = list(pairwise(maps[1:]))  # of a resolution, and of the next
    count = 9 * maps[1] ** 2 + sum(9 * above * (above + below) for below, above in pairs)
    if arguments.get("architecture") == "resnet":
        count += sum(above * below for below, above in pairs)
    if issubclass(network, StyleGAN2Discriminator):
        return count + maps[0] * (16 * maps[1] + max(arguments["label_size"], 1)) + arguments["num_channels"] * maps[-1]
    # Styles: one for each convolution's input, and for that of one toRGB at least.
    styles = maps[1] + sum(below + above for below, above in pairs) + maps[-1]
    count += arguments["dlatent_size"] * styles + arguments["num_channels"] * maps[-1]
    return count + (count_mapping(arguments) if issubclass(network, StyleGAN2Generator) else 0)

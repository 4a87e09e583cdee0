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
from stylegan_tf.networks.stylegan2_ada import StyleGAN2ADADiscriminator, StyleGAN2ADAMapping
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


def stylegan2_ada(network):
    """{official name: Variable} of one of StyleGAN2-ADA's networks."""
    if isinstance(network, StyleGAN2ADAMapping):
        return _labelled_mapping(network)
    if isinstance(network, StyleGAN2Synthesis):
        return _synthesis(network)
    if isinstance(network, StyleGAN2ADADiscriminator):
        mapping = _labelled_mapping(network.mapping, "Mapping") if network.mapping else {}
        return mapping | _discriminator(network)
    return {
        "dlatent_avg": Variable(network.w_average),
        **{f"G_synthesis/{name}": variable for name, variable in _synthesis(network.synthesis).items()},
        **{f"G_mapping/{name}": variable for name, variable in _labelled_mapping(network.mapping).items()},
    }


def _labelled_mapping(network, dense_name="Dense"):
    variables = weight_and_bias("LabelEmbed", network.embedding) if network.embedding else {}
    for i, dense in enumerate(network.dense):
        variables |= weight_and_bias(f"{dense_name}{i}", dense)
    return variables


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
        return _count_mapping(arguments)
    maps = feature_maps_of_stages(arguments)
    pairs = list(pairwise(maps[1:]))  # of a resolution, and of the next
    count = 9 * maps[1] ** 2 + sum(9 * above * (above + below) for below, above in pairs)
    if arguments.get("architecture") == "resnet":
        count += sum(above * below for below, above in pairs)
    if issubclass(network, StyleGAN2Discriminator):
        outputs = max(arguments["label_size"], 1)
        if issubclass(network, StyleGAN2ADADiscriminator) and arguments["label_size"]:
            outputs = arguments["mapping_fmaps"] or maps[0]
            label = dict(latent_size=0, dlatent_size=outputs, label_fmaps=arguments["label_fmaps"] or outputs)
            count += _count_mapping({**arguments, **label, "mapping_fmaps": arguments["mapping_width"]})
        return count + maps[0] * (16 * maps[1] + outputs) + arguments["num_channels"] * maps[-1]
    # Styles: one for each convolution's input, and for that of one toRGB at least.
    styles = maps[1] + sum(below + above for below, above in pairs) + maps[-1]
    count += arguments["dlatent_size"] * styles + arguments["num_channels"] * maps[-1]
    return count + (_count_mapping(arguments) if issubclass(network, StyleGAN2Generator) else 0)


def _count_mapping(arguments):
    """`count_weights` of a mapping network, also of StyleGAN2-ADA's, where a size may be None for that of another."""
    if "label_fmaps" not in arguments:
        return count_mapping(arguments)
    latent_size, label_size, layers = (arguments[name] for name in ("latent_size", "label_size", "mapping_layers"))
    embedded = (arguments["label_fmaps"] or latent_size) if label_size else 0
    width = arguments["mapping_fmaps"] or arguments["dlatent_size"]
    widths = [latent_size + embedded, *[width] * (layers - 1), arguments["dlatent_size"]] if layers else []
    return label_size * embedded + sum(a * b for a, b in pairwise(widths))

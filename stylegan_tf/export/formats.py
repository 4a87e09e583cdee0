"""Export to single files: Keras, ONNX, and the official variables for programs that have neither."""

import contextlib
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from dnnlib.files import atomic_file
from dnnlib.optional import import_optional
from stylegan_tf.export.model_card import architecture
from stylegan_tf.files.official import export_variables

# ONNX operator set: nothing here needs a newer one, and older runtimes read it.
_OPSET = 15


def export_keras(generator, path, facts=None):
    """Writes PATH for `keras.saving.load_model`, on any backend with this project's networks, and its model card.

    The card is the JSON file of the same name. Both tell how far a network has grown; it has all its blocks.

    Args:
        generator: A generator of any family, float32.
        path: NAME.keras.
        facts: What the model card shall say about the network's origin, a dictionary for JSON.

    Raises:
        ValueError: The name does not end in .keras.
        OSError: It cannot be written.
    """
    with _output(path, ".keras") as file:
        generator.save(file)
    with atomic_file(Path(path).with_suffix(".json"), durable=True) as file:
        file.write_text(json.dumps(_card(generator, facts), indent=2) + "\n")


def export_weights(generator, path, facts=None):
    """Writes the official variables, in the original's layouts, and what they are of; NumPy alone reads them.

    The file has an array for each name of `official.export_variables` and `__config__`, a string: the model card in
    JSON, with the class and its arguments. As in the original's files, `lod` tells how far a network has grown.

    Args:
        generator, facts: See `export_keras`.
        path: NAME.npz.

    Raises:
        ValueError: The name does not end in .npz.
        OSError: It cannot be written.
    """
    arrays = export_variables(generator)
    with _output(path, ".npz") as file:
        np.savez(file, __config__=json.dumps(_card(generator, facts)), **arrays)


def export_onnx(generator, path, facts=None, truncation_cutoff=None):
    """Writes an ONNX model of latents, labels and psi to images with the stored noise, for any number of images N.

        latents         float32 [N, latent_size], standard normal
        labels          float32 [N, label_size], one-hot as a rule; only if the generator is conditional
        truncation_psi  float32 [N]: 1 for no truncation, 0 for the average image; 0.7 as a rule, StyleGAN2 0.5
        images          float32 [N, R, R, C], nominally in [-1, 1]; -1 is black. R is the full resolution: the images of
                        a network that has not finished growing are enlarged.

    The model card is in its metadata.

    Args:
        generator, facts: See `export_keras`.
        path: NAME.onnx.
        truncation_cutoff: Number of layers that truncation_psi acts on (Karras et al., 2018, appendix B); None: as many
            as is usual for the network.

    Raises:
        ValueError: The name does not end in .onnx, or a package is missing.
        OSError: It cannot be written.
    """
    cutoff = generator.truncated_layers if truncation_cutoff is None else truncation_cutoff

    def images(*z_and_labels_and_psi):
        *z_and_labels, psi = z_and_labels_and_psi
        return {
            "images": generator.synthesis(generator.truncate(generator.mapping(*z_and_labels), psi[:, None], cutoff))
        }

    with _output(path, ".onnx") as file:
        widths = latent_widths(generator) | {"truncation_psi": ()}
        write_onnx(file, generator.variables, images, widths, _card(generator, facts))


def latent_widths(generator):
    """{input: shape of one} of what a mapping network takes: latents, and labels where there are classes."""
    widths = {"latents": generator.latent_size, "labels": generator.label_size}
    return {name: (width,) for name, width in widths.items() if width}


def write_onnx(file, variables, function, inputs, card):
    """Writes an ONNX model of any number of images N.

    The weights are arguments of what is converted, since the converter copies and folds constants many times over: as
    constants, those of a network for 256 x 256 take it a minute and 10 GB.

    Args:
        file: Path.
        variables: Keras variables that are its weights.
        function: Function of tensors that uses them, and returns {output: tensor}.
        inputs: {name: shape of one} of its arguments, float32.
        card: What is said in the metadata, a dictionary for JSON.

    Raises:
        ValueError: A package is missing.
        OSError: It cannot be written.
    """
    # In this order, as installing tf2onnx brings onnx along.
    tf2onnx, onnx = (import_optional(package, "Exporting to ONNX", "onnx") for package in ("tf2onnx", "onnx"))
    specs = [tf.TensorSpec([None, *shape], tf.float32, name) for name, shape in inputs.items()]
    weights = [tf.TensorSpec(variable.shape, variable.dtype, variable.path) for variable in variables]

    @tf.function(autograph=False)
    def call(*tensors):
        with keras.StatelessScope(zip(variables, tensors[len(specs) :], strict=True)):
            return function(*tensors[: len(specs)])

    model, _ = tf2onnx.convert.from_function(call, specs + weights, opset=_OPSET)
    _store_weights(model.graph, variables, onnx)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.helper.set_model_props(
        model, {key: value if isinstance(value, str) else json.dumps(value) for key, value in card.items()}
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, file)


def _store_weights(graph, variables, onnx):
    """Turns the last inputs of a graph, one for each variable, into its constants."""
    count = len(graph.input) - len(variables)
    names = [value.name for value in graph.input[count:]]
    del graph.input[count:]
    used = {name for node in graph.node for name in node.input}
    for name, variable in zip(names, variables, strict=True):
        if name in used:
            graph.initializer.append(onnx.numpy_helper.from_array(ops.convert_to_numpy(variable), name))


def _card(generator, facts):
    """The model card, a dictionary for JSON."""
    return {"network": facts or {}, **architecture(generator)}


@contextlib.contextmanager
def _output(path, suffix):
    """`atomic_file` in a folder that is made if need be; ValueError for another suffix."""
    path = Path(path)
    if path.suffix != suffix:
        raise ValueError(f"The file must be called NAME{suffix}; received {path}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, durable=True) as file:
        yield file

"""Export to SavedModel: a folder that TensorFlow Serving loads, without this project."""

import json
import re
from pathlib import Path

import tensorflow as tf

from dnnlib.files import check_new_folder, new_folder
from stylegan_tf.export.model_card import model_card
from stylegan_tf.export.seeds import latents_from_seeds
from stylegan_tf.export.warmup import warmup_inputs, write_warmup
from stylegan_tf.images import to_uint8_rounded, unsqueeze
from stylegan_tf.layers.convolution import strips_of_an_image
from stylegan_tf.pictures.sampler import columns_by_text, columns_of, random_noise

# The noise seed that stands for the stored noise images, and the first number that is no seed.
STORED_NOISE, SEEDS = -1, 2**32


def export_savedmodel(generator, output, *, version=None, max_batch=32, truncation_cutoff=None, facts=None):
    """Writes a generator as OUTPUT/VERSION, complete or not at all, and tries it out.

    Every input and output of its signatures has the image as its first dimension, of any length up to `max_batch`:

        serving_default    latents, (labels,) truncation_psi, noise_seed -> images
        mapping            latents, (labels) -> w, not truncated
        synthesis          w, noise_seed -> images
        images_from_seeds  seeds, (classes,) truncation_psi, noise_seed -> images
        png_from_seeds     the same -> png_bytes
        classes_from_names names -> classes

    labels, classes and the last signature are there for a conditional generator. A request that makes no sense is
    answered with InvalidArgument and a sentence. The folder has a model card in assets.extra and, where the package
    tensorflow-serving-api is installed, warm-up requests.

    Args:
        generator: A generator of any family; of one that has not finished growing, images are enlarged.
        output: Folder of the model, whose name is the model's.
        version: Integer from 1; None: one more than the highest in `output`.
        max_batch: Images that a request may ask for at most.
        truncation_cutoff: Number of layers that truncation_psi acts on (Karras et al., 2018, appendix B); None: as many
            as is usual for the network.
        facts: What the model card shall say about the network's origin, a dictionary for JSON.

    Returns:
        Path of OUTPUT/VERSION.

    Raises:
        ValueError: The network is broken.
        OSError: There is this version already, or it cannot be written.
    """
    path = version_folder(output, version)
    cutoff = generator.truncated_layers if truncation_cutoff is None else truncation_cutoff
    model = tf.Module()
    # Keras' own objects would be exported with their functions.
    model.network_variables = [variable.value for variable in generator.variables]
    signatures = make_signatures(generator, max_batch, cutoff)
    name_of_class = next((name for name, images in columns_of(generator) if images), "")
    examples = {name: warmup_inputs(function, name_of_class) for name, function in signatures.items()}
    try_out(signatures, examples)
    with new_folder(path) as folder:
        tf.saved_model.save(model, folder, signatures)
        extra = folder / "assets.extra"  # what SavedModel leaves to others
        extra.mkdir()
        write_warmup(extra / "tf_serving_warmup_requests", path.parent.name, examples)
        limits = {"images": (1, max_batch), **input_ranges(generator.label_size)}
        card = model_card(generator, signatures, facts or {}, limits=limits, truncation_cutoff=cutoff)
        (extra / "model_card.json").write_text(json.dumps(card, indent=2) + "\n")
    return path


def version_folder(output, version=None):
    """Path of a new version; of the next one where none is given. FileExistsError if it is there already."""
    output = Path(output).absolute()
    if version is None:
        names = [path.name for path in output.iterdir()] if output.exists() else []
        version = 1 + max((int(name) for name in names if re.fullmatch(r"\d+", name)), default=0)
    if version >= 2**63:
        raise ValueError(f"Version {version} is more than TensorFlow Serving can count; choose one with --version.")
    path = output / str(version)
    check_new_folder(path)
    return path


def make_signatures(generator, max_batch, truncation_cutoff):
    """{signature: concrete function of tensors by name, that returns {name: tensor}}, each traced once for any batch.

    Args:
        generator, max_batch, truncation_cutoff: See `export_savedmodel`.
    """

    # Three functions of the graph, which the signatures share.
    @tf.function(autograph=False)
    def drawn(seeds):
        return latents_from_seeds(seeds, generator.latent_size)

    @tf.function(autograph=False)
    def styles(latents, labels=None):
        # Not every version of Keras finds out the shape, which the signature tells its clients.
        return tf.ensure_shape(generator.mapping(latents, labels), w["w"].shape)

    @tf.function(autograph=False)
    def images(w, noise_seed):
        pixels = synthesized(generator, w, noise_images(generator, noise_seed))
        finite = require(
            tf.reduce_all(tf.math.is_finite(pixels)),
            "There would be pixels that are not finite numbers: the network is broken, or inputs are too large.",
        )
        with tf.control_dependencies([finite]):
            return unsqueeze(to_uint8_rounded(pixels), generator.resolution, generator.aspect)

    def from_latents(truncation_psi, noise_seed, **inputs):
        w = generator.truncate(styles(**inputs), truncation_psi[:, tf.newaxis], truncation_cutoff)
        return images(w, noise_seed)

    def from_seeds(seeds, classes=None, **settings):
        labels = None if classes is None else tf.one_hot(classes, generator.label_size)
        return from_latents(latents=drawn(seeds), labels=labels, **settings)

    def png(**inputs):
        return tf.map_fn(tf.io.encode_png, from_seeds(**inputs), fn_output_signature=tf.string)

    latents = {"latents": tf.TensorSpec([None, generator.latent_size], tf.float32)}
    seeds = {"seeds": tf.TensorSpec([None], tf.int64)}
    if generator.label_size:
        latents["labels"] = tf.TensorSpec([None, generator.label_size], tf.float32)
        seeds["classes"] = tf.TensorSpec([None], tf.int64)
    names = {"names": tf.TensorSpec([None], tf.string)}
    w = {"w": tf.TensorSpec([None, generator.num_layers, generator.dlatent_size], tf.float32)}
    psi = {"truncation_psi": tf.TensorSpec([None], tf.float32)}
    noise = {"noise_seed": tf.TensorSpec([None], tf.int64)}
    ranges = input_ranges(generator.label_size)
    return {
        name: checked_function(function, output, inputs, max_batch, ranges)
        for name, function, output, inputs in (
            ("serving_default", from_latents, "images", latents | psi | noise),
            ("mapping", styles, "w", latents),
            ("synthesis", images, "images", w | noise),
            ("images_from_seeds", from_seeds, "images", seeds | psi | noise),
            ("png_from_seeds", png, "png_bytes", seeds | psi | noise),
            *([("classes_from_names", class_finder(generator), "classes", names)] if generator.label_size else []),
        )
    }


def class_finder(generator):
    """A function of names, string [N], that returns the classes of `Sampler.find_class`, int64 [N]."""
    all_columns = columns_of(generator)
    known = columns_by_text([name for name, _ in all_columns])
    known = {text: column for text, column in known.items() if all_columns[column][1]}
    texts, columns = tf.constant(list(known)), tf.constant(list(known.values()), tf.int64)
    listing = ", ".join(dict.fromkeys(all_columns[column][0] for column in known.values()))

    def find(names):
        same = names[:, tf.newaxis] == texts
        found = tf.reduce_any(same, axis=1)
        wrong = names[tf.argmin(tf.cast(found, tf.int64))]
        sentence = tf.strings.join(["There is no class ", wrong, f"; the network has {listing}."])
        check = tf.debugging.Assert(tf.reduce_all(found), [sentence])
        with tf.control_dependencies([check]):
            return tf.gather(columns, tf.argmax(tf.cast(same, tf.int64), axis=1))

    return find


def input_ranges(label_size):
    """{input: (lowest, highest)} of the integers."""
    classes = {"classes": (0, label_size - 1)} if label_size else {}
    return {"seeds": (0, SEEDS - 1), "noise_seed": (STORED_NOISE, SEEDS - 1), **classes}


def synthesized(generator, w, noise):
    """What a generator makes of any number of w; where one image is cut into strips, that is a graph of its own.

    Args:
        generator: A generator.
        w: float32 [N, num_layers, dlatent_size].
        noise: See `noise_images`.

    Returns:
        float32 [N, R, R, C].
    """

    def some():
        return generator.synthesis(w, noise=noise)

    def one():
        # Not by tf.ensure_shape: TensorFlow's optimizer would take it for known, for the condition as well.
        alone, *images = (tensor[0, tf.newaxis] for tensor in [w, *(noise or [])])
        return generator.synthesis(alone, noise=images or None)

    if strips_of_an_image(generator.resolution) == 1:
        return some()
    return tf.cond(tf.shape(w)[0] == 1, one, some)


def noise_images(generator, seeds):
    """Noise of each image: the stored images where its seed is STORED_NOISE, else those that are drawn from it.

    Args:
        generator: A generator.
        seeds: int64 [N].

    Returns:
        A list of float32 [N or 1, R, R, 1], one for each layer; None for a network without noise.
    """
    stored = [tf.convert_to_tensor(image) for image in generator.noise_images]
    if not stored:
        return None
    is_stored = seeds == STORED_NOISE

    def some_drawn():
        drawn = random_noise(generator.noise_shapes, tf.maximum(seeds, 0))
        return [tf.where(is_stored[:, None, None, None], *pair) for pair in zip(stored, drawn, strict=True)]

    return tf.cond(tf.reduce_all(is_stored), lambda: stored, some_drawn)


def checked_function(function, output, specs, max_batch, ranges):
    """A concrete function that checks its inputs before anything else is computed.

    Args:
        function: Function of tensors by name.
        output: Name of what it returns.
        specs: {input: TensorSpec}.
        max_batch: The most rows.
        ranges: See `input_ranges`.
    """

    @tf.function(autograph=False)
    def signature(**inputs):
        # TensorFlow compares an input's shape with its specification in Python only, Serving does not.
        inputs = {name: tf.ensure_shape(inputs[name], spec.shape) for name, spec in specs.items()}
        inputs = after(row_checks(inputs, max_batch), inputs)
        return {output: function(**after(value_checks(inputs, ranges), inputs))}

    return signature.get_concrete_function(**specs)


def after(checks, inputs):
    """The inputs, once checks have passed."""
    with tf.control_dependencies(checks):
        return {name: tf.identity(value) for name, value in inputs.items()}


def row_checks(inputs, max_batch):
    """Checks that all inputs have the same, allowed number of rows."""
    counts = {name: tf.shape(value, out_type=tf.int64)[0] for name, value in inputs.items()}
    first, *others = counts
    count = counts[first]
    allowed = (count >= 1) & (count <= max_batch)
    checks = [require(allowed, f"A request is for 1 to {max_batch} images; received {first} for {{}}.", count)]
    for name in others:
        sentence = f"{name} must have as many rows as {first}, which has {{}}; received {{}}."
        checks.append(require(counts[name] == count, sentence, count, counts[name]))
    return checks


def value_checks(inputs, ranges):
    """Checks that numbers are finite, and integers in their ranges."""
    checks = []
    for name, value in inputs.items():
        if value.dtype == tf.string:
            continue
        if value.dtype.is_floating:
            wrong = tf.reduce_any(~tf.math.is_finite(value), axis=list(range(1, len(value.shape))))
            sentence, received = f"{name} must be finite numbers; those of image {{}} are not.", tf.argmax(wrong)
        else:
            low, high = ranges[name]
            wrong = (value < low) | (value > high)
            sentence, received = f"{name} must be from {low} to {high}; received {{}}.", value[tf.argmax(wrong)]
        checks.append(require(~tf.reduce_any(wrong), sentence, received))
    return checks


def require(condition, sentence, *values):
    """An operation that fails with a sentence, whose {} are the values, unless a condition holds."""
    return tf.debugging.Assert(condition, [tf.strings.format(sentence, values)])


def try_out(signatures, examples):
    """Calls every signature; ValueError if one fails."""
    for name, function in signatures.items():
        try:
            function(**{key: tf.constant(value) for key, value in examples[name].items()})
        except tf.errors.InvalidArgumentError as error:
            reason = re.search(r"assertion failed: \[(.*?)\]", error.message)
            raise ValueError(
                f"The network cannot be exported, as {name} fails: {reason[1] if reason else error.message}"
            ) from None

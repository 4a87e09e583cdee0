"""From seeds to pictures: latents, styles, noise and images of a trained generator."""

import functools
from unicodedata import normalize

import numpy as np
import tensorflow as tf

from stylegan_tf.files.identity import network_hash
from stylegan_tf.images import to_uint8_rounded, unsqueeze
from stylegan_tf.runtime.draws import normal
from stylegan_tf.runtime.replicas import distributed, strategy_of

NOISES = ("fixed", "random", "off", "fine", "coarse")
_GIVEN = "given"  # noise images that the caller brings
# Noise from this resolution on is called fine (Figure 5).
_FINE = 64
# Pixels of the images that a device makes at a time, where the user does not say, and the most images.
_PIXELS, _MOST = 2**22, 64
_MOST_NAMES = 20  # in a message


def latents(seeds, latent_size):
    """Latents z of seeds, as the original draws them: published seeds show the published pictures.

    Args:
        seeds: Integers in [0, 2^32).
        latent_size: Length of z.

    Returns:
        Standard normal, float32 [N, latent_size].
    """
    z = [np.random.RandomState(seed).randn(latent_size) for seed in seeds]
    return np.array(z, np.float32).reshape(len(z), latent_size)


def random_noise(shapes, seeds):
    """Standard normal noise images, those of an image a function of its seed alone; the same on every device.

    Args:
        shapes: `noise_shapes` of a synthesis network.
        seeds: int64 [N], not negative.

    Returns:
        A list of float32 [N, R, R, 1], one for each layer; None for a network without noise.
    """
    if not shapes:
        return None
    sizes = [int(np.prod(shape)) for shape in shapes]
    flat = tf.map_fn(
        lambda seed: normal([sum(sizes)], tf.stack([seed, 0])),
        seeds,
        fn_output_signature=tf.float32,
    )
    parts = zip(tf.split(flat, sizes, axis=1), shapes, strict=True)
    return [tf.reshape(part, [-1, *shape[-3:]]) for part, shape in parts]


def columns_of(generator):
    """[(name, images in training), ...] of a generator's label columns: numbers with an image each, if not known."""
    return generator.label_columns or [(str(column), 1) for column in range(generator.label_size)]


def columns_by_text(names):
    """{what a user may call a class: its column}: its name, and its column unless there are names like numbers.

    Unicode writes letters with accents in two ways, and file systems, from which names come, and keyboards differ in
    it: either will do.
    """
    numbers = {} if any(name.isdecimal() for name in names) else {str(column): column for column in range(len(names))}
    written = {normalize(form, name): column for form in ("NFC", "NFD") for column, name in enumerate(names)}
    return numbers | written | {name: column for column, name in enumerate(names)}


def first_fine_resolution(resolution):
    """The lowest resolution whose noise is fine: 64 as in Figure 5, or half the full resolution if that is lower."""
    return min(_FINE, resolution // 2)


class Sampler:
    """What a generator makes, NumPy in and NumPy out, of any number of latents: a minibatch at a time, on the devices
    of the strategy that the generator was made in.

    Args:
        generator: A generator of any family; of one that has not finished growing, images are enlarged.
        minibatch: Images at a time on each device; None: by the resolution.

    Attributes:
        resolution, num_channels: Side and colour channels of the images.
        aspect: Of the pictures that the images stand for, see `images.unsqueeze`; None for squares.
        num_layers: Number of layers that take a style.
        usual_psi, truncated_layers: Truncation where nobody says otherwise, the network's; none without styles.
        latent_size, label_size: Lengths of z and of a label.
        classes: Columns of labels that there were images of in training, as far as it is known; a list.
        noise_resolutions: Side of each layer's noise images, a list; empty without noise.
        batch: Images at a time on all devices.
    """

    def __init__(self, generator, minibatch=None):
        self.generator = generator
        self.resolution, self.num_channels = generator.resolution, generator.num_channels
        self.aspect = generator.aspect
        self.num_layers = generator.num_layers
        # Networks without styles have no average worth going to.
        self.usual_psi = generator.usual_psi if generator.has_styles else 1.0
        self.truncated_layers = generator.truncated_layers
        self.latent_size, self.label_size = generator.latent_size, generator.label_size
        self._columns = columns_of(generator)
        self.classes = [column for column, (_, images) in enumerate(self._columns) if images]
        self.noise_resolutions = [shape[1] for shape in generator.noise_shapes]
        strategy = strategy_of(generator)
        self.replicas = strategy.num_replicas_in_sync
        self.batch = self.replicas * (minibatch or max(1, min(_MOST, _PIXELS // self.resolution**2)))
        self._mapping = distributed(strategy, lambda z, *labels: self.generator.mapping(z, *labels))
        self._synthesis = {
            noise: distributed(strategy, lambda w, *seeds, noise=noise: self._images(w, noise, *seeds))
            for noise in (*NOISES, _GIVEN)
        }
        self._previews = {}
        self._moments = {
            noise: distributed(strategy, lambda w, *seeds, noise=noise: self._moments_of(w, noise, *seeds))
            for noise in NOISES
        }

    def class_name(self, column):
        """What a class is called: by its name and column, or by its column alone if that is its name."""
        name = self._columns[column][0]
        return name if name == str(column) else f"{name} ({column})"

    def find_class(self, text):
        """The column of a class that a user calls by its name, or by its column unless there are names like numbers.

        Raises:
            ValueError: There is none, or there were no images of it in training.
        """
        names = [name for name, _ in self._columns]
        if not names:
            raise ValueError("The network has no classes; leave --class out.")
        column = columns_by_text(names).get(text)
        if column is None:
            shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
            if names == list(map(str, range(len(names)))):
                shown = f"0 to {len(names) - 1}"
            raise ValueError(f"There is no class {text}; the network's are {shown}.")
        if column not in self.classes:
            raise ValueError(f"There were no images of the class {text} in training; choose another.")
        return column

    @functools.cached_property
    def network_hash(self):
        """Identity of the generator; see `files.identity`."""
        return network_hash(self.generator)

    def mapping(self, z, labels=None):
        """Styles w, float32 [N, num_layers, dlatent_size], not truncated.

        Args:
            z: float [N, latent_size].
            labels: float [N, label_size]; None without conditioning.
        """
        arrays = [np.asarray(x, np.float32) for x in ((z,) if labels is None else (z, labels))]
        return self._in_minibatches(self._mapping, arrays)

    def truncate(self, w, psi=None, cutoff=None):
        """Pulls styles towards their average; see `BaseGenerator.truncate`.

        Args:
            w: float [N, num_layers, dlatent_size].
            psi, cutoff: Strength and number of layers; None: `usual_psi`, `truncated_layers`.
        """
        psi = self.usual_psi if psi is None else psi
        cutoff = self.truncated_layers if cutoff is None else cutoff
        return self.generator.truncate(tf.constant(w), psi, cutoff).numpy()

    def synthesis(self, w, noise="fixed", noise_seeds=None):
        """Images of styles.

        Args:
            w: float [N, num_layers, dlatent_size].
            noise: What the layers add (Figure 5): "fixed": the stored noise images; "random": other ones for each
                image; "off": none; "fine" or "coarse": the stored ones of the finer or the coarser layers only, divided
                at `first_fine_resolution`. Or a list of each image's own noise images, float [N, R, R, 1] like the
                network's `noise_shapes`.
            noise_seeds: For "random": what an image's noise is drawn from, integers [N], not negative.

        Returns:
            uint8 [N, R, R, C], rounded to nearest.

        Raises:
            ValueError: The network is broken.
        """
        return self._of_styles(self._synthesis, w, noise, noise_seeds)

    def preview(self, w, side):
        """Images of a lower resolution, one of the synthesis network's `preview_sides`, which take less time.

        Args:
            w: float [N, num_layers, dlatent_size].

        Returns:
            uint8 [N, side, side, C].
        """
        if side not in self._previews:
            self._previews[side] = distributed(
                strategy_of(self.generator), lambda w: to_uint8_rounded(self.generator.synthesis.preview(w, side))
            )
        return self._in_minibatches(self._previews[side], [np.asarray(w, np.float32)])

    def pictures(self, images):
        """Images, uint8 [..., H, W, C], or what is laid out of them, with the aspect of the data; see `unsqueeze`."""
        return np.asarray(unsqueeze(images, self.resolution, self.aspect))

    def moments(self, w, noise="fixed", noise_seeds=None):
        """Mean and variance, over pixels and channels, of what each resolution adds to the images of styles.

        Args:
            w, noise, noise_seeds: See `synthesis`.

        Returns:
            float32 [N, resolutions, 2], from 4x4 up.

        Raises:
            ValueError: The images are not sums over resolutions, or the network is broken.
        """
        if not self.generator.synthesis.sums_resolutions:
            raise ValueError(
                "The network's image is not a sum of what each resolution adds; give a generator with skip "
                "connections, such as StyleGAN2's."
            )
        return self._of_styles(self._moments, w, noise, noise_seeds)

    def _of_styles(self, functions, w, noise, noise_seeds):
        arrays = [np.asarray(w, np.float32)]
        if isinstance(noise, list):
            arrays, noise = arrays + noise, _GIVEN
        if noise not in functions:
            raise ValueError(f"Noise must be one of {', '.join(NOISES)}; received {noise!r}.")
        if noise == "random":
            arrays.append(np.asarray(noise_seeds, np.int64))
        return self._in_minibatches(functions[noise], arrays)

    def _images(self, w, noise, *given):
        images = self.generator.synthesis(w, noise=self._noise(noise, *given))
        return to_uint8_rounded(tf.debugging.check_numerics(images, "images"))

    def _moments_of(self, w, noise, *given):
        added = self.generator.synthesis.added_images(w, noise=self._noise(noise, *given)).values()
        pairs = [tf.stack(tf.nn.moments(image, axes=[1, 2, 3]), axis=1) for image in added]
        return tf.debugging.check_numerics(tf.stack(pairs, axis=1), "moments")

    def _noise(self, noise, *given):
        if noise == _GIVEN:
            return list(given) or None
        if noise == "random":
            return random_noise(self.generator.noise_shapes, *given)
        stored = self.generator.noise_images
        fine = first_fine_resolution(self.resolution)
        kept = {
            "fixed": lambda side: True,
            "off": lambda side: False,
            "fine": lambda side: side >= fine,
            "coarse": lambda side: side < fine,
        }[noise]
        return [
            tf.convert_to_tensor(image) if kept(side) else tf.zeros(image.shape)
            for image, side in zip(stored, self.noise_resolutions, strict=True)
        ]

    def _in_minibatches(self, function, arrays):
        count = len(arrays[0])
        results = []
        for start in range(0, count, self.batch):
            parts = [x[start : start + self.batch] for x in arrays]
            # Each device gets as many; what is made twice is dropped.
            missing = -len(parts[0]) % self.replicas
            parts = [np.concatenate([x, x[:1].repeat(missing, axis=0)]) for x in parts]
            try:
                results.append(function(*parts))
            except tf.errors.InvalidArgumentError as error:
                if "Tensor had" not in error.message:
                    raise
                raise ValueError(
                    "There are pixels that are not finite numbers. Truncation psi is too large for --precision, or the "
                    "network is broken: try --truncation-psi=1 with --precision=fp32, or give another network."
                ) from None
        return np.concatenate(results)[:count]

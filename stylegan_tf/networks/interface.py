"""The contract for all networks: what training, metrics, pictures and exports may ask of any family's.

Nothing outside of networks/ and files/ asks which family a network belongs to.
"""

from keras import ops

from stylegan_tf.networks.network import Network

# What a generator's file says of the data that it was trained on, besides the constructor's keywords.
FROM_DATA = ("label_columns", "aspect")


class BaseGenerator(Network):
    """z -> w -> image: what every generator can do, and what it says of itself.

    A family's generator has `mapping(z, labels)` -> w, [N, num_layers, dlatent_size]; it sets `latent_size` and
    `label_size`, constructs `synthesis`, a `BaseSynthesis`, and builds itself.

    Attributes:
        latent_size, label_size: Lengths of z and of a label; a label_size of 0 is without conditioning.
        grows: Whether it can be grown, as a `GrowingGenerator`.
        growth: (resolution, fade) of its newest block; None once it is grown.
        usual_psi, usual_cutoff: Truncation where nobody says otherwise, that of its paper's pictures; see `truncate`.
        figures: Name of the set in `pictures.paper_figures` that shows what its paper shows; None for that of its data.
        label_columns: ((name, images), ...) of the columns of its labels: what they are called, and in how many images
            of the data set that it was trained on they are not 0. None where that is not known.
        aspect: (width, height) of the pictures that have been squeezed to its square images; None for squares.
    """

    grows = False
    growth = None
    usual_psi, usual_cutoff = 0.7, 8
    figures = None
    label_columns = None
    aspect = None

    def build(self, z_shape):
        # Running average of w over training, the centre of the truncation trick; the trainer updates it.
        self.w_average = self.add_weight(
            name="w_average", shape=(self.dlatent_size,), initializer="zeros", trainable=False
        )

    def get_config(self):
        known = {name: getattr(self, name) for name in FROM_DATA if getattr(self, name) is not None}
        return super().get_config() | known

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = cls(**{keyword: value for keyword, value in config.items() if keyword not in FROM_DATA})
        if config.get("label_columns") is not None:
            network.label_columns = tuple((name, images) for name, images in config["label_columns"])
        if config.get("aspect") is not None:
            network.aspect = tuple(config["aspect"])
        return network

    @property
    def resolution(self):
        """Full side of its images."""
        return self.synthesis.resolution

    @property
    def num_channels(self):
        """Colour channels of its images."""
        return self.synthesis.num_channels

    @property
    def dlatent_size(self):
        """Length of w."""
        return self.synthesis.dlatent_size

    @property
    def num_layers(self):
        """Number of layers that take a style each; 1 without styles."""
        return self.synthesis.num_layers

    @property
    def has_styles(self):
        """Whether there are styles that could be mixed and truncated by layer."""
        return self.num_layers > 1

    @property
    def truncated_layers(self):
        """Number of layers that its usual truncation acts on."""
        return self.num_layers if self.usual_cutoff is None else self.usual_cutoff

    @property
    def noise_shapes(self):
        """Shapes of the noise images, [1, R, R, 1], a list; empty without noise."""
        return self.synthesis.noise_shapes

    @property
    def noise_images(self):
        """The stored noise images, variables of `noise_shapes`."""
        return self.synthesis.noise_images

    def layers_at(self, resolution):
        """Number of layers, the first ones, that images of this side take styles from."""
        return self.synthesis.layers_at(resolution)

    def truncate(self, w, psi=usual_psi, cutoff=usual_cutoff):
        """Pulls w towards its average: w_average + psi (w - w_average), in the layers before `cutoff`.

        Args:
            w: [N, num_layers, dlatent_size].
            psi: 1: no change, 0: the average image, negative: its opposite. A number; or one a layer, [num_layers]; or
                one an image, [N, 1], or an image and layer, [N, num_layers].
            cutoff: Number of layers to truncate. None for `psi` or `cutoff` switches truncation off.

        Returns:
            [N, num_layers, dlatent_size].

        Reference:
            Karras et al., 2018, appendix B.
        """
        if psi is None or cutoff is None:
            return w
        psi = ops.convert_to_tensor(psi, w.dtype)
        rank, layers = len(psi.shape), psi.shape[-1] if len(psi.shape) else 1
        if rank > 2 or layers not in ((1, self.num_layers) if rank == 2 or rank == 0 else (self.num_layers,)):
            raise ValueError(
                f"psi must be one number, {self.num_layers} numbers (one a layer), or of shape [N, 1] (one an image) "
                f"or [N, {self.num_layers}]; received shape {tuple(psi.shape)}."
            )
        truncated = ops.arange(self.num_layers) < cutoff
        psi = ops.where(truncated, psi, ops.ones_like(psi))[..., None]
        average = ops.cast(self.w_average, w.dtype)
        return average + psi * (w - average)

    def mix(self, w, w2, cutoff):
        """Style mixing: the layers from `cutoff` on take their style from `w2`; both [N, num_layers, dlatent_size].

        Reference:
            Karras et al., 2018, section 3.1.
        """
        return ops.where((ops.arange(self.num_layers) < cutoff)[None, :, None], w, w2)

    def call(self, z, labels=None, truncation_psi=usual_psi, truncation_cutoff=usual_cutoff, noise=None):
        return self.synthesis(self.truncate(self.mapping(z, labels), truncation_psi, truncation_cutoff), noise=noise)


class GrowingGenerator(BaseGenerator):
    """A generator whose `synthesis` takes `resolution` and `fade`, runs only the blocks that they ask for, and has a
    keyword `growth` that says how far it has grown."""

    grows = True

    @property
    def growth(self):
        return self.synthesis.growth

    @growth.setter
    def growth(self, growth):
        self.synthesis.growth = growth
        self.arguments["growth"] = self.synthesis.growth

    def call(
        self,
        z,
        labels=None,
        truncation_psi=BaseGenerator.usual_psi,
        truncation_cutoff=BaseGenerator.usual_cutoff,
        noise=None,
        resolution=None,
        fade=None,
    ):
        w = self.truncate(self.mapping(z, labels), truncation_psi, truncation_cutoff)
        return self.synthesis(w, noise=noise, resolution=resolution, fade=fade)


class BaseSynthesis(Network):
    """w, noise -> image: what every synthesis network says of itself.

    Call arguments are w, [N, num_layers, dlatent_size]; noise, a list like `noise_shapes` or None for the stored
    images; and, of a `GrowingGenerator`, resolution and fade. Without the last two, it makes images of the full
    resolution: as far as it has grown, enlarged.

    Attributes:
        resolution, num_channels, dlatent_size, num_layers, noise_shapes, noise_images: See `BaseGenerator`.
        styles: For each layer, the dense layers that make styles of its w, a list of lists; empty without styles.
        sums_resolutions: Whether the image is the sum of what each resolution adds; `added_images(w, noise)` returns
            that, {side: float [N, side, side, num_channels]} from 4 up, before it is enlarged.
        preview_sides: Sides below its own, ascending, at which `preview(w, side)` makes an image in less time than the
            whole takes, float [N, side, side, num_channels], with the stored noise; empty if there are none.
    """

    growth = None
    sums_resolutions = False
    preview_sides = ()

    def layers_at(self, resolution):
        """Number of layers, the first ones, that images of this side take styles from."""
        return self.num_layers


class BaseDiscriminator(Network):
    """images, labels -> scores, [N, 1]: what every discriminator says of itself.

    Call arguments are images, float [N, R, R, num_channels] in [-1, 1]; labels, [N, label_size] or None; and, where it
    grows, fade. Growth is in the images' own size.

    Attributes:
        label_size: Length of a label.
        mbstd_group_size: Images in a group of the minibatch standard deviation, which a minibatch must divide into;
            infinite where the whole minibatch is one.
        layers_from_image: Its layers with weights, a list of lists, in the order in which an image passes them.
        grows: Whether it takes `fade`.
    """

    grows = False


def growth_arguments(network, **growth):
    """Call arguments of a level of growth, resolution and fade; none for a network that does not grow."""
    return growth if network.grows else {}

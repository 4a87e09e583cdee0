"""What synthesis networks share that are grown, block by block."""

from keras import ops

from stylegan_tf.layers import upsample
from stylegan_tf.networks.interface import BaseSynthesis


class GrowingSynthesis(BaseSynthesis):
    """A synthesis network that makes images of the full or any lower resolution.

    Such a network has `resolutions`, those of its blocks, and `image_at(resolution, w, noise, fade)`, the image of the
    block with this side, mixed with that of the block below while it fades in; its constructor takes `growth`.

    Call arguments:
        w: float [N, num_layers, dlatent_size].
        noise: None for the stored noise images, or a list of standard normal tensors, [N or 1, R, R, 1] each, in the
            order and shape of `noise_shapes`; those of unused layers may be missing.
        resolution: Side of the image to make; only the blocks up to it are run. None for an image of the full side, as
            far as the network has grown: that of its newest block, enlarged.
        fade: Weight of the newest block in [0, 1], a float or a scalar tensor. None for 1, or for that of `growth`
            where `resolution` is None as well.

    Returns:
        float [N, resolution, resolution, num_channels], nominally in [-1, 1].

    Reference:
        Karras et al., 2017, Figure 2.
    """

    @property
    def growth(self):
        """(resolution, fade) of its newest block; None once it is grown."""
        return self.arguments["growth"]

    @growth.setter
    def growth(self, growth):
        if growth is not None:
            resolution, fade = growth
            if resolution not in self.resolutions or not 0.0 <= fade <= 1.0:
                raise ValueError(
                    f"growth must be a resolution among {self.resolutions} and a fade in [0, 1]; received {growth!r}."
                )
            growth = None if (resolution, fade) == (self.resolution, 1.0) else (resolution, float(fade))
        self.arguments["growth"] = growth

    @property
    def preview_sides(self):
        newest, _ = self.growth or (self.resolution, 1.0)
        return [side for side in self.resolutions if side < newest]

    def preview(self, w, side):
        return self.checked_image_at(side, w, None, 1.0)

    def call(self, w, noise=None, resolution=None, fade=None):
        if resolution is None and fade is None:
            newest, fade = self.growth or (self.resolution, 1.0)
            return upsample(self.checked_image_at(newest, w, noise, fade), self.resolution // newest)
        return self.checked_image_at(resolution or self.resolution, w, noise, 1.0 if fade is None else fade)

    def checked_image_at(self, resolution, w, noise, fade):
        if resolution not in self.resolutions:
            raise ValueError(f"resolution must be one of {self.resolutions}; received {resolution!r}.")
        return self.image_at(resolution, w, self.noise_images if noise is None else noise, fade)


def is_fading(fade):
    """Whether a block is being faded in: False only for the number 1, so a traced step knows it as it is traced."""
    return not (isinstance(fade, (int, float)) and fade == 1)


def faded(coarse, fine, fade):
    """What the block below makes, `coarse`, mixed with what the newest one does, with a weight of `fade` for this."""
    return coarse + ops.cast(fade, fine.dtype) * (fine - coarse)

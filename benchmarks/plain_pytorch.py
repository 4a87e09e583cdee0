"""Seconds per generated image, beside the same network in plain PyTorch, in turns in one process.

    python benchmarks/plain_pytorch.py --resolution=256 --minibatch=1 --minibatch=8

PyTorch has the weights of our network, scaled beforehand, and computes as one would write it there: maps before pixels,
one operation after the other, without gradients. The last column is the largest difference of two images in [-1, 1].
PyTorch is none of the project's requirements.
"""

import itertools
import sys
from pathlib import Path

# Python puts this file's folder on the path, not the project's.
sys.path.insert(0, str(Path(__file__).parents[1]))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import numpy as np
import tensorflow as tf
from keras import ops

from benchmarks.convolutions import best_rate, best_time
from dnnlib.cli import Command, one_line_errors
from dnnlib.optional import import_optional
from stylegan_tf.layers.resample import smear
from stylegan_tf.networks import Generator
from stylegan_tf.recipes.presets import make_config, merge
from stylegan_tf.runtime.processor import describe_processor

HEADER = "resolution  minibatch   TensorFlow      PyTorch  ratio   best conv  difference"
ROUNDS = 3  # in turns


@click.command(cls=Command)
@click.option("--resolution", multiple=True, default=[256], help="Side of the images.")
@click.option("--minibatch", multiple=True, default=[1, 8], help="Images at a time.")
@click.option("--fmap-base", type=int, help="Feature maps, as in the networks.  [default: the paper's]")
@click.option("--seconds", default=12.0, help="Time to measure each line for.")
@one_line_errors
def main(resolution, minibatch, fmap_base, seconds):
    """Measure StyleGAN's generator, from z to float32 images with fixed noise, and the same in PyTorch."""
    torch = import_optional("torch", "This comparison", extra=None)
    print(f"{describe_processor()}; seconds an image")
    print(HEADER)
    for side in resolution:
        widths = {"fmap_base": fmap_base} if fmap_base else {}
        generator = Generator(resolution=side, **merge(make_config("f").generator, widths))
        randomize(generator)
        ours, theirs = tf.function(generator), Plain(torch, generator)
        for images in minibatch:
            z = np.random.default_rng(0).standard_normal((images, generator.latent_size), np.float32)
            print(line(side, z, ours, theirs, seconds), flush=True)


def randomize(generator):
    """Gives strengths of noise and biases, which start at 0, values that show in the images."""
    random = np.random.default_rng(0)
    for variable in generator.synthesis.trainable_variables:
        if variable.name in ("strength", "bias"):
            variable.assign(0.1 * random.standard_normal(variable.shape))


def line(resolution, z, ours, theirs, seconds):
    """A line of the table: the best times of both."""
    difference = np.abs(ours(z).numpy() - theirs(z)).max()
    times = {ours: [], theirs: []}
    for _, function in itertools.product(range(ROUNDS), times):
        times[function].append(best_time(lambda function=function: np.asarray(function(z)), seconds / 2 / ROUNDS))
    first, second = (min(times[function]) / len(z) for function in (ours, theirs))
    return (
        f"{resolution:10d}  {len(z):9d}  {first:11.4f}  {second:11.4f}  {second / first:5.2f}  "
        f"{best_rate() / 1e9:10.1f}  {difference:10.1e}"
    )


class Plain:
    """StyleGAN's generator in PyTorch: a function of z that returns images, [N, R, R, C], both NumPy's.

    Args:
        torch: PyTorch.
        generator: A `Generator` whose layers are the paper's: styles, noise, leaky ReLU, instance normalisation.
    """

    def __init__(self, torch, generator):
        self.torch, self.functional = torch, torch.nn.functional
        self.dense = [self.prepared(dense) for dense in generator.mapping.dense]
        w_average = self.tensor(generator.w_average)
        self.truncate = lambda w: w_average + generator.usual_psi * (w - w_average)
        synthesis = generator.synthesis
        self.constant = self.tensor(synthesis.layers_by_resolution[0][0].source.constant).permute(0, 3, 1, 2)
        noise = [self.tensor(image).permute(0, 3, 1, 2) for image in synthesis.noise_images]
        layers = list(itertools.chain.from_iterable(synthesis.layers_by_resolution))
        self.layers = [
            (
                None if number == 0 else self.convolution(layer.source),
                None if layer.blur is None else self.blur(layer),
                image * self.tensor(layer.noise.strength)[:, None, None] + self.tensor(layer.bias.bias)[:, None, None],
                self.prepared(layer.style.style),
                number < generator.truncated_layers,
            )
            for number, (layer, image) in enumerate(zip(layers, noise, strict=True))
        ]
        self.to_rgb = self.convolution(synthesis.to_rgb[-1])

    def tensor(self, x):
        return self.torch.from_numpy(np.array(ops.convert_to_numpy(x)))

    def prepared(self, dense):
        """(weight, bias) of a dense layer, as PyTorch wants them."""
        return self.tensor(ops.transpose(dense.kernel * dense.coefficient)), self.tensor(dense.bias * dense.lrmul)

    def convolution(self, layer):
        """A function of maps."""
        if layer.resample == "up":
            kernel = smear(ops.transpose(layer.kernel, (0, 1, 3, 2)), layer.coefficient, rotate=not layer.fused)
            weight = self.tensor(ops.transpose(kernel, (3, 2, 0, 1)))
            return lambda x: self.functional.conv_transpose2d(x, weight, stride=2, padding=1)
        weight = self.tensor(ops.transpose(layer.kernel * layer.coefficient, (3, 2, 0, 1)))
        bias = self.tensor(layer.bias * layer.lrmul) if layer.use_bias else None
        return lambda x: self.functional.conv2d(x, weight, bias, padding="same")

    def blur(self, layer):
        """A function of maps."""
        taps, maps = np.asarray(layer.blur.blur_filter, np.float32), layer.source.filters
        kernel = np.tile(np.outer(taps, taps) / taps.sum() ** 2, (maps, 1, 1, 1))
        weight = self.tensor(kernel)
        return lambda x: self.functional.conv2d(x, weight, padding=1, groups=maps)

    def __call__(self, z):
        with self.torch.inference_mode():
            w = self.torch.from_numpy(z)
            w = w * self.torch.rsqrt(w.square().mean(1, keepdim=True) + 1e-8)
            for weight, bias in self.dense:
                w = self.functional.leaky_relu(self.functional.linear(w, weight, bias), 0.2)
            truncated = self.truncate(w)
            x = self.constant.expand(len(z), -1, -1, -1)
            for convolve, blur, added, style, is_truncated in self.layers:
                x = convolve(x) if convolve else x
                x = blur(x) if blur else x
                x = self.functional.instance_norm(self.functional.leaky_relu(x + added, 0.2), eps=1e-8)
                styles = self.functional.linear(truncated if is_truncated else w, *style)
                scale, bias = styles[:, :, None, None].chunk(2, 1)
                x = x * (scale + 1) + bias
            return self.to_rgb(x).permute(0, 2, 3, 1).numpy()


if __name__ == "__main__":
    main()

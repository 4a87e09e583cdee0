"""Tensors of PyTorch's networks in TensorFlow's layouts, under the names that StyleGAN2-ADA for TensorFlow has."""

import numpy as np

from dnnlib.pickle_reader import shown
from stylegan_tf.files.pickles import PickledNetwork, Unusable

# What the functions that build networks, and their parts, are called in TensorFlow's pickles, and the state version.
_COMPONENTS = {"mapping": "G_mapping", "synthesis": "G_synthesis"}
_VERSION = 5

# The bias of an affine layer has the 1 in it that is added to a style elsewhere.
_STYLE_OFFSET = 1.0


class Tensors:
    """The tensors of one network, which are taken one after the other.

    Every method returns {official name: float32 array}, for a layer `ours`.

    Args:
        arrays: {PyTorch's name: array}.
        derived: End of the names of tensors that are computed from others.
    """

    def __init__(self, arrays, derived):
        self.left = {name: array for name, array in arrays.items() if not name.endswith(derived)}

    def look(self, name, dimensions):
        """An array of that many dimensions, without those of size 1 that it has too many."""
        if name not in self.left:
            raise Unusable(f"its variable {name} is missing")
        array = self.left[name]
        while array.ndim > dimensions and 1 in (array.shape[0], array.shape[-1]):
            array = array[0] if array.shape[0] == 1 else array[..., 0]
        if array.ndim != dimensions:
            raise Unusable(f"its variable {name} has shape {array.shape}, which is not of {dimensions} dimensions")
        return array.astype(np.float32, copy=False)

    def take(self, name, dimensions):
        array = self.look(name, dimensions)
        del self.left[name]
        return array

    def outputs(self, name, dimensions=4):
        """The number of outputs of a kernel or matrix; what has been taken cannot be asked for."""
        return self.look(name, dimensions).shape[0]

    def dense(self, ours, weight, bias):
        return {f"{ours}/weight": self.take(weight, 2).T, f"{ours}/bias": self.take(bias, 1)}

    def conv(self, ours, weight, bias=None, up=False):
        """A convolution's [out, in, k, k] as [k, k, in, out]; turned, where it is transposed to enlarge."""
        kernel = self.take(weight, 4).transpose(2, 3, 1, 0)
        variables = {f"{ours}/weight": kernel[::-1, ::-1] if up else kernel}
        return variables | ({f"{ours}/bias": self.take(bias, 1)} if bias else {})

    def modulated(self, ours, weight, bias, affine, up=False):
        return {
            **self.conv(ours, weight, bias, up),
            f"{ours}/mod_weight": self.take(f"{affine}.weight", 2).T,
            f"{ours}/mod_bias": self.take(f"{affine}.bias", 1) - np.float32(_STYLE_OFFSET),
        }

    def noise(self, ours, number, image, strength):
        noise = self.take(image, 2)[None, None]
        return {f"noise{number}": noise, f"{ours}/noise_strength": self.take(strength, 0)}

    def check_empty(self):
        if self.left:
            raise Unusable(f"its variable {shown(min(self.left))} is unknown")


def generator(name, arguments, average, mapping, synthesis):
    """The PickledNetwork of a generator.

    Args:
        name: "G" or "Gs".
        arguments: Those of G_main, and of ours.
        average: The average of w, [dlatent_size], or None if it is not known.
        mapping, synthesis: {official name without that of the part: array}.
    """
    known = average is not None
    if not known and not mapping:
        raise Unusable("neither the average of w nor a layer of the mapping network is in it")
    variables = {"dlatent_avg": average if known else np.zeros_like(list(mapping.values())[-1])}
    for part, of_part in ((_COMPONENTS["mapping"], mapping), (_COMPONENTS["synthesis"], synthesis)):
        variables |= {f"{part}/{key}": array for key, array in of_part.items()}
    return PickledNetwork(name, "G_main", arguments, variables, _COMPONENTS, _VERSION, known)


def discriminator(arguments, variables):
    """The PickledNetwork of a discriminator, with arguments of D_main and of ours."""
    return PickledNetwork("D", "D_main", arguments, variables, {}, _VERSION)


def layers_of(resolution):
    """(side, name in TensorFlow's files, enlarges) of the layers of a synthesis network, as their noise is counted."""
    for size in sizes_up_to(resolution):
        if size > 4:
            yield size, "Conv0_up", True
        yield size, "Conv1" if size > 4 else "Conv", False


def sizes_up_to(resolution):
    """4, 8, ... up to a resolution."""
    return [2**i for i in range(2, resolution.bit_length())]

"""What each resolution contributes to an image, equal to the reference."""

import numpy as np
import pytest
from reference_networks import load
from reference_vectors import Vector, assert_close, nchw

from stylegan_tf.pictures.contributions import Contributions, deviations
from stylegan_tf.pictures.sampler import Sampler


@pytest.mark.vectors("stylegan2-contributions")
def test_contributions(vector):
    network = Vector(vector.path.with_name(vector.config["network"].split()[0]))
    ((func, static_kwargs, prefix),) = network.networks()
    assert static_kwargs == vector.config["static_kwargs"]
    generator = load(network, func, static_kwargs, prefix)
    w = vector["inputs/dlatents_in"]
    assert_close(generator.mapping(vector["inputs/latents_in"]), w, 1e-4, "w")
    assert_close(nchw(generator.synthesis(w)), vector["outputs/images"], 1e-4, "image")
    added = generator.synthesis.added_images(w)
    assert list(added) == vector["outputs/resolutions"].tolist()
    for resolution, images in added.items():
        assert_close(nchw(images), vector[f"outputs/trgb/{resolution}"], 1e-4, f"toRGB of {resolution}")
    # In minibatches that do not divide the number of images.
    found = Contributions("reference", None, deviations(Sampler(generator, minibatch=7), w))
    assert list(found.deviations) == list(added)
    assert_close(np.array(list(found.deviations.values())), vector["outputs/std"], 1e-4, "deviation")
    assert_close(np.array(list(found.percent.values())), vector["outputs/percent"], 1e-4, "share")

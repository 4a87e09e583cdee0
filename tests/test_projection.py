"""Projections of every family: each picture goes its own way, and goes on where it was stopped."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf
from tiny_generators import tiny_generator, tiny_lpips
from tiny_networks import normal

from dnnlib.download import RemoteFile
from stylegan_tf.editing.distances import PixelDistance, lpips_distance
from stylegan_tf.editing.projected import Projected
from stylegan_tf.editing.projection import Projection, Schedule, sampled_statistics
from stylegan_tf.perception import weights
from stylegan_tf.perception.lpips import LPIPS
from stylegan_tf.pictures.sampler import Sampler, latents

STEPS = 60


@pytest.mark.parametrize(("family", "space"), [("stylegan", "w+"), ("stylegan2", "w")])
def test_pictures_are_found_each_for_itself(family, space):
    generator = tiny_generator(family=family)
    sampler = Sampler(generator)
    statistics = sampled_statistics(sampler, samples=200)
    w = sampler.mapping(latents(range(2), 16))
    targets = sampler.synthesis(w)

    def projection(chosen):
        arguments = (PixelDistance(), targets[chosen], statistics, Schedule(STEPS), space)
        return Projection(generator, *arguments, names=[10 + i for i in chosen])

    both = projection([0, 1])
    before = both.distances()
    for _ in range(2):
        both.step()
    assert both.w.shape == (2, generator.num_layers if space == "w+" else 1, 16)
    if family == "stylegan2":
        # The second picture alone goes on from where it was in the batch, and the same way.
        alone = projection([1])
        alone.restore({name: x[1:] if x.ndim else x for name, x in both.state().items()})
    while both.steps_done < 5:
        found = both.step()
        if family == "stylegan2":
            np.testing.assert_allclose(alone.step().distance, found.distance[1:], rtol=1e-3)
    if family == "stylegan2":
        np.testing.assert_allclose(alone.dlatents, both.dlatents[1:], atol=1e-3)

    while not both.is_done:
        both.step()
    assert (both.distances() < 0.8 * before).all() and both.distances().mean() < 0.5 * before.mean()
    for image in both.noise:
        np.testing.assert_allclose(image.mean(axis=(1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(image.std(axis=(1, 2, 3)), 1, atol=1e-5)
    projected = Projected(["a", "b"], both.dlatents, both.noise, [{}, {}])
    images = sampler.synthesis(projected.w, projected.noise)
    np.testing.assert_allclose(images, np.clip(both.images() * 127.5 + 127.5, 0, 255), atol=0.51)

    generator.synthesis.to_rgb[-1].bias.assign([np.nan] * 3)
    with pytest.raises(ValueError, match="network is broken"):
        both.step()


def test_what_does_not_fit():
    generator = tiny_generator()
    with pytest.raises(ValueError, match=r"must be \[N, 8, 8, 3\]"):
        Projection(generator, PixelDistance(), np.zeros((1, 8, 8, 1)), (np.zeros(16), 1.0))
    with pytest.raises(ValueError, match=r"w or w\+; received 'z'"):
        Projection(generator, PixelDistance(), np.zeros((1, 8, 8, 3)), (np.zeros(16), 1.0), space="z")
    other = Projected(["face"], normal(1, 4, 32), [], [{}])
    with pytest.raises(ValueError, match=r"The w of face is \[4, 32\], and the network takes \[4, 16\]"):
        other.check(generator)


def test_lpips_as_a_distance(tmp_path):
    lpips = LPIPS(*tiny_lpips(tmp_path))
    a, b = (tf.constant(np.random.RandomState(i).uniform(0, 255, (2, 16, 16, 3)), tf.float32) for i in range(2))
    distance = lpips_distance(lpips)
    found = distance.between(distance.features(a), distance.features(b))
    np.testing.assert_allclose(found, lpips(a, b), rtol=1e-5)


def test_heads_inside_a_package(tmp_path, monkeypatch):
    """They are taken if they are the published file, and nothing is downloaded."""
    content = b"heads"
    file = tmp_path / "tiny_heads" / "weights" / "vgg.pth"
    file.parent.mkdir(parents=True)
    (tmp_path / "tiny_heads" / "__init__.py").touch()
    file.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    remote = RemoteFile("heads.pth", "http://0.0.0.0/heads.pth", len(content), digest, "--lpips")
    monkeypatch.setattr(weights, "_IN_PACKAGES", {remote: ("tiny_heads", "weights/vgg.pth")})
    assert weights.find(remote, tmp_path) is None
    monkeypatch.syspath_prepend(tmp_path)
    assert weights.find(remote, tmp_path) == weights.obtain(remote, tmp_path) == file
    file.write_bytes(b"other")
    assert weights.find(remote, tmp_path) is None

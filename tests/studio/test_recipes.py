"""Recipes: the styles that they mean, and those that mean nothing."""

import numpy as np
import pytest
from tiny_generators import tiny_generator

from studio.recipes import RecipeError, images, parse, styles
from stylegan_tf.editing.projected import Projected
from stylegan_tf.pictures.gallery import Look
from stylegan_tf.pictures.sampler import Sampler


@pytest.fixture(scope="module", params=["stylegan", "stylegan2"])
def opened(request):
    """A network that is open, with directions of its own."""

    class Opened:
        sampler = Sampler(tiny_generator(family=request.param, label_size=3))
        directions = {"smile": (np.arange(16, dtype=np.float32), "as told")}
        pictures = {}

    noise = [np.full(shape, 0.5, np.float32) for shape in Opened.sampler.generator.noise_shapes]
    w = np.random.default_rng(0).standard_normal((1, Opened.sampler.num_layers, 16)).astype(np.float32)
    Opened.pictures["mine"] = Projected(["mine"], w, noise, [{}])
    return Opened


def made(opened, *values):
    return styles([parse(value, opened) for value in values], opened)


def look(opened, **changes):
    return Look("n", opened.sampler.usual_psi, opened.sampler.truncated_layers)._replace(**changes)


def test_seeds_are_those_of_the_generators_pictures(opened):
    found = images(
        [parse({"a": {"seed": 5}}, opened), parse({"a": {"seed": 6, "class": 2}, "psi": 0.3}, opened)], opened
    )
    np.testing.assert_array_equal(found[:1], look(opened).images(opened.sampler, [5]))
    np.testing.assert_array_equal(found[1:], look(opened, psi=0.3, label=2).images(opened.sampler, [6]))


def test_noise(opened):
    for noise in ("random", "off"):
        found = images([parse({"a": {"seed": 5}, "noise": noise}, opened)], opened)
        np.testing.assert_array_equal(found, look(opened, noise=noise).images(opened.sampler, [5]))
    other = images([parse({"a": {"seed": 5}, "noise": "random", "noise_seed": 9}, opened)], opened)
    assert (other != images([parse({"a": {"seed": 5}, "noise": "random"}, opened)], opened)).any()


def test_a_picture_is_as_it_was_found(opened):
    mine = opened.pictures["mine"]
    found = images([parse({"a": {"picture": "mine"}, "psi": 0.2}, opened), parse({"a": {"seed": 1}}, opened)], opened)
    np.testing.assert_array_equal(found[:1], opened.sampler.synthesis(mine.w, mine.noise))
    np.testing.assert_array_equal(found[1:], look(opened).images(opened.sampler, [1]))


def test_the_mean(opened):
    expected = np.broadcast_to(opened.sampler.generator.w_average, (opened.sampler.num_layers, 16))
    np.testing.assert_allclose(made(opened, {"a": {"mean": True}})[0], expected, atol=1e-6)


def test_planes_mixing_and_directions(opened):
    a, b, c = ({"seed": seed} for seed in (1, 2, 3))
    wa, wb, wc = made(opened, *({"a": source} for source in (a, b, c)))
    (line,) = made(opened, {"a": a, "b": b, "t": 0.25})
    np.testing.assert_allclose(line, wa + 0.25 * (wb - wa), atol=1e-6)
    (plane,) = made(opened, {"a": a, "b": b, "c": c, "plane": [0.5, -0.25]})
    np.testing.assert_allclose(plane, wa + 0.5 * (wb - wa) - 0.25 * (wc - wa), atol=1e-6)
    (mixed,) = made(opened, {"a": a, "b": b, "mix": [0, 2]})
    # Of another number of latents at a time, products of matrices round otherwise on some processors.
    np.testing.assert_allclose(mixed[[0, 2]], wb[[0, 2]], atol=1e-6)
    np.testing.assert_allclose(mixed[[1, 3]], wa[[1, 3]], atol=1e-6)
    step = {"name": "smile", "strength": -2, "layers": [1, 2]}
    (moved,) = made(opened, {"a": a, "directions": [step]})
    np.testing.assert_allclose(moved[1:3], wa[1:3] - 2 * np.arange(16), atol=1e-5)
    np.testing.assert_allclose(moved[[0, 3]], wa[[0, 3]], atol=1e-6)
    between = {"from": {"a": a}, "to": {"a": b, "directions": [step]}, "t": 0.5}
    first, (half,) = made(opened, {"a": c}), made(opened, {"a": c}, between)[1:]
    np.testing.assert_allclose(first[0], wc, atol=1e-6)
    np.testing.assert_allclose(half[0], (wa[0] + wb[0]) / 2, atol=1e-6)


def test_previews_are_smaller(opened):
    sampler, recipe = opened.sampler, parse({"a": {"seed": 5}}, opened)
    (whole,), (small,) = images([recipe], opened), images([recipe], opened, side=4)
    assert (whole.shape, small.shape) == ((8, 8, 3), (4, 4, 3))
    w = styles([recipe], opened)
    if sampler.generator.synthesis.sums_resolutions:
        expected = sampler.generator.synthesis.added_images(w)[4]
    else:
        expected = sampler.generator.synthesis(w, resolution=4)
    np.testing.assert_allclose(small, np.clip(np.asarray(expected)[0] * 127.5 + 127.5, 0, 255), atol=0.51)


SEED = {"seed": 1}


@pytest.mark.parametrize(
    "value, words",
    [
        (None, "must be an object"),
        ([], "must be an object"),
        ({}, "needs the source a"),
        ({"a": SEED, "x": 1}, "has no 'x'"),
        ({"a": {}}, "a seed, the mean or a picture"),
        ({"a": {"seed": 1, "mean": True}}, "a seed, the mean or a picture"),
        ({"a": {"seed": -1}}, "seed must be a whole number from 0"),
        ({"a": {"seed": 2**32}}, "seed must be a whole number"),
        ({"a": {"seed": True}}, "seed must be a whole number"),
        ({"a": {"seed": 1.5}}, "seed must be a whole number"),
        ({"a": {"seed": 1, "class": 3}}, "class must be a whole number from 0 to 2"),
        ({"a": {"picture": "theirs"}}, "no such picture"),
        ({"a": {"picture": ["mine"]}}, "no such picture"),
        ({"a": SEED, "c": SEED}, "b where there is a c"),
        ({"a": SEED, "b": SEED, "t": 2}, "t must be from 0 to 1"),
        ({"a": SEED, "t": 0.5}, "nothing to mix with"),
        ({"a": SEED, "mix": [0]}, "nothing to mix with"),
        ({"a": SEED, "b": SEED, "mix": [4]}, "mix must be a whole number from 0 to 3"),
        ({"a": SEED, "b": SEED, "mix": "0"}, "mix must be a list"),
        ({"a": SEED, "b": SEED, "plane": [1]}, "two numbers"),
        ({"a": SEED, "b": SEED, "plane": [1, float("inf")]}, "plane must be a number"),
        ({"a": SEED, "psi": float("nan")}, "psi must be a number"),
        ({"a": SEED, "psi": 1e9}, "psi must be from"),
        ({"a": SEED, "cutoff": -1}, "cutoff must be"),
        ({"a": SEED, "noise": "loud"}, "noise must be fixed, random, off"),
        ({"a": SEED, "directions": [{"name": "frown", "strength": 1}]}, "no direction 'frown'"),
        ({"a": SEED, "directions": [{"name": "smile"}]}, "strength must be a number"),
        ({"a": SEED, "directions": [{"name": "smile", "strength": 1, "layers": [0]}]}, r"\[first, last\]"),
        ({"a": SEED, "directions": [{"name": "smile", "strength": 1e3}]}, "strength must be from"),
        ({"a": SEED, "directions": [{}] * 65}, "at most 64"),
        ({"from": {"a": SEED}, "t": 0.5}, "must be an object"),
        ({"from": {"a": SEED}, "to": {"a": SEED}}, "t must be a number"),
        ({"from": {"from": {}}, "to": {"a": SEED}, "t": 0}, "has no 'from'"),
    ],
)
def test_what_means_nothing(opened, value, words):
    with pytest.raises(RecipeError, match=words) as error:
        parse(value, opened)
    assert "\n" not in str(error.value)

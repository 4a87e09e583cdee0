"""Two replicas with half of the minibatch each train as one does with all of it, and share nothing random."""

import pathlib

import numpy as np
import pytest
from processes import finish, start

SCRIPT = pathlib.Path(__file__).with_name("two_replicas.py")


class Results(dict):
    """{path: array} of what the script has written."""

    def below(self, path):
        return {name.removeprefix(path): value for name, value in self.items() if name.startswith(path)}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("two_replicas") / "results.npz"
    finish(start("-W", "error", SCRIPT, out), timeout=600)
    with np.load(out) as file:
        return Results({name.replace("|", "/"): file[name] for name in file.files})


def is_weight(name):
    """Adam's moments are left out: where gradients cancel, they hold little more than rounding."""
    return not name.endswith(("/m", "/v"))


def test_same_weights(results):
    start, one, two = (results.below(path) for path in ("one/start/", "one/end/0/", "two/end/0/"))
    assert one.keys() == two.keys() == start.keys()
    for name, expected in one.items():
        np.testing.assert_array_equal(results["two/start/" + name], start[name])
        if is_weight(name):
            difference = np.abs(two[name] - expected).max()
            moved = np.abs(expected - start[name]).max()
            assert difference <= 1e-5 * np.abs(expected).max(), name
            # Stricter, as training has moved weights by a few thousandths only.
            assert difference <= 1e-4 * moved, name
            assert (moved == 0) == ("/synthesis/noise" in name), name


def test_same_statistics(results):
    one, two = results.below("one/statistics/"), results.below("two/statistics/")
    assert len(one) == 3
    for step, expected in one.items():
        np.testing.assert_allclose(two[step], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("part", ["two/", "stream/"])
def test_replicas_stay_alike(results, part):
    first, second = results.below(part + "end/0/"), results.below(part + "end/1/")
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_replicas_share_no_draw(results):
    first, second = results.below("draws/0/"), results.below("draws/1/")
    assert first.keys() == second.keys() >= {"D z", "D z2", "D noise0", "G z", "G noise3", "reals", "mixing factors"}
    for name in first:
        if name == "reals":
            # The same images went in: they differ by what is mirrored. In 16 steps of 8 images, half of 128 do.
            different = np.any(first[name] != second[name], axis=(2, 3, 4))
            assert 0.3 < different.mean() < 0.7
        elif name == "random labels":
            # 2 of 16 x 8 draws from 48 images would agree by chance.
            assert np.mean(np.argmax(first[name], axis=-1) == np.argmax(second[name], axis=-1)) < 0.1
        elif name.endswith("cutoff"):
            # Of three numbers each: a third agrees by chance.
            assert np.mean(first[name] != second[name]) > 0.2
            assert set(first[name]) == set(second[name]) == {1, 2, 3}
        else:
            assert np.mean(np.isclose(first[name], second[name], rtol=0, atol=1e-6)) < 0.01, name


def test_replicas_share_the_stream(results):
    whole, parts = results["stream/whole"], results["stream/parts"]
    assert whole.shape == (6, 8) and parts.shape == (6, 2, 4)
    # Together, the parts are the stream: 48 images in one epoch, each of them once.
    np.testing.assert_array_equal(parts.reshape(6, 8), whole)
    np.testing.assert_array_equal(np.sort(parts.ravel()), np.arange(48))


def test_whole_step_on_two_replicas(results):
    assert np.all(np.isfinite(results["stream/statistics"]))
    np.testing.assert_array_equal(results["stream/statistics"][-2:], 0)


def test_probability_follows_the_signs_of_both_replicas(results):
    """8 images of 1,000 a step, up or down as the mean over all of them says."""
    p = 0.0
    for mean in results["stream/signs"]:
        assert mean * 8 == round(mean * 8)
        p = max(p + 0.008 * np.sign(mean - 0.6), 0.0)
    np.testing.assert_allclose(results["stream/end/0/ada/p"], p, atol=1e-7)
    np.testing.assert_array_equal(results["stream/end/1/ada/sums"], 0)

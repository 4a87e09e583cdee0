"""What opening a distance for the first time tells, while it is waited for."""

import pytest
from tiny_generators import tiny_generator

from metrics import classifier_training
from metrics.options import Options
from metrics.projection_distances import open_distance
from stylegan_tf.perception import weights


class Stopped(Exception):
    pass


@pytest.fixture
def small_recipe(monkeypatch):
    recipe = {"total_kimg": 20, "minibatch": 32, "fmap_base": 32, "fmap_max": 8}
    monkeypatch.setitem(classifier_training.TRUNK_RECIPES, "digits", recipe)


def test_classifiers_that_must_be_trained(tmp_path, small_recipe):
    told, generator = [], tiny_generator(resolution=32, num_channels=1)
    arguments = (generator, "classifier", "digits", str(tmp_path / "data"), Options(cache_dir=str(tmp_path / "cache")))

    def stop(what, share=None):
        told.append((what, share))
        if share:
            raise Stopped

    with pytest.raises(Stopped):
        open_distance(*arguments, stop)
    training = "Training one classifier of all labels of digits, once"
    assert [what for what, _ in told] == ["Creating the data set digits, once", training]
    assert not list((tmp_path / "cache").rglob("*.keras"))

    told.clear()
    assert open_distance(*arguments, lambda what, share=None: told.append((what, share))).name == "classifier"
    shares = [share for what, share in told if what == training]
    assert shares == sorted(shares) and 0 < shares[0] < shares[-1] == 1
    assert told[-1] == ("Opening the classifiers", None)

    told.clear()
    open_distance(*arguments, lambda what, share=None: told.append(what))
    assert told == ["Opening the classifiers"]


def test_lpips_that_must_be_downloaded(tmp_path, monkeypatch):
    def obtain(*arguments):
        raise OSError("There is no network.")

    monkeypatch.setattr(weights, "find", lambda *arguments: None)
    monkeypatch.setattr(weights, "obtain", obtain)
    told = []
    with pytest.raises(OSError, match="There is no network"):
        open_distance(
            tiny_generator(), "lpips", None, "data", Options(cache_dir=str(tmp_path)), lambda what: told.append(what)
        )
    assert told == ["Opening LPIPS", "Downloading vgg16-397923af.pth, 554 MB, once"]

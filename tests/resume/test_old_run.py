"""A run that version 0.1.0 made is read, and goes on as that version would have gone on."""

import json
import pathlib
import zipfile

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import run_training
from stylegan_tf.files.find import find_targets
from stylegan_tf.recipes.settings import LossConfig
from stylegan_tf.training.resuming import load_run_config

FOLDER = pathlib.Path(__file__).parent
# As that version's were.
pytestmark = pytest.mark.optimized


@pytest.fixture
def run_dir(tmp_path):
    """The run: digits at 8 x 8, stopped after 0.3 kimg while 8 x 8 faded in."""
    path = tmp_path / "results" / "00000-digits-f-cpu"
    with zipfile.ZipFile(FOLDER / "run-0.1.0.zip") as archive:
        archive.extractall(path)
    return path


def test_its_configuration_is_read(run_dir):
    config = load_run_config(run_dir)
    assert config.loss == LossConfig(r1_gamma=0.5)
    assert (config.resolution, config.total_kimg, config.snapshot_ticks) == (8, 0.3, 4)


def test_its_snapshot_opens(run_dir):
    (target,) = find_targets(run_dir)
    assert target.kimg == pytest.approx(0.3, abs=0.1)
    assert target.config.loss.discriminator == "logistic"
    images = keras.saving.load_model(target.path)(np.zeros((2, 4), np.float32))
    assert images.shape == (2, 8, 8, 1) and np.all(np.isfinite(images))


def weights(path):
    """{name: array} of the networks in a checkpoint."""
    with np.load(path) as file:
        return {
            name: file[name]
            for name in file.files
            if name.split("|")[0] in ("G", "D", "Gs") and not name.endswith(("|m", "|v"))
        }


def test_it_goes_on(run_dir):
    start = weights(run_dir / "checkpoint-000000.npz")
    options = [f"--outdir={run_dir.parent}", f"--data-dir={run_dir.parents[1] / 'data'}", "--resume=0"]
    result = CliRunner().invoke(run_training.main, [*options, "--total-kimg=0.5"])
    assert result.exit_code == 0, (result.output, result.exception)
    end, expected = weights(run_dir / "checkpoint-000000.npz"), weights(FOLDER / "run-0.1.0-resumed.npz")
    assert end.keys() == expected.keys()
    # The same to the last bit on one machine; another rounds otherwise, and Adam's first steps are nearly signs: on an
    # AMD EPYC with AVX2, G is 0.03 off. A run that forgets the second moments is off by 0.84, 0.65 and 0.34.
    for network in ("G", "D", "Gs"):
        names = [name for name in expected if name.startswith(f"{network}|")]
        ours, theirs = (
            np.concatenate([(values[name] - start[name]).ravel() for name in names]) for values in (end, expected)
        )
        assert np.linalg.norm(ours - theirs) <= 0.1 * np.linalg.norm(theirs)
    progress = json.loads(str(np.load(run_dir / "checkpoint-000000.npz")["__progress__"]))
    assert progress["images_seen"] == 512 and progress["steps"] == (512 - 320) / 32

"""What is printed to be pasted into a shell is quoted for it: every word arrives as it was meant."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest

from datasets.errors import DatasetError
from datasets.opening import open_dataset
from metrics.attribute_classifier import load_classifiers
from stylegan_tf.commands.export import serving_command
from stylegan_tf.pictures.convergence import read_run
from stylegan_tf.recipes.settings import TrainingConfig, to_dict
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.output import RunOutput

NAMES = ["plain", "my runs", "it's", 'a "b"', "$HOME", "a;b", "`c`", "ä", "-x", "a&b*?"]


def words_after(text, program):
    """The words that a shell makes of what follows a program's name in a message."""
    return shlex.split(re.search(rf"{re.escape(program)} (.*)", text)[1], comments=False)


@pytest.mark.parametrize("name", NAMES)
def test_docker(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(serving_command(Path(name)))
    assert words[:3] == ["docker", "run", "--rm"]
    assert words[words.index("-v") + 1] == f"{tmp_path}/{name}:/models/{name}:ro"
    assert words[words.index("-e") + 1] == f"MODEL_NAME={name}"


def test_docker_with_a_colon():
    words = shlex.split(serving_command(Path("/models of:mine/faces")))
    assert "-v" not in words
    mount = words[words.index("--mount") + 1]
    assert mount == "type=bind,source=/models of:mine/faces,target=/models/faces,readonly"


@pytest.mark.parametrize("name", NAMES)
def test_resuming(tmp_path, name):
    lines = []
    run_dir = tmp_path / name
    output = SimpleNamespace(run_dir=run_dir, reporter=SimpleNamespace(line=lines.append))
    output.how_to_resume = RunOutput.how_to_resume.fget(output)
    output.saving_at_the_end = RunOutput.saving_at_the_end.__get__(output)
    output.save_checkpoint = lambda *_: "checkpoint"
    RunOutput.interrupt(output, "SIGINT", Progress(), {})
    assert words_after(lines[-1], "run_training.py") == [f"--resume={run_dir}"]


@pytest.mark.parametrize("name", NAMES)
def test_measuring_and_classifying(tmp_path, name):
    run = tmp_path / name
    run.mkdir()
    (run / "config.json").write_text(json.dumps(to_dict(TrainingConfig())))
    with pytest.raises(ValueError, match="has no metrics") as error:
        read_run(run, "run")
    assert words_after(str(error.value), "run_metrics.py")[0] == f"--network={run}"
    (run / "config.json").unlink()
    with pytest.raises(ValueError, match="no attribute classifiers") as error:
        load_classifiers(run, 8, 3)
    words = words_after(str(error.value).removesuffix("."), "run_classifiers.py")
    assert words == [f"--dataset={name}", f"--outdir={run}"]


@pytest.mark.parametrize("name", NAMES)
def test_creating(tmp_path, name):
    with pytest.raises(DatasetError) as error:
        open_dataset(name, tmp_path)
    words = words_after(str(error.value).partition(", or use")[0], "create-from-images")
    assert words == [f"{tmp_path}/{name}", "SOURCE"]

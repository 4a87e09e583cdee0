"""The door of attribute classifiers, started as a user would: what it leaves, how it is stopped, what it refuses."""

import json
import re
import signal

import numpy as np
import pytest
from click.testing import CliRunner
from processes import start_python

import run_classifiers
from datasets.tfrecords import MultiResolutionWriter
from metrics import classifier_training
from metrics.attribute_classifier import classifiers_folder, load_classifiers


def invoke(*arguments):
    """The door in this process."""
    return CliRunner().invoke(run_classifiers.main, list(map(str, arguments)))


def create_dataset(folder, labels):
    """Thirty images of 8x8, bright or dark, with these labels if any."""
    random = np.random.default_rng(0)
    with MultiResolutionWriter(folder) as writer:
        for number in range(30):
            writer.add_image(random.integers(0, 60, (8, 8, 1)).astype(np.uint8) + np.uint8(150 * (number % 2)))
        if labels is not None:
            writer.set_labels(labels, ["bright", "second", "all"][: labels.shape[1]])


# In the order of interruption, going on, and other settings.


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Arguments and folder of digit classifiers that Ctrl-C has stopped after the first; and what it printed."""
    folder = tmp_path_factory.mktemp("digits")
    outdir = folder / "classifiers"
    # Each takes a second or more, in which the signal arrives.
    arguments = ["--dataset=digits", f"--data-dir={folder / 'data'}", f"--outdir={outdir}", "--num-gpus=0"]
    arguments += ["--total-kimg=2", "--minibatch=8", "--attributes=7, 0,3"]
    process = start_python("run_classifiers.py", *arguments)
    lines = []
    while not lines or "held-out" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=300)
    return arguments, outdir, process.returncode, "".join(lines) + output, errors


def test_interruption_keeps_what_is_finished(digits):
    _, outdir, code, output, errors = digits
    assert code == 130, errors
    assert errors.splitlines()[-1] == "Stopped; no result is incomplete."
    assert "Traceback" not in errors
    assert re.search(r"^0: \d+\.\d\d% of 180 held-out images are right, \d+\.\d\d% by guessing$", output, re.MULTILINE)
    names = sorted(path.name for path in outdir.iterdir())
    assert {"0.json", "0.keras"} <= set(names) < {f"{n}.{suffix}" for n in (0, 3, 7) for suffix in ("json", "keras")}


def test_goes_on(digits, monkeypatch):
    """Also on more devices than there are networks to train, which is said."""
    arguments, outdir, *_ = digits
    before = (outdir / "0.keras").stat().st_mtime_ns
    monkeypatch.setattr(classifier_training, "make_devices", lambda num_gpus: ["/cpu:0"] * 3)
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    assert re.fullmatch("Only [12] of 3 devices work, as that many networks are left to train.\n", result.stderr)
    assert (outdir / "0.keras").stat().st_mtime_ns == before
    assert re.search(r"attribute +accuracy +guessing +\(180 held-out images\)\n0 .*%\n3 .*%\n7 .*%\n$", result.stdout)
    assert len(re.findall("are right", result.stdout)) < 3
    classifiers = load_classifiers(outdir, 32, 1)
    assert classifiers.names == ["0", "3", "7"]
    assert min(classifiers.accuracies) > 0.93  # guessing gives 91% at most


def test_other_settings(digits):
    arguments, outdir, *_ = digits
    result = invoke(*arguments, "--seed=3")
    assert result.exit_code == 2
    assert re.fullmatch(rf"Error: {outdir}/0\.json says seed 0 instead of 3, .* --outdir\.\n", result.stderr)


# Without training.


def test_dry_run(tmp_path):
    result = invoke(
        "--dataset=celebahq", f"--data-dir={tmp_path}", "--num-gpus=0", "--dry-run", "--attributes=Male,Young"
    )
    assert json.loads(result.stdout) == {
        "dataset": "celebahq",
        "data_dir": str(tmp_path),
        "outdir": str(classifiers_folder("cache", "celebahq")),
        "attributes": ["Male", "Young"],
        "shared_trunk": False,
        "num_gpus": 0,
        # The paper's.
        "total_kimg": 150,
        "minibatch": 8,
        "learning_rate": 0.001,
        "seed": 0,
        "mirror": True,
        "fmap_base": 8192,
        "fmap_max": 512,
    }


def test_dry_run_with_options():
    options = ["--no-mirror", "--minibatch=16", "--total-kimg=0.5", "--seed=4", "--outdir=here", "--shared-trunk"]
    values = json.loads(invoke("--dataset=celebahq", "--dry-run", *options).stdout)
    names = ("mirror", "minibatch", "total_kimg", "seed", "outdir", "shared_trunk", "attributes")
    assert [values[name] for name in names] == [False, 16, 0.5, 4, "here", True, None]


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (np.eye(2)[np.arange(30) % 2], ["--attributes=bright,dark"], "no attribute 'dark'; it has bright, second"),
        (np.ones((30, 3)), ["--attributes=all"], "alike in attribute 'all'"),
        (None, [], "has no labels"),
        (np.eye(2)[np.arange(30) % 2], ["--num-gpus=99"], "--num-gpus=99"),
        (np.eye(2)[np.arange(30) % 2], ["--minibatch=0"], "--minibatch"),
        (np.eye(2)[np.arange(30) % 2], ["--dataset=cats"], "no data set 'cats'"),
    ],
)
def test_wrong_input(tmp_path, labels, options, words):
    create_dataset(tmp_path / "data" / "tiny", labels)
    outdir = tmp_path / "classifiers"
    arguments = ["--dataset=tiny", f"--data-dir={tmp_path / 'data'}", f"--outdir={outdir}", "--num-gpus=0"]
    result = invoke(*arguments, *options)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1
    assert words in result.stderr
    assert not list(outdir.glob("*"))


def test_shared_trunk_says_what_it_is(tmp_path):
    create_dataset(tmp_path / "data" / "digits", np.eye(2)[np.arange(30) % 2])  # a name with a recipe of small networks
    arguments = ["--dataset=digits", f"--data-dir={tmp_path / 'data'}", f"--outdir={tmp_path}", "--num-gpus=0"]
    result = invoke(*arguments, "--shared-trunk", "--total-kimg=0.1", "--minibatch=4")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "ours and not the paper's" in result.stdout
    assert json.loads((tmp_path / "shared-trunk.json").read_text())["attributes"] == ["bright", "second"]
    assert (tmp_path / "shared-trunk.keras").exists()

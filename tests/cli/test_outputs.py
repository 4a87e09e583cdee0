"""An output that is known to be impossible is refused before the work."""

import json
import os
import shutil
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from entry_points import convert, parameters
from processes import ROOT
from tiny_training import arguments, create_dataset

import dataset_tool
import run_training
from dnnlib import files
from dnnlib.files import check_can_create, check_room
from stylegan_tf.commands import export
from stylegan_tf.recipes.settings import TrainingConfig
from stylegan_tf.training import output
from stylegan_tf.training.checkpoint import Progress
from stylegan_tf.training.output import RunOutput, describe

CREATED = [(c, p) for c, p in parameters() if getattr(p.type, "creates", None)]


def test_all_are_found():
    found = {(command, parameter.opts[0]) for command, parameter in CREATED}
    for command in ("run_training", "run_metrics", "run_classifiers", "rest_client", "grpc_client"):
        assert (command, "--outdir") in found
    assert ("run_export", "--output") in found
    assert sum(command.startswith("run_generator") for command, _ in found) == 12


def make_impossible(folder):
    """{path that cannot be created: why}."""
    (folder / "file").touch()
    (folder / "link").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder / "loop")
    return {
        "file/new": "file is a file, and nothing can be written into it",
        "link/new": "which is not there",
        "loop/new": "which is not there",
        f"{'long' * 60}/new": "is too long for a name",
    }


@pytest.mark.parametrize("command, parameter", CREATED, ids=lambda value: getattr(value, "name", value))
def test_impossible_outputs(command, parameter, tmp_path, monkeypatch):
    for path, reason in make_impossible(tmp_path).items():
        with pytest.raises(click.UsageError, match=reason) as error:
            convert(command, parameter, str(tmp_path / path))
        assert parameter.opts[0] in error.value.format_message()
    convert(command, parameter, str(tmp_path / "new" / "folder"))
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(click.UsageError, match=f"{tmp_path} cannot be written to"):
        convert(command, parameter, str(tmp_path / "new"))


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (".", "new", "new/deeper", "../new"):
        check_can_create(path)


def test_room(tmp_path):
    check_room(tmp_path / "new", 1)
    with pytest.raises(OSError, match=r"new needs about 909494\.7 TiB, and its disk has only .* left\. Make room"):
        check_room(tmp_path / "new", 1e18)


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(total=10, used=9, free=1))


def test_a_run_without_room_is_not_started(tmp_path, no_room):
    create_dataset(tmp_path / "data", resolution=4)
    result = CliRunner().invoke(run_training.main, arguments(tmp_path))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith(f"Error: {tmp_path / 'results'} needs ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("extract", "data/tiny", "new"),
        ("shard", "data/tiny", "new", "--shards=2"),
        ("align-faces", "new", "pictures", "faces.json"),
        ("create-digits", "new"),
        ("create-avatars", "new", "--count=10000000"),  # before they are drawn, which would take hours
    ],
    ids=lambda arguments: arguments[0],
)
def test_data_without_room(tmp_path, monkeypatch, no_room, arguments):
    create_dataset(tmp_path / "data", resolution=4)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").touch()
    (tmp_path / "faces.json").write_text(json.dumps({"0.png": [[i, i] for i in range(68)]}))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(dataset_tool.main, arguments)
    assert result.exit_code == 2, result.output
    assert "new needs about" in result.stderr and result.stderr.count("\n") == 1
    assert not list(tmp_path.glob("new*"))


def test_an_extraction_to_a_place_that_is_taken_is_refused_before_data_are_read(tmp_path):
    (tmp_path / "images").mkdir()
    result = CliRunner().invoke(dataset_tool.main, ["extract", str(tmp_path / "none"), str(tmp_path / "images")])
    assert result.exit_code == 2 and f"{tmp_path / 'images'} already exists" in result.stderr


PICKLE = ROOT / "tests/reference/data/networks-stylegan1.pkl"


@pytest.mark.parametrize("form", ["savedmodel", "keras", "weights"])
def test_an_export_without_room(tmp_path, no_room, form):
    name = {"savedmodel": "m", "keras": "m.keras", "weights": "m.npz"}[form]
    result = CliRunner().invoke(export.main, [f"--network={PICKLE}", f"--output={tmp_path / name}", f"--format={form}"])
    assert result.exit_code == 2
    assert f"{tmp_path / name}" in result.stderr and "needs" in result.stderr and result.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_export_that_fills_the_disk(tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setitem(export.FILES, "weights", (full, ".npz", ()))
    path = tmp_path / "m.npz"
    result = CliRunner().invoke(export.main, [f"--network={PICKLE}", f"--output={path}", "--format=weights"])
    assert result.exit_code == 2
    assert result.stderr == f"Error: {path} cannot be written: {os.strerror(28)}. Make room, or choose another place.\n"


def test_a_wrong_name_is_known_before_the_network_is_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "load_generator", None)
    for form, name in (("keras", "m.h5"), ("onnx", "m"), ("weights", "m.npy")):
        options = [f"--network={PICKLE}", f"--output={tmp_path / name}", f"--format={form}"]
        result = CliRunner().invoke(export.main, options)
        assert result.exit_code == 2 and "the file must be called NAME." in result.stderr


@pytest.mark.parametrize("saved", [True, False])
def test_what_is_said_when_saving_fails(tmp_path, monkeypatch, saved):
    """Older checkpoints are spoken of where there are some."""
    lines = []
    run = object.__new__(RunOutput)
    run.run_dir, run.overdue, run.config = tmp_path, True, TrainingConfig()
    run.reporter = SimpleNamespace(line=lines.append)

    def full(*arguments, **options):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(run, "save", full)
    monkeypatch.setattr(output, "save_checkpoint", full)
    if saved:
        (tmp_path / "checkpoint-000001.npz").touch()
    run.try_to_save(None, Progress(), {})
    with pytest.raises(OSError) as error:
        run.interrupt("SIGINT", Progress(), {})
    for text in (lines[0], str(error.value)):
        assert ("Older checkpoints are intact" in text) == saved
        assert ("There is no older checkpoint" in text) != saved
    assert ("--resume" in str(error.value)) == saved


def test_long_names_of_data_sets_make_names_of_runs():
    assert len(os.fsencode(describe(TrainingConfig(dataset="ä" * 125)))) < 200
    assert describe(TrainingConfig(dataset="my photos")) == "my photos-f-cpu"

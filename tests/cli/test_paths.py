"""Paths: ~ is the home directory wherever a path is taken; a data set may be given by its path."""

import json
import os

import click
import pytest
from click.testing import CliRunner
from entry_points import convert, parameters
from tiny_training import SETTINGS, create_dataset

import run_training
from datasets.opening import split_path
from dnnlib.cli import UserPath
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import override

# Words that name a path in an option.
NAMES = ("network", "output", "resume", "init-from", "classifiers", "inception", "vgg16", "lpips")
PATHS = [
    (command, parameter)
    for command, parameter in parameters()
    if isinstance(parameter.type, click.Path)
    or parameter.opts[0].endswith("dir")
    or any(name in parameter.opts[0] for name in NAMES)
]
PATHS = [(c, p) for c, p in PATHS if not isinstance(p.type, click.IntRange | click.types.BoolParamType)]


def test_every_path_is_found():
    assert len(PATHS) > 60
    assert all(isinstance(parameter.type, UserPath) for _, parameter in PATHS), [
        (command, parameter.opts) for command, parameter in PATHS if not isinstance(parameter.type, UserPath)
    ]


@pytest.mark.parametrize("command, parameter", PATHS, ids=lambda value: getattr(value, "name", value))
def test_home_directory(command, parameter, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    if getattr(parameter.type, "creates", None) != "folder":
        (tmp_path / "there.png").touch()
    value = convert(command, parameter, "~/there.png")
    assert str(value[0] if parameter.multiple else value) == f"{tmp_path}/there.png"
    os.mkfifo(tmp_path / "pipe")
    for wrong, words in (
        ("~/pipe", "pipe is a pipe|pipe is a file"),
        ("~nobody-at-all/x", "~nobody-at-all is not known"),
    ):
        with pytest.raises(click.UsageError, match=words) as error:
            convert(command, parameter, wrong)
        name = parameter.opts[-1]  # --resume, or source
        assert name in error.value.format_message().lower()


def test_names_that_are_no_text_are_refused_by_name():
    command, parameter = PATHS[0]
    with pytest.raises(click.UsageError, match=r"'/data/c\\udcff' is not UTF-8"):
        convert(command, parameter, b"/data/c\xff".decode(errors="surrogateescape"))


def test_home_directory_in_a_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    config = override(make_config("f", "digits"), ["data_dir=~/data", "init_from=~/x.pkl"])
    assert (config.data_dir, config.init_from) == (f"{tmp_path}/data", f"{tmp_path}/x.pkl")


def test_a_file_whose_name_begins_with_the_sign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "~$notes").touch()
    assert UserPath().convert("~$notes", None, None) == "~$notes"


@pytest.mark.parametrize(
    "dataset, expected",
    [
        ("plain", ("plain", None)),
        ("plain/", ("plain", None)),
        ("my photos", ("my photos", None)),
        ("/data/plain", ("plain", "/data")),
        ("/data/plain///", ("plain", "/data")),
        ("/plain", ("plain", "/")),
        ("./plain", ("plain", ".")),
        ("../sets//plain/", ("plain", "../sets")),
        ("sets/./plain", ("plain", "sets")),
        ("~/sets/my photos/", ("my photos", "HOME/sets")),
        (".", ("here", "HOME")),
        ("..", ("HOME", "")),
        ("gs://bucket/sets/plain/", ("plain", "gs://bucket/sets")),
    ],
)
def test_path_of_a_data_set(tmp_path, monkeypatch, dataset, expected):
    home = tmp_path / "HOME"
    (home / "here").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "here")
    name, folder = split_path(dataset)
    if dataset == "..":
        assert (name, folder) == ("HOME", str(tmp_path))
    else:
        assert (name, folder and folder.replace(str(home), "HOME")) == expected


@pytest.mark.parametrize("dataset", ["", "/", "//"])
def test_path_that_names_no_data_set(dataset):
    with pytest.raises(ValueError, match="names no data set"):
        split_path(dataset)


def dry_run(*options):
    return CliRunner().invoke(run_training.main, [*options, "--dry-run", *(f"--set={s}" for s in SETTINGS)])


@pytest.mark.parametrize("name", ["plain", "my photos", "ffhq-8"])
@pytest.mark.parametrize("form", ["{}/", "./{}", "~/data/{}/"])
def test_training_takes_a_path(tmp_path, monkeypatch, name, form):
    monkeypatch.setenv("HOME", str(tmp_path))
    create_dataset(tmp_path / "data", name=name)
    here = tmp_path / "data" if form.startswith("./") else tmp_path
    monkeypatch.chdir(here)
    result = dry_run(f"--dataset={form.format(name)}", "--num-gpus=0")
    assert result.exit_code == 0, result.output
    config = json.loads(result.stdout)
    assert config["dataset"] == name
    assert config["mirror"] == make_config("f", name).mirror
    assert (here / config["data_dir"] / name).is_dir()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--dataset=sets/plain", "--data-dir=data"], ["is a path", "--dataset=plain", "--data-dir"]),
        (["--dataset=/"], ["names no data set"]),
        (["--set=dataset=/data/plain"], ["dataset must be a folder's name", "--dataset"]),
        (["--set=dataset=plain/"], ["dataset must be a folder's name", "--dataset"]),
    ],
    ids=" ".join,
)
def test_path_beside_a_folder_of_data_sets(options, words):
    result = dry_run(*options)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr

"""What a command asks of a data set that this does not have is said before anything is written, also by --dry-run."""

import pytest
from click.testing import CliRunner
from tiny_training import arguments, create_dataset

import run_classifiers
import run_training
from datasets.tfrecords import MultiResolutionDataset, MultiResolutionWriter
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import override
from stylegan_tf.training.checks import check_levels


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder with data sets: tiny with labels of 3 classes, and those that lack something."""
    folder = tmp_path_factory.mktemp("lacking")
    data = folder / "data"
    create_dataset(data)
    create_dataset(data, name="plain", labels=False)
    create_dataset(data, name="gap", resolution=16)
    (data / "gap" / "gap-r03.tfrecords").unlink()
    dataset = MultiResolutionDataset(data / "plain")
    with MultiResolutionWriter(data / "empty") as writer:  # labels, of no column
        for image in dataset.read(8):
            writer.add_image(image)
        writer.set_labels(dataset.labels)
    (data / "file").touch()
    return folder


LACKING = {
    "labels": (["--dataset=plain", "--conditional"], "to be trained with labels", "has none", "--unconditional"),
    "columns": (["--dataset=empty", "--conditional"], "to be trained with labels", "has none"),
    "as many columns": (["--dataset=tiny", "--set=max_label_size=4"], "4 columns of labels", "has 3"),
    "labels of a setting": (["--dataset=plain", "--set=max_label_size=1"], "1 columns of labels", "has none"),
    "a level": (["--dataset=gap"], "no level of 8x8", "--no-growing", "lod_initial_resolution=16"),
    "images": (["--dataset=tiny", "--metrics=fid50k"], "50 images", "50000"),
    "classifiers": (
        ["--dataset=plain", "--metrics=ls"],
        "There are no attribute classifiers in cache/classifiers/plain",
    ),
    "the resolution": (["--dataset=tiny", "--resolution=32"], "no level of 32x32"),
    "a folder": (["--dataset=file"], "data/file is a file, and a data set is a folder"),
    "the data set": (["--dataset=cats"], "no data set 'cats'"),
}


@pytest.mark.parametrize("given", [["--dry-run"], []], ids=["dry-run", "run"])
@pytest.mark.parametrize("lacking", LACKING)
def test_training(folder, lacking, given):
    options, *words = LACKING[lacking]
    if given and lacking == "the data set":
        pytest.skip("a dry run may be done before the data are there")
    result = CliRunner().invoke(run_training.main, [*arguments(folder), *options, *given])
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1
    assert all(word in result.stderr for word in words), result.stderr
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--dataset=gap", "--no-growing"],
        ["--dataset=gap", "--set=schedule.lod_initial_resolution=16"],
        ["--dataset=gap", "--total-kimg=1"],  # which ends before 8x8 is due
        ["--dataset=tiny", "--conditional"],
        ["--dataset=tiny", "--set=max_label_size=3"],
        ["--dataset=plain", "--unconditional"],
    ],
    ids=" ".join,
)
def test_ways_out(folder, options):
    result = CliRunner().invoke(run_training.main, [*arguments(folder), *options, "--dry-run"])
    assert result.exit_code == 0, result.output


def test_levels_that_a_run_has_behind_it_are_not_needed(folder):
    data = MultiResolutionDataset(folder / "data" / "gap")
    schedule = ["schedule.lod_initial_resolution=4", "schedule.lod_training_kimg=1", "schedule.lod_transition_kimg=1"]
    config = override(make_config("f", "gap"), ["resolution=16", *schedule])
    check_levels(config, data, images_seen=4000)
    with pytest.raises(ValueError, match="no level of 8x8"):
        check_levels(config, data, images_seen=1500)


@pytest.mark.parametrize("given", [["--dry-run"], []], ids=["dry-run", "run"])
@pytest.mark.parametrize(
    "options, word",
    [
        (["--dataset=plain"], "no labels"),
        (["--dataset=tiny", "--attributes=Smiling"], "no attribute 'Smiling'"),
        (["--dataset=file"], "data/file is a file"),
    ],
    ids=["labels", "attributes", "a folder"],
)
def test_classifiers(folder, options, word, given):
    options = [*options, f"--data-dir={folder / 'data'}", f"--outdir={folder / 'classifiers'}", "--num-gpus=0", *given]
    result = CliRunner().invoke(run_classifiers.main, options)
    assert result.exit_code == 2, result.output
    assert word in result.stderr
    assert not (folder / "classifiers").exists()

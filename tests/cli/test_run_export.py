"""The door of exports, as a user has it: what it writes and prints, and what it refuses."""

import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from processes import finish, start_python
from tiny_generators import tiny_run

import stylegan_tf.commands.export as export_command
from stylegan_tf.export.model_card import licence
from stylegan_tf.files.find import Target, load_generator
from stylegan_tf.pictures.sampler import Sampler, latents

pytestmark = pytest.mark.optimized

FIRST, SECOND = "network-snapshot-000001", "network-snapshot-000002"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run: growing in its first snapshot, grown in its second."""
    folder = tmp_path_factory.mktemp("export") / "run"
    tiny_run(folder, folder.parent / "data")
    return folder


def invoke(*arguments):
    return CliRunner().invoke(export_command.main, list(map(str, arguments)))


def export(*arguments):
    """What the door prints."""
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def card_of(version):
    return json.loads((version / "assets.extra" / "model_card.json").read_text())


def test_from_the_command_line(run, tmp_path):
    output = finish(start_python("run_export.py", f"--network={run}", f"--output={tmp_path / 'tiny'}"))
    version, file = tmp_path / "tiny" / "1", run / SECOND / "Gs.keras"
    size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) / 1e6
    written, command = output.splitlines()
    assert written == f"{version}: {size:.1f} MB, savedmodel of {file}"
    assert command.startswith("Serve it with: docker run") and f"-v {version.parent}:/models/tiny:ro" in command
    assert list(version.parent.iterdir()) == [version]

    sampler = Sampler(load_generator(file))
    w = sampler.truncate(sampler.mapping(latents(range(3), 16)), 0.7)
    inputs = {"seeds": [0, 1, 2], "noise_seed": [-1] * 3}
    served = tf.saved_model.load(version).signatures["images_from_seeds"](
        truncation_psi=tf.fill([3], 0.7), **{name: tf.constant(value, tf.int64) for name, value in inputs.items()}
    )
    assert np.abs(served["images"].numpy().astype(int) - sampler.synthesis(w)).max() <= 1

    card = card_of(version)
    assert card["network"] == {
        "source": str(run),
        "file": str(file),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "dataset": "tiny",
        "config": "f",
        "kimg": 2.345,
        "licence": "That of the network's owner, and of the data set tiny.",
    }
    assert (card["limits"]["images"], card["truncation_cutoff"]) == ([1, 32], 8)


@pytest.mark.parametrize("form, name", [("keras", "G.keras"), ("weights", "G.npz")])
def test_files(run, tmp_path, form, name):
    path = tmp_path / "models" / name
    printed = export(f"--network={run}", f"--format={form}", f"--output={path}")
    assert printed == f"{path}: {path.stat().st_size / 1e6:.1f} MB, {form} of {run / SECOND / 'Gs.keras'}\n"
    original = load_generator(run / SECOND / "Gs.keras")
    if form == "keras":
        for one, other in zip(keras.saving.load_model(path).get_weights(), original.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
        facts = json.loads(path.with_suffix(".json").read_text())["network"]
    else:
        with np.load(path) as arrays:
            np.testing.assert_array_equal(arrays["dlatent_avg"], original.w_average)
            facts = json.loads(str(arrays["__config__"]))["network"]
    assert (facts["source"], facts["kimg"]) == (str(run), 2.345)


def recorder(calls):
    """Takes the place of an export."""

    def record(generator, path, *, facts, **options):
        calls.append((generator.growth, path, facts["kimg"], options))

    return record


def test_options_and_a_growing_network(run, tmp_path, monkeypatch):
    calls = []
    for table, form in ((export_command.FOLDERS, "savedmodel"), (export_command.FILES, "onnx")):
        monkeypatch.setitem(table, form, (recorder(calls), *table[form][1:]))
    network = f"--network={run / FIRST}"
    given = ["--version=7", "--max-batch=2", "--truncation-cutoff=1"]
    export(network, f"--output={tmp_path / 'tiny'}", *given)
    export(network, "--format=onnx", f"--output={tmp_path / 'G.onnx'}", "--truncation-cutoff=2")
    assert calls == [
        ((8, 0.5), tmp_path / "tiny", 1.234, {"version": 7, "max_batch": 2, "truncation_cutoff": 1}),
        ((8, 0.5), tmp_path / "G.onnx", 1.234, {"truncation_cutoff": 2}),
    ]


def test_dry_run(run, tmp_path):
    (tmp_path / "tiny" / "3").mkdir(parents=True)
    plan = json.loads(export(f"--network={run}", f"--output={tmp_path / 'tiny'}", "--dry-run"))
    assert (plan["format"], plan["path"]) == ("savedmodel", str(tmp_path / "tiny" / "4"))
    assert plan["network"]["file"] == str(run / SECOND / "Gs.keras")
    assert [path.name for path in (tmp_path / "tiny").iterdir()] == ["3"]


def test_licences(tmp_path):
    def of(name):
        (tmp_path / name).write_bytes(b"\x80\4" if name.endswith("pkl") else b"PK")
        return licence(Target(tmp_path / name, Path(), None, None))

    assert "CC BY-NC 4.0" in of("karras2019stylegan-ffhq-1024x1024.pkl")
    assert of("another.pkl") == "See where this file was published."
    assert of("G.keras") == "That of the network's owner, and of the data set that it was trained on."


def test_help_explains_every_option():
    text = " ".join(invoke("--help").output.split())
    for parameter in export_command.main.params:
        assert parameter.help and parameter.opts[0] in text


@pytest.fixture(scope="module")
def wrong(run):
    """Folder of what cannot be exported, and of what is there already."""
    wrong = run.parent / "wrong"
    (wrong / "model" / "1").mkdir(parents=True)
    (wrong / "model" / "2.partial").mkdir()
    whole = (run / SECOND / "Gs.keras").read_bytes()
    (wrong / "torn.keras").write_bytes(whole[: len(whole) // 2])
    (wrong / "G.keras").write_bytes(whole)
    (wrong / "text.pkl").write_text("no pickle")
    return wrong


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--network={wrong}/nowhere"], ["{wrong}/nowhere does not exist"]),
        (["--network={wrong}"], ["{wrong}/Gs.keras"]),
        (["--network={wrong}/torn.keras"], ["{wrong}/torn.keras is damaged"]),
        (["--network={wrong}/text.pkl"], ["{wrong}/text.pkl"]),
        (["--network={run}/" + SECOND + "/D.keras"], ["D.keras is a Discriminator, no generator"]),
        (["--output={wrong}/model", "--version=1"], ["{wrong}/model/1 already exists"]),
        (["--output={wrong}/model"], ["{wrong}/model/2.partial is left over"]),
        (["--output={wrong}/G.keras"], ["{wrong}/G.keras is a file"]),
        (["--output={wrong}/G.keras", "--format=keras"], ["{wrong}/G.keras already exists"]),
        (["--output={wrong}/new.h5", "--format=keras"], ["NAME.keras", "{wrong}/new.h5"]),
        (["--output={wrong}/new.onnx"], ["{wrong}/new.onnx would be a folder; use --format=onnx"]),
        (["--format=onnx", "--max-batch=4"], ["--max-batch has no effect with --format=onnx"]),
        (["--format=weights", "--truncation-cutoff=4"], ["--truncation-cutoff has no effect with --format=weights"]),
        (["--format=keras", "--version=4"], ["--version has no effect with --format=keras"]),
        (["--format=tflite"], ["--format", "'tflite'"]),
        (["--version=0"], ["--version", "0"]),
        (["--max-batch=0"], ["--max-batch", "0"]),
        (["--truncation-cutoff=-1"], ["--truncation-cutoff", "-1"]),
    ],
    ids=lambda value: value[-1].partition("/")[2] or value[-1] if value[0].startswith("--") else "",
)
def test_wrong_input(run, wrong, options, words):
    before = sorted(wrong.parent.rglob("*"))
    result = invoke(
        f"--network={run}", f"--output={wrong}/new", *(option.format(run=run, wrong=wrong) for option in options)
    )
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word.format(run=run, wrong=wrong) in result.stderr
    assert sorted(wrong.parent.rglob("*")) == before

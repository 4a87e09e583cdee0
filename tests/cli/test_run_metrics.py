"""The door of metrics, as a user has it: what it prints and keeps, how it goes on, what it refuses."""

import importlib.metadata
import json
import re
import shutil
import signal
import time

import numpy as np
import pytest
from click.testing import CliRunner
from processes import start, start_python
from tiny_generators import tiny_classifiers, tiny_generator, tiny_run
from tiny_networks import normal
from tiny_training import arguments, create_dataset, read_events

import run_metrics
import run_training
from datasets.fingerprint import fingerprint
from datasets.tfrecords import MultiResolutionDataset
from metrics import METRICS, classifier_training
from metrics.attribute_classifier import classifiers_folder, has_classifiers, load_classifiers
from metrics.evaluate import PAPER
from metrics.options import Options
from metrics.rows import Progress
from stylegan_tf.editing.directions import FILE, read_planes
from stylegan_tf.files.find import load_generator
from stylegan_tf.files.identity import network_hash
from stylegan_tf.files.results import separability_name
from stylegan_tf.images import to_uint8

FIRST, SECOND = "network-snapshot-000001", "network-snapshot-000002"


def invoke(*arguments):
    """The door in this process."""
    return CliRunner().invoke(run_metrics.main, ["--num-gpus=0", *map(str, arguments)])


def measure(*arguments):
    """What the door prints when it succeeds."""
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def records(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of data/tiny, 50 images of 8x8, run, with two snapshots, and cache, with classifiers."""
    folder = tmp_path_factory.mktemp("door")
    create_dataset(folder / "data", labels=False)
    tiny_run(folder / "run", folder / "data")
    generator = tiny_generator()
    images = generator(normal(100, generator.latent_size), truncation_psi=None)
    tiny_classifiers(classifiers_folder(folder / "cache", "tiny"), to_uint8(images).numpy())
    return folder


@pytest.fixture(scope="module")
def given(folder):
    """Options that are the same in most tests."""
    return [f"--network={folder / 'run'}", f"--cache-dir={folder / 'cache'}", "--num-samples=40", "--minibatch=16"]


# What it prints and keeps.


@pytest.fixture(scope="module")
def measured(given):
    """What the door has printed for both snapshots of the run."""
    names = ("fd_classifier", "kd_classifier", "pr_classifier", "ls")
    return measure(*given, "--all-snapshots", *(f"--metric={name}" for name in names))


def separability_names(line):
    """What the results of linear separability are called in a line of metrics.jsonl, by its details."""
    return [separability_name(space, [a["skipped"] for a in line["details"][space]]) for space in "zw"]


def test_a_line_for_each_result(folder, measured):
    lines = records(folder / "run")
    dataset = MultiResolutionDataset(folder / "data" / "tiny")
    classifiers = classifiers_folder(folder / "cache", "tiny")
    each, trunk = (load_classifiers(classifiers, 8, 3, shared_trunk).hash for shared_trunk in (False, True))
    names = [
        ("fd_classifier", ["fd40"]),
        ("kd_classifier", ["kd40"]),
        ("pr_classifier", ["precision40", "recall40"]),
    ]
    # Of 20 images kept, all may be of one class.
    assert [(line["metric"], list(line["results"])) for line in lines] == [
        *names,
        ("ls", separability_names(lines[3])),
        *names,
        ("ls", separability_names(lines[7])),
    ]
    for number, line in enumerate(lines):
        snapshot, kimg, growth = [(FIRST, 1.234, (8, 0.5)), (SECOND, 2.345, None)][number // 4]
        network = folder / "run" / snapshot / "Gs.keras"
        assert all(np.isfinite(value) for value in line["results"].values())
        assert (line["network"], line["kimg"], line["dataset"]) == (str(network), kimg, "tiny")
        assert (line["samples"], line["seed"], line["mirror"]) == (40, 0, True)
        assert 0 <= line["seconds"] < 100
        generator = load_generator(network)
        assert generator.growth == growth and line["network_sha256"] == network_hash(generator)
        if line["metric"] == "ls":
            assert len(line["details"]["z"]) == len(line["details"]["w"]) == 3
            assert (line["dataset_sha256"], line["features_sha256"]) == (None, each)
        else:
            assert (line["dataset_sha256"], line["features_sha256"]) == (fingerprint(dataset), trunk)
        assert line["versions"] == {name: importlib.metadata.version(name) for name in line["versions"]}
        assert {"tensorflow", "keras", "numpy", "scikit-learn"} == set(line["versions"])
    assert len({line["key"] for line in lines}) == 8
    assert sum(line["seconds"] for line in lines) > 0
    assert not list((folder / "cache" / "unfinished").iterdir())


def test_a_table_at_the_end(folder, measured):
    lines = records(folder / "run")
    *others, head, first, second = measured.splitlines()
    columns = ["fd40", "kd40", "precision40", "recall40"]
    columns += dict.fromkeys(separability_names(lines[3]) + separability_names(lines[7]))
    assert head.split() == ["network", *columns]
    for row, name, part in ((first, FIRST, lines[:4]), (second, SECOND, lines[4:])):
        results = {key: value for line in part for key, value in line["results"].items()}
        assert row.split() == [name, *(f"{results[c]:.4f}" if c in results else "-" for c in columns)]
    assert any(re.fullmatch(rf"{FIRST}: precision40 0\.\d+, recall40 [01]\.\d+  \(\d+ s\)", line) for line in others)
    assert any(re.fullmatch(r"third +\d.*", line) for line in others)  # attributes


def test_what_is_known_is_not_measured_again(folder, given, measured, monkeypatch):
    monkeypatch.setattr("metrics.session.Session.sample_rows", None)
    monkeypatch.setattr("metrics.linear_separability.separability", None)
    before = (folder / "run" / "metrics.jsonl").read_bytes()
    output = measure(*given, "--all-snapshots", "--metric=ls", "--metric=fd_classifier", "--minibatch=3")
    assert (folder / "run" / "metrics.jsonl").read_bytes() == before
    path = folder / "run" / FIRST / "Gs.keras"
    assert f"{path}: ls is known from {folder / 'run' / 'metrics.jsonl'}.\n" in output
    assert output.count(" is known from ") == 4
    lines = records(folder / "run")
    cells = [cell for cell in output.splitlines()[-2].split()[1:] if cell != "-"]
    separability = [lines[3]["results"][name] for name in separability_names(lines[3])]
    assert sorted(cells) == sorted(f"{value:.4f}" for value in [*separability, lines[0]["results"]["fd40"]])


def test_planes_are_kept_beside_the_results(folder, given, measured):
    """And found again where they are missing, without another line of what is known."""
    path, lines = folder / "run" / FILE, records(folder / "run")
    separability = {line["network_sha256"]: line["details"] for line in lines if line["metric"] == "ls"}

    def check():
        for network, details in separability.items():
            for space in ("z", "w"):
                names = [item["name"] for item in details[space] if not item["skipped"]]
                assert read_planes(path, network, space).names == names

    check()
    path.unlink()
    measure(*given, "--all-snapshots", "--metric=ls")
    check()
    assert records(folder / "run") == lines


def test_a_damaged_snapshot_is_passed_over(folder, given, measured, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    (tmp_path / "run" / FIRST / "Gs.keras").write_bytes(b"PK")
    options = [f"--network={tmp_path / 'run'}", *given[1:], "--metric=ls"]
    result = invoke(*options, "--all-snapshots")
    assert result.exit_code == 0, (result.output, result.exception)
    assert f"Passed over: {tmp_path / 'run' / FIRST / 'Gs.keras'} is damaged" in result.stderr
    assert f"{tmp_path / 'run' / SECOND / 'Gs.keras'}: ls is known from" in result.stdout
    shutil.rmtree(tmp_path / "run" / SECOND)
    result = invoke(*options, "--all-snapshots")
    assert result.exit_code == 2 and result.stderr.startswith("Error: ") and "Gs.keras is damaged" in result.stderr


def test_another_seed(folder, given, measured):
    before = records(folder / "run")
    measure(*given, "--metric=fd_classifier", "--seed=5")
    *same, new = records(folder / "run")
    assert same == before
    assert (new["seed"], new["network"]) == (5, before[-1]["network"])  # the newest
    assert new["results"]["fd40"] != pytest.approx(before[4]["results"]["fd40"], rel=1e-3)
    assert new["network_sha256"] == before[4]["network_sha256"]


def test_networks_that_grow_are_measured_as_they_are(folder, measured):
    generator = load_generator(folder / "run" / FIRST / "Gs.keras")
    dataset = MultiResolutionDataset(folder / "data" / "tiny")
    options = Options(num_samples=40, minibatch=16, mirror=True, cache_dir=str(folder / "cache"))
    value = records(folder / "run")[0]["results"]["fd40"]
    growing = METRICS["fd_classifier"](generator, dataset, options)["fd40"]
    generator.growth = None
    grown = METRICS["fd_classifier"](generator, dataset, options)["fd40"]
    assert growing == pytest.approx(value, rel=1e-4)
    assert grown != pytest.approx(value, rel=1e-2)


def test_lone_file_and_outdir(folder, tmp_path):
    shutil.copy(folder / "run" / SECOND / "Gs.keras", tmp_path / "faces.keras")
    classifiers = classifiers_folder(folder / "cache", "tiny")
    options = [f"--network={tmp_path / 'faces.keras'}", f"--cache-dir={folder / 'cache'}", "--num-samples=40"]
    # These classifiers are for any network of their size.
    output = measure(*options, "--metric=ls", f"--classifiers={classifiers}")
    assert re.search(r"^faces\.keras +1\.\d+ +1\.\d+$", output, re.MULTILINE)
    data = ["--dataset=tiny", f"--data-dir={folder / 'data'}", f"--outdir={tmp_path / 'deep' / 'results'}"]
    measure(*options, "--metric=fd_classifier", *data)
    (ls,), (fd,) = records(tmp_path), records(tmp_path / "deep" / "results")
    assert (ls["kimg"], ls["dataset"], ls["dataset_sha256"], ls["mirror"]) == (None, None, None, False)
    assert (fd["kimg"], fd["dataset"], fd["mirror"]) == (None, "tiny", False)
    assert ls["network_sha256"] == fd["network_sha256"]


# Without measuring.


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def planned(*arguments):
    return json.loads(measure(*arguments, "--dry-run"))


def test_dry_run_writes_nothing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = listing(folder)
    classifiers = f"--classifiers={classifiers_folder(folder / 'cache', 'tiny')}"
    chosen = "--metric=ppl_wend", "--metric=fd_classifier", classifiers
    plan = planned(f"--network={folder / 'run'}", *chosen, "--all-snapshots")
    assert listing(folder) == before and not list(tmp_path.iterdir())
    assert plan["networks"] == [str(folder / "run" / name / "Gs.keras") for name in (FIRST, SECOND)]
    assert {name: metric["samples"] for name, metric in plan["metrics"].items()} == {
        "ppl_wend": METRICS["ppl_wend"].usual,
        "fd_classifier": "as many as there are real images",
    }
    # Those of the run.
    assert (plan["dataset"], plan["data_dir"], plan["mirror"]) == ("tiny", str(folder / "data"), True)
    assert (plan["results"], plan["cache_dir"]) == (str(folder / "run" / "metrics.jsonl"), "cache")
    assert (plan["seed"], plan["crop"], plan["num_samples"], plan["num_gpus"]) == (0, "none", None, 0)


def test_dry_run_knows_of_classifiers_that_are_missing(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(f"--network={folder / 'run'}", "--metric=ls", "--dry-run")
    assert result.exit_code == 2 and "There are no attribute classifiers in cache/classifiers/tiny;" in result.stderr


def test_dry_run_knows_of_too_few_images(folder):
    result = invoke(f"--network={folder / 'run'}", "--metric=fid50k", "--dry-run")
    assert result.exit_code == 2 and "holds 50 images and their mirror images, and 50000" in result.stderr


def test_options_reach_the_plan(folder):
    values = ["--data-dir=elsewhere", "--no-mirror", "--crop=face", "--svm=reference", "--degenerate=perfect"]
    values += ["--seed=3", "--num-samples=100", "--minibatch=4", "--outdir=there", "--cache-dir=here"]
    names = ("ls", "ppl_wend", "fd_classifier")
    plan = planned(f"--network={folder / 'run'}", *(f"--metric={name}" for name in names), *values)
    names = ("data_dir", "mirror", "crop", "svm", "degenerate", "seed", "num_samples", "minibatch", "results")
    assert [plan[name] for name in names] == [
        *("elsewhere", False, "face", "reference", "perfect"),
        *(3, 100, 4, "there/metrics.jsonl"),
    ]
    assert plan["cache_dir"] == "here" and plan["metrics"]["ls"]["samples"] == 100


def test_another_data_set_than_the_runs(folder):
    plan = planned(f"--network={folder / 'run'}", "--metric=fid50k", "--dataset=ffhq")
    assert (plan["dataset"], plan["data_dir"], plan["mirror"], plan["crop"]) == ("ffhq", "data", True, "face")
    plan = planned(f"--network={folder / 'run'}", "--metric=fid50k", "--dataset=digits")
    assert (plan["dataset"], plan["mirror"], plan["crop"]) == ("digits", False, "none")


def test_paper(folder):
    names = [f"--metric={name}" for name in ("fd_classifier", "paper", "ls")]
    plan = planned(f"--network={folder / 'run'}", "--data-dir=elsewhere", *names)
    assert list(plan["metrics"]) == ["fd_classifier", *PAPER]
    assert set(PAPER) == {"fid50k", "ppl_zfull", "ppl_wfull", "ppl_zend", "ppl_wend", "ls"}


def test_help_explains_every_option():
    text = " ".join(invoke("--help").output.split())
    for parameter in run_metrics.main.params:
        assert parameter.help, parameter.name
        assert all(option in text for option in parameter.opts + parameter.secondary_opts)
    for name in METRICS:
        assert name in text


# Interruption.


SAMPLES, COLUMNS = 300, 16 + 16 + 3  # z, w, logits


def wait_for_rows(cache, count, process):
    """Waits until a process has written so many rows of samples; returns their file."""
    deadline = time.monotonic() + 200
    while True:
        for path in cache.glob("unfinished/*/attributes-*.f32"):
            if path.stat().st_size >= count * COLUMNS * 4:
                return path
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def begin(folder, cache, samples, start):
    """(options of a measurement with a new cache, the process that has begun it, the file of its rows)."""
    shutil.copytree(folder / "cache" / "classifiers", cache / "classifiers")
    options = [f"--network={folder / 'run'}", "--metric=ls", f"--num-samples={samples}", "--minibatch=1"]
    process = start("run_metrics.py", "--num-gpus=0", *options, f"--cache-dir={cache}", f"--outdir={cache}")
    try:
        return options, process, wait_for_rows(cache, 5, process)
    except BaseException:
        process.kill()
        process.communicate()
        raise


def test_kill(folder, tmp_path, monkeypatch):
    cache = tmp_path / "killed"
    options, process, path = begin(folder, cache, SAMPLES, start)
    process.kill()
    process.communicate()
    killed = path.stat().st_size // (COLUMNS * 4)
    assert 5 <= killed < SAMPLES and not (cache / "metrics.jsonl").exists()
    with path.open("ab") as file:
        file.write(b"a part of a row")
    # What another metric of this network computes is another table.
    other = [f"--network={folder / 'run'}", "--metric=fd_classifier", f"--cache-dir={cache}", f"--outdir={tmp_path}"]
    measure(*other, "--num-samples=9")

    began = []
    original = Progress.__init__

    def record(self, description, done, count):
        began.append((done, count))
        original(self, description, done, count)

    monkeypatch.setattr(Progress, "__init__", record)
    measure(*options, f"--cache-dir={cache}", f"--outdir={cache}")
    assert began == [(killed, SAMPLES)]
    assert not path.parent.exists()
    undisturbed = tmp_path / "cache"
    shutil.copytree(folder / "cache" / "classifiers", undisturbed / "classifiers")
    measure(*options, f"--cache-dir={undisturbed}", f"--outdir={undisturbed}")
    assert began == [(killed, SAMPLES), (0, SAMPLES)]
    (continued,), (whole,) = records(cache), records(undisturbed)
    for key in ("results", "details", "key"):
        assert continued[key] == whole[key]
    assert min(whole["results"].values()) > 1.1


def test_control_c(folder, tmp_path):
    """In a process of its own, as users start it."""
    cache = tmp_path / "interrupted"
    _, process, path = begin(folder, cache, 100_000, start_python)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "Stopped; the same command goes on from here."
    assert "Traceback" not in errors
    assert path.stat().st_size >= 5 * COLUMNS * 4
    assert not (cache / "metrics.jsonl").exists()


# Wrong input.


@pytest.fixture(scope="module")
def wrong(folder, tmp_path_factory):
    """Folder of networks that cannot be measured on `tiny`, of a foreign cache, and of classifiers for other images."""
    wrong = tmp_path_factory.mktemp("wrong")
    (wrong / "empty").mkdir()
    whole = (folder / "run" / SECOND / "Gs.keras").read_bytes()
    (wrong / "torn.keras").write_bytes(whole[: len(whole) // 2])
    (wrong / "snapshot").mkdir()
    (wrong / "snapshot" / "Gs.keras").write_bytes(whole)
    (wrong / "snapshot" / "training.json").write_text("{")
    networks = {
        "large": tiny_generator(resolution=16),
        "grey": tiny_generator(num_channels=1),
        "conditional": tiny_generator(label_size=3),
        "nan": tiny_generator(),
        "constant": tiny_generator(),
    }
    networks["nan"].synthesis.to_rgb[-1].bias.assign([np.nan, 0, 0])
    networks["constant"].synthesis.to_rgb[-1].bias.assign([1e6, -1e6, 1e6])
    for name, network in networks.items():
        network.save(wrong / f"{name}.keras")
    (wrong / "cache").mkdir()
    (wrong / "cache" / "cache.json").write_text('{"version": 0}')
    tiny_classifiers(wrong / "large-classifiers", np.zeros((2, 16, 16, 3), np.uint8))
    (wrong / "graph.pb").write_bytes(b"no graph")
    (wrong / "file").touch()
    create_dataset(wrong / "data", name="plain", labels=False)
    return wrong


def contents(*folders):
    """{path: size} of all files that hold something, but for the mark of a cache's version."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.name != "cache.json"]
    return {path: path.stat().st_size for path in files if path.stat().st_size}


TINY = ["--dataset=tiny", "--data-dir={folder}/data"]
FD, FID, LS, PPL = (f"--metric={name}" for name in ("fd_classifier", "fid50k", "ls", "ppl_wend"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metric=fid51k"], ["--metric", "'fid51k'"]),
        ([FD, "--num-samples=1"], ["--num-samples", "1"]),
        ([FD, "--num-gpus=99"], ["--num-gpus=99"]),
        ([FD, "--network={wrong}/nowhere"], ["nowhere does not exist"]),
        ([FD, "--network={wrong}/empty"], ["no {wrong}/empty/Gs.keras"]),
        ([FD, "--network={wrong}/faces.pkl"], ["faces.pkl does not exist; give a run, a snapshot"]),
        ([FD, "--network={wrong}/torn.keras"], ["torn.keras is damaged"]),
        ([FD, f"--network={{folder}}/run/{SECOND}/D.keras"], ["D.keras is a Discriminator, no generator"]),
        ([FD, "--network={wrong}/snapshot"], ["{wrong}/snapshot/training.json is damaged"]),
        ([FD, *TINY, "--network={wrong}/large.keras"], ["images of 16x16", "{folder}/data/tiny holds 8x8"]),
        ([FD, *TINY, "--network={wrong}/grey.keras"], ["images of 1 channels", "{folder}/data/tiny have 3"]),
        ([FD, *TINY, "--network={wrong}/conditional.keras"], ["labels of 3 numbers", "{folder}/data/tiny has 0"]),
        ([LS, "--network={wrong}/conditional.keras"], ["needs labels", "--dataset"]),
        ([FD, "--network={wrong}/nan.keras"], ["name it with --dataset"]),
        ([LS, "--network={wrong}/nan.keras"], ["name it with --dataset"]),
        ([FD, "--dataset=cats"], ["no data set 'cats'"]),
        ([FD, "--num-samples=51", "--no-mirror"], ["holds 50 images, and 51", "--num-samples=50"]),
        ([FID], ["holds 50 images and their mirror images, and 50000", "--num-samples=50"]),
        ([FID, "--num-samples=9", "--inception={wrong}/graph.pb"], ["{wrong}/graph.pb has the SHA-256", "--inception"]),
        ([FID, "--num-samples=9", "--inception={wrong}/none.pb"], ["{wrong}/none.pb is no file", "--inception"]),
        (
            [FID, "--num-samples=9"],
            ["could not be downloaded", "at {folder}/cache/weights/classify_image_graph_def.pb, or", "--inception"],
        ),
        ([PPL], ["could not be downloaded", "at {folder}/cache/weights/vgg16-397923af.pth, or", "--vgg16"]),
        # The one is known to be missing before the other is computed.
        ([FD, FID, "--num-samples=9", "--seed=9"], ["classify_image_graph_def.pb could not be downloaded"]),
        ([FD, *TINY, "--network={wrong}/nan.keras"], ["network is broken: sample 0 has pixels that are not finite"]),
        ([FD, *TINY, "--network={wrong}/constant.keras"], ["network is broken: samples 0 to 15 are of one colour"]),
        ([FD, "--cache-dir={wrong}/cache"], ["{wrong}/cache was written by another version", "--cache-dir"]),
        ([LS, "--classifiers={wrong}/large-classifiers"], ["on images of 16x16", "are 8x8", "run_classifiers.py"]),
        ([LS, "--classifiers={wrong}/empty"], ["no attribute classifiers in {wrong}/empty", "run_classifiers.py"]),
        (
            [FD, "--dataset=plain", "--data-dir={wrong}/data"],
            ["no shared trunk", "python run_classifiers.py --dataset=plain", "/plain --shared-trunk"],
        ),
        ([PPL, LS, FID, "--truncation-psi=0.7"], ["--truncation-psi", "not for ppl_wend, ls"]),
        ([FD, FID, "--svm=reference"], ["--svm has no effect on fd_classifier, fid50k"]),
        ([PPL, "--degenerate=skip"], ["--degenerate has no effect on ppl_wend"]),
        ([LS, "--metric=ppl2_wend", "--crop=face"], ["--crop has no effect on ls, ppl2_wend"]),
        ([FID, "--classifiers={wrong}/empty"], ["--classifiers has no effect on fid50k"]),
        ([FD, f"--network={{folder}}/run/{SECOND}/training.json"], ["training.json is no network; give a run"]),
        ([FD, "--dataset=file", "--data-dir={wrong}"], ["{wrong}/file is a file, and a data set is a folder"]),
        ([], ["--metric", "fid50k, ppl_zfull"]),
    ],
    ids=lambda value: value[-1] if value and value[0].startswith("--metric") else "",
)
def test_wrong_input(folder, wrong, monkeypatch, options, words):
    def unreachable(*_):
        raise OSError("no network")

    monkeypatch.setattr("dnnlib.download._fetch", unreachable)
    before = contents(folder, wrong)
    usual = [f"--network={folder / 'run'}", f"--cache-dir={folder / 'cache'}", "--minibatch=16"]
    result = invoke(*usual, *(option.format(folder=folder, wrong=wrong) for option in options))
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word.format(folder=folder, wrong=wrong) in result.stderr
    assert contents(folder, wrong) == before


# In training, and where classifiers are trained first.


def test_snapshots_are_measured_in_training(tmp_path, monkeypatch):
    create_dataset(tmp_path / "data")
    dataset = MultiResolutionDataset(tmp_path / "data" / "tiny")
    tiny_classifiers(classifiers_folder(tmp_path / "cache", "tiny"), dataset.read_images(8, range(20)))
    monkeypatch.chdir(tmp_path)  # where the cache is
    options = ["--metrics=fd_classifier", "--total-kimg=0.016"]
    given = arguments(tmp_path, *options, settings=["schedule.tick_kimg_base=0.016"])
    result = CliRunner().invoke(run_training.main, given)
    assert result.exit_code == 0, (result.output, result.exception)
    run_dir = tmp_path / "results" / "00000-tiny-f-cpu"
    (line,) = [json.loads(line) for line in (run_dir / "metric-fd_classifier.jsonl").read_text().splitlines()]
    value = line["results"]["fd50"]
    assert read_events(run_dir)["fd50", 16] == pytest.approx(value, rel=1e-6)
    assert f"network-snapshot-000000: fd50 {value:.4f}  (" in result.stdout
    # The door finds the same, of a network that still shows 4x4.
    snapshot = run_dir / "network-snapshot-000000"
    assert json.loads((snapshot / "training.json").read_text())["resolution"] == 4
    assert [load_generator(snapshot / f"{name}.keras").growth for name in ("G", "Gs")] == [(4, 1.0)] * 2
    measure(f"--network={run_dir}", "--metric=fd_classifier")
    assert records(run_dir)[0]["results"] == {"fd50": pytest.approx(value, rel=1e-4)}


def test_digits(tmp_path, monkeypatch):
    recipe = {"total_kimg": 1, "minibatch": 32, "learning_rate": 0.01, "fmap_base": 32, "fmap_max": 4}
    monkeypatch.setattr(classifier_training, "RECIPES", {"digits": recipe})
    tiny_generator(resolution=32, num_channels=1).save(tmp_path / "G.keras")
    options = [f"--network={tmp_path / 'G.keras'}", "--dataset=digits", f"--data-dir={tmp_path / 'data'}"]
    result = invoke(*options, f"--cache-dir={tmp_path / 'cache'}", "--metric=ls", "--num-samples=200")
    assert result.exit_code == 0, (result.output, result.exception)
    classifiers = classifiers_folder(tmp_path / "cache", "digits")
    told = f"There are no classifiers in {classifiers}: training the classifiers of digits, once.\n"
    assert result.stderr.startswith(told)
    assert len(re.findall(r"^\d: [\d.]+% of 180 held-out images are right", result.stdout, re.MULTILINE)) == 10
    assert has_classifiers(classifiers)
    (line,) = records(tmp_path)
    assert [attribute["name"] for attribute in line["details"]["w"]] == list("0123456789")
    assert min(line["results"].values()) >= 1

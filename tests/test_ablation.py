"""The ablations: their rows can be trained, equal ones are trained once, and what was measured is in the table."""

import importlib
import io
import json
import re
from concurrent.futures import Executor, Future
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import ablation, ablation_report, digits_quality
from benchmarks.ablation_tables import TABLES, Row
from metrics import METRICS, classifier_training
from stylegan_tf.training.checks import check_settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "ablation"
TINY = [
    "--set=resolution=8",
    *(
        f"--set={network}.{name}"
        for network in ("generator", "discriminator")
        for name in ("fmap_base=16", "fmap_max=4")
    ),
]
CLASSIFIERS = {"total_kimg": 0.2, "minibatch": 32, "learning_rate": 0.01, "fmap_base": 32, "fmap_max": 4}


def tasks_of(table, dataset="digits", images=1797, **options):
    options = {"config": None, "kimg": 60, "seeds": 1, "settings": (), **options}
    return ablation.make_tasks(table, dataset, images=images, **options)


def keys(tasks):
    return {row.name: task.key for row, (task,) in tasks.items()}


@pytest.mark.parametrize("dataset", ["digits", "avatars"])
@pytest.mark.parametrize("table", TABLES)
def test_rows_are_runs(table, dataset):
    """Every row is a run of its own, as long as the others, of metrics that there are."""
    tasks = tasks_of(table, dataset)
    assert len(set(keys(tasks).values())) == len(tasks) > 3
    for (task,) in tasks.values():
        check_settings(task.config)
        assert task.config.total_kimg == 60 and set(task.metrics) <= METRICS.keys()


def test_equal_rows_of_two_tables_are_one_run():
    first, mixing, depth = (keys(tasks_of(table)) for table in ("1", "2", "4"))
    assert first["E"] == mixing["0%"] and first["F"] == mixing["90%"] and first["B"] == depth["traditional 0"]
    assert len({*first.values(), *mixing.values(), *depth.values()}) == 6 + 4 + 6 - 3


def test_keys_tell_what_is_learned():
    key = keys(tasks_of("1"))["F"]
    for options in ({"kimg": 61}, {"settings": ("loss.r1_gamma=1",)}, {"dataset": "avatars"}):
        assert keys(tasks_of("1", **options))["F"] != key
    assert keys(tasks_of("1", settings=("keep_checkpoints=1",), runs="elsewhere", data_dir="there"))["F"] == key
    first, second = tasks_of("1", seeds=2)[next(iter(tasks_of("1")))]
    assert (first.config.seed, second.config.seed) == (1000, 1001) and first.key != second.key


def test_recipes_are_shortened_as_a_whole():
    """Growth, and the average Gs, which lags behind by its half-life: were it not shortened, it would show the past."""
    for table, half_life in (("1", 3 * 70 / 140), ("grid", 3 * 70 / 75)):
        (task,) = list(tasks_of(table, kimg=70).values())[-1]
        assert task.config.average_half_life_kimg == pytest.approx(half_life)
    schedules = {row.name: task.config.schedule for row, (task,) in tasks_of("1", kimg=70).items()}
    assert (schedules["F"].lod_training_kimg, schedules["F"].lod_transition_kimg) == (25, 5)
    assert schedules["A"].lod_training_kimg == pytest.approx(50 * 70 / 200)
    assert schedules["A"].lod_initial_resolution == 4 and schedules["B"] == schedules["F"]


class InThisProcess:
    """What a process is to `ablation.run`: the command runs here."""

    def __init__(self, arguments, environment):
        script, *options = arguments
        command = importlib.import_module(str(Path(script).relative_to(ROOT).with_suffix("")).replace("/", ".")).main
        self.result = CliRunner().invoke(command, options)
        self.stdout = io.StringIO(self.result.output)

    def wait(self):
        return self.result.exit_code


class OneAfterTheOther(Executor):
    """In the place of threads: commands that run in this process change its standard output and its signals."""

    def __init__(self, jobs):
        pass

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def invoke(*options):
    return CliRunner().invoke(ablation.main, ["--dataset=digits", "--kimg=1", "--seeds=1", *options])


def test_table_1(tmp_path, monkeypatch):
    """All rows are trained and measured; a second time nothing is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ablation, "start", InThisProcess)
    monkeypatch.setattr(ablation, "ThreadPoolExecutor", OneAfterTheOther)
    monkeypatch.setattr(ablation, "SAMPLES", 150)
    for recipes in ("RECIPES", "TRUNK_RECIPES"):
        monkeypatch.setattr(classifier_training, recipes, {"digits": CLASSIFIERS})
    # What takes long and is the same for all rows, or what another path length proves as well.
    judges = digits_quality.train_classifier(*digits_quality.split_digits()[::2])
    monkeypatch.setattr(digits_quality, "train_classifier", lambda x, classes: judges)
    fewer = tuple(name for name in TABLES["1"].metrics if name != "pl_classifier_wfull")
    monkeypatch.setitem(TABLES, "1", TABLES["1"]._replace(metrics=fewer))
    result = invoke("--table=1", *TINY)
    assert result.exit_code == 0, (result.output, [p.read_text()[-2000:] for p in tmp_path.rglob("commands.log")])
    folder = tmp_path / "results" / "ablation"
    records = [json.loads(line) for line in (folder / "digits.jsonl").read_text().splitlines()]
    assert [record["config"] for record in records] == list("abcdef")
    for record in records:
        names = {re.sub(r"\d+", "", name.partition("_")[0]) for name in record["results"]}
        # Tiny networks may make images of one class, for which there is no separability.
        assert names | {"ls"} == {"fd", "precision", "recall", "ls", "pl", "recognised"} and record["minutes"] > 0
        assert ("ls" in names) != any("of one class" in remark for remark in record["remarks"])
    table = (folder / "digits-1.md").read_text()
    assert table in result.output and (folder / "digits-1.png").stat().st_size > 10_000
    for row, record in zip("ABCDEF", records, strict=True):
        (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
        fd = next(value for name, value in record["results"].items() if name.startswith("fd"))
        assert ablation_report.digits(fd) in line and f"{record['results']['recognised']:.1%}" in line

    monkeypatch.setattr(ablation, "start", None)
    again = invoke("--table=1", *TINY)
    assert again.exit_code == 0 and (folder / "digits-1.md").read_text() == table
    monkeypatch.setattr(ablation, "work", lambda task, *rest: pytest.fail(f"{task.name} is known"))
    known = ablation.records_of(folder / "digits.jsonl", tasks_of("1", kimg=1, settings=[x[6:] for x in TINY]))
    assert all(len(records) == 1 for _, records in known)


def test_a_row_that_another_table_has_trained_is_only_measured(tmp_path):
    """0% of Table 2 is E of Table 1, from another configuration, and asks for other metrics."""
    (trained,), (asked,) = (
        next(tasks for row, tasks in tasks_of(table, runs=tmp_path).items() if row.name == name)
        for table, name in (("1", "E"), ("2", "0%"))
    )
    assert trained.folder != asked.folder and ablation.last_snapshot(asked) is None
    for kimg in (50, 60):
        (trained.folder / "00000-digits-e-cpu" / f"network-snapshot-{kimg:06d}").mkdir(parents=True)
        assert bool(ablation.last_snapshot(asked)) == (kimg == 60)
    assert ablation.last_snapshot(asked) == ablation.last_snapshot(trained)


def stub(results):
    """In the place of `work`: results of configurations, or errors."""

    def work(task, path, environment, progress):
        result = results(task)
        record = {"key": task.key, "metrics": task.metrics, "seed": task.config.seed, "minutes": 2.0, "machine": "one"}
        record |= {"failed": result} if isinstance(result, str) else {"results": result}
        ablation.append_record(path, record)
        return record

    return work


def test_what_diverges_is_in_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def results(task):
        if task.row.config == "c":
            return "Training has diverged: D's loss is not finite."
        return {"fd1797": 10.0 + task.config.seed - 1000, "ls_w_9of10_per_class": 2.0, "recall1797": 0.25}

    monkeypatch.setattr(ablation, "work", stub(results))
    result = CliRunner().invoke(ablation.main, ["--table=1", "--kimg=1", "--seeds=2"])
    assert result.exit_code == 0, result.output
    table = (tmp_path / "results/ablation/digits-1.md").read_text()
    assert "| A | Progressive GAN | 8.04 | 10.5 ± 0.7 | 25.0% ± 0.0% | 2.00 ± 0.00 (9 of 10) | 2.0 |" in table
    assert "| C | + mapping network and styles | 4.85 |  |  |  |  |" in table
    assert "* C, seed 1001: Training has diverged: D's loss is not finite." in table
    assert "Seeds 1000, 1001" in table


def test_other_rows_go_on_where_one_fails(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def results(task):
        if task.row.config == "a":
            raise ablation.CommandFailed("A, seed 1000: the disk is full")
        return {"fd1797": 10.0}

    monkeypatch.setattr(ablation, "work", stub(results))
    assert invoke("--table=1", "--row=B", "--row=C").exit_code == 0
    assert len((tmp_path / "results/ablation/digits.jsonl").read_text().splitlines()) == 2
    result = invoke("--table=1")
    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == "Error: 1 of 4 runs failed, the first: A, seed 1000: the disk is full"
    assert len((tmp_path / "results/ablation/digits.jsonl").read_text().splitlines()) == 5


def test_what_was_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    started = []

    def results(task):
        started.append(task.row.config)
        if started == ["a", "b", "c"]:
            raise KeyboardInterrupt
        return {"fd1797": 10.0}

    monkeypatch.setattr(ablation, "work", stub(results))
    assert invoke("--table=1").exit_code == 130
    assert "| F |" in (tmp_path / "results/ablation/digits-1.md").read_text()
    known = len((tmp_path / "results/ablation/digits.jsonl").read_text().splitlines())
    assert known >= 2
    started.append("again")
    assert invoke("--table=1").exit_code == 0
    assert len(started[started.index("again") + 1 :]) == 6 - known


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--table=1", "--config=f"],
            "--config has no effect on table 1, whose rows are configurations; leave it out.",
        ),
        (["--table=2", "--config=b"], "50%: the generator of b has no styles that could be mixed."),
        (["--table=3"], "'3' is not one of '1', '2', '4', 'sg2', 'grid', 'ada'."),
        (["--table=1", "--dataset=ffhq"], "'ffhq' is not one of 'digits', 'avatars'."),
        (["--table=1", "--set=max_images=5000"], "holds 1797 images"),
        (["--table=grid", "--config=f"], "There is no setting generator.architecture"),
        (["--table=1", "--row=G"], "Table 1 has no row 'G'; there are: A; B; C; D; E; F."),
        (["--table=1", "--set=r1_gama=3"], "There is no setting 'r1_gama'"),
    ],
)
def test_wrong_input(options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = invoke(*options)
    assert result.exit_code == 2 and message in result.output and len(result.output.splitlines()[-1:]) == 1
    assert not (tmp_path / "results").exists()


def test_report_of_nothing():
    row = Row("A", "what it is", "a", (), 8.04)
    lines = list(ablation_report.markdown("Title", "command", [(row, [])], ["A note."]))
    assert "| A | what it is | 8.04 |  |" in lines and "* A note." in lines
    assert ablation_report.draw("Title", [(row, [])]).axes


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_tables_of_the_documentation_are_those_of_its_results(path):
    """Each is what its command makes of the results beside it, and stands in docs/ablation.md."""
    text = path.read_text()
    command = re.search(r"^    python benchmarks/ablation.py (.*)$", text, re.MULTILINE)[1].split()
    options = ablation.main.make_context("ablation", list(command)).params
    dataset, table, config = options["dataset"], options["table"], options["config"]
    images = {"digits": 1797, "avatars": 10_000}[dataset]
    tasks = tasks_of(
        table, dataset, images, **{name: options[name] for name in ("config", "kimg", "seeds", "settings")}
    )
    rows = ablation.records_of(DOCS / f"{dataset}.jsonl", tasks)
    spec = TABLES[table]
    lines = ablation_report.markdown(spec.title, f"python benchmarks/ablation.py {' '.join(command)}", rows, spec.notes)
    assert text == "\n".join(lines) + "\n"
    assert path.stem == f"{dataset}-{table}" + (f"-{config}" if config else "")
    assert text in (ROOT / "docs" / "ablation.md").read_text()

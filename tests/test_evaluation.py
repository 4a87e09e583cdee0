"""Metrics at snapshots: what is on disk afterwards, which snapshot is the best, and that no metric ends a run."""

import json
import math

import pytest

from stylegan_tf.training.evaluation import Evaluation


class Metric:
    """Gives the results one after the other; an exception among them is raised."""

    def __init__(self, *results):
        self.results, self.calls = list(results), []

    def __call__(self, generator, dataset):
        self.calls.append((generator, dataset))
        result = self.results.pop(0)
        if isinstance(result, BaseException):
            raise result
        return result


def snapshot(run_dir, kimg):
    folder = run_dir / f"network-snapshot-{kimg:06d}"
    folder.mkdir(exist_ok=True)
    for name in ("G.keras", "D.keras", "Gs.keras", "training.json"):
        (folder / name).write_text(f"{name} at {kimg}")
    return folder


def measure(evaluation, kimg):
    return evaluation.measure(snapshot(evaluation.run_dir, kimg), "Gs", "data", kimg)


def records(run_dir, metric):
    return [json.loads(line) for line in (run_dir / f"metric-{metric}.jsonl").read_text().splitlines()]


def best(run_dir):
    return json.loads((run_dir / "best" / "best.json").read_text())


def test_one_line_for_each_metric_and_snapshot(tmp_path):
    fid, ppl = (
        Metric({"fid50k": 20}, {"fid50k": 10.5}),
        Metric({"ppl_wend": 200.0, "ppl_wfull": 300.0}, {"ppl_wend": 1}),
    )
    evaluation = Evaluation(tmp_path, {"fid50k": fid, "ppl": ppl})
    scalars, lines = measure(evaluation, 10)
    assert scalars == {"fid50k": 20.0, "ppl_wend": 200.0, "ppl_wfull": 300.0}
    assert len(lines) == 3 and "fid50k 20.0000" in lines[0] and "best fid50k" in lines[1] and "ppl_wend 200" in lines[2]
    measure(evaluation, 20)
    first, second = records(tmp_path, "fid50k")
    assert first.pop("seconds") >= 0
    assert first == {"metric": "fid50k", "kimg": 10, "snapshot": "network-snapshot-000010", "results": {"fid50k": 20.0}}
    assert second["snapshot"] == "network-snapshot-000020" and second["results"] == {"fid50k": 10.5}
    assert [record["kimg"] for record in records(tmp_path, "ppl")] == [10, 20]
    assert fid.calls == ppl.calls == [("Gs", "data")] * 2


def test_no_metrics(tmp_path):
    assert measure(Evaluation(tmp_path, {}), 10) == ({}, [])
    assert [path.name for path in tmp_path.iterdir()] == ["network-snapshot-000010"]


def test_the_best_snapshot_is_kept(tmp_path):
    fids = [20.0, 12.0, 15.0, 12.0, 11.0]
    evaluation = Evaluation(tmp_path, {"ls": lambda *_: {"ls": 0.0}, "fid50k": Metric(*({"fid50k": x} for x in fids))})
    kept = []
    for kimg in range(1, 6):
        measure(evaluation, kimg)
        kept.append(best(tmp_path)["kimg"])
    assert kept == [1, 2, 2, 2, 5]
    assert best(tmp_path) == {"metric": "fid50k", "value": 11.0, "kimg": 5, "snapshot": "network-snapshot-000005"}
    names = {"G.keras", "D.keras", "Gs.keras", "training.json"}
    assert {path.name for path in (tmp_path / "best").iterdir()} == names | {"best.json"}
    assert all((tmp_path / "best" / name).read_text() == f"{name} at 5" for name in names)
    assert all((tmp_path / "network-snapshot-000005" / name).exists() for name in names)


def test_without_fid_there_is_no_best(tmp_path):
    measure(Evaluation(tmp_path, {"ls": Metric({"ls": 1.0})}), 1)
    assert not (tmp_path / "best").exists()


def test_the_first_fid_decides_and_another_one_starts_anew(tmp_path):
    both = {"fid10k": Metric({"fid10k": 5.0}), "fid50k": Metric({"fid50k": 1.0})}
    measure(Evaluation(tmp_path, both), 1)
    assert best(tmp_path)["value"] == 5.0
    measure(Evaluation(tmp_path, {"fid50k": Metric({"fid50k": 9.0})}), 2)
    assert best(tmp_path)["metric"] == "fid50k" and best(tmp_path)["value"] == 9.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_and_never_best(tmp_path, value):
    evaluation = Evaluation(tmp_path, {"fid50k": Metric({"fid50k": value}, {"fid50k": 30.0}, {"fid50k": value})})
    scalars, lines = measure(evaluation, 1)
    assert scalars == {} and len(lines) == 1 and "not finite" in lines[0]
    assert records(tmp_path, "fid50k")[0]["results"] == {"fid50k": None}
    assert not (tmp_path / "best").exists()
    measure(evaluation, 2)
    measure(evaluation, 3)
    assert best(tmp_path)["kimg"] == 2


@pytest.mark.parametrize("broken", [RuntimeError("out of memory"), {"fid50k": "many"}, None])
def test_a_broken_metric_is_reported_and_the_others_are_measured(tmp_path, broken):
    evaluation = Evaluation(tmp_path, {"fid50k": Metric(broken, {"fid50k": 3.0}), "ls": lambda *_: {"ls": 1.0}})
    scalars, lines = measure(evaluation, 1)
    assert scalars == {"ls": 1.0}
    assert len(lines) == 2 and "network-snapshot-000001: fid50k failed with" in lines[0]
    assert not (tmp_path / "metric-fid50k.jsonl").exists() and not (tmp_path / "best").exists()
    # It is not known now, so it is measured when its turn comes again.
    assert measure(evaluation, 1)[0] == {"fid50k": 3.0, "ls": 1.0}


def test_ctrl_c_is_no_broken_metric(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        measure(Evaluation(tmp_path, {"fid50k": Metric(KeyboardInterrupt())}), 1)


def test_a_resumed_run_takes_what_is_known(tmp_path):
    measure(Evaluation(tmp_path, {"fid50k": Metric({"fid50k": 10.0})}), 1)
    # Killed after the measurement of snapshot 2 and before its copy, and with half a line of snapshot 3.
    killed = Evaluation(tmp_path, {"fid50k": Metric({"fid50k": 5.0})})
    killed.keep_best = lambda *_: False
    measure(killed, 2)
    path = tmp_path / "metric-fid50k.jsonl"
    path.write_text(path.read_text() + '{"metric": "fid50k", "kimg": 3, "snap')
    fid = Metric({"fid50k": 7.0})
    resumed = Evaluation(tmp_path, {"fid50k": fid})
    assert measure(resumed, 2)[0] == {"fid50k": 5.0} and not fid.calls
    assert best(tmp_path)["value"] == 5.0
    assert measure(resumed, 3)[0] == {"fid50k": 7.0}
    assert [record["results"]["fid50k"] for record in records(tmp_path, "fid50k")] == [10.0, 5.0, 7.0]
    # The best so far is read from the disk.
    assert best(tmp_path)["snapshot"] == "network-snapshot-000002"


def test_a_copy_that_fails_leaves_the_best_before(tmp_path, monkeypatch):
    evaluation = Evaluation(tmp_path, {"fid50k": Metric({"fid50k": 10.0}, {"fid50k": 5.0})})
    measure(evaluation, 1)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    scalars, lines = measure(evaluation, 2)
    assert scalars == {"fid50k": 5.0} and "No space left" in lines[-1]
    assert best(tmp_path)["value"] == 10.0 and (tmp_path / "best" / "Gs.keras").read_text() == "Gs.keras at 1"
    assert not list(tmp_path.glob(".best*"))

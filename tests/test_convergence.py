"""Figure 9: what was measured, in training and afterwards, is what is drawn and what the table says."""

import csv
import json
import math
import sys

import numpy as np
import pytest
from PIL import Image

from dnnlib.json_lines import append_record
from stylegan_tf.pictures.convergence import draw, grown, read_run, write_convergence
from stylegan_tf.recipes.settings import ScheduleConfig, TrainingConfig, to_dict
from stylegan_tf.training.evaluation import Evaluation


def make_run(folder, values, metric="fid50k", **schedule):
    """A run of 32x32 pixels, measured as it was trained: {kimg: results}."""
    folder.mkdir(parents=True)
    schedule = ScheduleConfig(**{"lod_training_kimg": 50, "lod_transition_kimg": 10, **schedule})
    (folder / "config.json").write_text(json.dumps(to_dict(TrainingConfig(resolution=32, schedule=schedule))))
    for kimg, results in values.items():
        snapshot = folder / f"network-snapshot-{int(kimg):06d}"
        snapshot.mkdir()
        Evaluation(folder, {metric: lambda *_, found=results: found}).measure(snapshot, None, None, kimg)
    return folder


def measured(folder, kimg, psi=None, **results):
    """What run_metrics.py writes, as far as it matters here."""
    append_record(folder / "metrics.jsonl", {"results": results, "kimg": kimg, "seed": 0, "truncation_psi": psi})


def table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def curves(figure):
    """{title: {label: (x, y)}} of the curves, without the vertical lines."""
    return {
        axes.get_title(): {
            line.get_label(): tuple(map(list, line.get_data()))
            for line in axes.lines
            if not line.get_label().startswith("_")
        }
        for axes in figure.axes
    }


def lines(axes):
    """{x: style} of the vertical lines."""
    return {line.get_xdata()[0]: line.get_linestyle() for line in axes.lines if line.get_label().startswith("_")}


def test_a_run(tmp_path):
    run = make_run(tmp_path / "00000-digits", {20.5: {"fid50k": 90.0}, 140: {"fid50k": 30.25}})
    measured(run, 140.0, ls_z=4.5, ls_w=2.25)
    measured(run, 20.5, ls_z=5.5, ls_w=3.25)
    write_convergence([run], tmp_path / "convergence.png")
    rows = [("fid50k", "20.5", "90.0"), ("fid50k", "140", "30.25"), ("ls_z", "20.5", "5.5"), ("ls_z", "140.0", "4.5")]
    rows += [("ls_w", "20.5", "3.25"), ("ls_w", "140.0", "2.25")]
    assert table(tmp_path / "convergence.csv") == [
        ["run", "metric", "kimg", "value"],
        *(["00000-digits", *row] for row in rows),
    ]
    with Image.open(tmp_path / "convergence.png") as image:
        assert image.size == (3 * 675, 525)
        colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (colours == 255).all(axis=1).mean() > 0.8 and (colours == (31, 119, 180)).all(axis=1).sum() > 300  # C0
    assert {path.name for path in tmp_path.iterdir()} == {"00000-digits", "convergence.png", "convergence.csv"}


def test_curves_and_the_moments_of_growth(tmp_path):
    run = read_run(make_run(tmp_path / "run", {20: {"fid50k": 90.0}, 70: {"fid50k": 50.0}, 130: {"fid50k": 30.0}}), "r")
    figure = draw([run], ["fid50k"])
    (axes,) = figure.axes
    assert curves(figure) == {"fid50k": {"r": ([20, 70, 130], [90, 50, 30])}}
    assert axes.get_xlabel() == "Thousands of real images seen" and axes.get_legend() is None
    assert lines(axes) == {60: ":", 120: "--"}  # 8x8 at first; 50 kimg and 10 kimg later 16x16; the same again
    assert [text.get_text() for text in axes.texts] == ["16x16", "32x32"]
    # What was not reached is not marked.
    early = run._replace(results={"fid50k": {20: 90.0, 119: 40.0}})
    assert lines(draw([early], ["fid50k"]).axes[0]) == {60: ":"}


def test_growth_is_the_schedules():
    for schedule in (ScheduleConfig(), ScheduleConfig(lod_initial_resolution=4, lod_transition_kimg=0)):
        config = TrainingConfig(resolution=64, schedule=schedule)
        for resolution, kimg in grown(config).items():
            after, before = config.phase(round(kimg * 1000)), config.phase(round(kimg * 1000) - 1)
            assert (after.resolution, after.fade) == (resolution, 1)
            assert before.fade < 1 or before.resolution < resolution
        assert max(grown(config)) == 64 and min(grown(config)) == 2 * schedule.lod_initial_resolution
    without = ScheduleConfig(lod_training_kimg=0, lod_transition_kimg=0)
    assert grown(TrainingConfig(resolution=64, schedule=without)) == {}
    assert grown(TrainingConfig(resolution=64, schedule=ScheduleConfig(lod_initial_resolution=128))) == {}


def test_several_runs_in_one_figure(tmp_path):
    first = make_run(tmp_path / "00000-f", {20: {"fid50k": 9.0}, 20_000: {"fid50k": 3.0}})
    second = make_run(tmp_path / "00001-d", {40: {"fid50k": 8.0}, 150: {"fid50k": 7.0}}, lod_transition_kimg=20)
    measured(second, 40, ls_w=1.0)
    runs = [read_run(folder, folder.name) for folder in (first, second)]
    figure = draw(runs, ["fid50k", "ls_w"])
    assert curves(figure) == {
        "fid50k": {"00000-f": ([0.02, 20], [9, 3]), "00001-d": ([0.04, 0.15], [8, 7])},
        "ls_w": {"00001-d": ([0.04], [1])},
    }
    axes = figure.axes[0]
    assert axes.get_xlabel() == "Millions of real images seen"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["00000-f", "00001-d"]
    assert lines(axes) == {0.06: ":", 0.12: "--", 0.07: ":", 0.14: "--"}
    marks = {text.xy[0]: text.get_color() for text in axes.texts}
    assert marks == {0.06: "C0", 0.12: "C0", 0.07: "C1", 0.14: "C1"}
    assert lines(figure.axes[1]) == {}  # 40 kimg are before any of them
    # What runs have in common is in no run's colour.
    same = draw([runs[0], runs[0]], ["fid50k"]).axes[0]
    assert {text.get_color() for text in same.texts} == {"grey"}


def test_runs_of_the_same_name_are_told_apart_by_their_path(tmp_path):
    runs = [make_run(tmp_path / folder / "run", {20: {"fid50k": 9.0}}) for folder in "ab"]
    write_convergence(runs, tmp_path / "out.png")
    assert [row[0] for row in table(tmp_path / "out.csv")[1:]] == [str(run) for run in runs]


def test_the_figure_is_redrawn_of_the_same_runs_only(tmp_path):
    first, second = (make_run(tmp_path / name, {20: {"fid50k": 9.0}}) for name in "ab")
    path = tmp_path / "out.png"
    write_convergence([first], path)
    measured(first, 40, fid50k=8.0)
    write_convergence([first], path)
    assert len(table(path.with_suffix(".csv"))) == 3
    before = path.read_bytes()
    for runs in ([second], [first, second]):
        with pytest.raises(ValueError, match=f"{path}, or the .csv beside it, is there and does not show these runs"):
            write_convergence(runs, path)
    assert path.read_bytes() == before
    path.unlink()
    with pytest.raises(ValueError, match="does not show these runs"):
        write_convergence([first], path)


def test_what_counts(tmp_path):
    run = make_run(tmp_path / "run", {20: {"fid50k": 9.0}, 40: {"fid50k": math.inf}, 60: {"fid50k": 3.0}})
    measured(run, 60, fid50k=3.5)  # in the place of the one in training
    measured(run, 60, psi=0.7, fid50k=30.0)
    measured(run, None, fid50k=100.0)  # of an unknown network
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"kimg": "80", "results": {"fid50k": 1}}\n{"kimg": 80, "results": {"fid50k": "1"}}\n')
        file.write('{"kimg": 80, "results": [1]}\n{"metric": "fid50k", "kimg": 80, "res')
        file.buffer.write(b"\xff")
    results = read_run(run, "run").results
    assert math.isnan(results["fid50k"].pop(40))
    assert results == {"fid50k": {20: 9.0, 60: 3.5}, "fid50k (psi 0.7)": {60: 30.0}}
    write_convergence([run], tmp_path / "out.png", ["fid50k (psi 0.7)", "fid50k", "fid50k"])
    rows = table(tmp_path / "out.csv")[1:]
    assert [row[1:] for row in rows] == [
        ["fid50k (psi 0.7)", "60", "30.0"],
        ["fid50k", "20", "9.0"],
        ["fid50k", "40", "nan"],
        ["fid50k", "60", "3.5"],
    ]


def test_separability_of_a_part_of_the_attributes_is_another_metric(tmp_path):
    """Also in records of before, which called both by the same name."""
    run = make_run(tmp_path / "run", {20: {"fid50k": 9.0}})
    details = {space: [{"name": "a", "skipped": False}, {"name": "b", "skipped": True}] for space in "zw"}
    whole = {space: [attribute | {"skipped": False} for attribute in details[space]] for space in "zw"}
    append_record(run / "metrics.jsonl", {"results": {"ls_z": 4.0, "ls_w": 1.5}, "kimg": 20, "details": details})
    append_record(run / "metrics.jsonl", {"results": {"ls_z": 5.0, "ls_w": 2.0}, "kimg": 40, "details": whole})
    append_record(run / "metrics.jsonl", {"results": {"ls_w_1of2": 1.25}, "kimg": 60, "details": details})
    assert read_run(run, "run").results == {
        "fid50k": {20: 9.0},
        "ls_z_1of2": {20: 4.0},
        "ls_w_1of2": {20: 1.5, 60: 1.25},
        "ls_z": {40: 5.0},
        "ls_w": {40: 2.0},
    }


def test_what_is_refused(tmp_path):
    run = make_run(tmp_path / "run", {20: {"fid50k": 9.0}})
    empty = make_run(tmp_path / "empty", {})
    broken = make_run(tmp_path / "broken", {})
    (broken / "config.json").write_text("{")
    for runs, metrics, message in (
        ([run], ["fid5k", "fid50k"], r"no metric fid5k of these runs; there are: fid50k\."),
        ([run, empty], [], r"empty has no metrics; .* python run_metrics.py --network=\S*empty --all-snapshots"),
        ([tmp_path], [], r"is no run: it has no config\.json"),
        ([tmp_path / "nowhere"], [], r"nowhere is no run"),
        ([run / "config.json"], [], r"config\.json is no run"),
        ([broken], [], r"config\.json is damaged"),
    ):
        with pytest.raises(ValueError, match=message):
            write_convergence(runs, tmp_path / "out.png", metrics)
    assert not list(tmp_path.glob("out*"))


def test_without_matplotlib(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", {20: {"fid50k": 9.0}})
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        ValueError, match=r"^Drawing curves needs .* \[metrics\]\. Install it: pip install matplotlib\.$"
    ):
        write_convergence([run], tmp_path / "new" / "out.png")
    assert not (tmp_path / "new").exists()

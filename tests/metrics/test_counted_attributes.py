"""A score of linear separability says of how many attributes and of which samples it is, wherever it is shown."""

from types import SimpleNamespace

import numpy as np
import pytest

from metrics import linear_separability
from metrics.evaluate import table
from metrics.linear_separability import measure
from metrics.options import Options
from stylegan_tf.files.results import named_results, separability_name


@pytest.mark.parametrize(
    "skipped, name",
    [([False], "ls_w"), ([False] * 10, "ls_w"), ([False] * 9 + [True], "ls_w_9of10"), ([True, False], "ls_w_1of2")],
)
def test_names(skipped, name):
    assert separability_name("w", skipped) == name
    details = {"w": [{"skipped": left_out} for left_out in skipped]}
    assert named_results({"results": {"ls_w": 1.5}, "details": details}) == {name: 1.5}
    assert named_results({"results": {"fid50k": 1.5}, "details": details}) == {"fid50k": 1.5}
    per_class = separability_name("w", skipped, per_class=True)
    assert per_class == name.replace("ls_w", "ls_w_per_class")
    assert named_results({"results": {per_class: 1.5}, "details": details}) == {per_class: 1.5}


@pytest.mark.parametrize("record", [{}, {"details": None}, {"details": {"crop": "face"}}])
def test_records_without_attributes_keep_their_names(record):
    assert named_results({"results": {"ls_w": 1.5}, **record}) == {"ls_w": 1.5}


def test_table_of_networks_of_which_others_were_counted():
    lines = table([("first", {"ls_z": 4.0, "ls_w": 2.0}), ("second", {"ls_z": 5.0, "ls_w_9of10": 1.5})])
    assert lines[0].split() == ["network", "ls_z", "ls_w", "ls_w_9of10"]
    assert lines[1].split() == ["first", "4.0000", "2.0000", "-"]
    assert lines[2].split() == ["second", "5.0000", "-", "1.5000"]


@pytest.mark.parametrize("rare, names", [(False, ["ls_z", "ls_w"]), (True, ["ls_z_1of2", "ls_w_1of2"])])
@pytest.mark.parametrize("degenerate", ["skip", "perfect"])
@pytest.mark.parametrize("exclusive", [False, True])
def test_measuring(monkeypatch, rare, names, degenerate, exclusive):
    random = np.random.RandomState(0)
    rows = random.randn(200, 6).astype(np.float32)
    rows[:, 5] = -10 if rare else rows[:, 0]
    monkeypatch.setattr(linear_separability, "tf", None)  # nothing is generated
    session = SimpleNamespace(
        samples=None,
        generator=SimpleNamespace(resolution=8, latent_size=2, dlatent_size=2),
        options=Options(degenerate=degenerate),
        sample_rows=lambda *arguments, **facts: rows,
    )
    classifiers = SimpleNamespace(resolution=8, names=["common", "rare"], hash="", exclusive=exclusive)
    # The reference counts an attribute of one class as told without error: all are in the sum.
    expected = ["ls_z", "ls_w"] if degenerate == "perfect" else names
    expected = [name[:4] + "_per_class" * exclusive + name[4:] for name in expected]
    result = measure(session, classifiers, 200)
    assert list(result.values) == expected
    assert result.details["kept"].endswith("each class" if exclusive else "all samples")

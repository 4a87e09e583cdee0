"""Linear separability: known answers, the same answer however it is computed, attributes that cannot be separated."""

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.svm import LinearSVC

from metrics.linear_separability import (
    Attribute,
    Separability,
    conditional_entropy,
    entropy,
    most_confident,
    most_confident_per_class,
    most_workers,
    probabilities,
    separability,
    table_lines,
)


def blobs(count=600, dim=8, attributes=3, seed=0):
    """Latents, and logits that follow from them but for noise."""
    random = np.random.default_rng(seed)
    latents = random.standard_normal((count, dim)).astype(np.float32)
    linear = latents @ random.standard_normal((dim, attributes)) / np.sqrt(dim)
    return latents, (3 * linear + random.standard_normal((count, attributes))).astype(np.float32)


def counted(table):
    """Latents and logits for which an SVM's class X and the classifier's class Y are met as often as a table says."""
    cells = [(x, y) for x in (0, 1) for y in (0, 1) for _ in range(table[x][y])]
    sides, classes = np.array(cells, np.float32).T
    return (1 - 2 * sides)[:, None], (5 - 10 * classes)[:, None]


def test_probabilities_of_any_logit():
    found = probabilities([0, 1, -1, 20, 1e4, -1e4])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:3, 0], [0.5, 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))], rtol=1e-6)
    np.testing.assert_array_equal(found[4:], [[1, 0], [0, 1]])
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_most_confident_first_and_ties_in_order():
    logits = np.array([0.1, -30, 2, 50, -2, 40, 0.5])
    found = most_confident(logits, 6)
    np.testing.assert_array_equal(found, [1, 3, 5, 2, 4, 6])
    assert found.dtype == np.int64


def test_most_confident_of_each_class():
    logits = np.array([-9, -8, 2, -7, 1, -6, 3, -5, 4, -4.0])  # four of ten are positive, and less sure
    np.testing.assert_array_equal(np.sort(most_confident(logits, 5)), [0, 1, 3, 5, 7])
    np.testing.assert_array_equal(most_confident_per_class(logits, 5), [8, 6, 0, 1, 3])
    np.testing.assert_array_equal(np.sort(most_confident_per_class(logits, 10)), range(10))
    np.testing.assert_array_equal(most_confident_per_class(np.abs(logits), 2), [0, 1])  # all of one class


def classes_that_exclude_one_another(counts, seed=0):
    """Latents around a centre a class, and logits of classifiers that are surer of absence than of presence."""
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat(np.arange(len(counts)), counts))
    latents = 1.5 * np.eye(len(counts))[classes] + random.standard_normal((len(classes), len(counts)))
    logits = np.where(np.eye(len(counts))[classes], 3, -10) + random.standard_normal((len(classes), len(counts)))
    return latents.astype(np.float32), logits.astype(np.float32)


def test_classes_that_exclude_one_another_are_all_counted():
    """One in ten has each, and next to none of these are among the most confident half of all."""
    latents, logits = classes_that_exclude_one_another([500] * 10)
    names = list("0123456789")
    with pytest.raises(ValueError, match="all 2,500 samples kept are of one class"):
        separability(latents, logits, names, 2500)
    found = separability(latents, logits, names, 2500, per_class=True)
    assert [attribute.positive for attribute in found.attributes] == pytest.approx([0.1] * 10, abs=1e-3)
    assert min(attribute.bits for attribute in found.attributes) > 0.2


@pytest.mark.parametrize("count, counted", [(5, False), (15, True)])
def test_a_class_of_which_next_to_nothing_is_generated_is_left_out(count, counted):
    latents, logits = classes_that_exclude_one_another([5000, 5000, count])
    names = ["a", "b", "missing"]
    found = separability(latents, logits, names, 5000, per_class=True)
    *_, missing = found.attributes
    assert missing.skipped != counted and 0 < missing.positive < 0.002
    assert counted or "skipped: next to all samples" in table_lines(found, found)[3]
    *_, missing = separability(latents, logits, names, 5000, per_class=True, degenerate="perfect").attributes
    assert not missing.skipped


def test_next_to_no_samples_of_a_class_are_said():
    """They count as in the reference, but the score hardly shows how separable they are."""
    latents, logits = blobs(count=6000)
    logits[:, 2] = np.where(np.arange(6000) < 2, 9, -8)
    found = separability(latents, logits, ["a", "b", "rare"], 3000)
    assert found.attributes[2].positive == pytest.approx(2 / 3000) and not found.attributes[2].skipped
    assert table_lines(found, found)[-1].endswith("they add next to nothing: rare.")


def test_entropies():
    assert entropy([2, 2, 2, 2]) == pytest.approx(2)
    assert entropy([1, 0]) == 0
    assert conditional_entropy([[5, 0], [0, 3]]) == 0
    assert conditional_entropy([[0, 0], [1, 3]]) == pytest.approx(entropy([1, 3]))
    assert conditional_entropy([[1, 3], [10, 30]]) == pytest.approx(entropy([1, 3]))
    # X tells nothing of Y here, but Y everything of X: rows and columns differ.
    assert conditional_entropy([[1, 1, 0, 0], [0, 0, 1, 1]]) == pytest.approx(1)
    assert conditional_entropy(np.transpose([[1, 1, 0, 0], [0, 0, 1, 1]])) == 0


@given(st.lists(st.integers(1, 1000), min_size=4, max_size=4))
def test_conditional_entropy_is_what_rows_leave_open(counts):
    table = np.reshape(counts, (2, 2))
    expected = sum(row.sum() / table.sum() * entropy(row) for row in table)
    assert conditional_entropy(table) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("svm", ["primal", "reference"])
def test_known_table(svm):
    table = [[80, 20], [10, 90]]
    found = separability(*counted(table), ["smile"], 200, svm, workers=1)
    (smile,) = found.attributes
    assert smile.bits == pytest.approx(conditional_entropy(table))
    assert smile.accuracy == pytest.approx(170 / 200)
    assert smile.positive == pytest.approx(90 / 200)
    assert found.score == pytest.approx(2**smile.bits)
    assert (smile.skipped, smile.converged) == (False, True)


def test_separable_and_unrelated_attributes():
    latents = np.random.default_rng(0).standard_normal((4000, 4)).astype(np.float32)
    separable = 10 * latents[:, :1]
    hidden = 10 * latents[:, :1] * latents[:, 1:2]
    found = separability(latents, np.concatenate([separable, hidden], axis=1), ["half-space", "quadrants"], 2000)
    assert found.attributes[0].bits < 0.02
    assert found.attributes[1].bits > 0.97
    assert found.score == pytest.approx(2, rel=0.03)


def test_each_attribute_keeps_its_own_samples_and_is_fitted_alone():
    latents, logits = blobs()
    found = separability(latents, logits, ["a", "b", "c"], 300)
    for column, attribute in zip(logits.T, found.attributes, strict=True):
        rows = sorted(range(len(column)), key=lambda row: -abs(column[row]))[:300]
        classes = [bool(column[row] > 0) for row in rows]
        outputs = LinearSVC(dual=False).fit(latents[rows], classes).predict(latents[rows])
        counts = {
            (x, y): sum((o, c) == (x, y) for o, c in zip(outputs, classes, strict=True)) for x in (0, 1) for y in (0, 1)
        }
        bits = -sum(
            counts[x, y] / 300 * np.log2(counts[x, y] / (counts[x, 0] + counts[x, 1]))
            for x, y in counts
            if counts[x, y]
        )
        assert attribute.bits == pytest.approx(bits, abs=1e-6)
        assert attribute.positive == pytest.approx(np.mean(classes))
    assert found.score == pytest.approx(np.prod([2**attribute.bits for attribute in found.attributes]))


def test_workers_change_nothing():
    latents, logits = blobs()
    names = ["a", "b", "c"]
    assert separability(latents, logits, names, 300, workers=3) == separability(latents, logits, names, 300, workers=1)
    # Threads would share one random generator; see dnnlib/linear_svm.py.
    one, two = (separability(latents, logits, names, 300, "reference", workers=workers) for workers in (1, 2))
    assert one == two


def test_both_solvers_agree():
    latents, logits = blobs()
    primal, dual = (
        separability(latents, logits, ["a", "b", "c"], 300, svm, workers=1) for svm in ("primal", "reference")
    )
    assert all(attribute.converged for attribute in dual.attributes)
    assert primal.score == pytest.approx(dual.score, rel=0.01)


def test_fewer_samples_than_dimensions():
    latents, logits = blobs(count=40, dim=64)
    assert separability(latents, logits, ["a", "b", "c"], 20).score == 1


def test_one_class_is_skipped_and_said():
    latents, logits = blobs()
    with_constant = np.insert(logits, 1, 9, axis=1)
    names = ["a", "constant", "b", "c"]
    skipping = separability(latents, with_constant, names, 300)
    without = separability(latents, logits, ["a", "b", "c"], 300)
    assert skipping.attributes[1] == Attribute("constant", positive=1.0, skipped=True)
    assert skipping.attributes[:1] + skipping.attributes[2:] == without.attributes
    assert skipping.score == without.score

    perfect = separability(latents, with_constant, names, 300, degenerate="perfect")
    assert perfect.attributes[1] == Attribute("constant", positive=1.0, accuracy=1.0, bits=0.0)
    assert perfect.score == without.score
    assert separability(latents, -with_constant[:, 1:2], ["no"], 300, degenerate="perfect").attributes[0].positive == 0


def test_nothing_to_separate():
    latents = blobs()[0]
    with pytest.raises(ValueError, match=r"For each of the 2 attributes, all 300 samples kept are of one class"):
        separability(latents, np.full((600, 2), -3.0), ["a", "b"], 300)
    perfect = separability(latents, np.full((600, 2), -3.0), ["a", "b"], 300, degenerate="perfect")
    assert perfect.score == 1


def test_a_solver_that_stops_early_is_told_without_warnings():
    random = np.random.default_rng(0)
    latents = 30 * random.standard_normal((200, 10)).astype(np.float32)
    logits = random.standard_normal((200, 2)).astype(np.float32)
    found = separability(latents, logits, ["a", "b"], 100, "reference", workers=1)
    assert not any(attribute.converged for attribute in found.attributes)
    converged = separability(latents, logits, ["a", "b"], 100)
    assert table_lines(converged, found)[-1] == "SVMs in W that stopped before they converged: 2 (a, b)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_keep": 601}, r"Cannot keep 601 of 600 samples; take more"),
        ({"num_keep": 0}, r"Cannot keep 0 of 600 samples"),
        ({"names": ["a", "b"]}, r"logits \[N, 2\], one column an attribute; received \(600, 8\) and \(600, 3\)"),
        ({"latents": np.zeros((599, 8))}, r"received \(599, 8\) and \(600, 3\)"),
        (
            {"latents": np.where(np.arange(600)[:, None] == 7, np.nan, np.ones((600, 8)))},
            r"latents of sample 7 are not",
        ),
        ({"logits": np.where(np.arange(600)[:, None] == 9, np.inf, np.ones((600, 3)))}, r"logits of sample 9 are not"),
        ({"svm": "dual"}, r"not 'dual' and 'skip'"),
        ({"degenerate": "drop"}, r"not 'primal' and 'drop'"),
    ],
)
def test_wrong_input(change, message):
    latents, logits = blobs()
    arguments = {"latents": latents, "logits": logits, "names": ["a", "b", "c"], "num_keep": 300}
    with pytest.raises(ValueError, match=message) as error:
        separability(**arguments | change)
    assert "\n" not in str(error.value)


def test_memory_bounds_the_fits_at_a_time(monkeypatch):
    monkeypatch.setattr("metrics.linear_separability.num_cores", lambda: 64)
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**34 // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.get)
    assert most_workers(100_000, 512) == 4
    assert most_workers(10_000_000, 512) == 1
    assert most_workers(1000, 16) == 64


def test_table_and_json():
    z = [Attribute("smile", 0.25, 0.9, 0.5), Attribute("hat", 0.0, skipped=True)]
    w = [Attribute("smile", 0.25, 0.95, 0.25), Attribute("hat", 0.0, skipped=True)]
    lines = table_lines(Separability(2**0.5, z, {}), Separability(2**0.25, w, {}))
    assert lines[1].split() == ["smile", "25.0%", "90.0%", "95.0%", "0.5000", "0.2500"]
    assert lines[2].split(maxsplit=2) == ["hat", "0.0%", "skipped: all samples kept are of one class"]
    assert lines[3].split()[-2:] == ["1.4142", "1.1892"]
    assert lines[4] == "Of 2 attributes, 1 are in the sum, without hat: not to be compared with a sum of all."
    assert len(lines) == 5

    found = separability(*blobs(), ["a", "b", "c"], 300)
    assert json.loads(json.dumps([attribute._asdict() for attribute in found.attributes]))[0]["name"] == "a"

"""Linear separability, step by step and as a whole, equals the original's."""

import numpy as np
import pytest

from metrics.linear_separability import conditional_entropy, entropy, most_confident, probabilities, separability


def spaces(vector):
    """Yields (the reference's settings and results, space, its latents) for each result that the file has."""
    for result in vector.config["results"]["ls"].values():
        if isinstance(result, dict):
            for space in result["scores"]:
                yield result, space, vector[f"inputs/ls/{space}"]


def separate(vector, latents, svm):
    logits = vector["inputs/ls/logits"]
    names = [str(number) for number in range(logits.shape[1])]
    num_keep = vector.config["results"]["ls"]["num_keep"]
    return separability(latents, logits, names, num_keep, svm, degenerate="perfect", workers=1)


@pytest.mark.vectors("metrics")
def test_entropies(vector):
    for case in vector.config["results"]["tables"]:
        table = np.array(case["p"])
        assert entropy(table) == pytest.approx(case["entropy"], abs=1e-6)
        assert conditional_entropy(table) == pytest.approx(case["conditional_entropy"], abs=1e-6)
        mutual = entropy(table.sum(axis=0)) - conditional_entropy(table)
        assert mutual == pytest.approx(case["mutual_information"], abs=1e-6)


@pytest.mark.vectors("metrics")
def test_probabilities(vector):
    for number, reference in vector.below("outputs/ls/predictions").items():
        found = probabilities(vector["inputs/ls/logits"][:, int(number)])
        assert found.dtype == reference.dtype
        np.testing.assert_allclose(found, reference, rtol=1e-6, atol=1e-37)


@pytest.mark.vectors("metrics")
def test_the_same_samples_are_kept_in_the_same_order(vector):
    for number, reference in vector.below("outputs/ls/kept_indices").items():
        found = most_confident(vector["inputs/ls/logits"][:, int(number)], len(reference))
        assert found.dtype == reference.dtype
        np.testing.assert_array_equal(found, reference)


@pytest.mark.parametrize("svm", ["primal", "reference"])
@pytest.mark.vectors("metrics")
def test_scores(vector, svm):
    for reference, space, latents in spaces(vector):
        found = separate(vector, latents, svm)
        assert found.score == pytest.approx(reference["scores"][space], rel=0.02)
        bits = [attribute.bits for attribute in found.attributes]
        np.testing.assert_allclose(bits, reference["conditional_entropies"][space], atol=0.01)
        accuracies = [attribute.accuracy for attribute in found.attributes]
        np.testing.assert_allclose(accuracies, reference["accuracy"][space], atol=0.01)

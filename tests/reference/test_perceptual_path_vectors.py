"""Interpolation of latents and the mean of path lengths, equal to the reference."""

import numpy as np
import pytest
from reference_vectors import assert_close

from metrics.perceptual_path import EPSILON, lerp, mean_without_outliers, slerp, without_outliers
from stylegan_tf.pictures.interpolation import normalize


@pytest.mark.vectors("metrics")
def test_interpolation(vector):
    a, b, t = (vector[f"inputs/slerp/{name}"] for name in ("a", "b", "t"))
    assert_close(normalize(a), vector["outputs/normalize"], 1e-6)
    assert_close(lerp(a, b, t), vector["outputs/lerp"], 1e-6)
    assert_close(slerp(a, b, t), vector["outputs/slerp"], 1e-6)
    assert_close(slerp(a, b, t + np.float32(EPSILON)), vector["outputs/slerp@t+1e-4"], 1e-6)


@pytest.mark.vectors("metrics")
def test_outliers(vector):
    for name, expected in vector.config["results"]["ppl"].items():
        distances = vector[f"inputs/ppl/{name}"]
        kept = without_outliers(distances)
        assert (kept.min(), kept.max(), len(kept)) == (expected["lo"], expected["hi"], expected["kept"])
        assert mean_without_outliers(distances) == pytest.approx(expected["mean"], rel=1e-6)

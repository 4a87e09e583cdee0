"""The Frechet distance between sets of features equals the reference's FID of them."""

import pytest

from metrics.frechet import frechet_distance, mean_and_covariance


@pytest.mark.vectors("metrics")
def test_frechet_distances(vector):
    results = vector.config["results"]
    reals, fakes, few = (
        mean_and_covariance(vector[f"inputs/fid/{name}"], block=100) for name in ("reals", "fakes", "fakes_few")
    )
    assert frechet_distance(*fakes, *reals) == pytest.approx(results["fid"], rel=1e-3)
    assert frechet_distance(*reals, *reals) == pytest.approx(results["fid_same"], abs=1e-3)
    assert frechet_distance(*few, *reals) == pytest.approx(results["fid_rank_deficient"], rel=1e-3)

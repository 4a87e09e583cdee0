"""The vectors that came with the project are all there, and the tests find them."""

import pytest
from reference_vectors import DEFAULT_FOLDER, KINDS, find, unknown


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_vectors(kind):
    assert find(DEFAULT_FOLDER, kind)


def test_every_file_is_of_a_known_kind(request):
    assert not unknown(request.config.getoption("vectors"))


def test_a_kind_that_is_not_known(tmp_path):
    for name in ("d_basic-res4.npz", "networks-expected-stylegan3.npz", "networks-stylexl.pkl", "stylegan3-ops.npz"):
        (tmp_path / name).touch()
    assert unknown(tmp_path) == ["networks-stylexl.pkl", "stylegan3-ops.npz"]

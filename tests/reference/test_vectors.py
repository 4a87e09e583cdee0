"""The vectors that came with the project are all there, and the tests find them."""

import pytest
from reference_vectors import DEFAULT_FOLDER, KINDS, find


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_vectors(kind):
    assert find(DEFAULT_FOLDER, kind)

"""Makes the tests here run on every vector in the folder given by --vectors."""

import pytest
from reference_vectors import describe, find


def pytest_configure(config):
    config.addinivalue_line("markers", "vectors(kind): runs the test on every reference vector of this kind")
    folder = config.getoption("vectors")
    if not any(folder.glob("*.npz")) and not any(folder.glob("*.json")):
        raise pytest.UsageError(f"--vectors must name a folder with reference vectors; {folder} has none.")


def kind_of(function):
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "vectors":
            return mark.args[0]
    return None


def pytest_pycollect_makeitem(collector, name, obj):
    # pytest would report a test without vectors as skipped; a folder need not have every kind.
    if (kind := kind_of(obj)) and not find(collector.config.getoption("vectors"), kind):
        return []
    return None


def pytest_generate_tests(metafunc):
    if not (kind := kind_of(metafunc.function)):
        return
    vectors = find(metafunc.config.getoption("vectors"), kind)
    if "run" in metafunc.fixturenames:
        pairs = [(vector, run) for vector in vectors for run in vector.runs]
        metafunc.parametrize(("vector", "run"), pairs, ids=[f"{v.path.stem}:{describe(r)}" for v, r in pairs])
    else:
        metafunc.parametrize("vector", vectors, ids=[vector.path.stem for vector in vectors])

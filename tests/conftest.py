"""Options of the whole suite."""

import pathlib


def pytest_addoption(parser):
    parser.addoption(
        "--vectors",
        metavar="DIR",
        type=pathlib.Path,
        default=pathlib.Path(__file__).parent / "reference" / "data",
        help="folder of reference vectors that tests/reference runs on (default: tests/reference/data)",
    )


def pytest_configure(config):
    # Warnings are errors, but this one is between NumPy 2 and the __array__ of Keras variables and PyTorch tensors.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
    )

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

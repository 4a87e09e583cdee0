"""Imports TensorFlow without its start-up messages, which a CPU user would take for errors.

Doors import this before anything else of ours. With TF_CPP_MIN_LOG_LEVEL=0 in the environment, all messages are shown.
"""

import importlib
import os
import sys


def _import_quietly():
    sys.stderr.flush()
    shown, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    # Until TensorFlow has read its settings, it writes to the process's standard error whatever they are.
    os.dup2(null, 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(shown, 2)
        os.close(shown)
        os.close(null)


if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
    _import_quietly()

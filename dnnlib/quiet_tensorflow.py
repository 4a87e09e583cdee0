"""Imports TensorFlow without its start-up messages, which a CPU user would take for errors, and with fast operations.

Doors and benchmarks import this before anything else of ours. With TF_CPP_MIN_LOG_LEVEL=0 in the environment, all
messages are shown; with TF_ENABLE_ONEDNN_OPTS=0, TensorFlow computes with its own operations.
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


# TensorFlow takes oneDNN's operations by itself only on newer processors with AVX-512. On others they are faster, too,
# almost twice for images of 1024x1024: see docs/performance.md.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "0":
    _import_quietly()

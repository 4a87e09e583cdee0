"""The server of processes.py: python tests/fork_server.py DESCRIPTOR, of the socket that requests come through.

Imports TensorFlow and what the doors import, runs no operation, and forks for each request. Each process has a
guardian, another fork, that waits for its end and says how it came.
"""

import gc
import json
import os
import pathlib
import runpy
import signal
import socket
import sys
import types
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np
import tensorflow as tf

import dataset_tool  # noqa: F401
import run_classifiers  # noqa: F401
import run_export  # noqa: F401
import run_generator  # noqa: F401
import run_metrics  # noqa: F401
import run_training  # noqa: F401


def say(answers, number):
    answers.send(number.to_bytes(4, "little", signed=True))


def receive(requests):
    """Forks for each request; returns in the process that shall do what it says, and in the server never."""
    guardians = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 2**20, 3)
        while guardians and (ended := os.waitpid(-1, os.WNOHANG)[0]):
            guardians.remove(ended)
        if not message:
            sys.exit()
        if guardian := os.fork():
            guardians.add(guardian)
            for descriptor in descriptors:
                os.close(descriptor)
            continue
        requests.close()
        outputs, errors, answers = descriptors
        with socket.socket(fileno=answers) as answers:
            if pid := os.fork():
                os.close(outputs)
                os.close(errors)
                say(answers, pid)
                say(answers, os.waitpid(pid, 0)[1])
                os._exit(0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, stream in ((outputs, 1), (errors, 2)):
            os.dup2(descriptor, stream)
            os.close(descriptor)
        return json.loads(message)


def begin(request):
    """Makes this process what Python is where a user starts it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    # Python's own generator is seeded anew in each fork, that of NumPy is not.
    np.random.seed()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not request["optimized"]})
    if request["warnings"]:
        warnings.simplefilter("error")
        # As tests/conftest.py.
        message = "__array__ implementation doesn't accept a copy keyword"
        warnings.filterwarnings("ignore", message, DeprecationWarning)


def run(arguments):
    """Runs a script, or with -c a program, with its arguments."""
    script, *rest = arguments
    if script == "-c":
        program, *rest = rest
        sys.argv, sys.path[0] = ["-c", *rest], ""
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(program, "<string>", "exec"), vars(main))
    else:
        sys.argv, sys.path[0] = arguments, str(pathlib.Path(script).resolve().parent)
        runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    # Ctrl-C in a terminal is for the tests, which end what they have started.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is there now is in no process's garbage: their ends would take twice as long.
    gc.freeze()
    request = receive(socket.socket(fileno=int(sys.argv[1])))
    begin(request)
    run(request["arguments"])

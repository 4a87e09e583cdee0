"""Processes of their own for tests, forked from one in which TensorFlow has been imported and has not begun to work.

An import of TensorFlow takes as long as many a test. `start` and `run` fork a server that has done it once a session:
the process has standard streams, exit code, signals, environment and devices of its own, like any other. It shares with
its siblings what Python decides when it starts, above all the seed of hashes. A door's first process is another
interpreter, as users start it: `start_python`.
"""

import atexit
import functools
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).parents[1]
# No GPU, so that tests do the same wherever they run; and of TensorFlow's messages the errors alone.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def start_python(*arguments, cwd=ROOT, **environment):
    """Starts Python with these arguments and more in its environment.

    Returns:
        A subprocess.Popen whose standard output and standard error are read as text.
    """
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start(*arguments, cwd=ROOT, optimized=False, **environment):
    """As start_python, but forked from the server.

    Args:
        *arguments: Those of Python: "-W", "error" first, if warnings are to be errors; then either the path of a script
            or "-c" and a program; then the script's own.
        cwd: Its working directory; the path of a script is relative to it.
        optimized: Whether TensorFlow optimizes graphs, as it does for users, which takes longer than to run them as
            they were traced a few times.
        **environment: What is not read when TensorFlow is imported.

    Returns:
        A Process, which has what tests use of a subprocess.Popen.
    """
    arguments = list(map(str, arguments))
    warnings = arguments[:2] == ["-W", "error"]
    request = {
        "warnings": warnings,
        "optimized": optimized,
        "arguments": arguments[2:] if warnings else arguments,
        "cwd": str(cwd),
        "environment": os.environ | ENVIRONMENT | environment,
    }
    return Process(request)


def finish(process, timeout=600):
    """Waits for the end of a process that should succeed; returns what it printed."""
    output, errors = process.communicate(timeout=timeout)
    assert process.returncode == 0, output + errors
    return output


def run(*arguments, timeout=600, **options):
    """Waits for the end of a process that `start` starts; returns a subprocess.CompletedProcess."""
    process = start(*arguments, **options)
    output, errors = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(arguments, process.returncode, output, errors)


@functools.cache
def server():
    """The socket of the server, which is started where none is and ends with this process."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    command = [sys.executable, ROOT / "tests" / "fork_server.py", str(theirs.fileno())]
    process = subprocess.Popen(command, env=os.environ | ENVIRONMENT, pass_fds=[theirs.fileno()])
    theirs.close()

    @atexit.register
    def end():
        ours.close()
        process.wait()

    return ours


class Process:
    """What a subprocess.Popen is: pid, stdout, stderr, returncode, and methods of the same names."""

    def __init__(self, request):
        outputs, errors = os.pipe(), os.pipe()
        self._status, theirs = socket.socketpair()
        descriptors = [outputs[1], errors[1], theirs.detach()]
        socket.send_fds(server(), [json.dumps(request).encode()], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.stdout, self.stderr = os.fdopen(outputs[0]), os.fdopen(errors[0])
        self.returncode = None
        self.pid = self._receive()

    def _receive(self):
        """A number that the process's guardian in the server says: the pid, and later how it has ended."""
        said = self._status.recv(4)
        assert len(said) == 4, "The server of processes has ended."
        return int.from_bytes(said, "little", signed=True)

    def wait(self, timeout=None):
        """The exit code, or minus the signal that has ended it."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self.returncode = os.waitstatus_to_exitcode(self._receive())
            self._status.close()
        return self.returncode

    def poll(self):
        try:
            return self.wait(timeout=0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout=None):
        """All that is left to read of standard output and standard error; after `timeout` seconds it is killed."""
        if self.stdout.closed:
            return "", ""
        with ThreadPoolExecutor(2) as threads:
            texts = [threads.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            texts = [text.result() for text in texts]
        self.stdout.close()
        self.stderr.close()
        return tuple(texts)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

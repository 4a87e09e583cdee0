"""What processes.py says of its processes, without which tests that use it prove nothing."""

import os
import signal
import subprocess

import pytest
from processes import run, start

NOTHING_HAS_RUN = """
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 3)
tf.config.experimental.enable_op_determinism()
x = tf.random.stateless_normal([300, 300], (1, 2))
for device in tf.config.list_logical_devices("CPU"):
    with tf.device(device):
        print(float(tf.linalg.trace(tf.function(tf.matmul)(x, x, transpose_b=True))))
"""


def test_devices_and_determinism_are_their_own():
    """Both can be chosen only where TensorFlow has not begun; operations and graphs run on its threads."""
    first, second = (run("-W", "error", "-c", NOTHING_HAS_RUN) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert [float(line) for line in first.stdout.split()] == pytest.approx([90_000] * 3, rel=0.05)


def test_what_they_are_given(tmp_path):
    (tmp_path / "script.py").write_text(
        "import neighbour, os, sys\n"
        "print(__name__, sys.argv, os.getcwd(), os.environ['COLOUR'], sys.stdin.read())\n"
        "print('and this', file=sys.stderr)\n"
    )
    (tmp_path / "neighbour.py").write_text("")
    result = run("script.py", "--all", 7, cwd=tmp_path, COLOUR="blue")
    assert (result.returncode, result.stderr) == (0, "and this\n")
    assert result.stdout == f"__main__ ['script.py', '--all', '7'] {tmp_path} blue \n"
    assert run("-c", "import sys; print(sys.argv)", "more").stdout == "['-c', 'more']\n"
    assert "COLOUR" not in os.environ
    assert run("-c", "import os; print('COLOUR' in os.environ)").stdout == "False\n"


@pytest.mark.parametrize(
    ("program", "code", "error"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("raise SystemExit('Error: no.')", 1, "Error: no."),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("import os; os.abort()", -signal.SIGABRT, ""),
        ("import atexit; atexit.register(lambda: print('late', file=__import__('sys').stderr))", 0, "late"),
    ],
)
def test_how_they_end(program, code, error):
    result = run("-c", program)
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.endswith(error + "\n" * bool(error)) and bool(result.stderr) == bool(error)


def test_warnings_are_errors_if_asked_for():
    program = "import warnings; warnings.warn('careful')"
    assert run("-c", program).returncode == 0
    assert "UserWarning: careful" in run("-W", "error", "-c", program).stderr


WAITING = "import time; print('ready', flush=True); time.sleep(100)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals(number):
    process = start("-c", WAITING)
    assert process.stdout.readline() == "ready\n"
    assert process.poll() is None
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == process.poll() == -number
    assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT)
    process.kill()  # of a process that has ended does nothing


def test_one_that_takes_too_long():
    process = start("-c", WAITING)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.2)
    assert process.communicate(timeout=10) == ("", "") and process.returncode == -signal.SIGKILL


def test_random_numbers_and_pids_are_their_own():
    program = "import os, random; import numpy as np; print(os.getpid(), random.random(), np.random.random())"
    processes = [start("-c", program) for _ in range(2)]
    (one, two) = (process.communicate()[0].split() for process in processes)
    assert [int(one[0]), int(two[0])] == [process.pid for process in processes]
    assert one[1] != two[1] and one[2] != two[2]

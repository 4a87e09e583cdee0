"""Two processes, over loopback, train as one does with the whole minibatch; one that is killed ends the other."""

import json
import pathlib
import socket
import time

import numpy as np
import pytest
from processes import start

from datasets.tfrecords import MultiResolutionWriter

SCRIPT = pathlib.Path(__file__).with_name("two_hosts.py")
# What docs/distributed.md promises: seconds from the death of a host to the end of the others.
WITHIN = 60


def free_ports(count):
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports


def load(path):
    with np.load(path) as file:
        return {name.replace("|", "/"): file[name] for name in file.files}


class Runs:
    """What one process has written, and each of two; how the two ended."""

    def __init__(self, folder):
        with MultiResolutionWriter(folder / "numbers") as writer:
            for number in range(48):
                writer.add_image(np.full((8, 8, 1), 5 * number, np.uint8))
            writer.set_labels(np.eye(3)[np.arange(48) % 3])
        cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
        tasks = [{"cluster": cluster, "task": {"type": "worker", "index": index}} for index in range(2)]
        processes = [start("-W", "error", SCRIPT, "two", folder, TF_CONFIG=json.dumps(task)) for task in tasks]
        processes.append(start("-W", "error", SCRIPT, "one", folder))
        try:
            self.errors, self.seconds = self.wait(processes)
            self.codes = [process.returncode for process in processes[:2]]
            assert (folder / "two-0.npz").exists() and (folder / "two-1.npz").exists(), self.errors
            self.two = [load(folder / f"two-{index}.npz") for index in range(2)]
            _, errors = processes[2].communicate(timeout=300)
            assert processes[2].returncode == 0, errors
            self.one = load(folder / "one.npz")
        finally:
            for process in processes:
                process.kill()

    def wait(self, processes):
        """Standard errors of both, and seconds between the second's end, which is killed, and the first's."""
        killed = processes[1].communicate(timeout=300)[1]
        clock = time.monotonic()
        return [processes[0].communicate(timeout=WITHIN)[1], killed], time.monotonic() - clock


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("two_hosts"))


def test_same_weights(runs):
    weights = [name for name in runs.one if name.startswith("end/") and not name.endswith(("/m", "/v"))]
    assert len(weights) > 20
    for two in runs.two:
        assert {name for name in two if name.startswith("end/")} >= set(weights)
        for name in weights:
            start = runs.one["start/" + name.removeprefix("end/")]
            np.testing.assert_array_equal(two["start/" + name.removeprefix("end/")], start)
            difference = np.abs(two[name] - runs.one[name]).max()
            moved = np.abs(runs.one[name] - start).max()
            assert difference <= 1e-5 * np.abs(runs.one[name]).max(), name
            # Stricter, as training has moved weights by a few thousandths only.
            assert difference <= 1e-4 * moved, name
            assert moved > 0 or "kernel" not in name, name


def test_same_statistics(runs):
    assert runs.one["statistics"].shape[0] == 3
    assert np.all(np.ptp(runs.one["statistics"][:, :2], axis=0) > 0)
    for two in runs.two:
        np.testing.assert_allclose(two["statistics"], runs.one["statistics"], rtol=1e-5, atol=1e-6)


def test_hosts_stay_alike(runs):
    first, second = runs.two
    for name in first:
        if name.startswith("end/"):
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)


def test_hosts_share_the_stream(runs):
    whole = runs.one["stream/whole"]
    assert whole.shape == (6, 8) and len(np.unique(whole)) == 48
    # [host][minibatch, replica, images or label sizes, image]
    parts = np.stack([two["stream/numbers"] for two in runs.two], axis=1)
    assert parts.shape == (6, 2, 1, 2, 4)
    np.testing.assert_array_equal(parts[:, :, 0, 0].reshape(6, 8), whole)


@pytest.mark.parametrize(("name", "label_size"), [("labels", 3), ("none", 0)])
def test_replicas_of_two_hosts_share_the_stream(runs, name, label_size):
    parts = np.stack([runs.one[f"stream/{name}/{host}"] for host in range(2)], axis=1)
    assert parts.shape == (6, 2, 2, 2, 2)
    # Replica r of host h has part 2 h + r.
    np.testing.assert_array_equal(parts[:, :, :, 0].reshape(6, 8), runs.one["stream/whole"])
    assert np.all(parts[:, :, :, 1] == label_size)


def test_hosts_agree(runs):
    assert runs.one["stream/agreed"] == 7
    for two in runs.two:
        np.testing.assert_array_equal(two["agreed"], [0, 3, 30])


def test_hosts_that_differ_are_told(runs):
    for two in runs.two:
        assert str(two["check"]) == (
            "Host 1 differs from host 0 in images seen; start all hosts with the same command, on the same data and "
            "results."
        )


def test_killed_host_ends_the_other(runs):
    assert runs.codes == [3, -9], runs.errors
    assert runs.seconds < WITHIN
    lines = [line for line in runs.errors[0].splitlines() if "was lost" in line]
    assert len(lines) == 1 and lines[0].startswith("Host 1 (127.0.0.1:") and "--auto-resume" in lines[0]
    assert "Traceback" not in runs.errors[0]

"""Two hosts, started as a user would: one writes, a signal to either stops both, and both go on together."""

import json
import socket
import time

import pytest
from processes import finish
from tiny_training import arguments, create_dataset, start


def start_hosts(folder, *options):
    """The same command on two hosts of this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    cluster = {"worker": [f"127.0.0.1:{opened.getsockname()[1]}" for opened in sockets]}
    for opened in sockets:
        opened.close()
    return [
        start(
            arguments(folder, *options, "--auto-resume", settings=["schedule.tick_kimg_base=0.1"]),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(folder, outputs of the two hosts that were stopped, outputs of those that went on)."""
    folder = tmp_path_factory.mktemp("hosts")
    create_dataset(folder / "data", resolution=4)
    hosts = start_hosts(folder, "--total-kimg=100000")
    log = folder / "results" / "00000-tiny-f-2xcpu" / "log.txt"
    deadline = time.monotonic() + 200
    while not (log.exists() and "tick 2 " in log.read_text()):
        assert all(host.poll() is None for host in hosts) and time.monotonic() < deadline
        time.sleep(0.05)
    hosts[1].terminate()
    stopped = [finish(host) for host in hosts]
    resumed = [finish(host) for host in start_hosts(folder, f"--total-kimg={stopped_at(stopped) + 0.05}")]
    return folder, stopped, resumed


def stopped_at(outputs):
    """The kimg at which a run was stopped."""
    return float(outputs[0].split("Stopped by a signal to another host at ")[1].split()[0])


def test_the_chief_alone_writes(run):
    folder, stopped, resumed = run
    (run_dir,) = (folder / "results").iterdir()
    assert run_dir.name == "00000-tiny-f-2xcpu"
    for outputs in (stopped, resumed):
        assert [line.split()[:4] for line in outputs[1].splitlines()] == [["Host", "1", "of", "2"]]
    # All that host 0 says besides waiting for the other is in the log.
    assert (run_dir / "log.txt").read_text() == "".join(output.split("\n", 1)[1] for output in (stopped[0], resumed[0]))


def test_a_signal_to_one_stops_both_and_both_go_on(run):
    _, stopped, resumed = run
    kimg = stopped_at(stopped)
    assert kimg >= 0.2
    assert f" at {kimg} kimg.\n" in resumed[0]
    assert "Finished." in resumed[0]

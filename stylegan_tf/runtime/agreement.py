"""Several hosts in one run: what they agree on, and the end of a run that loses one."""

import hashlib
import os
import re
import sys
import threading

import tensorflow as tf
from tensorflow.python.eager import context

# Exit code of a run that has lost a host.
LOST = 3
# Seconds between two questions to each of the others, for an answer, and without one until a host counts as lost.
# TensorFlow itself notices within 10 seconds; the last is for a step that goes on waiting nevertheless.
_ASK, _ANSWER, _PATIENCE = 5, 5, 30
# How TensorFlow reports that another process is gone: its connection, its heartbeat, its answer.
_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
)


class HostLost(Exception):
    """Another host has died or does not answer; the message is one sentence for the user. End with exit code `LOST`."""

    def __init__(self, hosts, lost=None):
        who = "Another host" if lost is None else f"Host {lost} ({hosts.addresses[lost]})"
        super().__init__(
            f"{who} of {hosts.count} was lost, and the run cannot go on without it; start all hosts again with "
            "--resume=latest or --auto-resume to go on from the last checkpoint."
        )


def agree(strategy, value):
    """Sum over the hosts of a number of each, the same on all; all hosts must call it, in the same order.

    To stop together, let each step sum whether a host has been told to stop, and look at that sum before the next step.
    At the end of a run, it holds hosts back until all are there.

    Args:
        strategy: From `make_strategy`; in cross-replica context, inside a tf.function or not.
        value: This host's number.

    Returns:
        float32 scalar.
    """
    return _sum_over_hosts(strategy, tf.cast(value, tf.float32))


@tf.function
def _sum_over_hosts(strategy, values):
    local = len(strategy.extended.worker_devices)

    def contribution():
        # Only the first replica of each host contributes.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.where(replica % local == 0, values, tf.zeros_like(values))

    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(contribution), axis=None)


def check_alike(strategy, hosts, values):
    """Raises ValueError on every host unless all of them have the same values.

    Call it with the configuration before the networks are made, and with the images seen after a checkpoint is loaded.

    Args:
        strategy: From `make_strategy`; outside of tf.function.
        hosts: Hosts.
        values: {name: anything with a repr}, with the same names on every host.
    """
    if hosts.count == 1:
        return
    # 48 bits, which float64 holds exactly.
    digests = [int(hashlib.sha256(repr(value).encode()).hexdigest()[:12], 16) for value in values.values()]
    mine = tf.one_hot([hosts.index], hosts.count, dtype=tf.float64, axis=0) * tf.constant([digests], tf.float64)
    rows = _sum_over_hosts(strategy, mine).numpy()
    for index, row in enumerate(rows):
        different = [name for name, one, other in zip(values, rows[0], row, strict=True) if one != other]
        if different:
            raise ValueError(
                f"Host {index} differs from host 0 in {', '.join(different)}; start all hosts with the same command, "
                "on the same data and results."
            )


class watch:
    """While it is active, the loss of another host ends training within a minute, most often within 15 seconds.

    Put the training loop into `with watch(hosts):`, and the last save together with an `agree` after it, so that no
    host ends while another still counts on it. An error of TensorFlow's that another host has caused leaves the block
    as `HostLost`; where a step goes on waiting for a lost host all the same, a thread prints that error's line and ends
    the process with exit code `LOST`.
    """

    def __init__(self, hosts):
        self.hosts = hosts
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._ask_others, name="watch", daemon=True)

    def __enter__(self):
        if self.hosts.count > 1:
            self.thread.start()
        return self

    def __exit__(self, kind, error, traceback):
        self.stop.set()
        if self.hosts.count > 1 and isinstance(error, _LOSSES):
            raise HostLost(self.hosts, _lost_host(error, self.hosts)) from None

    def _ask_others(self):
        silent = dict.fromkeys(set(range(self.hosts.count)) - {self.hosts.index}, 0)  # seconds without an answer
        while not self.stop.wait(_ASK):
            for other in silent:
                silent[other] = 0 if self._answers(other) else silent[other] + _ASK
                if silent[other] > _PATIENCE and not self.stop.is_set():
                    print(HostLost(self.hosts, other), file=sys.stderr, flush=True)
                    os._exit(LOST)  # the main thread is inside TensorFlow and would not return

    def _answers(self, other):
        try:
            # TensorFlow has no public name for this. A host that has been started anew is another one and fails.
            context.context().check_collective_ops_peer_health(
                f"/job:worker/replica:0/task:{other}", timeout_in_ms=_ANSWER * 1000
            )
        except tf.errors.OpError:
            return False
        return True


def _lost_host(error, hosts):
    """Number of the host that an error of TensorFlow's speaks of, or None."""
    named = {int(number) for number in re.findall(r"/task:(\d+)", str(error))} - {hosts.index}
    if "CoordinationService/Heartbeat" in str(error):
        return 0  # host 0 listens to the others' heartbeats
    return named.pop() if len(named) == 1 else None

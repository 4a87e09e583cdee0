"""Ctrl-C and SIGTERM: a request to stop after the current step."""

import signal

from stylegan_tf.runtime.agreement import agree


class StopSignals:
    """While it is active, SIGINT and SIGTERM are remembered; a second one is not held back. A context manager.

    Args:
        strategy: The tf.distribute strategy.
        hosts: Hosts, which stop together.

    Attributes:
        received: Name of the signal, None until one comes.
    """

    def __init__(self, strategy, hosts):
        self.strategy, self.hosts = strategy, hosts
        self.received = None
        self.previous = {}
        self.told = 0.0  # how many hosts had been told to stop when they were last asked

    def __enter__(self):
        self.previous = {number: signal.signal(number, self.handle) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def handle(self, number, frame):
        self.received = signal.Signals(number).name
        self.restore()

    def restore(self):
        for number, handler in self.previous.items():
            signal.signal(number, handler)

    def __exit__(self, *exception):
        self.restore()

    def must_stop(self):
        """Whether this host has been told to stop or, where there are several, any of them had been a step ago.

        All hosts call it before each step.
        """
        if self.hosts.count > 1:
            # The sum is looked at one step later, so that nobody waits for it.
            told, self.told = self.told, agree(self.strategy, bool(self.received))
            if told:
                self.received = self.received or "a signal to another host"
            return bool(told)
        return bool(self.received)

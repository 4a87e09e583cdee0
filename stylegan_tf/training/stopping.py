"""Ctrl-C and SIGTERM: a request to stop after the current step."""

import signal


class StopSignals:
    """While it is active, SIGINT and SIGTERM are remembered; a second one is not held back. A context manager.

    Attributes:
        received: Name of the signal, None until one comes.
    """

    received = None

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

"""What takes its time for one user, beside the engine: so many at once, and none for a page that was closed."""

import secrets
import threading
from dataclasses import dataclass, field

from studio.engine import Dropped

# What is told of what nobody has foreseen.
FAILED = "It failed; see the server's messages."


@dataclass(frozen=True)
class Job:
    """Something under way.

    Attributes:
        user: Who asked for it.
        name: What it is called, of 16 letters.
        ended: threading.Event that ends it.
    """

    user: str
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    ended: threading.Event = field(default_factory=threading.Event)

    def check(self):
        """Dropped if it shall end."""
        if self.ended.is_set():
            raise Dropped


class Jobs:
    """Those of one kind.

    Args:
        engine: Engine.
        most: How many there are at once.
        what: What they are, after a number: "pictures are being projected".
    """

    def __init__(self, engine, most, what):
        self.engine, self.most, self.what = engine, most, what
        self._running, self._lock = {}, threading.Lock()

    def begin(self, user):
        """A Job of a user, for which `finish` must be called; ValueError if there are too many."""
        with self._lock:
            if len(self._running) >= self.most:
                raise ValueError(f"{self.most} {self.what} already; wait for one of them.")
            job = Job(user)
            self._running[job.name] = job
        return job

    def finish(self, job):
        """Makes room for another."""
        with self._lock:
            del self._running[job.name]

    def ask(self, job, function):
        """What a function returns that the engine calls; Dropped if that has been closed."""
        return self.engine.ask(("job", job.name), "part", function).result()

    def stop(self, name):
        """Ends a job as it stands; False if there is none of this name."""
        return self._end(lambda job: job.name == name)

    def forget(self, user):
        """Ends those of a user whose page was closed, so that others need not wait for them."""
        self._end(lambda job: job.user == user)

    def close(self):
        """Ends all of them."""
        self._end(lambda job: True)

    def _end(self, chosen):
        with self._lock:
            found = [job for job in self._running.values() if chosen(job)]
        for job in found:
            job.ended.set()
        return bool(found)

"""The one thread that runs TensorFlow, for all users in turn."""

import threading
from collections import OrderedDict
from concurrent.futures import Future


class Dropped(Exception):
    """A request that a newer one of the same view has replaced."""


class Engine:
    """Runs functions, one at a time. Users take turns; of what one user asks of one view, only the newest waits.

    So that dragging never queues, and twenty users are served as one is, only slower. Close it when it is done.
    """

    def __init__(self):
        self._waiting = OrderedDict()  # {user: OrderedDict {view: (function, Future)}}, next user first
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    def ask(self, user, view, function):
        """Has a function called.

        Args:
            user, view: Who asks, and for what; hashable. What waits for them is replaced.
            function: Of no arguments.

        Returns:
            concurrent Future of what it returns; its exception is `Dropped` if it was replaced.
        """
        future = Future()
        with self._changed:
            if self._closed:
                future.set_exception(Dropped())
                return future
            views = self._waiting.setdefault(user, OrderedDict())
            _, replaced = views.get(view, (None, None))
            views[view] = function, future
            self._changed.notify()
        if replaced and replaced.set_running_or_notify_cancel():
            replaced.set_exception(Dropped())
        return future

    def forget(self, user):
        """Drops all that a user waits for."""
        with self._changed:
            views = self._waiting.pop(user, {})
        for _, future in views.values():
            if future.set_running_or_notify_cancel():
                future.set_exception(Dropped())

    def close(self):
        """Ends the thread after what it is doing."""
        with self._changed:
            self._closed = True
            users = list(self._waiting)
            self._changed.notify()
        for user in users:
            self.forget(user)
        self._thread.join()

    def _run(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                user, views = self._waiting.popitem(last=False)
                _, (function, future) = views.popitem(last=False)
                if views:
                    self._waiting[user] = views  # behind all others
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except Exception as error:
                future.set_exception(error)

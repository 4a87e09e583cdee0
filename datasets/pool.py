"""A pool of worker processes that keeps the order and a bound on memory."""

import collections
import os
import signal

from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError

from datasets.errors import DatasetError


def num_cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def ordered_map(function, tasks, workers):
    """Yields function(task) of every task, in order, computed by worker processes.

    At most 2 * `workers` tasks are under way or wait to be yielded, so that memory stays bounded however many there are
    and however slow one of them, or whoever takes the results, is.

    Args:
        function: A function of a module, or a functools.partial of one; it is pickled, as are tasks and results.
        tasks: Any iterable; it is advanced as the results are taken.
        workers: Number of processes; with 1 everything happens in this one.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    # loky, because it starts workers that do not import the main script, and with it TensorFlow, as `spawn` would; and
    # that share no locks with this process's threads, as `fork` would.
    with ProcessPoolExecutor(workers, initializer=_ignore_ctrl_c) as executor:
        pending = collections.deque()
        try:
            for task in tasks:
                pending.append(executor.submit(function, task))
                if len(pending) == 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except TerminatedWorkerError as error:
            raise DatasetError(
                "A worker process was ended from outside, most likely for lack of memory. Use fewer with --workers."
            ) from error
        finally:
            for future in pending:
                future.cancel()


def _ignore_ctrl_c():
    """Ctrl-C goes to all processes of a terminal; the main one ends the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

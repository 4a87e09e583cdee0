"""Threads for work that NumPy, Pillow and file reading do without Python's lock; in order, with a bound on memory."""

import collections
from concurrent.futures import ThreadPoolExecutor

from datasets.pool import num_cores


def thread_map(function, tasks, workers=None):
    """Yields function(task) of every task, in order; at most 2 * `workers` are under way or wait to be yielded.

    Args:
        function: Any function that threads may call at once.
        tasks: Any iterable; it is advanced as the results are taken.
        workers: Number of threads; the default is the number of cores.
    """
    workers = workers or num_cores()
    with ThreadPoolExecutor(workers) as executor:
        pending = collections.deque()
        try:
            for task in tasks:
                pending.append(executor.submit(function, task))
                if len(pending) == 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

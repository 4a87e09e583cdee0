"""Work on all cores, by processes or threads, that keeps its order and a bound on memory."""

import collections
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from loky import ProcessPoolExecutor
from loky.process_executor import TerminatedWorkerError

from datasets.errors import DatasetError

# Tells glibc to keep what an image has needed for the next one: taking it anew costs a quarter of a worker's time.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**31)}


def num_cores():
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def process_map(function, tasks, workers):
    """Yields function(task) of every task, in order, computed by worker processes.

    At most 2 * `workers` tasks are under way or wait to be yielded, so that memory stays bounded however many there are
    and however slow one of them, or whoever takes the results, is.

    Args:
        function: A function of a module, or a functools.partial of one; it is pickled, as are tasks and results.
        tasks: Any iterable; it is advanced as the results are taken.
        workers: Number of processes; with 1 everything happens in this one.

    Raises:
        DatasetError: A worker was killed.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    # loky, because it starts workers that do not import the main script, and with it TensorFlow, as `spawn` would; and
    # that share no locks with this process's threads, as `fork` would.
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(os.getpid(),), env=_KEEP_MEMORY) as executor:
        with _ignored_interrupts():
            executor.submit(os.getpid)  # starts the workers
        try:
            yield from _in_order(executor, function, tasks, 2 * workers)
        except TerminatedWorkerError as error:
            raise DatasetError(
                "A worker process was ended from outside, most likely for lack of memory. Use fewer with --workers."
            ) from error


def thread_map(function, tasks, workers=None):
    """Yields function(task) of every task, in order, computed by threads; as `process_map` otherwise.

    Threads start at once, and share the data set; NumPy, Pillow and file reading let them run side by side.
    """
    workers = workers or num_cores()
    with ThreadPoolExecutor(workers) as executor:
        yield from _in_order(executor, function, tasks, 2 * workers)


def _in_order(executor, function, tasks, limit):
    pending = collections.deque()
    try:
        for task in tasks:
            pending.append(executor.submit(function, task))
            if len(pending) == limit:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()


@contextlib.contextmanager
def _ignored_interrupts():
    """Ignores Ctrl-C, which goes to all processes of a terminal, while workers start: they inherit that.

    Without it their imports would be interrupted, each with a traceback, and loky's start would not end well.
    """
    if threading.current_thread() is not threading.main_thread():  # only there Python takes signals
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start_worker(parent):
    """Makes a worker end with the main process, also when that is killed."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)

"""Latency and throughput of a server: python serving/load_test.py --concurrency=1 --concurrency=8 --seconds=30

Each of `--concurrency` clients asks for `--batch` new pictures, waits for them, and asks again. Errors are counted, and
their latency is not; the first one is printed.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import click
import numpy as np

from dnnlib.cli import MINIBATCH, Command, Finite, Whole, one_line_errors
from serving import grpc_client, rest_client
from serving.client_pictures import ask_for_pngs, find_class, picture_inputs, server_options

PERCENTILES = (50, 90, 99)
PAUSE = 0.1  # seconds a client waits after an error: a server that refuses at once is not asked in a loop
CLIENTS = {"grpc": grpc_client, "rest": rest_client}


@dataclass
class Load:
    """What was measured: seconds of each request that was answered, messages of those that were not."""

    batch: int
    latencies: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    seconds: float = 0.0

    @property
    def images_per_second(self):
        return len(self.latencies) * self.batch / self.seconds

    def percentiles(self):
        """Milliseconds within which 50, 90 and 99% of the requests were answered; NaN where none was."""
        return np.percentile(self.latencies, PERCENTILES) * 1000 if self.latencies else [np.nan] * len(PERCENTILES)


def measure(ask, concurrency, batch, seconds, **settings):
    """Loads a server for some time.

    Args:
        ask: Function of a request's inputs that gives PNG files; called from several threads.
        concurrency: Clients that ask at the same time.
        batch: Pictures in a request.
        seconds: Time in which requests are started; what is under way then is waited for.
        settings: More arguments of `picture_inputs`.
    """
    load, requests, lock = Load(batch), itertools.count(), threading.Lock()
    start = time.perf_counter()

    def client():
        while time.perf_counter() < start + seconds:
            with lock:
                first = next(requests) * batch
            asked = time.perf_counter()
            try:
                ask_for_pngs(ask, picture_inputs(range(first, first + batch), **settings))
            except (OSError, ValueError) as error:
                load.errors.append(str(error))
                time.sleep(PAUSE)
            else:
                load.latencies.append(time.perf_counter() - asked)

    with ThreadPoolExecutor(concurrency) as clients:
        for future in [clients.submit(client) for _ in range(concurrency)]:
            future.result()
    load.seconds = time.perf_counter() - start
    return load


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option("--protocol", type=click.Choice([*CLIENTS]), default="grpc", help="How to ask.")
@server_options(None)
@click.option(
    "--concurrency", type=Whole(1, 1024), multiple=True, default=(1, 8), help="Clients at a time; repeatable."
)
@click.option(
    "--batch",
    "batches",
    type=MINIBATCH,
    multiple=True,
    default=(1, 8),
    help="Pictures a request; repeatable.",
)
@click.option("--seconds", type=Finite(0, 1e6, least_open=True), default=10.0, help="Time for each line.")
@one_line_errors
def main(protocol, host, model, timeout, label, concurrency, batches, seconds):
    """Measure the latency and throughput of a server that makes pictures."""
    host = host or CLIENTS[protocol].DEFAULT_HOST
    with CLIENTS[protocol].connect(host, model, timeout) as ask:
        label = find_class(ask, label)
        # Not measured: a server that is not there, or refuses, ends the test; the first batch of a size is slow.
        for batch in batches:
            ask_for_pngs(ask, picture_inputs(range(batch), label=label))
        click.echo(f"{model} on {host}, {protocol}, {seconds:g} s a line")
        click.echo("clients  batch   images/s  requests     p50 ms     p90 ms     p99 ms  errors")
        for batch in batches:
            for clients in concurrency:
                load = measure(ask, clients, batch, seconds, label=label)
                latencies = "".join(f"{value:11.1f}" for value in load.percentiles())
                row = f"{clients:7d} {batch:6d} {load.images_per_second:10.2f} {len(load.latencies):9d}"
                click.echo(f"{row}{latencies} {len(load.errors):7d}")
                if load.errors:
                    click.echo(f"The first error: {load.errors[0]}", err=True)


if __name__ == "__main__":
    main()

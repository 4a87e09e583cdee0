"""Frames a second of the studio while someone drags, and how 20 users at once are served.

python benchmarks/studio_speed.py --network=avatars-64
python benchmarks/studio_speed.py --config=sg2-f --resolution=1024 --seconds=10
"""

import json
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import click
import numpy as np
import uvicorn
from websockets.sync.client import connect

import dnnlib.quiet_tensorflow  # noqa: F401
from metrics.options import Options
from studio.opened import Networks
from studio.server import make_app
from stylegan_tf.networks.families import FAMILIES
from stylegan_tf.recipes.presets import CONFIGS, make_config
from stylegan_tf.runtime.processor import describe_processor


@click.command(context_settings={"show_default": True})
@click.option("--network", help="A network, as the studio takes it; or --config and --resolution.")
@click.option("--config", type=click.Choice(CONFIGS), default="sg2-e", help="Untrained networks of this configuration.")
@click.option("--resolution", default=64, help="Their side.")
@click.option("--seconds", default=10.0, help="Time to measure each line for.")
@click.option("--users", default=20, help="Users at once, in the last line.")
def main(network, config, resolution, seconds, users):
    """Measure a studio in this process, over its WebSocket, as the page uses it."""
    print(describe_processor())
    with tempfile.TemporaryDirectory() as folder:
        if network is None:
            network = pathlib.Path(folder) / "Gs.keras"
            chosen = make_config(config)
            FAMILIES[chosen.networks].generator(resolution=resolution, num_channels=3, **chosen.generator).save(network)
        measure(str(network), seconds, users)


def measure(network, seconds, users):
    networks = Networks([network])
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    config = uvicorn.Config(make_app(networks, Options()), log_level="error", ws="websockets-sansio", lifespan="on")
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    while not server.started:
        time.sleep(0.1)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/networks") as answer:
        known = json.load(answer)
    opened = known["networks"][-1]["snapshots"][-1]["id"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/networks/{opened}") as answer:
        facts = json.load(answer)
    address = f"ws://127.0.0.1:{port}/ws?token={known['token']}"
    sides = [None, *[side for side in facts["previews"] if side in (64, 128)]]
    for side in sides:
        drag(address, opened, side, 2.0)  # traced, and warm
        frames = drag(address, opened, side, seconds)
        shown = f"a preview of {side}x{side}" if side else f"{facts['resolution']}x{facts['resolution']}"
        print(f"One user, {shown}: {frames / seconds:.1f} frames a second")
    counts = [0] * users

    def use(number):
        counts[number] = drag(address, opened, None, seconds)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rates = np.array(counts) / seconds
    print(f"{users} users at once: {rates.sum():.1f} frames a second, {rates.min():.2f} to {rates.max():.2f} for each")
    server.should_exit = True


def drag(address, network, side, seconds):
    """How many images one user gets, who asks for the next one when the last is there."""
    frames, end = 0, time.monotonic() + seconds
    with connect(address, max_size=None) as socket:
        while time.monotonic() < end:
            recipe = {"a": {"seed": 1}, "b": {"seed": 2}, "t": frames % 100 / 100}
            request = {"n": frames, "view": "stage", "network": network, "images": [recipe]}
            socket.send(json.dumps(request | ({"side": side} if side else {})))
            data = socket.recv()
            (length,) = struct.unpack("<I", data[:4])
            assert json.loads(data[4 : 4 + length])["n"] == frames
            frames += 1
    return frames


if __name__ == "__main__":
    main()

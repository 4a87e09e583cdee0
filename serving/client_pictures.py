"""What the clients share, without TensorFlow or gRPC: options, what is asked for, and how answers become files."""

import re
from pathlib import Path

import click
from tqdm import tqdm

from dnnlib.cli import MINIBATCH, SEED, Command, Finite, Seeds, UserPath, Whole, one_line_errors, options
from dnnlib.files import atomic_file

SIGNATURE = "png_from_seeds"
FIND_CLASSES = "classes_from_names"
OUTPUTS = {SIGNATURE: "png_bytes", FIND_CLASSES: "classes"}
STORED_NOISE = -1  # this noise seed stands for the noise images that the network was trained with
PNG_START = b"\x89PNG\r\n\x1a\n"


def check_port(context, parameter, host):
    """Refuses ports that there are not: gRPC would take what is left of them in 16 bits."""
    port = re.search(r":(\d+)/?$", host or "")
    if port and not 0 < int(port[1]) < 2**16:
        raise click.BadParameter(f"{port[1]} is no port; they are from 1 to {2**16 - 1}.")
    return host


def server_options(default_host):
    """Adds the options that name a server and a model on it."""
    return options(
        click.option(
            "--host",
            default=default_host,
            metavar="HOST:PORT",
            callback=check_port,
            help="The server.",
            show_default=default_host or "localhost, and the protocol's port",
        ),
        click.option("--model", default="stylegan", metavar="NAME", help="The model's name on the server."),
        click.option(
            "--timeout",
            type=Finite(0, 1e6, least_open=True),
            default=60.0,
            help="Seconds to wait for an answer.",
        ),
        click.option("--class", "label", help="Name or number of a class, for a conditional network."),
    )


def picture_options(function):
    """Adds the options that say which pictures are wanted, and where."""
    return options(
        click.option("--seeds", type=Seeds(), required=True, help="Seeds of the pictures, such as 0-24,33."),
        click.option("--truncation-psi", type=Finite(), default=0.7, help="Strength of truncation; 1: none."),
        click.option(
            "--noise-seed",
            type=SEED,
            help="Fresh noise of this seed.  [default: the stored noise]",
        ),
        click.option("--batch", type=MINIBATCH, default=8, help="Pictures in one request."),
        click.option("--max-images", type=Whole(1), default=10_000, help="Refuse to ask for more pictures."),
        click.option(
            "--outdir", type=UserPath("folder"), default="served", metavar="DIR", help="Folder of the pictures."
        ),
    )(function)


def client_command(protocol, connect, default_host):
    """The command of a client: `connect(host, model, timeout)` yields what `save_pictures` asks."""

    @click.command(
        cls=Command,
        context_settings={"show_default": True, "max_content_width": 110},
        help=f"Ask TensorFlow Serving for pictures, over {protocol}.",
    )
    @server_options(default_host)
    @picture_options
    @one_line_errors
    def main(host, model, timeout, **wanted):
        with connect(host, model, timeout) as ask:
            save_pictures(ask, **wanted)

    return main


def too_slow(server, timeout):
    return TimeoutError(f"{server} did not answer within {timeout:g} s. Give a longer --timeout or a smaller --batch.")


def picture_inputs(seeds, truncation_psi=0.7, noise_seed=None, label=None):
    """Inputs of the signature png_from_seeds: lists of numbers, one a picture."""
    inputs = {
        "seeds": list(seeds),
        "truncation_psi": [truncation_psi] * len(seeds),
        "noise_seed": [STORED_NOISE if noise_seed is None else noise_seed] * len(seeds),
    }
    if label is not None:
        inputs["classes"] = [label] * len(seeds)
    return inputs


def find_class(ask, text):
    """The number of the class that a user calls by name or number: the server knows. None where none is given.

    Raises:
        ValueError: There is no such class.
    """
    if text is None:
        return None
    try:
        [number] = ask({"names": [text]}, FIND_CLASSES)
    except ValueError as error:
        if FIND_CLASSES not in str(error):
            raise
        # A network without classes, which refuses any, or one that was exported before classes had names.
        if not text.isdecimal():
            raise ValueError(f"The model knows no classes by name, so there is no {text!r}; give a number.") from None
        return int(text)
    return int(number)


def save_pictures(ask, seeds, outdir, batch, max_images, label=None, **settings):
    """Asks for pictures in requests of at most `batch`, and writes each as DIR/seedNNNN.png.

    Args:
        ask: Function of the inputs that `picture_inputs` returns, which gives a list of PNG files as bytes, and of
            other inputs and a signature of theirs.
        seeds: ints in [0, 2**32).
        label: What a user calls a class, see `find_class`.
        settings: More arguments of `picture_inputs`.

    Raises:
        ValueError: There are more seeds than `max_images`, or the answer is not as many PNG files.
        OSError: The server cannot be asked, or a file cannot be written.
    """
    if len(seeds) > max_images:
        raise ValueError(
            f"{len(seeds):,} pictures are more than --max-images={max_images}. Raise it, or ask for fewer."
        )
    settings["label"] = find_class(ask, label)
    folder = Path(outdir)
    replaced = sum((folder / file_name(seed)).exists() for seed in set(seeds))
    with tqdm(total=len(seeds), unit="img", disable=None) as progress:
        for start in range(0, len(seeds), batch):
            wanted = seeds[start : start + batch]
            pngs = ask_for_pngs(ask, picture_inputs(wanted, **settings))
            folder.mkdir(parents=True, exist_ok=True)
            for seed, png in zip(wanted, pngs, strict=True):
                with atomic_file(folder / file_name(seed)) as path:
                    path.write_bytes(png)
            progress.update(len(wanted))
    instead = f", {replaced} of them in the place of older ones" if replaced else ""
    click.echo(f"Pictures written to {folder}: {len(seeds)}{instead}")


def file_name(seed):
    """Name of a seed's file."""
    return f"seed{seed:04d}.png"


def ask_for_pngs(ask, inputs):
    """The answer to `inputs`; ValueError if it is not one PNG file a seed."""
    pngs = ask(inputs)
    if len(pngs) != len(inputs["seeds"]) or not all(png.startswith(PNG_START) for png in pngs):
        raise ValueError(
            f"The server's answer to {len(inputs['seeds'])} seeds is not as many PNG files. "
            "Is its model one that run_export.py wrote?"
        )
    return pngs


def sentence(message):
    """The sentence in a server's message, without the graph nodes that TensorFlow adds to it."""
    line = (message or "no reason given").strip().splitlines()[0]
    return re.sub(r"^assertion failed: \[(.*)\]$", r"\1", line)

"""The studio in a browser: python run_studio.py --network=avatars-64"""

import contextlib
import socket

import click

import dnnlib.quiet_tensorflow  # noqa: F401
from dnnlib.cli import Command, UserPath, Whole, one_line_errors
from dnnlib.optional import import_optional
from metrics.options import Options
from metrics.projection_distances import DISTANCES, distance_options
from stylegan_tf.runtime.devices import count_gpus
from stylegan_tf.runtime.precision import PRECISIONS, use_precision
from stylegan_tf.runtime.processor import remark_on_precision


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--network",
    "sources",
    type=UserPath(),
    multiple=True,
    required=True,
    metavar="NETWORK",
    help="Run, with its snapshots; folder of runs; snapshot, .keras, .pkl, .pt, URL or name. Repeatable.",
)
@click.option("--host", default="127.0.0.1", help="Address to listen on; others than this one let other machines in.")
@click.option("--port", type=Whole(0, 65535), default=8000, help="Port to listen on; 0 for one that is free.")
@click.option("--name", "names", multiple=True, help="Another name that the server is reached by. Repeatable.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="fp32", help="What convolutions compute in.")
@click.option(
    "--distance",
    type=click.Choice(DISTANCES),
    help="How pictures are projected.  [default: classifier for digits and avatars, else lpips]",
)
@distance_options
@one_line_errors
def main(sources, host, port, names, precision, distance, dataset, data_dir, **given):
    """Play with networks in a browser: seeds, style mixing, directions, your own pictures.

    The page comes with the project; nothing is loaded from the internet. Only this machine can reach it, unless --host
    says otherwise. Ctrl-C ends it.
    """
    uvicorn = import_optional("uvicorn", "The studio", "studio")
    import_optional("starlette", "The studio", "studio")
    import_optional("websockets", "The studio", "studio")
    # With the packages that may be missing.
    from studio.opened import Networks  # noqa: PLC0415
    from studio.received import MOST_JSON  # noqa: PLC0415
    from studio.server import LOOPBACK, make_app  # noqa: PLC0415

    with listen(host, port) as listening:
        use_precision(precision)
        if remark := remark_on_precision(precision, count_gpus()):
            click.echo(remark, err=True)
        networks = Networks(sources, given["cache_dir"], precision)
        options = Options(**{name: value for name, value in given.items() if value is not None})
        names = (*LOOPBACK, host, *names)
        app = make_app(networks, options, names, distance=distance, dataset=dataset, data_dir=data_dir)
        shown = f"[{host}]" if ":" in host else host
        click.echo(f"The studio is at http://{shown}:{listening.getsockname()[1]}/ and ends with Ctrl-C.")
        if host not in LOOPBACK:
            click.echo("Whoever reaches this address can use it: there are no passwords.", err=True)
        config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", ws_max_size=MOST_JSON, lifespan="on")
        with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises again, once it has ended
            uvicorn.Server(config).run(sockets=[listening])


def listen(host, port):
    """A socket that listens; ValueError if that is impossible."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise ValueError(
            f"--host={host} --port={port}: {error.strerror}. Another studio may run there; choose another port, or 0 "
            "for one that is free."
        ) from None


if __name__ == "__main__":
    main()

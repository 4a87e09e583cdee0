"""The verbs of run_generator.py that edit: networks that are blended."""

import click

from dnnlib.cli import Command, Finite, UserPath, Whole, one_line_errors
from dnnlib.files import atomic_file, check_new_file
from stylegan_tf.editing.blending import blend
from stylegan_tf.files.find import find_targets, load_generator


@click.command("blend", cls=Command)
@click.option("--coarse", type=UserPath(), required=True, metavar="NETWORK", help="Network of the layers below --at.")
@click.option("--fine", type=UserPath(), required=True, metavar="NETWORK", help="Network of the layers from --at on.")
@click.option("--at", type=Whole(8, 1024), required=True, help="First resolution that is from --fine.")
@click.option(
    "--smooth", type=Finite(0, 100), default=0.0, help="Width of the passage between them, in octaves; 0 swaps layers."
)
@click.option("--output", type=UserPath(dir_okay=False), required=True, help="File to write, NAME.keras.")
@click.option("--cache-dir", type=UserPath(), default="cache", help="Folder of downloaded networks.")
@one_line_errors
def make_blend(coarse, fine, at, smooth, output, cache_dir):
    """Blend two networks: the coarse layers of one with the fine ones of another.

    They fit where one was trained on from the other (run_training.py --init-from). Coarse layers make pose and shape,
    fine ones texture and colour. OUTPUT is a network as any other, to be given as --network.
    """
    if not output.endswith(".keras"):
        raise click.UsageError(f"--output={output} must end with .keras.")
    check_new_file(output)
    networks = [load_generator(find_targets(name, cache_dir=cache_dir)[-1].path) for name in (coarse, fine)]
    blended = blend(*networks, at, smooth)
    with atomic_file(output) as path:
        blended.save(path)
    click.echo(f"Wrote {output}: {coarse} below {at}x{at}, {fine} from there on.")

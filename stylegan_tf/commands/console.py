"""The console script: stylegan generate images --network=results/00000-digits-f-cpu --seeds=0-24 --outdir=pictures"""

import importlib

import click

import stylegan_tf
from dnnlib.cli import Group

# {verb: what it does}. Its command is `main` in the file of that name beside this one.
VERBS = {
    "generate": "Make pictures with a trained network: images of seeds, the paper's figures, videos.",
    "export": "Export a network for TensorFlow Serving, ONNX Runtime, Keras or browsers, or as plain weights.",
}


class Verbs(Group):
    """A group whose commands are imported when they are used, so that its help need not wait for TensorFlow."""

    def list_commands(self, ctx):
        return list(VERBS)

    def get_command(self, ctx, name):
        return importlib.import_module(f"stylegan_tf.commands.{name}").main if name in VERBS else None

    def format_commands(self, ctx, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"max_content_width": 110})
@click.version_option(stylegan_tf.__version__, message="stylegan_tf %(version)s")
def main():
    """Use a trained StyleGAN. Training and measuring are done in a clone of the project."""

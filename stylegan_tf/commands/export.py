"""Exports a network: python run_export.py --network=results/00000-digits-f-cpu --output=serving/models/stylegan"""

import json
import shlex
from pathlib import Path

import dnnlib.quiet_tensorflow  # noqa: F401

# isort: split

import click
import tensorflow as tf
from click.core import ParameterSource

from dnnlib.cli import MINIBATCH, Command, UserPath, Whole, one_line_errors
from dnnlib.files import check_can_create, check_new_file, check_room
from stylegan_tf.export.formats import export_keras, export_onnx, export_weights
from stylegan_tf.export.model_card import network_facts
from stylegan_tf.export.savedmodel import export_savedmodel, version_folder
from stylegan_tf.export.web import RUNTIME, export_web
from stylegan_tf.files.find import find_targets, load_generator
from stylegan_tf.networks.families import usual_truncation

# What writes a file, how its name ends, and which options it takes.
FILES = {
    "keras": (export_keras, ".keras", ()),
    "onnx": (export_onnx, ".onnx", ("truncation_cutoff",)),
    "weights": (export_weights, ".npz", ()),
}
# What writes a folder, likewise.
FOLDERS = {
    "savedmodel": (export_savedmodel, "", ("version", "max_batch", "truncation_cutoff")),
    "web": (export_web, "", ("runtime",)),
}
FORMATS = ("savedmodel", *FILES, "web")


@click.command(cls=Command, context_settings={"show_default": True, "max_content_width": 110})
@click.option(
    "--network",
    type=UserPath(),
    required=True,
    metavar="NETWORK",
    help="Run, snapshot, .keras, .pkl, .pt, URL or name.",
)
@click.option(
    "--output",
    type=UserPath("file", path_type=Path),
    required=True,
    help="savedmodel: folder of the model, such as serving/models/stylegan; web: folder of the page; else the file, "
    "NAME.keras, .onnx or .npz.",
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="savedmodel", help="What to write.")
@click.option(
    "--version", type=Whole(1, 2**63 - 1), help="savedmodel: its number.  [default: one more than the newest]"
)
@click.option("--max-batch", type=MINIBATCH, default=32, help="savedmodel: most images of a request.")
@click.option(
    "--truncation-cutoff",
    type=Whole(0, 1000),
    help=f"savedmodel, onnx: layers that psi truncates.  [default: {usual_truncation('cutoff')}]",
)
@click.option(
    "--onnxruntime-web", "runtime", type=UserPath(), metavar="PATH", help=f"web: local copy of {RUNTIME.name}."
)
@click.option("--cache-dir", type=UserPath(), default="cache", help="Folder of what is downloaded.")
@click.option("--dry-run", is_flag=True, help="Print what would be written, and stop.")
@click.pass_context
@one_line_errors
def main(context, network, output, form, version, max_batch, truncation_cutoff, runtime, cache_dir, dry_run):
    """Export a network for TensorFlow Serving, ONNX Runtime, Keras or browsers, or as plain weights.

    What is written is complete or not there; nothing is overwritten. TensorFlow Serving finds a new version by itself.
    """
    settings = {"version": version, "max_batch": max_batch, "truncation_cutoff": truncation_cutoff, "runtime": runtime}
    export, suffix, taken = FILES.get(form) or FOLDERS[form]
    for name in settings.keys() - taken:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = {"runtime": "onnxruntime-web"}.get(name, name.replace("_", "-"))
            raise ValueError(f"--{option} has no effect with --format={form}; leave it out.")
    target = find_targets(network, cache_dir=cache_dir)[-1]
    if form in FOLDERS:
        check_can_create(output)
        for other, (_, ending, _) in FILES.items():
            if output.suffix == ending:
                raise ValueError(
                    f"With --format={form}, {output} would be a folder; use --format={other}, or another name."
                )
    elif output.suffix != suffix:
        raise ValueError(f"With --format={form}, the file must be called NAME{suffix}; received {output}.")
    path = version_folder(output, version) if form == "savedmodel" else output
    check_new_file(path)
    if form == "keras":
        check_new_file(path.with_suffix(".json"))  # the model card
    facts = network_facts(target, network)
    if dry_run:
        click.echo(json.dumps({"format": form, "path": str(path), "network": facts}, indent=2))
        return
    generator = load_generator(target.path)
    check_room(path, sum(variable.numpy().nbytes for variable in generator.variables))
    given = {name: settings[name] for name in taken}
    if form == "web":
        given |= {"target": target, "cache_dir": cache_dir}
    try:
        export(generator, output, facts=facts, **given)
    except (OSError, tf.errors.OpError) as error:
        reason = str(getattr(error, "strerror", None) or getattr(error, "message", error)).partition("\n")[0]
        raise OSError(f"{path} cannot be written: {reason}. Make room, or choose another place.") from error
    click.echo(f"{path}: {megabytes(path):.1f} MB, {form} of {target.path}")
    if form == "savedmodel":
        click.echo(f"Serve it with: {serving_command(path.parent)}")
    if form == "web":
        click.echo(f"Look at it with: {shlex.join(['python', '-m', 'http.server', '--directory', str(path)])}")


def megabytes(path):
    """Size of a file, or of all files in a folder."""
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()) / 1e6


def serving_command(folder):
    """The shell command that serves a folder of versions; its REST port is 8501, its gRPC port 8500."""
    folder = folder.absolute()  # as Docker asks for
    name = folder.name
    ports = ["-p", "127.0.0.1:8500:8500", "-p", "127.0.0.1:8501:8501"]
    volume = ["-v", f"{folder}:/models/{name}:ro"]
    if ":" in str(folder):  # which -v cannot hold
        volume = ["--mount", f"type=bind,source={folder},target=/models/{name},readonly"]
    return shlex.join(["docker", "run", "--rm", *ports, *volume, "-e", f"MODEL_NAME={name}", "tensorflow/serving"])

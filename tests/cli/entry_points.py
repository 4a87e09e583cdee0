"""All commands of all entry points, for tests that walk through their options."""

import click

import dataset_tool
import run_classifiers
import run_metrics
import run_projector
import run_studio
import run_training
from serving import grpc_client, load_test, rest_client
from stylegan_tf.commands import export, generate

ENTRY_POINTS = {
    "run_training": run_training.main,
    "run_metrics": run_metrics.main,
    "run_classifiers": run_classifiers.main,
    "run_generator": generate.main,
    "run_projector": run_projector.main,
    "run_studio": run_studio.main,
    "run_export": export.main,
    "dataset_tool": dataset_tool.main,
    "rest_client": rest_client.main,
    "grpc_client": grpc_client.main,
    "load_test": load_test.main,
}


def commands():
    """{"run_generator images": click.Command, ...}."""
    found = {}
    for name, command in ENTRY_POINTS.items():
        if isinstance(command, click.Group):
            found |= {f"{name} {verb}": command.commands[verb] for verb in command.commands}
        else:
            found[name] = command
    return found


COMMANDS = commands()


def parameters():
    """[(name of the command, option or argument)]."""
    return [(name, parameter) for name, command in COMMANDS.items() for parameter in command.params]


def convert(command, parameter, text):
    """What a command makes of the text of one parameter; click.UsageError if it is refused."""
    context = click.Context(COMMANDS[command], info_name=command)
    with context:
        value = (text,) if parameter.multiple else text
        return parameter.process_value(context, value)

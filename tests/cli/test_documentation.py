"""README and docs: links lead somewhere, commands exist with their options, and those that can run here do run."""

import importlib
import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tiny_training import SETTINGS

from metrics import classifier_training

pytestmark = pytest.mark.optimized

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "serving" / "README.md"])
# The network of most examples, which README's first command makes.
RUN = "results/00000-digits-f-cpu"
# What makes an example small enough: the networks, and the number of samples.
SMALLER = {
    "run_training.py": [
        *(f"--set={setting}" for setting in SETTINGS),
        "--total-kimg=0.1",
        "--minibatch=32",
        "--set=schedule.lod_training_kimg=0.1",
    ],
    "run_metrics.py": ["--num-samples=150"],
    "run_projector.py": ["--steps=1", "--distance=pixels"],
}


def commands_in(page):
    """The shell commands of a page: lines of its code blocks, those after && and a \\ too, without comments."""
    text = page.read_text().replace("\\\n", " ")
    for line in re.findall(
        r"^(?: {4,}|```\w*\n)(?:\$ )?((?:\w+=\S+ )*(?:python|stylegan (?!on )|pip) .*)$", text, re.MULTILINE
    ):
        for command in re.sub(r"\s+#.*", "", line).split(" && "):
            yield command.rstrip("&").strip()


COMMANDS = [(page, command) for page in PAGES for command in commands_in(page)]


def split(command):
    """(script, arguments) of a command of ours, None for any other."""
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\S+", word)]
    if words[0] == "stylegan":
        return words[0], words[1:]
    return (words[1], words[2:]) if words[0] == "python" and words[1].endswith(".py") else None


def command_of(script):
    """The click command behind a script."""
    if script == "stylegan":
        return importlib.import_module("stylegan_tf.commands.console").main
    return getattr(importlib.import_module(script.removesuffix(".py").replace("/", ".")), "main", None)


def parse(command, arguments):
    """Parses arguments down to the verb, as click does before it runs anything; UsageError if they are wrong."""
    context = command.make_context("command", list(arguments))
    if isinstance(command, click.Group):
        _, verb, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(verb, rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page):
    for link in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", page.read_text()):
        target = (link[0] or link[1]).partition("#")[0]
        if target and not re.match(r"\w+:", target):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_commands_have_their_options():
    found = 0
    for page, line in COMMANDS:
        command = split(line)
        if command is None or "VERB" in line:
            continue
        script, arguments = command
        assert script == "stylegan" or (ROOT / script).is_file(), f"{page}: {line}"
        if script.startswith("tests/") or command_of(script) is None:
            continue
        try:
            parse(command_of(script), arguments)
        except click.exceptions.Exit:
            assert "--help" in arguments
        except click.UsageError as error:
            if "does not exist" not in error.format_message():  # the file that an earlier example makes
                pytest.fail(f"{page}: {line}: {error.format_message()}")
        found += 1
    assert found > 40


def run(line):
    """Runs an example in this process, made smaller, in the working directory."""
    script, arguments = split(line)
    if script in ("benchmarks/digits_quality.py", "benchmarks/projection.py"):
        return
    result = CliRunner().invoke(command_of(script), [*arguments, *SMALLER.get(script, [])])
    assert result.exit_code == 0, (line, result.output, result.exception)


def test_examples_of_a_network(tmp_path, monkeypatch):
    """README's first command and whatever README and docs do with its run, in this order."""
    monkeypatch.chdir(tmp_path)
    recipe = {"total_kimg": 0.2, "minibatch": 32, "learning_rate": 0.01, "fmap_base": 32, "fmap_max": 4}
    for recipes in ("RECIPES", "TRUNK_RECIPES"):
        monkeypatch.setattr(classifier_training, recipes, {"digits": recipe})
    first = "python run_training.py --dataset=digits"
    assert first in dict.fromkeys(line for _, line in COMMANDS)
    run(first)
    examples = dict.fromkeys(line for _, line in COMMANDS if RUN in line and split(line))
    for line in [*examples, f"{first} --dry-run"]:
        run(line)
    assert len(examples) >= 6
    assert (tmp_path / "pictures" / "grid.png").exists() and (tmp_path / "serving/models/stylegan/1").is_dir()
    assert "ls_w" in (tmp_path / RUN / "metrics.jsonl").read_text()


def test_examples_of_a_data_set(tmp_path, monkeypatch):
    """README's way from the digits to PNG files and back, and what docs/datasets.md does with the result."""
    monkeypatch.chdir(tmp_path)
    lines = [line for page, line in COMMANDS if page == ROOT / "README.md" and "dataset_tool.py" in line]
    examples = lines[lines.index("python dataset_tool.py create-digits data/digits") :]
    for line in examples:
        run(line)
    assert len(examples) == 6 and (tmp_path / "data" / "custom").is_dir()
    more = [line for page, line in COMMANDS if page == ROOT / "docs" / "datasets.md" and " data/custom" in line]
    for line in more:
        if " create-" not in line and " compare " not in line:
            run(line)

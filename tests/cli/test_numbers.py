"""Every numeric option of every entry point: what no format can hold is refused by the option itself."""

import math
import sys
import time

import click
import pytest
from click.testing import CliRunner
from entry_points import convert, parameters

import run_training
from dnnlib.cli import Finite, Numbers, Seeds, Whole, exhausted, one_line_errors
from stylegan_tf.recipes.declaration import Range
from stylegan_tf.recipes.presets import make_config
from stylegan_tf.recipes.settings import SETTINGS, ScheduleConfig, TrainingConfig, override
from stylegan_tf.training.disk import count_ticks

EXTREMES = ("0", "-1", "1e308", "-1e308", "nan", "inf", "-inf", str(10**20), str(-(10**20)), "9" * 5000)
# Of the extremes, what an option takes.
PSI = {"0", "-1"}
ZERO = {
    *("--seed", "--seeds", "--rows", "--columns", "--noise-seed", "--num-gpus", "--class", "--crop", "--lods"),
    *("--truncation-cutoff", "--mixing-prob", "--gamma", "--path-length-weight", "--freeze-d", "--keep-snapshots"),
    *("--smooth", "--confidence"),
}
NUMERIC = [(c, p) for c, p in parameters() if isinstance(p.type, click.types.IntParamType | click.types.FloatParamType)]
NUMERIC += [(c, p) for c, p in parameters() if isinstance(p.type, Numbers | Seeds)]


def numbers(parameter, text):
    """The text as often as the option has numbers."""
    return ",".join([text] * (getattr(parameter.type, "count", None) or 1))


def taken(command, parameter):
    """The extremes that an option takes."""
    name = parameter.opts[0]
    if name in ("--truncation-psi", "--psi-per-layer"):
        return PSI
    if (command, name) in (("run_generator uncurated", "--rows"), ("run_generator edit", "--columns")):
        return set()
    if (command, name) == ("run_studio", "--port"):  # one that is free
        return {"0"}
    return {"0"} if name in ZERO else set()


def test_all_are_found():
    assert len(NUMERIC) > 130
    kinds = {type(parameter.type) for _, parameter in NUMERIC}
    assert kinds == {Whole, Finite, Numbers, Seeds}  # and none without a range


@pytest.mark.parametrize("command, parameter", NUMERIC, ids=lambda value: getattr(value, "name", value))
def test_extremes(command, parameter):
    expected = taken(command, parameter)
    for text in EXTREMES:
        value = numbers(parameter, text)
        if text in expected:
            convert(command, parameter, value)
            continue
        with pytest.raises(click.UsageError) as error:
            convert(command, parameter, value)
        message = " ".join(error.value.format_message().split())
        assert parameter.opts[-1] in message, message
        assert len(message) < 20_000


def number_settings():
    return {name: setting.allowed for name, setting in SETTINGS.items() if isinstance(setting.allowed, Range)}


@pytest.mark.parametrize("name", number_settings())
def test_extremes_of_settings(name):
    setting, allowed = SETTINGS[name], SETTINGS[name].allowed
    table = isinstance(setting.default, dict)
    config = make_config("f", "digits")
    for text in (*EXTREMES[:-1], "NaN", "Infinity", "1" + "0" * 400):
        value = math.nan if text.lower() == "nan" else float(text) if len(text) < 300 else math.inf
        given = f'{{"8": {text}}}' if table else text
        if allowed.holds(value):
            override(config, [f"{name}={given}"])
        else:
            with pytest.raises(ValueError, match=name.rpartition(".")[2]) as error:
                override(config, [f"{name}={given}"])
            assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", number_settings())
def test_ends_of_ranges_are_settings_that_work(name):
    """As far as they do without the data: the command prints what it comes to, or names what does not fit."""
    setting, allowed = SETTINGS[name], SETTINGS[name].allowed
    kind = int if setting.kind in (int, int | None, dict[int, int]) else float
    for value in (allowed.least, allowed.most):
        value = kind(value)
        if not allowed.holds(value):
            continue
        given = f'{{"8": {value}}}' if isinstance(setting.default, dict) else str(value)
        options = ["--dry-run", "--dataset=cats", "--num-gpus=0", f"--set={name}={given}"]
        result = CliRunner().invoke(run_training.main, options)
        assert result.exit_code in (0, 2) and isinstance(result.exception, SystemExit | None), result.exception
        if result.exit_code:
            assert result.stderr.count("\n") == 1 and name.rpartition(".")[2] in result.stderr


@pytest.mark.parametrize("text", ["-1:5", "5:0", "nan:1", "1e3:1", f"{10**20}:1", f"1:{10**20}", "²:1", "1"])
def test_profile(text):
    result = CliRunner().invoke(run_training.main, ["--dry-run", f"--profile={text}"])
    assert result.exit_code == 2
    assert "--profile" in result.stderr and result.stderr.count("\n") == 1


def test_the_longest_run_is_counted_at_once():
    start = time.perf_counter()
    schedule = ScheduleConfig(tick_kimg_base=1e-9, tick_kimg_dict={}, minibatch_base=1, minibatch_dict={})
    config = TrainingConfig(resolution=1024, total_kimg=1e9, schedule=schedule)
    assert count_ticks(config) == 10**12
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    "error, words",
    [
        (MemoryError("Unable to allocate 9 GiB"), "The memory is exhausted (Unable to allocate 9 GiB); do less"),
        ("OOM when allocating tensor\nmore", "The memory of a device is exhausted (OOM when allocating tensor); do"),
        ("data; No space left on device", "A file cannot be written: data; No space left on device. Make room"),
    ],
    ids=["NumPy", "device", "disk"],
)
def test_what_is_exhausted_is_said_in_a_line(error, words):
    if isinstance(error, str):
        error = sys.modules["tensorflow"].errors.ResourceExhaustedError(None, None, error)
    assert exhausted(ZeroDivisionError()) is None

    @click.command()
    @one_line_errors
    def command():
        raise error

    result = CliRunner().invoke(command)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {words}") and result.stderr.count("\n") == 1

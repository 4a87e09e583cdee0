"""What all doors share: wrong input ends with exit code 2 and one line."""

import functools
import math
import os
import re
import sys

import click

from dnnlib.files import check_can_create, expand_home

INTERRUPTED = 130  # what shells expect of a program that Ctrl-C has ended


class _OneLineErrors:
    """Usage errors in one line, as all others are; with a context, click prints two lines of usage before them."""

    def make_context(self, *args, **kwargs):
        try:
            return super().make_context(*args, **kwargs)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            # Of a choice that is missing, click lists the values one a line.
            raise click.UsageError(" ".join(error.format_message().split())) from None


class Command(_OneLineErrors, click.Command):
    """A command whose usage errors are one line. Empty values are refused: none of our options means anything by one.

    Scripts give them where a variable of theirs is not set; they would be taken for the default.
    """

    def parse_args(self, ctx, args):
        given, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for parameter in order:
            value = given[parameter.name]
            if "" in (value if isinstance(value, list) else [value]):
                raise click.BadParameter("it must not be empty.", ctx, parameter)
        return super().parse_args(ctx, args)


class Group(_OneLineErrors, click.Group):
    """A group of commands whose usage errors are one line; help lists them in the order of the program."""

    command_class = Command

    def list_commands(self, ctx):
        return list(self.commands)

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            error.ctx = None
            raise


class UserPath(click.Path):
    """A path as a user writes it, or the URL or name of what may be named by a path as well.

    It may begin with ~ for the home directory. Names that are no text are refused here, since TensorFlow, JSON and the
    terminal would, one after the other; and pipes and devices, which may have no end, or nothing to read a second time.

    Args:
        creates: "folder" or "file": what the command will write there; that this is impossible, as far as it can be
            known, is said before any work. None: nothing.
        options: Arguments of `click.Path`.
    """

    def __init__(self, creates=None, **options):
        super().__init__(**options)
        self.creates = creates

    def convert(self, value, param, ctx):
        text = os.fspath(value)
        try:
            text.encode()
            path = expand_home(text)
            if self.creates:
                check_can_create(path if self.creates == "folder" else os.path.dirname(os.path.abspath(path)))
            if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
                self.fail(f"{path} is a pipe or a device; give a file or a folder.", param, ctx)
            return super().convert(path, param, ctx)
        except UnicodeEncodeError:
            self.fail(f"{text!a} is not UTF-8; give it a name that is.", param, ctx)
        except (OSError, ValueError) as error:
            self.fail(str(error), param, ctx)


class Seeds(click.ParamType):
    """A list of seeds, such as 0-24,33, in [0, 2^32), `most` at a time."""

    name = "seeds"

    def __init__(self, most=1_000_000):
        self.most = most

    def convert(self, value, param, ctx):
        if isinstance(value, list):
            return value
        ranges = []
        for part in value.split(","):
            match = re.fullmatch(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*", part)
            if not match:
                self.fail(f"{value!r} is no list of seeds such as 0-24,33.", param, ctx)
            first, last = int(match[1]), int(match[2] or match[1])
            if first > last:
                self.fail(f"the range {first}-{last} is empty; the smaller seed comes first.", param, ctx)
            if last >= 2**32:
                self.fail(f"{last} is no seed; they are whole numbers from 0 to {2**32 - 1}.", param, ctx)
            ranges.append(range(first, last + 1))
        if (count := sum(map(len, ranges))) > self.most:
            self.fail(f"{count:,} seeds are too many; at most {self.most:,} at a time.", param, ctx)
        return [seed for part in ranges for seed in part]


class Finite(click.FloatRange):
    """A number that is neither NaN nor infinite, and in a range: by default one in which sums and squares stay finite
    in all formats of numbers.

    Args:
        least, most: Ends of the range.
        least_open: Whether it is without `least`.
    """

    def __init__(self, least=-1000.0, most=1000.0, least_open=False):
        super().__init__(least, most, min_open=least_open)

    def convert(self, value, param, ctx):
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no finite number.", param, ctx)
        return super().convert(value, param, ctx)


class Whole(click.IntRange):
    """A whole number in a range, which ends at 2^31 - 1 unless something smaller or larger is written."""

    def __init__(self, least, most=2**31 - 1):
        super().__init__(least, most)


SEED = Whole(0, 2**32 - 1)  # what NumPy's RandomState takes
NUM_GPUS = Whole(0, 4096)
MINIBATCH = Whole(1, 65536)


class Numbers(click.ParamType):
    """Numbers separated by commas, a tuple.

    Args:
        number: click's type of a number.
        count: How many there are, None for any.
    """

    name = "numbers"

    def __init__(self, number, count=None):
        self.number, self.count = number, count

    def convert(self, value, param, ctx):
        if isinstance(value, tuple):
            return value
        numbers = tuple(self.number.convert(part.strip(), param, ctx) for part in value.split(","))
        if self.count not in (None, len(numbers)):
            self.fail(f"{value!r} has {len(numbers)} numbers; give {self.count}.", param, ctx)
        return numbers


def options(*decorators):
    """One decorator of several."""
    return lambda function: functools.reduce(lambda wrapped, option: option(wrapped), reversed(decorators), function)


def one_line_errors(function):
    """Wraps a command: wrong input (ValueError, OSError) ends with exit code 2, Ctrl-C with 130; both in one line."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt:
            click.echo("Stopped; no result is incomplete.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # `| head` has seen enough: click ends quietly
        except OSError as error:
            known = error.filename and error.strerror
            fail(f"{error.filename} cannot be used: {error.strerror}. Give another path." if known else error)
        except ValueError as error:
            fail(error)
        except Exception as error:
            if not (reason := exhausted(error)):
                raise
            fail(reason)

    return run


def exhausted(error):
    """What to say of an error that means that the memory or the disk is full; None for any other."""
    tensorflow = sys.modules.get("tensorflow")
    if isinstance(error, MemoryError):
        return (
            f"The memory is exhausted ({error or 'no more is said'}); do less at a time, as with a smaller --minibatch."
        )
    if tensorflow is None or not isinstance(error, tensorflow.errors.ResourceExhaustedError):
        return None
    said = str(error.message).partition("\n")[0]
    if "space" in said:
        return f"A file cannot be written: {said}. Make room, or choose another place."
    return f"The memory of a device is exhausted ({said}); do less at a time, as with a smaller --minibatch."


def fail(error):
    """Ends with exit code 2 and one line."""
    exception = click.ClickException(" ".join(str(error).split()))
    exception.exit_code = 2
    raise exception

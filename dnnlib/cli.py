"""What all doors share: wrong input ends with exit code 2 and one line."""

import functools

import click

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
    """A command whose usage errors are one line."""


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


def one_line_errors(function):
    """Wraps a command: wrong input (ValueError, OSError) ends with exit code 2, Ctrl-C with 130; both in one line."""

    @functools.wraps(function)
    def run(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except KeyboardInterrupt:
            click.echo("Stopped; nothing incomplete is left.", err=True)
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            raise  # `| head` has seen enough: click ends quietly
        except OSError as error:
            known = error.filename and error.strerror
            fail(f"{error.filename} cannot be used: {error.strerror}. Give another path." if known else error)
        except ValueError as error:
            fail(error)

    return run


def fail(error):
    """Ends with exit code 2 and one line."""
    exception = click.ClickException(" ".join(str(error).split()))
    exception.exit_code = 2
    raise exception

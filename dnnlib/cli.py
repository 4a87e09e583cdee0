"""What all doors share: wrong input ends with exit code 2 and one line."""

import click


class _OneLineErrors:
    """Usage errors in one line, as all others are; with a context, click prints two lines of usage before them."""

    def make_context(self, *args, **kwargs):
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            error.ctx = None
            raise


class Command(_OneLineErrors, click.Command):
    """A command whose usage errors are one line."""


class Group(_OneLineErrors, click.Group):
    """A group of commands whose usage errors are one line."""

    command_class = Command

    def resolve_command(self, ctx, args):
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            error.ctx = None
            raise


def fail(error):
    """Ends with exit code 2 and one line."""
    exception = click.ClickException(" ".join(str(error).split()))
    exception.exit_code = 2
    raise exception

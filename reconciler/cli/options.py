"""Options that commands share, and where their output goes."""

from __future__ import annotations

import functools
import logging
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from reconciler.cli.console import colour_is_forced, flush_output, say_if_output_is_lost
from reconciler.errors import Partial

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Common:
    """What every command is told."""

    config: Path | None
    log_format: str
    verbose: int
    quiet: bool

    def settings(self) -> Any:
        """``settings.values.Settings``; loaded late, so that ``--help`` stays quick."""
        from reconciler.settings.load import load_settings

        settings = load_settings(config=self.config)
        from reconciler.cli.logs import hide

        hide(settings.secrets.known())
        return settings

    def say(self, text: str) -> None:
        """A line for people, on stderr, unless quiet."""
        if not self.quiet:
            click.echo(text, err=True)


def common(function: F) -> F:
    """``--config``, ``--log-format``, ``-v``, ``-q``, ``--debug``; gives the command one ``common`` argument."""

    @click.option("--config", type=click.Path(path_type=Path), help="The settings file instead of the nearest one.")
    @click.option("--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of log lines.")
    @click.option("-v", "--verbose", count=True, help="More log lines; twice for debugging.")
    @click.option("-q", "--quiet", is_flag=True, help="Only what was asked for.")
    @click.option("--debug", is_flag=True, hidden=True)
    @functools.wraps(function)
    def wrapper(
        *args: Any, config: Path | None, log_format: str, verbose: int, quiet: bool, debug: bool, **kwargs: Any
    ) -> Any:
        if config is not None and not config.is_file():
            raise click.UsageError(f"there is no settings file {config}")
        it = Common(config, log_format, verbose, quiet)
        level = logging.DEBUG if verbose > 1 or debug else logging.INFO if verbose else logging.WARNING
        _set_up_logging(level, log_format)
        return function(*args, common=it, **kwargs)

    return wrapper  # type: ignore[return-value]


def _set_up_logging(level: int, form: str) -> None:
    from reconciler.cli.logs import set_up

    set_up(level, form)


def output_option(*formats: str) -> Callable[[F], F]:
    """``--output FORMAT`` or ``FORMAT=FILE``, repeatable; text where none is given."""

    def parse(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> Outputs:
        del ctx, param
        targets: list[tuple[str, Path | None]] = []
        for text in value:
            name, equals, file = text.partition("=")
            if name not in formats:
                from reconciler.core.suggest import nearest

                close = nearest(name, formats)
                hint = f" Did you mean '{close}'?" if close else ""
                raise click.BadParameter(f"{name!r} is not one of {', '.join(formats)}.{hint}")
            if equals and not file:
                raise click.BadParameter(f"{text!r} names no file")
            targets.append((name, Path(file) if equals else None))
        if sum(file is None for _, file in targets) > 1:
            raise click.BadParameter("only one format can go to standard output; write the others as FORMAT=FILE")
        if not any(file is None for _, file in targets):
            targets.insert(0, ("text", None))
        return Outputs(tuple(targets))

    return click.option(
        "--output",
        "outputs",
        multiple=True,
        callback=parse,
        metavar="FORMAT[=FILE]",
        help=f"One of {', '.join(formats)}; FORMAT=FILE writes a file. Repeatable.",
    )


@dataclass(frozen=True)
class Outputs:
    """Where each rendering goes; None is standard output."""

    targets: tuple[tuple[str, Path | None], ...]

    def check(self) -> None:
        """Refuse a file that cannot be written, before anything is done that it should tell of."""
        for _, file in self.targets:
            if file is not None and not (file.parent.is_dir() and os.access(file.parent, os.W_OK)):
                raise click.FileError(str(file), "its folder is missing or cannot be written")

    def write(self, render: Callable[[str], str]) -> None:
        """Render each format once and put it where it goes; files are replaced as a whole."""
        for name, file in self.targets:
            text = render(name)
            if file is None:
                click.echo(text, nl=False)
                flush_output()
            else:
                # What was rendered for the terminal here is read by somebody else there.
                write_file(file, text if name != "text" or colour_is_forced() else click.unstyle(text))

    def write_done(self, render: Callable[[str], str], code: int) -> int:
        """``write`` after something was changed, and the exit code: a report that nobody can read leaves it unknown."""
        try:
            self.write(render)
        except BrokenPipeError:
            raise
        except OSError as error:
            if not say_if_output_is_lost(error):
                raise
            return code or Partial.exit_code
        return code

    @property
    def is_text(self) -> bool:
        """Does a person read standard output?"""
        return any(name == "text" and file is None for name, file in self.targets)

    @property
    def is_only_text(self) -> bool:
        """Is there no form but the one for a terminal?"""
        return self.targets == (("text", None),)


def write_file(file: Path, text: str) -> None:
    """Write a file as a whole, or not at all."""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent or Path(), prefix=f".{file.name}.")
    except OSError as error:
        raise click.FileError(str(file), error.strerror or "cannot be written") from None
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(name).chmod(0o666 & ~mask)
        Path(name).replace(file)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise click.FileError(str(file), error.strerror or "cannot be written") from None

"""The entry point: which commands there are, loaded when used, and the way from an exception to an exit code."""

from __future__ import annotations

import importlib
import sys
import traceback
import uuid
from typing import Any

import click
from click.shell_completion import CompletionItem

from reconciler import __version__, errors
from reconciler.cli.console import (
    colour_is_forced,
    drop_output,
    flush_output,
    open_standard_streams,
    say_if_output_is_lost,
    use_colour,
)

SECTIONS: tuple[tuple[str, dict[str, tuple[str, str]]], ...] = (
    (
        "Declare",
        {
            "init": ("declare_new:init", "scaffold a repository"),
            "new": ("declare_new:new", "write one declaration, names checked as they are typed"),
            "validate": ("declare:validate", "all problems of all declarations, in one run"),
            "fmt": ("declare:fmt", "bring declarations into the house form"),
            "schema": ("declare:schema", "the JSON schema of a declaration, for editors"),
            "explain": ("declare:explain", "a code, field or setting, with examples"),
        },
    ),
    (
        "Reconcile",
        {
            "plan": ("reconcile:plan", "what would change, and why; writes nothing"),
            "show": ("reconcile:show", "render a saved plan"),
            "check-plan": ("reconcile:check_plan", "is a saved plan still current?"),
            "apply": ("reconcile_apply:apply", "carry out a plan"),
            "drift": ("drift:drift", "what is live and not as declared, and how much could be seen"),
            "accept": ("drift:accept", "agree with a difference for a while"),
            "import": ("adopting:import_", "live state to declarations"),
            "lookup": ("lookup:lookup", "triggers, groups, locations, practitioners as they are live"),
            "probe": ("inspect:probe", "record which parts of the APIs show what"),
            "forget": ("keeping:forget", "forget what was applied; nothing live changes"),
            "lock": ("keeping:lock", "who holds the lock, and releasing it"),
            "store": ("keeping:store", "migrate, copy, check, rekey"),
            "ci": ("ci:ci", "what jobs of GitHub and GitLab run: plan, comment, apply, drift"),
            "audit": ("keeping:audit", "verify the audit chain"),
        },
    ),
    (
        "Operate",
        {
            "sync": ("operate:sync", "one pass now: completed visits become review requests"),
            "run": ("operate_run:run", "every pass when it is due, until a signal"),
            "status": ("operate_people:status", "how locations are configured and how their syncs fare"),
            "why": ("operate_people:why", "why a visit was contacted or not"),
            "authorize": ("operate_people:authorize", "let a practice's syncs go on"),
            "pause": ("operate_people:pause", "stop the syncs of a business, or all"),
            "resume": ("operate_people:resume", "end a pause"),
            "held": ("held:held", "check-ins that wait for a person: list, resend, discard"),
        },
    ),
    (
        "Try and serve",
        {
            "demo": ("demo:demo", "the whole story against a sandbox, in a minute"),
            "sandbox": ("serve:sandbox", "both remote APIs, emulated on loopback"),
            "doctor": ("inspect:doctor", "check settings, store, keys, hosts and APIs"),
            "completion": ("serve:completion", "shell completion for bash, zsh or fish"),
        },
    ),
)


class Lazy(click.Group):
    """Loads a command's module when the command is used, so that ``--help`` and completion load nothing heavy."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every command, in the order of the sections."""
        return [name for _, commands in SECTIONS for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, its module loaded now."""
        if ctx.resilient_parsing:  # a person waits for a completion
            from reconciler.cli.complete import stand_in

            light = stand_in(cmd_name)
            if light is not None:
                return light
        for _, commands in SECTIONS:
            if cmd_name in commands:
                module, _, attribute = commands[cmd_name][0].partition(":")
                found: click.Command = getattr(importlib.import_module(f"reconciler.cli.{module}"), attribute)
                return found
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest name where there is no such command."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in self.list_commands(ctx):
            from reconciler.core.suggest import nearest

            close = nearest(name, self.list_commands(ctx))
            hint = f" Did you mean '{close}'?" if close else ""
            raise click.UsageError(f"No such command '{name}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands by section, without loading them."""
        for title, commands in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(name, words) for name, (_, words) in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands from the table: click's own way loads the module of each to ask for its help."""
        found = [
            CompletionItem(name, help=words)
            for _, commands in SECTIONS
            for name, (_, words) in commands.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


EPILOG = (
    "Exit codes: 0 done, 1 invalid input, 2 differences, 3 refused by an objection, 4 stale plan, 5 done in part, "
    "6 locked, 7 could not read enough, 64 wrong usage, 130 and 143 stopped by a signal."
)


@click.group(cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconciler")
def cli() -> None:
    """Nextech to Birdeye, declared in git: validate, plan, apply, drift, and the syncs themselves."""


def main() -> None:
    """Run the command line and exit with the published code."""
    open_standard_streams()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command line. Output is flushed before it is returned."""
    debug = "--debug" in arguments
    try:
        colour = True if colour_is_forced() else None
        code = cli.main(args=arguments, prog_name="reconciler", standalone_mode=False, color=colour)
        flush_output()
        return int(code or 0) if isinstance(code, int) else 0
    except click.exceptions.Exit as error:
        return int(error.exit_code)
    except click.Abort:
        click.echo("stopped", err=True)
        return 130
    except click.FileError as error:
        # Not wrong usage: the disk or its permissions said no.
        click.echo(f"error: {error.format_message()}", err=True)
        return 1
    except click.ClickException as error:
        _show_usage(error)
        return 64
    except errors.DeclarationError as error:
        _show_problems(error)
        return error.exit_code
    except errors.ReconcilerError as error:
        if debug:
            traceback.print_exception(error)
        _show(error)
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
        return 130
    except BrokenPipeError:
        drop_output()
        return 141
    except Exception as error:  # noqa: BLE001 - the last net of the program
        if isinstance(error, OSError) and say_if_output_is_lost(error):
            return 1
        if debug:
            # Python's own form: it has no local variables, which may be a patient's.
            traceback.print_exception(error)
        click.echo(
            f"error: this is a defect of reconciler ({type(error).__name__}, run {uuid.uuid4().hex[:8]})", err=True
        )
        click.echo("  = run the command again with --debug and report what it prints", err=True)
        return 1


def _show(error: errors.ReconcilerError) -> None:
    from reconciler.report.problems import escaped

    lines = [escaped(line) for line in error.message.splitlines()]
    click.echo("\n".join([f"error: {lines[0] if lines else ''}", *lines[1:]]), err=True)
    if error.hint:
        click.echo(f"  = {escaped(error.hint)}", err=True)


def _show_problems(error: errors.DeclarationError) -> None:
    from reconciler.core.problems import Problem
    from reconciler.report.problems import render_text

    problems: Any = tuple(it for it in error.problems if isinstance(it, Problem))
    shown = render_text(problems, error.sources, colour=use_colour(sys.stderr))
    click.echo(shown, err=True, nl=False, color=True if colour_is_forced() else None)
    click.echo(f"error: {error.message}", err=True)


def _show_usage(error: click.ClickException) -> None:
    context = getattr(error, "ctx", None)
    if context is not None:
        click.echo(context.get_usage(), err=True)
    click.echo(f"error: {error.format_message()}", err=True)
    if context is not None:
        click.echo(f"  = {context.command_path} --help", err=True)

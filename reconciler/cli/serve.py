"""``sandbox`` and ``completion``."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType

import click
from click.shell_completion import get_completion_class

from reconciler.cli.options import Common, common


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--seed", type=int, default=1, help="Of everything that is made up.")
@click.option("--practices", type=click.IntRange(0, 100_000), default=0, help="How many to invent beside the samples.")
@click.option(
    "--visits-per-day", type=click.IntRange(0, 100_000), default=12, help="Appointments a practice has a day."
)
@click.option("--dialect", type=click.Choice(["documented", "rich"]), default="documented", help="What answers show.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="A single freedom of the dialect. Repeatable.")
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="Such as M+:3:502-after-commit. Repeatable.")
@click.option("--state", type=click.Path(path_type=Path), metavar="FILE", help="Keep the state; else in memory.")
@click.option("--token", help="A bearer token that may read and write.")
@click.option("--read-only-token", help="A bearer token that may only read.")
@click.option("--token-header", help="The header that holds the bare token.")
@common
def sandbox(
    port: int,
    seed: int,
    practices: int,
    visits_per_day: int,
    dialect: str,
    sets: tuple[str, ...],
    faults: tuple[str, ...],
    state: Path | None,
    token: str | None,
    read_only_token: str | None,
    token_header: str | None,
    common: Common,
) -> int:
    """Emulate both remote APIs on loopback until Ctrl-C; print the URL and the variables to export."""
    from reconciler.sandbox.options import SandboxOptions
    from reconciler.sandbox.server import run_forever

    del common
    options = SandboxOptions(
        port=port,
        seed=seed,
        practices=practices,
        visits_per_day=visits_per_day,
        dialect=dialect,
        settings=sets,
        faults=faults,
        state=state,
        token=token,
        read_only_token=read_only_token,
        token_header=token_header,
    )
    stop = threading.Event()
    code = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal code
        del frame
        code = 128 + number
        stop.set()

    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, handle)
    run_forever(options, click.echo, stop)
    return code


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell; `eval` it, or put it where the shell looks."""
    from reconciler.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, "reconciler", "_RECONCILER_COMPLETE").source())

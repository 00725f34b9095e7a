"""``run``: the runner on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from pathlib import Path

import click

from reconciler.cli.logs import hide
from reconciler.cli.options import Common, common, write_file
from reconciler.cli.stopping import signals
from reconciler.clock import Clock
from reconciler.report import metrics
from reconciler.sync.runner import TICK_SECONDS, Runner
from reconciler.web.health import HealthServer
from reconciler.workflow.syncing import open_runner


@click.command()
@click.option("--workers", type=click.IntRange(1, 64), default=4, show_default=True, help="Practices at a time.")
@click.option("--port", type=click.IntRange(0, 65535), help="Serve /metrics, /healthz, /readyz; 0 takes a free port.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to serve them.")
@click.option("--metrics-file", type=click.Path(path_type=Path), help="Write the metrics to this file at each tick.")
@click.option("--tick", type=click.FloatRange(0.05, 3600), default=TICK_SECONDS, show_default=True, help="Seconds.")
@common
def run(workers: int, port: int | None, host: str, metrics_file: Path | None, tick: float, common: Common) -> int:
    """Make every pass when it is due, until SIGTERM or Ctrl-C; what is in flight then settles, within 25 seconds.

    A second signal ends it at once: what was under way is settled by the next process.
    """
    settings, clock = common.settings(), Clock()
    hide(settings.secrets.known())
    logger = logging.getLogger("reconciler")
    if not common.quiet:
        logger.setLevel(min(logger.level, logging.INFO))
    with signals(clock) as stopped, open_runner(settings, clock, write=True, parallel=workers) as opened:

        def try_token(practice_plus: bool) -> None:
            opened.deps.reads(practice_plus)
            tokens = opened.tokens[practice_plus]
            tokens.forget_refusal()
            tokens.current()

        runner = Runner(
            opened.deps,
            workers=workers,
            name=f"{platform.node()}:{os.getpid()}",
            monotonic=clock.monotonic,
            retention_days=settings.retention_days,
            try_token=try_token,
            tick_seconds=tick,
        )

        def exposition() -> str:
            return metrics.render(runner.figures())

        def on_tick() -> None:
            if metrics_file is not None:
                write_file(metrics_file, exposition())

        with contextlib.ExitStack() as stack:
            if port is not None:
                server = stack.enter_context(
                    HealthServer(host, port, metrics=exposition, health=runner.health, ready=runner.ready)
                )
                common.say(f"metrics, health and readiness on http://{host}:{server.port}")
            common.say(f"running with {workers} workers; SIGTERM or Ctrl-C ends it")
            is_drained = runner.run(on_tick=on_tick)
        on_tick()
    common.say("ended" if is_drained else "ended before everything in flight had settled; the next pass settles it")
    return stopped.exit_code

"""The second half of ``demo``: the runner syncs what was applied."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

import click

from reconciler.sandbox.emr import STATUS_CODES
from reconciler.sandbox.practices import NORTH

if TYPE_CHECKING:
    from reconciler.sandbox.server import Server

SLUG = "example-dermatology-north"


class Story(Protocol):
    """What the demo's first half tells its story with."""

    def heading(self, text: str) -> None:
        """What comes next."""

    def run(self, *arguments: str, expect: int = 0, shown: int | None = None) -> str:
        """One command, echoed and shown."""


def tell(story: Story, server: Server) -> None:
    """The runner's half of the story. The configuration in force is that of the half before."""
    story.heading("Now the runner: which patients of yesterday's visits would be asked for a review? Nothing is sent.")
    story.run("sync", "--dry-run", shown=9)
    story.heading("Send. Each location says what was sent, what was held back, and why.")
    story.run("sync")
    told(server)
    story.heading("A second sync sends nothing: the ledger knows everybody.")
    story.run("sync", shown=1)
    told(server)
    story.heading("A practice withdraws our access. Its locations stop, and nothing is lost.")
    with server.app.emr.lock:
        server.app.emr.unauthorised[NORTH] = 401
    click.echo("  (practice) Nextech answers 401 for the practice from now on")
    story.run("sync", SLUG, expect=5)
    entered_late(server)
    story.heading(
        "The practice lets us in again. A person authorises it; the time in between is made up, each visit once."
    )
    with server.app.emr.lock:
        server.app.emr.unauthorised.pop(NORTH, None)
    story.run("authorize", SLUG, "--by", "Ada Example", "--reason", "access restored, case 1")
    story.run("sync", SLUG)
    told(server)
    story.heading("How do the syncs of that practice stand? And what did people do?")
    story.run("status", SLUG)
    story.run("audit", "verify")


def told(server: Server) -> None:
    """What Birdeye received so far, from behind its API: nobody twice."""
    with server.app.contacts.lock:
        seen = server.app.contacts.seen()
    twice = seen["most_per_external_id_and_day"]
    click.echo(f"  (birdeye) {seen['deliveries']} check-ins received, at most {twice} a patient and day")


def entered_late(server: Server) -> None:
    """A visit of yesterday that the front desk enters only now."""
    emr = server.app.emr
    with emr.lock:
        practice = emr.practice(NORTH)
        if practice is None:
            return
        chart = emr.chart(practice)
        day = emr.now().astimezone(ZoneInfo(practice.places[0].zone)).date() - timedelta(days=1)
        visits = [it for number in chart.numbers(day, day + timedelta(days=1)) if (it := chart.visit(number))]
        busy = {it.patient for it in visits}
        people = (chart.person(number) for number in range(practice.patients) if number not in busy)
        patient = next(it.number for it in people if it.oddity == "plain" and it.email and "@example.com" in it.email)
        wanted = next(it for it in practice.types if it.name == "Follow-up")
        display = STATUS_CODES["fulfilled"]
        late = replace(visits[0], patient=patient, type=wanted, shape="plain", status="fulfilled", display=display)
        emr.book(practice, late)
    click.echo("  (practice) meanwhile the front desk enters one more visit of yesterday")

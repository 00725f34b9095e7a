"""What operators read: status, why, tickets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from reconciler.core.sync_status import LocationStatus, ReminderStatus, Ticket, WhyRow
from reconciler.report.problems import escaped

_COLOURS = {"ok": "32", "stopped": "1;31", "error": "1;31", "unauthorised": "1;31", "waiting": "33", "paused": "33"}


def render_status(found: Sequence[LocationStatus], *, colour: bool = False) -> str:
    """Two lines a location: what is in force, how the syncs fare."""
    if not found:
        return "Nothing is in force: nothing was applied yet.\n"
    lines: list[str] = []
    slug = ""
    for it in found:
        if it.slug != slug:
            slug = it.slug
            applied = f"revision {it.revision}, applied {it.applied_at:%Y-%m-%d %H:%M} UTC by plan {it.plan_id[:8]}"
            commit = f", commit {it.commit[:12]}" if it.commit else ""
            lines.append(f"{slug} ({applied}{commit})")
        words = ["active" if it.is_active else "inactive", f"runner {it.runner}"]
        words += ["beta"] if it.beta else []
        words += ["Practice+"] if it.practice_plus else []
        name = f" {escaped(it.name)}" if it.name else ""
        lines.append(f"  {it.business}{name}")
        lines.append(f"    config: {', '.join(words)}")
        status = f"\x1b[{_COLOURS.get(it.status, '2')}m{it.status}\x1b[0m" if colour else it.status
        lines.append(f"    flow:   {status}" + (f": {escaped(it.detail)}" if it.detail else ""))
        times = [
            f"{word} {_moment(at)}"
            for word, at in (("last success", it.last_success), ("next due", it.next_due), ("done up to", it.mark))
            if at is not None
        ]
        if times:
            lines.append(f"            {', '.join(times)}")
        rows = [f"{count} {word}" for word, count in it.rows.items() if count]
        if rows:
            lines.append(f"            contacts: {', '.join(rows)}")
        if it.reminders is not None:
            lines += _reminders(it.reminders, colour)
    return "\n".join(lines) + "\n"


def _reminders(it: ReminderStatus, colour: bool) -> list[str]:
    status = f"\x1b[{_COLOURS.get(it.status, '2')}m{it.status}\x1b[0m" if colour else it.status
    lines = [f"    reminders: {status}" + (f": {escaped(it.detail)}" if it.detail else "")]
    times = (("last success", it.last_success), ("next due", it.next_due), ("told up to", it.mark))
    shown = [f"{word} {_moment(at)}" for word, at in times if at is not None]
    if shown:
        lines.append(f"            {', '.join(shown)}")
    for word, counts in (("appointments", it.appointments), ("requests of patients", it.requests)):
        found = [f"{count} {state.replace('_', ' ')}" for state, count in sorted(counts.items()) if count]
        if found:
            lines.append(f"            {word}: {', '.join(found)}")
    return lines


def status_document(
    found: Sequence[LocationStatus], tickets: Sequence[Ticket] = (), *, onboarding: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """``status --output json``."""
    document: dict[str, Any] = {
        "format_version": "1.1",  # 1.1: ``onboarding``, ``reminders``
        "kind": "status",
        "locations": [it.to_json() for it in found],
        "onboarding": [dict(it) for it in onboarding],
    }
    if tickets:
        document["tickets"] = [it.to_json() for it in tickets]
    return document


def render_tickets(found: Sequence[Ticket]) -> str:
    """Text to paste into a ticket to Nextech."""
    lines: list[str] = []
    for it in found:
        shown = it.practice_id.reveal() if it.practice_id is not None else "(add it: status --ticket --reveal shows it)"
        lines += [
            f"Practice ID: {escaped(shown)}",
            f"Product:     {it.product}, {it.url}",
            f"Business:    {', '.join(it.slugs)}",
            f"State:       {it.status}" + (f": {escaped(it.detail)}" if it.detail else ""),
            f"Last good:   {_moment(it.last_success) if it.last_success is not None else 'never'}",
            f"As of:       {_moment(it.at)}",
            "",
        ]
    return "\n".join(lines) if lines else "No practice to write about.\n"


def render_why(found: Sequence[WhyRow]) -> str:
    """One block a decision."""
    lines: list[str] = []
    for it in found:
        what = f"{it.outcome}: {escaped(it.reason)}" if it.reason else it.outcome
        lines.append(f"{it.slug} {it.business}, visit of {it.day or 'an unknown day'} ({it.id}): {what}")
        lines.append(f"  rule      {it.rule}")
        lines += [f"  compared  {escaped(key)}: {escaped(_value(value))}" for key, value in it.compared]
        commit = f", commit {it.commit[:12]}" if it.commit else ""
        plan = f", plan {it.plan_id[:8]}" if it.plan_id else ""
        lines.append(f"  by        configuration revision {it.revision}{plan}{commit}")
        lines.append(
            f"  decided   {_moment(it.decided_at)} in pass {it.pass_id[:8]}" + (", backfilled" * it.is_backfilled)
        )
        if it.state is not None:
            settled = f" on {_moment(it.settled_at)}" if it.settled_at is not None else ""
            code = f", Birdeye's code {it.code}" if it.code is not None else ""
            customer = f", customer {it.customer_id}" if it.customer_id is not None else ""
            lines.append(f"  contact   {it.state}{settled}{code}{customer}")
    return "\n".join(lines) + "\n"


def why_document(found: Sequence[WhyRow]) -> dict[str, Any]:
    """``why --output json``."""
    return {"format_version": "1.0", "kind": "why", "visits": [it.to_json() for it in found]}


def _value(value: Any) -> str:
    return ", ".join(str(it) for it in value) or "(none)" if isinstance(value, list | tuple) else str(value) or "(none)"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"

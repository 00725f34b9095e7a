"""How a sync ended, as people read it on a terminal: per location what was sent, what was held back, and why."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.core.reminder_report import ReminderReport
from reconciler.core.sync_report import LocationReport, SyncReport
from reconciler.report.problems import escaped

_COLOURS = {"ok": "32", "stopped": "1;31", "error": "1;31", "unauthorised": "1;31", "waiting": "33", "paused": "33"}


def render_sync(report: SyncReport, *, colour: bool = False) -> str:
    """The whole report; its last line is always of one form."""
    lines: list[str] = []
    slug = ""
    for it in report.locations:
        if it.slug != slug:
            slug = it.slug
            lines.append(slug)
        lines += _location(it, colour, dry_run=report.dry_run)
    if not report.locations:
        lines.append("Nothing is due.")
    for one in report.passes:
        if one.unassigned:
            lines.append(f"practice {one.practice[:12]}: {one.unassigned} visits belong to none of its locations")
    lines += [f"error: {escaped(it)}" for it in report.errors]
    lines.append(totals(report))
    return "\n".join(lines) + "\n"


def totals(report: SyncReport) -> str:
    """The last line."""
    counts = [it.counts for it in report.locations]
    ran = sum(it.start is not None and it.status == "ok" for it in report.locations)
    requests: dict[str, int] = {}
    for one in report.passes:
        for endpoint, number in one.requests.items():
            requests[endpoint] = requests.get(endpoint, 0) + number
    verb = "would send" if report.dry_run else "sent"
    sent = sum(it.pending for it in counts) if report.dry_run else sum(it.sent for it in counts)
    parts = [
        f"{ran} of {len(report.locations)} locations ran",
        f"{sum(it.read for it in counts)} visits read",
        f"{sent} {verb}" if not report.dry_run else f"{verb} {sent}",
        f"{sum(it.already_sent for it in counts)} sent before",
        f"{sum(sum(it.restricted.values()) + sum(it.skipped.values()) for it in counts)} held back",
    ]
    for word, number in (
        ("held", sum(it.held for it in counts)),
        ("failed", sum(it.failed for it in counts)),
        ("quarantined", sum(it.quarantined for it in counts)),
        ("pending", 0 if report.dry_run else sum(it.pending for it in counts)),
    ):
        if number:
            parts.append(f"{number} {word}")
    reminders = [it.reminders for it in report.locations if it.reminders is not None]
    upserts = [it.upsert for it in reminders if it.upsert is not None]
    told = sum(it.pending for it in upserts) if report.dry_run else sum(it.sent for it in upserts)
    if reminders:
        parts.append(f"would tell of {told} appointments" if report.dry_run else f"told of {told} appointments")
    asked = [it.requests for it in reminders if it.requests is not None]
    done = sum(it.accepted + it.rejected for it in asked)
    left = sum(it.held + it.pending for it in asked)
    if done or left:
        parts.append(f"answered {done} requests of patients" + (f" ({left} left)" if left else ""))
    parts.append(f"{sum(requests.values())} requests")
    return "Sync: " + ", ".join(parts) + "."


def _location(it: LocationReport, colour: bool, *, dry_run: bool) -> Iterable[str]:
    status = f"\x1b[{_COLOURS.get(it.status, '2')}m{it.status}\x1b[0m" if colour else it.status
    lines = [f"  {it.business}  {status}" + (f": {escaped(it.detail)}" if it.detail else "")]
    counts = it.counts
    if it.start is not None and it.to is not None and (counts.read or it.status == "ok"):
        window = "nothing new" if it.start >= it.to else f"{it.start:%Y-%m-%d %H:%M} to {it.to:%Y-%m-%d %H:%M} UTC"
        shown = [
            f"{number} {word}"
            for word, number in (
                ("would be sent" if dry_run else "sent", counts.pending if dry_run else counts.sent),
                ("sent before", counts.already_sent),
                ("held", counts.held),
                ("failed", counts.failed),
                ("quarantined", counts.quarantined),
                ("pending", 0 if dry_run else counts.pending),
            )
            if number
        ]
        lines.append(f"    {window}: {counts.read} visits" + (f", {', '.join(shown)}" if shown else ""))
        for word, reasons in (("restricted", counts.restricted), ("skipped", counts.skipped)):
            lines += [f"    {word} {number}: {escaped(reason)}" for reason, number in reasons.items()]
    if it.crm_locations:
        lines.append(f"    nextech has: {', '.join(escaped(one) for one in it.crm_locations)}")
    lines += [f"    warning: {escaped(one)}" for one in it.warnings]
    if it.reminders is not None:
        lines += _reminders(it.reminders, colour, dry_run=dry_run)
    return lines


def _reminders(it: ReminderReport, colour: bool, *, dry_run: bool) -> Iterable[str]:
    status = f"\x1b[{_COLOURS.get(it.status, '2')}m{it.status}\x1b[0m" if colour else it.status
    lines = [f"    reminders {status}" + (f": {escaped(it.detail)}" if it.detail else "")]
    told, asked = it.upsert, it.requests
    if told is not None:
        shown = [
            f"{number} {word}"
            for word, number in (
                ("would be told" if dry_run else "told", told.pending if dry_run else told.sent),
                ("unchanged", told.unchanged),
                ("vanished", told.vanished),
                ("newer at Birdeye", told.newer),
                ("quarantined", told.quarantined),
                ("failed", told.failed),
                ("unknown", told.unknown),
                ("pending", 0 if dry_run else told.pending),
            )
            if number
        ]
        lines.append(f"      {told.read} appointments" + (f": {', '.join(shown)}" if shown else ""))
        lines += [f"      unsent {number}: {escaped(reason)}" for reason, number in sorted(told.unsent.items())]
    if asked is not None and asked.open + asked.received:
        parts = (
            ("accepted", asked.accepted),
            ("rejected", asked.rejected),
            ("held", asked.held),
            ("pending", asked.pending),
        )
        shown = [f"{number} {word}" for word, number in parts if number]
        lines.append(f"      {asked.open + asked.received} requests of patients: {', '.join(shown)}")
    lines += [f"      warning: {escaped(one)}" for one in it.warnings]
    return lines

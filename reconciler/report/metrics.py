"""The runner's figures in Prometheus's text format: bounded labels, practices by slug, nothing of a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OUTCOMES = ("sent", "already_sent", "restricted", "skipped", "quarantined", "held", "failed", "pending")


@dataclass(frozen=True, slots=True)
class LocationFigures:
    """One location as it stands in the ledger."""

    slug: str
    business: int
    status: str
    last_success: float | None
    """Unix seconds."""
    lag_seconds: float | None
    """How far the mark is behind the end of its window; None before the first pass."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is exported."""

    locations: tuple[LocationFigures, ...] = ()
    states: Mapping[str, int] = field(default_factory=dict)
    """Ledger rows by state: ``held``, ``unknown``, ``planned``, ``failed``, …"""
    oldest_due_seconds: float = 0.0
    """For how long the location that has waited longest has been due."""
    visits: Mapping[str, int] = field(default_factory=dict)
    """Visits by outcome since the process started."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """Requests by endpoint since the process started."""
    passes: Mapping[str, int] = field(default_factory=dict)
    """Locations by status of their passes since the process started."""
    waiting: int = 0
    running: int = 0
    paused_all: bool = False


def render(figures: Figures) -> str:
    """The whole exposition, metrics and labels in a fixed order."""
    lines: list[str] = []
    by_slug: dict[str, list[LocationFigures]] = {}
    for it in figures.locations:
        by_slug.setdefault(it.slug, []).append(it)
    _family(
        lines,
        "reconciler_last_success_timestamp_seconds",
        "gauge",
        "When the location of this business that is furthest behind last had a pass without an error",
        (
            ({"slug": slug}, min((it.last_success or 0.0) for it in members))
            for slug, members in sorted(by_slug.items())
        ),
    )
    _family(
        lines,
        "reconciler_mark_lag_seconds",
        "gauge",
        "How far the mark of the location furthest behind is from the end of its window",
        (
            ({"slug": slug}, max(lags))
            for slug, members in sorted(by_slug.items())
            if (lags := [it.lag_seconds for it in members if it.lag_seconds is not None])
        ),
    )
    statuses: dict[str, int] = {}
    for it in figures.locations:
        statuses[it.status] = statuses.get(it.status, 0) + 1
    _family(lines, "reconciler_locations", "gauge", "Locations by status", _labelled("status", statuses))
    _family(lines, "reconciler_ledger_rows", "gauge", "Contacts by state", _labelled("state", figures.states))
    _single(
        lines, "reconciler_oldest_due_seconds", "How long the oldest due location waits", figures.oldest_due_seconds
    )
    _single(lines, "reconciler_jobs_waiting", "Passes that wait for a worker", figures.waiting)
    _single(lines, "reconciler_jobs_running", "Passes that run", figures.running)
    _single(lines, "reconciler_paused_all", "1 while all sending is paused", int(figures.paused_all))
    counters = (
        ("reconciler_visits_total", "Visits by outcome", "outcome", figures.visits),
        ("reconciler_requests_total", "Requests by endpoint", "endpoint", figures.requests),
        ("reconciler_passes_total", "Locations by status of their passes", "status", figures.passes),
    )
    for name, words, label, values in counters:
        _family(lines, name, "counter", words, _labelled(label, values))
    return "\n".join(lines) + "\n"


def _labelled(label: str, values: Mapping[str, int]) -> Iterable[tuple[Mapping[str, str], float]]:
    return (({label: key}, value) for key, value in sorted(values.items()))


def _family(
    lines: list[str], name: str, kind: str, words: str, samples: Iterable[tuple[Mapping[str, str], float]]
) -> None:
    lines += [f"# HELP {name} {words}.", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value:.15g}")


def _single(lines: list[str], name: str, words: str, value: float) -> None:
    lines += [f"# HELP {name} {words}.", f"# TYPE {name} gauge", f"{name} {value:.15g}"]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")

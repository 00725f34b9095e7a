"""Caps: a location that suddenly has far more contacts than ever sends none of them until a person says so."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from datetime import date, timedelta

from reconciler.sync.taking import Taken, window_days

TIMES_MEDIAN = 10
LEAST = 50
HISTORY_DAYS = 14
LOOK_BACK = timedelta(days=90)


def over(
    one: Taken, eligible: int, *, history: Mapping[date, int], max_contacts_per_run: int, by_person: int | None
) -> str | None:
    """Why a location may not send so many; None where it may. ``history``: eligible visits by day, of other days."""
    command = f"reconciler sync {one.business} --max-contacts {eligible} --by NAME --reason TEXT"
    if by_person is not None:
        if eligible <= by_person:
            return None
        return f"{eligible} contacts, more than --max-contacts {by_person}; nothing was sent; to go on: {command}"
    if eligible > max_contacts_per_run:
        return (
            f"{eligible} contacts, more than max_contacts_per_run {max_contacts_per_run}; nothing was sent; "
            f"to go on: {command}"
        )
    if len(history) < HISTORY_DAYS:
        return None
    median = statistics.median(history.values())
    usual = max(LEAST, int(TIMES_MEDIAN * median * window_days(one.window)))
    if eligible > usual:
        return (
            f"{eligible} contacts in {window_days(one.window)} days, where {median:g} a day are usual (at most {usual} "
            f"pass); nothing was sent; to go on: {command}"
        )
    return None

"""When locations are due, for people: by what is in force now, not by what was when the last pass ended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.errors import SecretError
from reconciler.store.sync_marks import LocationState
from reconciler.sync import planner
from reconciler.sync.places import Place
from reconciler.sync.pseudonyms import Pseudonyms
from reconciler.workflow.holding import Ledger

NEVER = ("inactive", "platform", "paused")
"""Of these nothing is due, whatever the time."""


@dataclass(frozen=True, slots=True)
class Dues:
    """Of any number of locations."""

    opened: Ledger
    reveal: Callable[[str], str] | None
    """Of the reference of a practice id; None: not asked for."""
    now: datetime

    def of(self, place: Place, gate: object, state: LocationState | None, status: str) -> datetime | None:
        """None where nothing makes it due (``gate``, ``status``), or where its slots are not known yet."""
        if gate is not None or place.rules is None or status in NEVER:
            return None
        practice = "" if place.rules.next_run is not None else self._practice(place, state)
        return None if practice is None else planner.due_next(place, practice, state, self.now)

    def _practice(self, place: Place, state: LocationState | None) -> str | None:
        """The pseudonym that the practice's slots are spread by."""
        if self.reveal is not None and self.opened.keys is not None and place.practice_reference is not None:
            with contextlib.suppress(SecretError):
                return Pseudonyms(self.opened.keys.inner).practice(self.reveal(place.practice_reference))
        return state.practice if state is not None and state.practice else None

"""What earlier passes left planned, looked at once more by every pass before it reads: may it still be sent?

Only what would be planned today is. A backfill closes the days it covers for good, and where the ledger is not the
newest it holds the others for a person; an ordinary pass closes what lies before the floor, what catch-up has closed
and what the filters now in force exclude. What a person had sent again (``held resend``) is past floor and catch-up,
never past the filters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.core import decide, windows
from reconciler.core.decide import Decision
from reconciler.core.decide_rules import LocationRules, narrowed, rules_of
from reconciler.core.fhir_models import Appointment
from reconciler.core.phi import Phi
from reconciler.store import in_force, ledger_planned
from reconciler.store.ledger import Visit
from reconciler.store.ledger_people import RESENT
from reconciler.store.ledger_planned import LEDGER_WAS_OLDER, Closed
from reconciler.sync.context import Deps, Options
from reconciler.sync.taking import Taken

CONFIGURATION_CHANGED = "configuration_changed"
_KEPT = Decision("send", "", "send")


@dataclass
class Leftover:
    """One look at what a practice's locations have planned."""

    deps: Deps
    practice: str
    """Pseudonym."""
    options: Options
    pass_id: str
    now: datetime
    is_doubtful: bool = False
    """The ledger is not the newest."""
    _earlier: dict[tuple[int, int], LocationRules | None] = field(default_factory=dict)

    def close(self, taken: Sequence[Taken]) -> dict[int, dict[str, Closed]]:
        """Close what may not be sent, unless this is a dry run; what was closed, by location and appointment."""
        mine = {it.business: it for it in taken}
        with self.deps.ledger.read() as connection:
            rows = ledger_planned.waiting(connection, self.practice, list(mine))
            if self.options.kind == "backfill":
                rows += ledger_planned.held_for_age(connection, self.practice, list(mine))
        by_location: dict[int, list[Visit]] = {}
        for row in rows:
            by_location.setdefault(row.business, []).append(row)
        found: dict[int, dict[str, Closed]] = {}
        for business, one in mine.items():
            closed = self._judged(one, by_location.get(business, []))
            if not self.options.dry_run:
                closed = self._kept(one, closed)
            if closed:
                found[business] = {it.visit.appointment: it for it in closed}
        return found

    def _kept(self, one: Taken, closed: Sequence[Closed]) -> list[Closed]:
        first, last = self.options.first, self.options.last
        is_backfill = first is not None and last is not None
        if not closed and not is_backfill:
            return []
        with self.deps.ledger.begin() as connection:
            if first is not None and last is not None:
                ledger_planned.mark_backfilled(connection, self.practice, one.business, first, last)
            return list(
                ledger_planned.close(
                    connection, closed, pass_id=self.pass_id, revision=one.rules.revision, now=self.now
                )
            )

    def _judged(self, one: Taken, rows: Sequence[Visit]) -> list[Closed]:
        closed = []
        left = []
        for row in rows:
            if self.options.day is not None and row.day != self.options.day:
                continue  # of no concern to this pass, which does not send it either
            found = self._backfilled(row) if self.options.kind == "backfill" else self._late(one, row)
            if found is not None:
                closed.append(found)
            elif row.revision != one.rules.revision:
                left.append(row)
        if left and self.options.kind != "backfill":
            closed += self._filtered(one, left)
        return closed

    def _backfilled(self, row: Visit) -> Closed | None:
        first, last = self.options.first, self.options.last
        if row.is_backfilled or (first and last and row.day and first <= row.day <= last):
            return Closed(row, "backfilled", _KEPT)
        if self.is_doubtful and row.state == "planned":
            return Closed(row, "held", Decision("held", LEDGER_WAS_OLDER, "the newest ledger"))
        return None

    def _late(self, one: Taken, row: Visit) -> Closed | None:
        if row.is_backfilled:
            return Closed(row, "backfilled", _KEPT)
        if row.start is None or row.rule == RESENT:
            return None
        if one.floor is not None and row.start < one.floor:
            return Closed(row, "discarded", _KEPT)
        if row.day is not None and row.day < one.contact_start.day:
            compared = (("day", row.day.isoformat()), ("contact_start", one.contact_start.day.isoformat()))
            return Closed(row, "decided", Decision("skipped", "too_old", "contact_start", compared))
        if self.options.day is None and row.start < (limit := self._limit(one)):
            shown = (("start", row.start.isoformat()), ("closed before", limit.isoformat()))
            return Closed(row, "decided", Decision("skipped", "too_late", "max_catch_up_days", shown))
        return None

    def _limit(self, one: Taken) -> datetime:
        """Where catch-up ends. A backlog that was declared counts from the day the location was put in force."""
        limit = windows.catch_up_limit(
            one.ordinary.to,
            zone=one.rules.zone,
            max_catch_up_days=self.deps.limits.max_catch_up_days,
            frequency=one.rules.frequency,
        )
        in_force_since = windows.floor_of(one.place.first_active_at or self.now, one.rules.zone)
        return datetime.min.replace(tzinfo=UTC) if in_force_since >= limit else limit

    # filters -----------------------------------------------------------------------------------------------------

    def _filtered(self, one: Taken, rows: Sequence[Visit]) -> list[Closed]:
        """Rows that were planned under another configuration, where the filters of today are narrower."""
        narrower: list[tuple[Visit, frozenset[str]]] = []
        for row in rows:
            by = narrowed(self._rules_at(one, row.revision), one.rules)
            if by:
                narrower.append((row, by))
        if not narrower:
            return []
        with self.deps.ledger.read() as connection:
            names = [it.appointment for it, _ in narrower]
            seen = ledger_planned.seen(connection, self.practice, names, keys=self.deps.keys)
        closed = []
        for row, by in narrower:
            found = _judge(one.rules, row, by, seen.get(row.appointment))
            if found is not None:
                closed.append(found)
        return closed

    def _rules_at(self, one: Taken, revision: int) -> LocationRules | None:
        key = (one.business, revision)
        if key not in self._earlier:
            with self.deps.store.read() as connection:
                old = in_force.at_revision(connection, one.place.parent, revision)
            known = old is not None and old.document["locations"].get(str(one.business), {}).get("time_zone")
            self._earlier[key] = rules_of(old, one.business) if old is not None and known else None
        return self._earlier[key]


def _judge(rules: LocationRules, row: Visit, by: frozenset[str], seen: Mapping[str, Any] | None) -> Closed | None:
    """``by``: the filters that are narrower than when the row was planned; ``seen``: the visit as it was read."""
    compared = (("narrower", tuple(sorted(by))),)
    held = Closed(row, "held", Decision("held", CONFIGURATION_CHANGED, "the filters in force", compared))
    if seen is None or row.start is None:
        return held
    visit = _visit(row.start, seen)
    decision = decide.decide_filters(visit, rules)
    if decision is not None:
        return Closed(row, "decided", decision)
    if by & {"excluded_patient_types", "minimum_age"}:
        return held  # what they look at is not kept with the decision
    if "location_names" in by and not decide.same(visit.location_names, rules.location_names):
        return held  # it may be another location's now
    return None


def _visit(start: datetime, seen: Mapping[str, Any]) -> Appointment:
    return Appointment(
        id=Phi(""),
        start=start,
        status=seen.get("status"),
        custom_status=seen.get("custom_status"),
        types=tuple(seen.get("types", ())),
        purposes=tuple(seen.get("purposes", ())),
        patient_id=Phi(""),
        location_names=tuple(seen.get("location_names", ())),
        practitioner_ids=tuple(seen.get("practitioner_ids", ())),
    )

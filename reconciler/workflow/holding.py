"""``held``: check-ins that wait for a person. Listed with their appointment, sent again or given up on somebody's word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from reconciler.clients.contacts import CODES
from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.core.suggest import nearest
from reconciler.errors import UsageError
from reconciler.settings.values import Settings
from reconciler.store import audit, in_force, ledger_keys, ledger_people, sync_marks
from reconciler.store.database import Store, open_store
from reconciler.store.ledger import Visit
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.sync import places
from reconciler.workflow import session

Action = Literal["resend", "discard"]


@dataclass(frozen=True, slots=True)
class Ledger:
    """The two stores of the runner, which may be one, and the ledger's keys."""

    main: Store
    store: Store
    """The ledger's."""
    keys: LedgerKeys | None
    """None where there is no ledger yet (opened for reading only)."""


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One check-in that waits, for an operator's eyes."""

    id: str
    slug: str
    business: int
    day: date | None
    appointment_id: Phi[str] | None
    """In Nextech; None where the record is damaged."""
    state: str
    why: str
    since: datetime
    can_be_sent: bool
    """Is its payload still kept?"""


@contextmanager
def open_ledger(settings: Settings, now: Callable[[], datetime], *, write: bool) -> Iterator[Ledger]:
    """Open store and ledger, once where they are the same."""
    with open_store(settings.store, now=now, write=write) as main:
        if settings.ledger_store == settings.store:
            yield Ledger(main, main, _keys(settings, main))
            return
        with open_store(settings.ledger_store, now=now, write=write) as store:
            yield Ledger(main, store, _keys(settings, store))


def _keys(settings: Settings, store: Store) -> LedgerKeys | None:
    return None if store.empty else ledger_keys.load(store, session.ledger_key(settings, store))


def held(ledger: Ledger, selection: Sequence[str] = (), *, with_failed: bool = False) -> tuple[HeldRow, ...]:
    """What waits: held and still unknown check-ins, with ``with_failed`` the refused ones too; by location and day.

    ``selection``: slugs, or numbers of businesses or locations; all where it is empty. Raises ``UsageError`` for one that
    neither anything in force nor the ledger knows.
    """
    parents = _parents(ledger)
    if ledger.keys is None:
        _refuse_unknown(selection, parents, ())
        return ()
    states: tuple[State, ...] = ("held", "unknown", "failed") if with_failed else ("held", "unknown")
    with ledger.store.read() as connection:
        found = ledger_people.held(connection, keys=ledger.keys, states=states)
        seen = {(it.slug, business) for business, it in sync_marks.locations(connection).items()}
    _refuse_unknown(selection, parents, seen | {(it.visit.slug, it.visit.business) for it in found})
    chosen = frozenset(selection)
    return tuple(
        HeldRow(
            id=it.visit.id,
            slug=it.visit.slug,
            business=it.visit.business,
            day=it.visit.day,
            appointment_id=it.appointment_id,
            state=str(it.visit.state),
            why=_why(it.visit),
            since=it.visit.settled_at or it.visit.decided_at,
            can_be_sent=it.has_contact,
        )
        for it in found
        if not chosen
        or chosen & {it.visit.slug, str(it.visit.business), str(parents.get((it.visit.slug, it.visit.business)))}
    )


def _parents(ledger: Ledger) -> dict[tuple[str, int], int]:
    """The parent business of every location in force, by slug and location."""
    if ledger.main.empty:
        return {}
    with ledger.main.read() as connection:
        return {(it.slug, it.business): it.parent for it in places.places(in_force.every(connection))}


def _refuse_unknown(
    selection: Iterable[str], parents: Mapping[tuple[str, int], int], seen: Iterable[tuple[str, int]]
) -> None:
    known = {str(it) for it in parents.values()}
    known |= {name for slug, business in (*parents, *seen) for name in (slug, str(business))}
    for name in selection:
        if name not in known:
            close = nearest(name, known)
            hint = f"did you mean: `{close}`" if close else "give a slug, or the number of a business or location"
            raise UsageError(f"nothing in force is called {name}", hint=hint)


def _why(it: Visit) -> str:
    if it.outcome == "held" or (it.state == "held" and it.reason):
        return it.reason
    if it.state == "unknown":
        return "no answer came; the next pass looks it up"
    if it.state == "failed":
        meaning = "the record cannot be opened" if it.code is None else CODES.get(it.code, (None, "not documented"))[1]
        return f"Birdeye refused it: {meaning}" + ("" if it.code is None else f" ({it.code})")
    if it.customer_id is not None:
        return "no answer came; Birdeye has a contact by this address or number, but no activity since that is surely this visit's"
    if it.replans:
        return "no answer came, twice; Birdeye does not know the contact"
    return "no answer came, and there is nothing to look it up by"


def act(
    ledger: Ledger, action: Action, ids: Sequence[str], *, by: str, reason: str, now: datetime
) -> tuple[Visit, ...]:
    """Have check-ins sent again by the next pass, or give them up; recorded in the audit chain. All of them or none.

    Raises ``UsageError`` for an id that is unknown or ambiguous, and for a check-in that cannot be moved so.
    """
    if not by.strip() or not reason.strip():
        raise UsageError("--by and --reason must say who decided it, and why")
    if ledger.keys is None:
        raise UsageError("there is no ledger yet")
    with ledger.store.begin() as connection:
        visits = ledger_people.find(connection, ids)
        to: Literal["planned", "discarded"] = "planned" if action == "resend" else "discarded"
        ledger_people.move(connection, visits, to, keys=ledger.keys, now=now)
        # Last inside the ledger's transaction: where the record cannot be written, nothing was moved.
        if ledger.main is ledger.store:
            audit.append(connection, _entry(action, visits, by=by, reason=reason), at=now)
        else:
            with ledger.main.begin() as main:
                audit.append(main, _entry(action, visits, by=by, reason=reason), at=now)
    return visits


def _entry(action: Action, visits: Sequence[Visit], *, by: str, reason: str) -> dict[str, object]:
    objects = [
        {"kind": "visit", "slug": it.slug, "business": it.business, "action": action, "change_id": it.id}
        for it in visits
    ]
    return {"operation": f"held {action}", "who": by, "reason": reason, "objects": objects}

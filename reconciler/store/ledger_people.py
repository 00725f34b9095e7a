"""What people do with ledger rows: list those that wait for them, have one sent again, give one up.

Functions run inside the caller's transaction; the audit record of an action is the caller's (``workflow.holding``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError
from reconciler.store.ledger import Visit
from reconciler.store.ledger_keys import LedgerKeys


@dataclass(frozen=True, slots=True)
class HeldVisit:
    """A row that waits for a person, with its appointment id in clear, for the operator's eyes."""

    visit: Visit
    appointment_id: Phi[str] | None
    """None where the payload cannot be opened."""
    has_contact: bool
    """Can it be sent again?"""


def held(
    connection: Connection,
    *,
    keys: LedgerKeys,
    states: Collection[State] = ("held", "unknown"),
    businesses: Collection[int] | None = None,
) -> tuple[HeldVisit, ...]:
    """Rows in these states, by location and day."""
    raise InternalError("not built yet")


def find(connection: Connection, ids: Sequence[str]) -> tuple[Visit, ...]:
    """The rows with these ids (the start of an appointment's pseudonym, 8 digits or more).

    Raises ``UsageError`` for one that names no row or several.
    """
    raise InternalError("not built yet")


def move(connection: Connection, visits: Sequence[Visit], to: State) -> int:
    """Make a person's move (``planned`` or ``discarded``). Raises ``UsageError`` where a row's state has no such move."""
    raise InternalError("not built yet")

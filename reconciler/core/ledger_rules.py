"""The ledger's states and what an answer of Birdeye to a check-in means, as data.

Codes: ``birdeye-contacts-api.md`` 1.5, 1.6, 2.3, 2.4 (public reference, read 2026-06); what to do: ``sync.md``,
*Ledger* and *Deliver*. Branch on the code, not on the status: statuses differ for the same code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.errors import InternalError

State = Literal["planned", "intent", "confirmed", "failed", "unknown", "held", "discarded"]
By = Literal["runner", "person"]

INITIAL: frozenset[State] = frozenset({"planned", "held"})
"""``held`` from the start: a visit that two locations claim."""
SENDABLE: frozenset[State] = frozenset({"planned"})
FINAL: frozenset[State] = frozenset({"confirmed", "discarded"})
KEEPS_PAYLOAD: frozenset[State] = frozenset({"planned", "intent", "unknown", "held", "failed"})
"""The encrypted payload is deleted on every other state."""
MOVES: Mapping[tuple[State, State], By] = {
    ("planned", "intent"): "runner",
    ("intent", "confirmed"): "runner",
    ("intent", "failed"): "runner",
    ("intent", "unknown"): "runner",
    # Proven not to have been taken: refused connection, 429, location or account stopped. Nothing lost, nothing sent.
    ("intent", "planned"): "runner",
    ("unknown", "confirmed"): "runner",
    ("unknown", "planned"): "runner",
    ("unknown", "held"): "runner",
    # What was planned when its location stopped being contacted is never made up.
    ("planned", "discarded"): "runner",
    # Planned by a ledger that was not the newest, or under wider filters: a person decides.
    ("planned", "held"): "runner",
    ("held", "planned"): "person",
    ("held", "discarded"): "person",
    ("failed", "planned"): "person",
    ("failed", "discarded"): "person",
    ("unknown", "discarded"): "person",
}
"""Who may make each move: the runner by itself, or a person with ``--by`` and ``--reason``."""
MAX_REPLANS = 1
"""How often an unknown row that Birdeye does not know is planned again."""


def check_move(old: State, new: State, *, by: By) -> None:
    """Raises ``InternalError`` for a move that the table does not have for this actor."""
    allowed = MOVES.get((old, new))
    if allowed is None or allowed != by:
        raise InternalError(f"a ledger row may not go from {old} to {new} by the {by}")


CheckinKind = Literal["confirmed", "failed", "stop_location", "stop_account", "retry", "without_flags", "unknown"]

ERROR_CODES: Mapping[int, CheckinKind] = {
    89: "retry",
    1541: "retry",
    1161: "stop_account",
    1167: "stop_account",
    1033: "stop_account",
    1380: "stop_account",
    4011: "stop_account",
    1011: "stop_location",
    1027: "stop_location",
    1175: "stop_location",
    1532: "stop_location",
    20099: "without_flags",
    1142: "failed",
    1086: "failed",
    1087: "failed",
    1088: "failed",
    1055: "failed",
    1021: "failed",
    1001: "failed",
    1246: "failed",
    1170: "failed",
    1089: "failed",
    1091: "failed",
    5008: "failed",
    5046: "failed",
}
"""A code that is not here fails the record where the answer is a refusal, and leaves it unknown where it is a 5xx."""

STATE_AFTER: Mapping[CheckinKind, State] = {
    "confirmed": "confirmed",
    "failed": "failed",
    "stop_location": "planned",
    "stop_account": "planned",
    "retry": "planned",
    "without_flags": "failed",
    "unknown": "unknown",
}
"""Where the row of an intent goes once retries in place are used up (``without_flags``: the second time)."""


@dataclass(frozen=True, slots=True)
class CheckinOutcome:
    """What became of one check-in. Never the remote message: it may quote the patient."""

    kind: CheckinKind
    code: int | None = None
    customer_id: str | None = None

    @property
    def state(self) -> State:
        """The row's next state, see ``STATE_AFTER``."""
        return STATE_AFTER[self.kind]


TIMED_OUT = CheckinOutcome("unknown")
"""Reset or time-out after bytes went out."""
NOT_SENT = CheckinOutcome("retry")
"""Refused connection, name not found: the request never left."""


def classify(status: int, body: Any) -> CheckinOutcome:
    """``status`` and the parsed JSON ``body`` (None where it was not JSON) of an answer to a check-in.

    An id in a success means that the contact was made, whatever else the object says.
    """
    code = error_code(body)
    if 200 <= status < 300:
        found = customer_id(body)
        if found is not None:
            return CheckinOutcome("confirmed", customer_id=found)
        if code is None:
            return CheckinOutcome("unknown")
        return CheckinOutcome(ERROR_CODES.get(code, "failed"), code)
    if code is not None and code in ERROR_CODES:
        return CheckinOutcome(ERROR_CODES[code], code)
    if status == 429:
        return CheckinOutcome("retry", code)
    if status in {401, 403, 404} and code is None:
        # Nothing of a record: the key or the address of the API is wrong, and so for every contact.
        return CheckinOutcome("stop_account")
    if 400 <= status < 500 and status != 408:
        return CheckinOutcome("failed", code)
    return CheckinOutcome("unknown", code)


def error_code(body: Any) -> int | None:
    """The code of ``code``/``message`` or of the older ``errorCode``/``errorMessage``; numbers may be text."""
    if not isinstance(body, Mapping):
        return None
    for key in ("code", "errorCode"):
        value = body.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 10:
            return int(value)
    return None


def customer_id(body: Any) -> str | None:
    """``customerId`` (number or text; ``birdeye-contacts-api.md`` 2.5), else ``id``."""
    if not isinstance(body, Mapping):
        return None
    for key in ("customerId", "id"):
        value = body.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**18:
            return str(value)
        if isinstance(value, str) and value.strip() and value.strip() != "0" and len(value) <= 64:
            return value.strip()
    return None


def resolve_unknown(
    *, not_found_times: int, is_found: bool, has_activity_after_intent: bool, replans: int
) -> State | None:
    """Where an unknown row goes once it has settled: None: look once more.

    Not found twice (5043): planned again, once. Found with an entry in the activity log after the intent: confirmed.
    Anything else: held.
    """
    if is_found:
        return "confirmed" if has_activity_after_intent else "held"
    if not_found_times == 0:
        return "held"
    if not_found_times == 1:
        return None
    return "planned" if replans < MAX_REPLANS else "held"

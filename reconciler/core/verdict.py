"""One verdict per field: declared against recorded and shown (the table of ``architecture.md``, decision 1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from reconciler.core.records import FieldReceipt
from reconciler.core.values import Fingerprint, Value, fingerprint_of

Verdict = Literal["same", "different", "unverified"]
Cause = Literal["", "changed_outside", "not_applied_yet", "conflict"]


class Hidden(Enum):
    """Why an answer has no comparable value for a key."""

    NOT_SHOWN = "not shown"
    """The list it would stand in is absent, or the value is absent or masked because it is secure."""
    ABSENT = "absent"
    """The list is there, the key is not, and it is not secure."""


Shown = Value | Hidden


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, with the cause of a difference."""

    verdict: Verdict
    cause: Cause = ""
    never_sent: bool = False
    """Unverified, and no write of ours ever carried it."""


SAME = Judged("same")
NOT_APPLIED_YET = Judged("different", "not_applied_yet")
_CHANGED_OUTSIDE = Judged("different", "changed_outside")
_CONFLICT = Judged("different", "conflict")
_UNVERIFIED = Judged("unverified")
_NEVER_SENT = Judged("unverified", never_sent=True)


def judge(
    key: str,
    declared: Value,
    shown: Shown,
    *,
    receipt: FieldReceipt | None,
    default: str | None,
    fingerprint: Fingerprint,
) -> Judged:
    """The verdict on one declared field of an object that exists.

    ``default`` is the canonical value that an absent key stands for. The order of the table is kept: first what is not
    shown, then what is absent, then what is shown.
    """
    if shown is Hidden.NOT_SHOWN:
        if receipt is None:
            return _NEVER_SENT
        if receipt.fingerprint == fingerprint_of(key, declared, fingerprint):
            return _NEVER_SENT if receipt.assumed else _UNVERIFIED
        return NOT_APPLIED_YET
    if isinstance(shown, Value):
        if shown.canon == declared.canon:
            return SAME
        return _cause(key, declared, shown, receipt, fingerprint)
    if default is not None and declared.canon == default:
        return SAME
    return _cause(key, declared, None, receipt, fingerprint, default=default)


def _cause(
    key: str,
    declared: Value,
    shown: Value | None,
    receipt: FieldReceipt | None,
    fingerprint: Fingerprint,
    *,
    default: str | None = None,
) -> Judged:
    if receipt is None:
        return NOT_APPLIED_YET
    if receipt.fingerprint == fingerprint_of(key, declared, fingerprint):
        return NOT_APPLIED_YET if receipt.assumed else _CHANGED_OUTSIDE
    live_print = None
    if shown is not None:
        live_print = fingerprint_of(key, shown, fingerprint)
    elif default is not None:
        live_print = fingerprint(key, default)
    return NOT_APPLIED_YET if receipt.fingerprint == live_print else _CONFLICT

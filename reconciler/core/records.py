"""What the store remembers of past applies: receipts and configurations in force. Values, never rows.

A receipt proves what was sent; it holds keyed fingerprints, never a value. A configuration in force is what the runner
works from; it holds values, secrets as references.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

ObjectKind = Literal["group", "mapping"]


class FieldReceipt(NamedTuple):  # read by the hundred thousand: a dataclass that is frozen takes four times as long
    """What was last sent for one field. ``path`` as in a plan (``properties.location.name``, ``active``, ``triggers``)."""

    path: str
    fingerprint: str
    at: datetime
    plan_id: str
    commit: str | None = None
    assumed: bool = False
    """Never sent by us: the field was declared, could not be seen and was left as it was."""
    follows_group: bool = False
    """The location's override was deleted; this is the group's value, sent so that the override ends."""


class ObjectReceipt(NamedTuple):
    """What is known of one live object from our own writes. Unique by (kind, business, group_id)."""

    kind: ObjectKind
    business: int
    """The parent business of a group, the location business of a mapping."""
    slug: str
    group_id: int | None
    at: datetime
    plan_id: str
    commit: str | None = None
    created: bool = False
    """Created through this store's own journal."""
    was_active: bool = False
    """A mapping that has been active at some time."""
    fields: tuple[FieldReceipt, ...] = ()

    def field(self, path: str) -> FieldReceipt | None:
        """The receipt of one field, or None."""
        for it in self.fields:
            if it.path == path:
                return it
        return None


@dataclass(frozen=True, slots=True)
class InForce:
    """The configuration that the runner works from, for one business."""

    slug: str
    business: int
    revision: int
    """Counts up from 1 with every change of the business."""
    at: datetime
    plan_id: str
    commit: str | None
    document: dict[str, Any]
    """JSON: see ``core.in_force`` for its shape."""


@dataclass(frozen=True, slots=True)
class Intent:
    """One write that apply was about to send. Unfinished where ``outcome`` is None."""

    id: str
    plan_id: str
    change_id: str
    kind: ObjectKind
    business: int
    slug: str
    endpoint: str
    """``G+``, ``Gu`` or ``M+``."""
    at: datetime
    groups_before: tuple[int, ...] = ()
    """For ``G+``: the ids of the groups that were there."""
    fields: tuple[FieldReceipt, ...] = ()
    """The receipts that become true when the write is confirmed."""
    outcome: str | None = None
    """``applied``, ``already``, ``failed``, ``unknown``."""
    outcome_at: datetime | None = None
    detail: str = ""
    group_id: int | None = None


UNSURE = "?"
"""A fingerprint of no value: what was written last may or may not have been carried out."""


def unsure(receipt: ObjectReceipt, intent: Intent) -> ObjectReceipt:
    """``receipt`` after a write of unknown outcome: what it would have changed is known no more.

    Where nothing is shown, the old fingerprint would say that a value which is declared again is live already.
    """
    sent = {it.path: it for it in intent.fields}
    has_properties = intent.endpoint == "M+" or any(path.startswith("properties.") for path in sent)
    fields = {it.path: it for it in receipt.fields}
    for path, old in fields.items():
        new = sent.get(path)
        is_touched = new is not None or (has_properties and path.startswith("properties."))
        if is_touched and (new is None or new.fingerprint != old.fingerprint):
            fields[path] = old._replace(fingerprint=UNSURE, assumed=False)
    for path, new in sent.items():
        if path not in fields:
            fields[path] = new._replace(fingerprint=UNSURE, assumed=False)
    return receipt._replace(fields=tuple(fields[path] for path in sorted(fields)))


@dataclass(frozen=True, slots=True)
class Recorded:
    """All records of the store that a plan is made from."""

    objects: tuple[ObjectReceipt, ...] = ()
    in_force: tuple[InForce, ...] = ()
    open_intents: tuple[Intent, ...] = ()

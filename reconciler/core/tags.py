"""Campaign tags: what each says of a contact, when it is sent, and whether the values that were sent may be kept.

Kept are values of lists that a practice configures, and yes or no: vocabulary, whichever patient brought it up. Where
somebody lives, who treats them, when they were born and what somebody wrote about them are never kept (``sync.md``,
*Logs*): an operator learns that they are sent, and not what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from reconciler.core.sources import nextech

Sent = Literal["yes", "no", "only where named"]

LONGEST_VALUE: Final = 200
"""Characters; what is longer is no name of a list."""
MOST_VALUES: Final = 200
"""Of one tag and location; a practice's lists are shorter."""

_SAYS: Final[Mapping[str, str]] = {
    "appointment.status": "the visit's status, or the custom one",
    "appointment.types": "the visit's types",
    "appointment.purpose": "the visit's purposes",
    "city": "where the patient lives",
    "state": "where the patient lives",
    "general.practitioner": "who the patient's general practitioner is",
    "primary.care.physician": "who the patient's primary care physician is",
    "patient.last.updated": "when the patient's record changed last",
    "patient.type": "the patient's types",
    "exclude.from.mailings": "does the patient take no mailings? true or false",
    "appointment.comment": "what somebody wrote about the visit",
    "appointment.description": "what somebody wrote about the visit",
    "date.of.birth": "when the patient was born",
    "ethnicity": "the patient's ethnicity",
}
KEPT: Final = frozenset(
    {"appointment.status", "appointment.types", "appointment.purpose", "patient.type", "exclude.from.mailings"}
)
"""The tags whose values are vocabulary."""
EVERY: Final = (*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS)

Seen = Mapping[str, Mapping[str, tuple[int, str]]]
"""By tag and value: how many contacts carried it, and the day of the last one (ISO, UTC)."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a tag that contacts carried."""

    value: str
    contacts: int
    last: str
    """ISO day, UTC."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One campaign tag, and how it stands to a business."""

    name: str
    says: str
    sent: Sent
    is_kept: bool
    values: tuple[Value, ...] = ()
    """Most frequent first; empty where they are not kept."""


def tags(named: Iterable[str] | None, seen: Iterable[Seen] = ()) -> tuple[Tag, ...]:
    """Every tag that a check-in can carry. ``named``: what ``campaign_tags`` says, None where it says nothing.

    ``seen`` is what was seen at each location of the business.
    """
    chosen = frozenset(nextech.CAMPAIGN_TAGS) if named is None else frozenset(named)
    merged = _merged(seen)
    found = []
    for name in EVERY:
        sent: Sent = "yes" if name in chosen else "no"
        if sent == "no" and name in nextech.SENSITIVE_CAMPAIGN_TAGS:
            sent = "only where named"
        values = tuple(
            Value(value, count, last)
            for value, (count, last) in sorted(merged.get(name, {}).items(), key=lambda it: (-it[1][0], it[0]))
        )
        found.append(Tag(name, _SAYS[name], sent, name in KEPT, values))
    return tuple(found)


def vocabulary(body: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Of the body of a check-in: the tags whose values may be kept, with their values as they were sent."""
    params = body.get("additionalParams")
    if not isinstance(params, Mapping):
        return ()
    return tuple(
        (tag, value)
        for tag, value in params.items()
        if tag in KEPT and isinstance(value, str) and len(value) <= LONGEST_VALUE
    )


def with_more(known: Seen, more: Mapping[tuple[str, str], int], day: str) -> dict[str, dict[str, tuple[int, str]]]:
    """What was seen, and what contacts of ``day`` carried: (tag, value) -> contacts. The rarest of too many go."""
    found = {tag: dict(values) for tag, values in known.items()}
    for (tag, value), count in more.items():
        values = found.setdefault(tag, {})
        before, last = values.get(value, (0, day))
        values[value] = (before + count, max(last, day))
    return {
        tag: dict(sorted(values.items(), key=lambda it: (it[1][1], it[1][0]), reverse=True)[:MOST_VALUES])
        for tag, values in found.items()
    }


def _merged(seen: Iterable[Seen]) -> dict[str, dict[str, tuple[int, str]]]:
    found: dict[str, dict[str, tuple[int, str]]] = {}
    for one in seen:
        for tag, values in one.items():
            mine = found.setdefault(tag, {})
            for value, (count, last) in values.items():
                before, earlier = mine.get(value, (0, last))
                mine[value] = (before + count, max(earlier, last))
    return found

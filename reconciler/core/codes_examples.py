"""The form of an explanation, and the declarations that its examples vary."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """One code. ``bad`` and ``good`` are whole files; empty where the matter is not in a file's text."""

    code: str
    title: str
    cause: str
    remedy: str
    bad: str = ""
    good: str = ""
    beside: str = ""
    """A second file, ``other.yaml``, that stands beside both, for rules between files."""
    commands: str = ""
    """Shell commands that bring the bad case about in a declarations folder, where no text can."""


SMB = """\
version: 1
business: 100000000000001
name: Example Dermatology North
source: nextech
triggers: [nextechFulfilledAppointmentTrigger]
group:
  practice_id: env:RECONCILER_SECRET_EXAMPLE_NORTH_PRACTICE_ID
  appointment_types: [Procedure, Surgery]
locations:
  - business: 100000000000001
    time_zone: America/New_York
"""
ENTERPRISE = """\
version: 1
business: 100000000000100
source: nextech
group:
  practice_id: env:RECONCILER_SECRET_EXAMPLE_SKIN_PRACTICE_ID
  appointment_types: [Procedure]
locations:
  - business: 100000000000101
    time_zone: America/New_York
    location_names: [Downtown]
  - business: 100000000000102
    time_zone: America/New_York
    location_names: [Uptown]
"""


def swapped(text: str, *pairs: tuple[str, str]) -> str:
    """``text`` with each first thing replaced by its second. Raises ``ValueError`` where it is not there once."""
    for old, new in pairs:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} is there {text.count(old)} times")
        text = text.replace(old, new)
    return text


def on_smb(code: str, title: str, cause: str, remedy: str, *pairs: tuple[str, str]) -> Explanation:
    """An explanation whose bad example is the SMB with something changed, and whose good one is the SMB."""
    return Explanation(code, title, cause, remedy, swapped(SMB, *pairs), SMB)


def on_enterprise(code: str, title: str, cause: str, remedy: str, *pairs: tuple[str, str]) -> Explanation:
    """Likewise with the enterprise of two locations."""
    return Explanation(code, title, cause, remedy, swapped(ENTERPRISE, *pairs), ENTERPRISE)


def with_good(code: str, title: str, cause: str, remedy: str, bad: str, good: str) -> Explanation:
    """An explanation whose two examples are the SMB with something more at its end."""
    return Explanation(code, title, cause, remedy, SMB + bad, SMB + good)

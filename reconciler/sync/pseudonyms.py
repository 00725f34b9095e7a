"""Keyed pseudonyms: the only form in which a practice, an appointment or a patient stands in the ledger in clear.

Each kind has a key of its own, derived from the ledger's inner key, so that lists of different kinds cannot be joined.
Ids are compared without case and white space around them: Nextech writes one GUID in several ways.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from reconciler.core.phi import Phi
from reconciler.store.crypto import derive

LENGTH: Final = 32
"""Hex digits: 128 bits."""


def is_one(text: str) -> bool:
    """Could this text be a pseudonym, of whatever ledger? An id that another system gave a contact hardly ever is."""
    return len(text) == LENGTH and set(text) <= set("0123456789abcdef")


class Pseudonyms:
    """Makes pseudonyms with the inner key of a ledger (``LedgerKeys.inner``). Shows nothing in a repr."""

    __slots__ = ("_appointment", "_external", "_external_appointment", "_patient", "_practice")

    def __init__(self, inner: bytes) -> None:
        self._practice = derive(inner, "ledger practice v1")
        self._appointment = derive(inner, "ledger appointment v1")
        self._patient = derive(inner, "ledger patient v1")
        self._external = derive(inner, "ledger external id v1")
        self._external_appointment = derive(inner, "ledger external appointment id v1")

    def __repr__(self) -> str:
        return "Pseudonyms(…)"

    def practice(self, practice_id: str) -> str:
        """Of a practice id in clear."""
        return _digest(self._practice, practice_id)

    def appointment(self, practice: str, appointment_id: Phi[str]) -> str:
        """Of an appointment. ``practice`` is the practice's pseudonym."""
        return _digest(self._appointment, practice, appointment_id.reveal())

    def patient(self, practice: str, patient_id: Phi[str]) -> str:
        """Of a patient, for the guard of one contact a day; it never leaves the ledger."""
        return _digest(self._patient, practice, patient_id.reveal())

    def external_id(self, practice: str, patient_id: Phi[str]) -> str:
        """Of a patient, as sent to Birdeye: ``externalId``. Another key than ``patient``."""
        return _digest(self._external, practice, patient_id.reveal())

    def external_appointment(self, practice: str, appointment_id: Phi[str]) -> str:
        """Of an appointment, as sent to Birdeye: its ``externalId``. Another key than ``appointment``."""
        return _digest(self._external_appointment, practice, appointment_id.reveal())


def _digest(key: bytes, *parts: str) -> str:
    encoded = [it.strip().casefold().encode("utf-8", "surrogatepass") for it in parts]
    message = b"".join(len(it).to_bytes(8, "big") + it for it in encoded)
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:LENGTH]

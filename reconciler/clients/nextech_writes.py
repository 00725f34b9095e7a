"""What the reminders write to Nextech, and look up before they do. Facts: ``nextech-api.md`` 5.1, 5.6, 6.2, 8.1.

A booking is not idempotent: it is sent once, and an outcome that nobody knows is said to be one. Words of an answer
(a 409's comment, a 422's text) are wrapped: staff may have written a name into them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from reconciler import errors
from reconciler.core.phi import Phi

if TYPE_CHECKING:
    from reconciler.clients.nextech import NextechClient
    from reconciler.clients.nextech_paging import Page
    from reconciler.clients.transport import Reply

IDS_PER_SEARCH = 50
NOTHING: Phi[str] = Phi("")


class WriteOutcome(StrEnum):
    """What became of one write."""

    DONE = "done"
    REFUSED = "refused"
    """Nextech said no; nothing was changed."""
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Written:
    """The outcome of one write. ``resource``: the created appointment as parsed; ``said``: why it was refused."""

    outcome: WriteOutcome
    status: int | None = None
    resource: Phi[Any] | None = None
    said: Phi[str] = NOTHING


class NextechWrites:
    """Bookings, confirmations and cancellations of one product, for any number of practices and threads."""

    def __init__(self, client: NextechClient, *, practice_plus: bool = False) -> None:
        self._client = client
        self._practice_plus = practice_plus

    def by_id(self, practice_id: str, ids: Sequence[str]) -> Iterator[Page]:
        """The appointments with these ids; one that does not exist does not come."""
        wanted = list(dict.fromkeys(ids))
        for begin in range(0, len(wanted), IDS_PER_SEARCH):
            part = ",".join(wanted[begin : begin + IDS_PER_SEARCH])
            yield from self._client.search(practice_id, "Appointment", [("identifier", part)])

    def around(self, practice_id: str, day: date, *, location_id: str, practitioner_id: str) -> Iterator[Page]:
        """Appointments of one location and practitioner on a day, its neighbours included (whose midnight is meant?)."""
        filters = [
            ("date", f"ge{(day - timedelta(days=1)).isoformat()}"),
            ("date", f"lt{(day + timedelta(days=2)).isoformat()}"),
            ("location.id", location_id),
            ("practitioner.id", practitioner_id),
        ]
        return self._client.search(practice_id, "Appointment", filters)

    def people(self, practice_id: str, *, family: str, given: str, birth_date: date) -> Iterator[Page]:
        """Patients whose names begin so and who were born on that day: compare again."""
        if "," in family or "," in given:  # would be two names for Nextech
            return iter(())
        filters = [("family", family), ("given", given), ("birthdate", birth_date.isoformat())]
        return self._client.search(practice_id, "Patient", filters)

    def book(self, practice_id: str, body: Phi[dict[str, Any]]) -> Written:
        """``POST /Appointment/``: sent at most once.

        Raises ``PracticeUnauthorised``, ``CredentialsRefused``, ``QuotaUsedUp``: then nothing was written.
        """
        return self._write(practice_id, "POST", "/Appointment/", body.reveal())

    def change(self, practice_id: str, appointment_id: Phi[str], body: Mapping[str, Any]) -> Written:
        """Confirm or cancel one appointment. Raises like ``book``."""
        number = appointment_id.reveal()
        if not (number.isascii() and number.isalnum()):
            return Written(WriteOutcome.REFUSED, 404)
        if self._practice_plus:
            body = {**body, "participant": [{"status": "accepted"}]}
        method = "PATCH" if self._practice_plus else "PUT"
        return self._write(practice_id, method, f"/Appointment/{number}", body)

    def _write(self, practice_id: str, method: str, path: str, body: Mapping[str, Any]) -> Written:
        try:
            reply = self._client.write(practice_id, method, path, body, endpoint="Appointment")
        except (errors.PracticeUnauthorised, errors.CredentialsRefused, errors.QuotaUsedUp):
            raise  # nothing was written
        except errors.NotSent:
            return Written(WriteOutcome.NOT_SENT)
        except errors.Answered as error:
            # The quota, our rights, a wrong address: nothing was done, and this says nothing of what was asked.
            return Written(WriteOutcome.NOT_SENT if error.status < 500 else WriteOutcome.UNKNOWN, error.status)
        except errors.RemoteError:
            return Written(WriteOutcome.UNKNOWN)
        if reply.status >= 300:
            return Written(WriteOutcome.REFUSED, reply.status, said=Phi(_said(reply)))
        resource = _json(reply)
        return Written(WriteOutcome.DONE, reply.status, Phi(resource) if resource is not None else None)


def _said(reply: Reply) -> str:
    """The words of a refusal: ``AppointmentResponse.comment`` or the text of an OperationOutcome."""
    value = _json(reply)
    if not isinstance(value, dict):
        return ""
    if isinstance(value.get("comment"), str):
        return str(value["comment"])
    issues = value.get("issue")
    for it in issues if isinstance(issues, list) else ():
        details = it.get("details") if isinstance(it, dict) else None
        for text in (details.get("text") if isinstance(details, dict) else None, it.get("diagnostics")):
            if isinstance(text, str) and text.strip():
                return text
    return ""


def _json(reply: Reply) -> Any:
    if not reply.body.strip():
        return None
    try:
        return reply.json()
    except errors.Garbage:
        return None

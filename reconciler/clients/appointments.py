"""Birdeye's appointments: told of those that Nextech has, asked for those that patients want. PROVISIONAL.

Birdeye publishes no such endpoint. This contract is ours (``sync.md``, *Reminders*); it lives here and in the sandbox
only, and every path is a setting. Errors are read as in ``clients.contacts``: the code in the body decides, and no text
of an answer is passed on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler import errors
from reconciler.clients import contacts
from reconciler.clients.contacts import CheckinOutcome
from reconciler.clients.transport import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.clients.transport import Reply, Transport

DEADLINE_SECONDS = 30.0
PAGE_SIZE = 100
NEWER = 4090
UPSERT_PATH = "/v1/appointments/{externalId}"
REQUESTS_PATH = "/v1/appointments/requests"
RESULT_PATH = "/v1/appointments/requests/{requestId}/result"
ABSENT = frozenset({404, 405, 501})
_ALL_BUT_AGAIN = frozenset(range(300, 500)) - {408, 425, 429}


class Outcome(StrEnum):
    """What became of one call that tells Birdeye something."""

    DONE = "done"
    NEWER = "newer"
    """Birdeye knows something newer: nothing was changed, and nothing is to be done."""
    FAILED = "failed"
    """This record was refused."""
    LOCATION_STOPPED = "location_stopped"
    ACCOUNT_STOPPED = "account_stopped"
    NOT_SENT = "not_sent"
    """Nothing was done: no connection, or the quota."""
    UNKNOWN = "unknown"
    """Done or not, nobody knows. Saying it again does no harm."""


_BY_CHECKIN: Mapping[CheckinOutcome, Outcome] = {
    CheckinOutcome.CONFIRMED: Outcome.DONE,
    CheckinOutcome.FAILED: Outcome.FAILED,
    CheckinOutcome.LOCATION_STOPPED: Outcome.LOCATION_STOPPED,
    CheckinOutcome.ACCOUNT_STOPPED: Outcome.ACCOUNT_STOPPED,
    CheckinOutcome.NOT_SENT: Outcome.NOT_SENT,
    CheckinOutcome.UNKNOWN: Outcome.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one call. ``message`` is ours and names nothing of a person."""

    outcome: Outcome
    status: int | None
    code: int | None
    message: str


@dataclass(frozen=True, slots=True)
class RequestPage:
    """One page of requests: the items as parsed (they hold patient data), and the cursor of the next page."""

    items: tuple[Any, ...] = field(repr=False)
    next: str | None


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the endpoints are, below ``contacts.url``. In braces: the id, which is put in encoded."""

    upsert: str = UPSERT_PATH
    requests: str = REQUESTS_PATH
    result: str = RESULT_PATH


class AppointmentsClient:
    """The provisional contract; ``business`` is the location's long business number in every call."""

    def __init__(
        self, transport: Transport, paths: Paths | None = None, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._transport = transport
        self._paths = paths or Paths()
        self._deadline_seconds = deadline_seconds

    def upsert(self, business: int, api_key: str, external_id: str, body: Mapping[str, Any]) -> Answer:
        """Tell Birdeye of an appointment. Idempotent by ``external_id``, so it is retried like a read.

        Never raises for what the other side does.
        """
        path = self._paths.upsert.replace("{externalId}", quote(external_id, safe=""))
        return self._tell("PUT", path, business, api_key, body, endpoint="appointment", needs="appointmentId")

    def result(self, business: int, api_key: str, request_id: str, body: Mapping[str, Any]) -> Answer:
        """Tell Birdeye what became of a request: ``outcome``, ``externalId``, ``reason``. The same twice does no harm."""
        path = self._paths.result.replace("{requestId}", quote(request_id, safe=""))
        return self._tell("POST", path, business, api_key, body, endpoint="requestResult", needs=None)

    def requests(self, business: int, api_key: str, cursor: str | None) -> RequestPage:
        """The requests after a cursor (None: from the first), oldest first. Raises ``RemoteError``."""
        path = self._paths.requests
        query = f"after={quote(cursor or '', safe='')}&limit={PAGE_SIZE}"
        reply = self._transport.send(
            "GET",
            path,
            raw_query=query,
            headers=_headers(business, api_key),
            retry=Retry.READ,
            deadline_seconds=self._deadline_seconds,
            accept_statuses=_ALL_BUT_AGAIN,
            endpoint="requests",
            secrets=(api_key,),
            remote_text=False,
        )
        value = _json(reply)
        code = contacts.read_code(value)
        if code is not None or reply.status >= 300:
            meaning = contacts.CODES.get(code, (None, contacts.UNNAMED))[1] if code is not None else "without a code"
            raise errors.Answered(
                f"GET {path}: Birdeye answered {reply.status} {'' if code is None else f'code {code}: '}{meaning}; "
                "nothing was read",
                method="GET",
                path=path,
                status=reply.status,
                code=code,
            )
        items = value.get("items") if isinstance(value, dict) else None
        following = value.get("next") if isinstance(value, dict) else None
        if not isinstance(items, list) or len(items) > PAGE_SIZE:
            raise _garbage(path, "the answer has no list of items, or more than were asked for")
        if following is not None and (not isinstance(following, str | int) or isinstance(following, bool)):
            raise _garbage(path, "the cursor is no text")
        return RequestPage(tuple(items), None if following is None or following == "" else str(following))

    def _tell(
        self,
        method: str,
        path: str,
        business: int,
        api_key: str,
        body: Mapping[str, Any],
        *,
        endpoint: str,
        needs: str | None,
    ) -> Answer:
        try:
            reply = self._transport.send(
                method,
                path,
                json_body=body,
                headers=_headers(business, api_key),
                retry=Retry.SAFE_WRITE,
                deadline_seconds=self._deadline_seconds,
                accept_statuses=_ALL_BUT_AGAIN,
                endpoint=endpoint,
                secrets=(api_key,),
                remote_text=False,
            )
            value = reply.json() if reply.body.strip() else None
        except errors.NotSent:
            return Answer(Outcome.NOT_SENT, None, None, "the request never left")
        except errors.Answered as error:
            if error.status == 429:
                return Answer(Outcome.NOT_SENT, 429, 89, contacts.CODES[89][1])
            return Answer(Outcome.UNKNOWN, error.status, None, "the answer tells nothing")
        except errors.Garbage:
            return Answer(Outcome.UNKNOWN, None, None, "the answer cannot be read")
        except errors.RemoteError:
            return Answer(Outcome.UNKNOWN, None, None, "no answer came")
        return judge(reply.status, value, needs=needs)


def is_absent(error: errors.RemoteError, *, was_there: bool) -> bool:
    """Does Birdeye have no such endpoint? Nobody but us has published it, so that is no failure.

    ``was_there``: it answered as it should before, so that an answer of another shape is a fault of today.
    """
    if isinstance(error, errors.Answered):
        return error.status in ABSENT and error.code not in contacts.CODES
    return isinstance(error, errors.Garbage) and not was_there


def judge(status: int, value: object, *, needs: str | None) -> Answer:
    """What an answer means. ``value`` is its JSON, None where it has none; ``needs``: the member of a success."""
    code = contacts.read_code(value)
    if code == NEWER:
        return Answer(Outcome.NEWER, status, code, "Birdeye knows something newer")
    if code is None and 200 <= status < 300:
        found = value.get(needs) if needs is not None and isinstance(value, dict) else None
        if needs is not None and found in (None, ""):
            return Answer(Outcome.UNKNOWN, status, None, f"the answer has no {needs}")
        return Answer(Outcome.DONE, status, None, "told")
    # Every other answer says the same as one to a check-in.
    it = contacts.judge_checkin(status, {"code": code, "message": ""} if code is not None else None)
    return Answer(_BY_CHECKIN[it.outcome], status, it.code, it.message)


def _headers(business: int, api_key: str) -> dict[str, str]:
    if not api_key or not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
        raise errors.SecretError("the contacts API key is empty or holds characters that no header can carry")
    return {"x-api-key": api_key, "x-business-number": str(business), "Accept": "application/json"}


def _json(reply: Reply) -> Any:
    try:
        return reply.json()
    except errors.Garbage:
        if reply.status < 300:
            raise
        return None


def _garbage(path: str, what: str) -> errors.Garbage:
    return errors.Garbage(f"GET {path}: {what}; nothing was read", method="GET", path=path)

"""Birdeye's contacts API: check-ins, look-ups, the activity log, opt-outs. What an answer means is a table.

Facts from ``birdeye-contacts-api.md`` sections 1 to 3 and 8; outcomes from ``sync.md``, "Deliver". The code in the body
decides, not the status. No text of an answer is passed on: Birdeye may repeat an e-mail address or a name in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from reconciler import errors
from reconciler.clients import tolerant
from reconciler.clients.redaction import MOST_OF_A_CODE
from reconciler.clients.transport import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.clients.transport import Reply, Transport

DEADLINE_SECONDS = 30.0
FEED_SLICE = timedelta(hours=24)
"""The feed's longest window is not documented; a day is its own default (3.6)."""
_FLAGS = frozenset({"emailPreferences", "smsPreferences"})
_RETRIED = frozenset({408, 425, 429})
_CLIENT_ERRORS = frozenset(range(400, 500)) - _RETRIED
_ALL_BUT_QUOTA = frozenset(range(300, 600)) - {429}
_NOT_ERRORS = frozenset({0, 200})
"""Codes that, seen beside an id, would only say success."""


class CheckinOutcome(StrEnum):
    """What became of one check-in, as far as its answer tells."""

    CONFIRMED = "confirmed"
    FAILED = "failed"
    """This record was refused: recorded with the code, not retried by itself."""
    LOCATION_STOPPED = "location_stopped"
    """Nothing was done, and nothing will be for this location until its configuration is mended."""
    ACCOUNT_STOPPED = "account_stopped"
    """Nothing was done, and nothing will be with this API key."""
    NOT_SENT = "not_sent"
    """Nothing was done: no connection, or the quota. It may be sent later."""
    UNKNOWN = "unknown"
    """Done or not, nobody knows: never sent again before it has been looked up."""


_F, _L, _A = CheckinOutcome.FAILED, CheckinOutcome.LOCATION_STOPPED, CheckinOutcome.ACCOUNT_STOPPED

CODES: Mapping[int, tuple[CheckinOutcome, str]] = {
    89: (CheckinOutcome.NOT_SENT, "the rate limit was hit"),
    1541: (CheckinOutcome.NOT_SENT, "the rate limit was hit"),
    1161: (_A, "the API key is not valid"),
    1167: (_A, "the API key is missing"),
    1033: (_A, "the caller is not permitted"),
    1380: (_A, "the API key or session token is missing"),
    4011: (_A, "the call is not authorised"),
    1175: (_L, "no business has this number"),
    1011: (_L, "the business number is not valid"),
    1027: (_L, "the business number is not valid"),
    1532: (_L, "no business has this number"),
    1142: (_F, "the name is blank"),
    1086: (_F, "the e-mail address is missing"),
    1087: (_F, "the e-mail address is malformed"),
    1088: (_F, "the e-mail address is longer than 40 characters"),
    1055: (_F, "the phone number is not a valid US number"),
    1021: (_F, "the phone number is not valid"),
    1001: (_F, "the name is too long"),
    1246: (_F, "neither e-mail address nor phone number was given"),
    1170: (_F, "the text flag is neither 0 nor 1"),
    1089: (_F, "the customer id is not valid"),
    1091: (_F, "this customer may not be seen"),
    5008: (_F, "the body is missing"),
    5043: (_F, "no contact matches"),
    5046: (_F, "the contact is blocked"),
    20099: (_F, "consent by category is not switched on for text messages"),
}
"""Birdeye's code -> outcome of a check-in, meaning (1.6). An unknown code fails the record, except beside a 5xx."""
UNNAMED = "no meaning is known"
NO_CATEGORIES = 20099
NOT_FOUND = 5043
NOT_A_CODE = -1
"""Stands for a number that is too great for a code, and may be a phone's."""


@dataclass(frozen=True, slots=True)
class CheckinAnswer:
    """The outcome of one check-in. ``message`` is ours: it names the code's meaning and nothing of the person."""

    outcome: CheckinOutcome
    status: int | None
    """None where no answer came."""
    code: int | None
    message: str
    customer_id: str | None = None
    requests: int = 1
    """Check-ins that were sent for it; retries of the transport are not counted."""


@dataclass(frozen=True, slots=True)
class Customer:
    """One contact, without what it says of the person."""

    customer_id: str
    external_id: str | None
    blocked: bool | None
    businesses: tuple[int, ...]
    """The locations that it is mapped to, ascending."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry of a contact's log. ``at`` is UTC, or None where the answer had no time stamp."""

    type: str
    action: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class OptOut:
    """One entry of the opt-out feed. Its e-mail address and phone number are patient data, kept out of ``repr``."""

    customer_id: str
    channel: Literal["email", "text", "blocked"]
    email: str | None = field(repr=False)
    phone: str | None = field(repr=False)
    categories: frozenset[str] = frozenset()

    @property
    def covers_feedback(self) -> bool:
        """Whether review requests are meant: blocked, no category named (V1), or feedback among them."""
        return self.channel == "blocked" or not self.categories or "feedback" in self.categories


class ContactsClient:
    """The contacts API in one of its two versions; ``business`` is a long business number in every call."""

    def __init__(
        self, transport: Transport, version: Literal[1, 2] = 2, *, deadline_seconds: float = DEADLINE_SECONDS
    ) -> None:
        self._transport = transport
        self._version = version
        self._deadline_seconds = deadline_seconds

    def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
        """Check one customer in at a location. Sent at most once, except where it provably never arrived.

        Never raises for what the other side does. Where categories of consent are not switched on (20099) it is sent
        once more without them, also where it named none: the refusal says that nobody was checked in.
        """
        wanted = dict(body) if self._version == 2 else _without_flags(body)
        answer = self._checkin(business, api_key, wanted)
        if answer.code == NO_CATEGORIES and answer.outcome is _F:
            return replace(self._checkin(business, api_key, _without_flags(wanted)), requests=2)
        return answer

    def get_customer(
        self,
        business: int,
        api_key: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        customer_id: str | None = None,
    ) -> Customer | None:
        """The contact with this id, e-mail address or phone number (the first given); None where none matches (5043)."""
        key, value = next(((k, v) for k, v in (("id", customer_id), ("email", email), ("phone", phone)) if v), ("", ""))
        if not key:
            raise errors.InternalError("a look-up needs an id, an e-mail address or a phone number")
        path = self._path("/v1/contact/external/preferences/getCustomer", "/v1/customer-v2/external/getCustomer")
        wanted: dict[str, object] = {key: tolerant.whole_or_none(value) or value if key == "id" else value}
        answer = self._ask("POST", path, business, api_key, body=wanted, endpoint="getCustomer", missing=NOT_FOUND)
        if answer is None:
            return None
        found = _id(answer.get("id")) if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or found is None:
            raise _garbage("POST", path, "the contact has no id")
        mappings = answer.get("mappings")
        numbers = {
            tolerant.whole_or_none(it.get("businessNumber"))
            for it in (mappings if isinstance(mappings, list) else ())
            if isinstance(it, dict)
        }
        external = answer.get("externalId")
        blocked = answer.get("blocked")
        return Customer(
            customer_id=found,
            external_id=str(external) if isinstance(external, (str, int)) and external != "" else None,
            blocked=blocked if isinstance(blocked, bool) else None,
            businesses=tuple(sorted(it for it in numbers if it is not None)),
        )

    def activity_log(
        self, business: int, api_key: str, customer_id: str, *, start: date, end: date
    ) -> tuple[Activity, ...]:
        """What happened to a contact from ``start`` to ``end``, both included, as the answer orders it (3.5)."""
        path = "/v1/customer/history"
        answer = self._ask(
            "GET",
            path,
            business,
            api_key,
            below="/" + quote(customer_id, safe=""),
            query=f"businessId={business}&startDate={start:%m/%d/%Y}&endDate={end:%m/%d/%Y}",
            endpoint="history",
            missing=NOT_FOUND,
        )
        if answer is None:
            return ()
        if not isinstance(answer, list) or not all(isinstance(it, dict) for it in answer):
            raise _garbage("GET", path, "the log is not a list of objects")
        return tuple(
            Activity(str(it.get("type") or ""), str(it.get("action") or ""), _instant(it.get("activityTimestamp")))
            for it in answer
        )

    def opt_outs(self, business: int, api_key: str, *, start: datetime, end: datetime) -> Iterator[tuple[OptOut, ...]]:
        """Who opted out or was blocked from ``start`` to ``end`` (aware), a day of the feed at a time (3.6)."""
        if start.tzinfo is None or end.tzinfo is None:
            raise errors.InternalError("the opt-out feed needs times with a zone")
        while start < end:
            until = min(start + FEED_SLICE, end)
            yield self._feed(business, api_key, start, until)
            start = until

    def opt_outs_at_once(self, business: int, api_key: str, *, start: datetime, end: datetime) -> tuple[OptOut, ...]:
        """The same in one request, however long ago ``start`` is; how far one may reach is not documented (3.6)."""
        if start.tzinfo is None or end.tzinfo is None:
            raise errors.InternalError("the opt-out feed needs times with a zone")
        return self._feed(business, api_key, start, end)

    def _feed(self, business: int, api_key: str, start: datetime, end: datetime) -> tuple[OptOut, ...]:
        path = self._path("/v1/contact/external/preferences/update-feed", f"/v1/contact/{business}/update-feed")
        body = {
            "start": int(start.timestamp() * 1000),
            "end": int(end.timestamp() * 1000),
            "subscriptionStatus": ["opted-out", "blocked"],
        }
        answer = self._ask("POST", path, business, api_key, body=body, endpoint="update-feed", needs_query=False)
        lists: tuple[tuple[str, Literal["email", "text", "blocked"]], ...] = (
            ("emailOptOut", "email"),
            ("textOptOut", "text"),
            ("blocked", "blocked"),
        )
        if not isinstance(answer, dict) or not any(isinstance(answer.get(key), list) for key, _ in lists):
            raise _garbage("POST", path, "the feed has none of its lists")
        found = []
        for key, channel in lists:
            entries = answer.get(key) or []
            if not isinstance(entries, list) or not all(isinstance(it, dict) for it in entries):
                raise _garbage("POST", path, f"{key} is not a list of objects")
            found += [_opt_out(it, channel) for it in entries]
        return tuple(found)

    def _checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
        path = self._path("/v1/contact/external/preferences/checkin", "/v1/customer/checkin")
        try:
            reply = self._transport.send(
                "POST",
                path,
                raw_query=f"bid={business}" if self._version == 1 else None,
                json_body=body,
                headers=self._headers(business, api_key),
                retry=Retry.ONCE,
                deadline_seconds=self._deadline_seconds,
                accept_statuses=_ALL_BUT_QUOTA,
                endpoint="checkin",
                secrets=(api_key,),
                remote_text=False,
            )
            value = _json(reply)
        except errors.NotSent:
            return CheckinAnswer(CheckinOutcome.NOT_SENT, None, None, "the request never left")
        except errors.Answered as error:
            if error.status == 429:
                return CheckinAnswer(CheckinOutcome.NOT_SENT, 429, 89, CODES[89][1])
            return CheckinAnswer(CheckinOutcome.UNKNOWN, error.status, None, "the answer tells nothing")
        except errors.Garbage:
            return CheckinAnswer(CheckinOutcome.UNKNOWN, None, None, "the answer cannot be read")
        except errors.RemoteError:
            return CheckinAnswer(CheckinOutcome.UNKNOWN, None, None, "no answer came")
        return judge_checkin(reply.status, value)

    def _ask(
        self,
        method: str,
        path: str,
        business: int,
        api_key: str,
        *,
        endpoint: str,
        body: Mapping[str, object] | None = None,
        below: str = "",
        query: str | None = None,
        needs_query: bool = True,
        missing: int | None = None,
    ) -> Any:
        """A read, repeated where that helps. None where the answer is the code ``missing``.

        Errors name ``path``, without ``below`` and ``query``.
        """
        if query is None and self._version == 1 and needs_query:
            query = f"businessId={business}"
        reply = self._transport.send(
            method,
            path + below,
            raw_query=query,
            json_body=body,
            headers=self._headers(business, api_key),
            retry=Retry.READ,
            deadline_seconds=self._deadline_seconds,
            accept_statuses=_CLIENT_ERRORS,
            endpoint=endpoint,
            secrets=(api_key,),
            remote_text=False,
            shown_path=path,
        )
        value = _json(reply)
        code = read_code(value)
        if code is None and reply.status < 300:
            if value is None:
                raise _garbage(method, path, f"the answer {reply.status} cannot be read")
            return value
        if code is not None and code == missing:
            return None
        said = "without a code" if code is None else f"code {code}: {CODES.get(code, (_F, UNNAMED))[1]}"
        raise errors.Answered(
            f"{method} {path}: Birdeye answered {reply.status} {said}; nothing was read",
            method=method,
            path=path,
            status=reply.status,
            code=code,
        )

    def _headers(self, business: int, api_key: str) -> dict[str, str]:
        if not api_key or not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
            raise errors.SecretError("the contacts API key is empty or holds characters that no header can carry")
        headers = {"x-api-key": api_key, "Accept": "application/json"}
        return headers | {"x-business-number": str(business)} if self._version == 2 else headers

    def _path(self, second: str, first: str) -> str:
        return second if self._version == 2 else first


def judge_checkin(status: int, value: object) -> CheckinAnswer:
    """What an answer to a check-in means. ``value`` is its JSON, None where it is none.

    Doubt is always UNKNOWN: a second text to a patient is worse than a late one.
    """
    code = read_code(value)
    found = _id(value.get("customerId", value.get("id"))) if isinstance(value, dict) else None
    if code is not None and found is not None:
        return CheckinAnswer(
            CheckinOutcome.UNKNOWN, status, code, f"the answer has an id and the error code {code}", found
        )
    if code is not None:
        outcome, meaning = CODES.get(code, (_F, UNNAMED))
        if code not in CODES and (status >= 500 or status == 408):
            outcome = CheckinOutcome.UNKNOWN
        return CheckinAnswer(outcome, status, code, f"code {code}: {meaning}")
    if 200 <= status < 300:
        if found is None:
            return CheckinAnswer(CheckinOutcome.UNKNOWN, status, None, "the answer has no customer id")
        return CheckinAnswer(CheckinOutcome.CONFIRMED, status, None, "checked in", found)
    if status >= 500 or status == 408:
        return CheckinAnswer(CheckinOutcome.UNKNOWN, status, None, f"{status} without a code")
    if status in {401, 403}:
        return CheckinAnswer(_A, status, None, f"{status} without a code: the API key is not accepted")
    # No code: this is not Birdeye's verdict on the record (a gateway, a wrong address), so it fails no record.
    return CheckinAnswer(_L, status, None, f"{status} without a code: the address may be wrong")


def read_code(value: object) -> int | None:
    """Birdeye's error code in either of its two shapes (1.4), also inside a 200; None where there is none."""
    if not isinstance(value, dict):
        return None
    for code, message in (("code", "message"), ("errorCode", "errorMessage")):
        number = tolerant.whole_or_none(value.get(code))
        if number is not None and number not in _NOT_ERRORS and (message in value or len(value) == 1):
            return number if 0 <= number <= MOST_OF_A_CODE else NOT_A_CODE
    return None


def _without_flags(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key not in _FLAGS}


def _json(reply: Reply) -> Any:
    try:
        return reply.json()
    except errors.Garbage:
        return None


def _id(value: object) -> str | None:
    number = tolerant.whole_or_none(value)
    return str(number) if number is not None and number > 0 else None


def _instant(value: object) -> datetime | None:
    number = tolerant.whole_or_none(value)
    if number is None or not 0 <= number < 253_402_300_800_000:
        return None
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=number)


def _opt_out(entry: dict[str, Any], channel: Literal["email", "text", "blocked"]) -> OptOut:
    named = entry.get("optOutFrom")
    words = {it.strip().casefold() for it in named if isinstance(it, str)} if isinstance(named, list) else set()
    email, phone = (
        text.strip() if isinstance(text := entry.get(key), str) and text.strip() else None
        for key in ("emailId", "phone")
    )
    return OptOut(_id(entry.get("id")) or "", channel, email, phone, frozenset(words))


def _garbage(method: str, path: str, what: str) -> errors.Garbage:
    return errors.Garbage(f"{method} {path}: {what}; nothing was read", method=method, path=path)

"""Birdeye's contacts API, emulated at ``/resources``: check-in V1 and V2, look-up, activity log, consent, opt-out feed.

Paths, fields and codes: birdeye-contacts-api.md. Clients branch on ``code``, so the statuses are the documented,
inconsistent ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from reconciler.sandbox.contacts_world import CATEGORIES, Contact, ContactsWorld, digits
from reconciler.sandbox.http import Request, Response, json_response

PREFIX: Final = "/resources"
_V2: Final = "/v1/contact/external/preferences/"
_EMAIL: Final = re.compile(r"[^@\s,;:<>()\[\]\"\\]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\Z")
_US_PHONE: Final = re.compile(r"[2-9]\d{2}[2-9]\d{6}\Z")
_DATE: Final = re.compile(r"\d{2}/\d{2}/\d{4}\Z")
_PERMISSIONS: Final = ("both-subscribed", "both-unsubscribed", "sms-subscribed", "email-subscribed")
_PAGE_LIMIT: Final = 1000

# code: (usual status, meaning)
CODES: Final[dict[int, tuple[int, str]]] = {
    89: (429, "Rate limit exceeded"),
    1161: (401, "Invalid API key"),
    1167: (401, "API key is missing"),
    1033: (401, "Not permitted"),
    1175: (401, "No business with this id"),
    1011: (404, "Business id is not valid"),
    1142: (400, "Customer name is blank"),
    1086: (400, "Customer email is blank"),
    1087: (400, "Customer email is malformed"),
    1088: (400, "Customer email is longer than 40 characters"),
    1055: (400, "Not a valid US phone"),
    1170: (400, "The SMS flag must be 0 or 1"),
    1089: (400, "Customer id is not valid"),
    1091: (401, "Not allowed to view this customer"),
    5008: (400, "The request body is missing"),
    5043: (400, "No contact matches"),
    20099: (400, "Text consent by category is not enabled: use smsOptin"),
    20083: (400, "The end is before the start"),
    1523: (400, "The date format must be mm/dd/yyyy"),
    1524: (400, "The date is not valid"),
    2347: (400, "The page size is above 1,000"),
    # Of the provisional contract for appointments (``contacts_appointments``), which no Birdeye document holds:
    4090: (409, "A newer version of the appointment is stored"),
    4091: (400, "The appointment, cursor or result is not valid"),
    4092: (404, "No such request"),
    4093: (409, "The request has another result"),
}


class Refused(Exception):
    """A call that ends in one of the documented codes."""

    def __init__(self, code: int, status: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status if status is not None else CODES[code][0]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was let in: whose key it bears, and which business it is about."""

    request: Request
    world: ContactsWorld
    account: str
    business: int


def handle(request: Request, world: ContactsWorld) -> Response:
    """Answer a request; its path begins with ``PREFIX``."""
    path = request.path.removeprefix(PREFIX).rstrip("/")
    with world.lock:
        route = next(((m, v, f) for method, pattern, v, f in _ROUTES
                      if method == request.method and (m := pattern.fullmatch(path))), None)  # fmt: skip
        if route is None:
            return json_response({"code": 404, "message": "Not found"}, 404)
        match, version, answer = route
        what = path.rpartition("/")[2]
        world.requests[what if not what.isdigit() else "history"] += 1
        try:
            return answer(admit(request, world, match, version, answer), match)
        except Refused as refused:
            return error(refused, world)


def error(refused: Refused, world: ContactsWorld) -> Response:
    """The answer to a refused call, in the shape that the world's options ask for."""
    text = CODES[refused.code][1]
    options = world.options
    if refused.code == 89:
        headers = (("Retry-After", options.retry_after),) if options.retry_after is not None else ()
        return json_response({"code": 89, "message": text}, 429, headers)
    if options.plain_errors:
        return Response(refused.status, f"error {refused.code}: {text}".encode(), (("Content-Type", "text/plain"),))
    if options.old_error_shape:
        return json_response({"errorCode": refused.code, "errorMessage": text}, refused.status)
    return json_response({"code": refused.code, "message": text}, 200 if options.errors_in_200 else refused.status)


def admit(
    request: Request,
    world: ContactsWorld,
    match: re.Match[str] | None = None,
    version: int = 2,
    answer: Callable[..., Response] | None = None,
) -> Call:
    """Key, limit, business and permission, in this order."""
    key = request.headers.get("x-api-key", "")
    on_contact = answer is _get_customer
    if request.first("api_key") is not None:
        world.violations.append("API key in the query")
    if not key:
        raise Refused(1167, 400 if on_contact else None)
    account = world.keys.get(key)
    if account is None:
        raise Refused(1161)
    if world.limited(key):
        raise Refused(89)
    if account in world.stopped:
        raise Refused(world.stopped[account])
    if version == 2:
        given = request.headers.get("x-business-number")
    else:
        given = (
            (match.groupdict().get("business") if match is not None else None)
            or request.first("bid")
            or request.first("businessId")
        )
    checkin = answer is _checkin
    if not given and answer in (_change_permission, _details):
        return Call(request, world, account, 0)
    if not given or not given.isascii() or not given.isdigit():
        raise Refused(1011, 401 if checkin or answer is _feed else None)
    business = int(given)
    if business not in world.account_of:
        raise Refused(1175, world.options.unknown_business_status if checkin else 404)
    if world.account_of[business] != account:
        world.violations.append("a key used for the business of another account")
        raise Refused(1033)
    return Call(request, world, account, business)


def parsed_body(request: Request) -> dict[str, Any]:
    """The JSON object of a call; refused where there is none."""
    try:
        value = json.loads(request.body)
    except ValueError:
        raise Refused(5008) from None
    if not isinstance(value, dict) or not value:
        raise Refused(5008)
    return value


def _checkin(call: Call, match: re.Match[str]) -> Response:
    world, options = call.world, call.world.options
    version = 2 if match.string.startswith(_V2) else 1
    body = parsed_body(call.request)
    name, email, phone = body.get("name"), body.get("emailId"), body.get("phone")
    if not isinstance(name, str) or not name.strip():
        raise Refused(1142)
    if not email and (not phone or call.business in options.sms_disabled):
        raise Refused(1086)
    check_email(email)
    if phone and not _valid_phone(phone):
        raise Refused(1055)
    if body.get("smsEnabled", 1) not in (0, 1):
        raise Refused(1170)
    if "smsPreferences" in body and version == 2 and not options.text_categories:
        raise Refused(20099)
    world.inspect(body, version)
    contact = world.checkin(call.account, call.business, version, body)
    return json_response({"customerId": str(contact.id) if options.customer_id_text else contact.id})


def check_email(email: Any) -> None:
    """Refuse an e-mail address that the API does not take: longer than 40 characters, or malformed."""
    if not email:
        return
    if isinstance(email, str) and len(email) > 40:
        raise Refused(1088)
    if not isinstance(email, str) or not _EMAIL.match(email):
        raise Refused(1087)


def _valid_phone(phone: Any) -> bool:
    if not isinstance(phone, str):
        return False
    number = digits(phone)
    # 555 is no area code: the placeholder that practices write where there is no number.
    return bool(_US_PHONE.match(number)) and not number.startswith("555")


def _get_customer(call: Call, match: re.Match[str]) -> Response:
    version = 2 if match.string.startswith(_V2) else 1
    body = parsed_body(call.request)
    wanted: dict[str, Any] = {}
    for name in ("id", "cid"):
        if body.get(name) is not None:
            text = str(body[name])
            wanted["id"] = int(text) - (0 if name == "id" else 10**9) if text.isascii() and text.isdigit() else -1
    if body.get("email"):
        wanted["email"] = str(body["email"]).strip()
    if body.get("phone"):
        wanted["phone"] = digits(str(body["phone"]))
    contact = call.world.lookup(call.account, **wanted)
    if contact is None:
        raise Refused(5043)
    first, last = contact.names
    answer: dict[str, Any] = {
        "id": contact.id,
        "firstName": first,
        "lastName": last,
        "email": contact.email,
        "phone": _shown(contact.phone),
        "countryCode": "US",
        "blocked": contact.blocked is not None,
        "smsOptin": contact.sms and not contact.text_out,
        "source": "api",
        "created": f"{contact.created:%B %d, %Y}",
        "mappings": [
            {"cid": contact.id + 10**9, "location": f"Location {number}", "bid": number % 1_000_000,
             "businessNumber": number}
            for number in contact.businesses
        ],
        "tags": sorted(contact.tags.values()),
        "customFields": [],
        "externalId": contact.external_id,
    }  # fmt: skip
    if version == 2:
        answer["emailPreferences"] = {f"{each}Optin": each not in contact.email_out for each in CATEGORIES}
        answer["smsPreferences"] = {f"{each}Optin": each not in contact.text_out for each in CATEGORIES}
    else:
        answer["emailOtin"] = not contact.email_out  # the documented sample's slip of the pen
    return json_response(answer)


def _shown(phone: str | None) -> str | None:
    return f"({phone[:3]}) {phone[3:6]}-{phone[6:]}" if phone else None


def _day(text: str | None) -> datetime:
    if text is None or not _DATE.match(text):
        raise Refused(1523)
    try:
        return datetime.combine(datetime.strptime(text, "%m/%d/%Y").date(), time(), UTC)  # noqa: DTZ007 - a date
    except ValueError:
        raise Refused(1524) from None


def _history(call: Call, match: re.Match[str]) -> Response:
    start, end = _day(call.request.first("startDate")), _day(call.request.first("endDate"))
    if end < start:
        raise Refused(20083)
    contact = call.world.contacts.get(int(match["customer"]))
    if contact is None:
        raise Refused(1089)
    if contact.account != call.account:
        raise Refused(1091)
    seen_until = call.world.clock() - timedelta(seconds=call.world.options.activity_lag_seconds)
    return json_response(
        [
            {
                "type": each.type,
                "activityDate": f"{each.at:%b %d, %Y %I:%M %p}",
                "action": each.action,
                "activityTimestamp": int(each.at.timestamp() * 1000),
            }
            for each in contact.activity
            if each.business == call.business and start <= each.at < end + timedelta(days=1) and each.at <= seen_until
        ]
    )


def _feed(call: Call, match: re.Match[str]) -> Response:
    world = call.world
    version = 2 if match.string.startswith(_V2) else 1
    body = parsed_body(call.request) if call.request.body.strip(b" {}") else {}
    now = int(world.clock().timestamp() * 1000)
    day = 86_400_000
    start, end = body.get("start"), body.get("end")
    if start is None or end is None:
        world.violations.append("opt-out feed without both bounds")
    end = end if end is not None else (start + day if start is not None else now)
    start = start if start is not None else end - day
    if end < start:
        raise Refused(20083)
    statuses = body.get("subscriptionStatus") or ["opted-out"]

    def inside(moment: datetime | None) -> bool:
        return moment is not None and start <= moment.timestamp() * 1000 <= end

    answer: dict[str, list[dict[str, Any]]] = {"emailOptOut": [], "textOptOut": [], "blocked": []}
    for contact in world.contacts.values():
        if contact.account != call.account:
            continue
        if "opted-out" in statuses:
            for name, out in (("emailOptOut", contact.email_out), ("textOptOut", contact.text_out)):
                chosen = [category for category in CATEGORIES if inside(out.get(category))]
                if chosen:
                    row = _opted(contact)
                    answer[name].append(row | {"optOutFrom": chosen} if version == 2 else row)
        if "blocked" in statuses and inside(contact.blocked):
            answer["blocked"].append(_opted(contact))
    return json_response(answer)


def _opted(contact: Contact) -> dict[str, Any]:
    first, last = contact.names
    return {"id": contact.id, "firstName": first, "lastName": last, "emailId": contact.email,
            "phone": _shown(contact.phone)}  # fmt: skip


def _change_permission(call: Call, match: re.Match[str]) -> Response:
    world = call.world
    version = 2 if match.string.startswith(_V2) else 1
    body = parsed_body(call.request)
    number = str(body.get("accountNumber", ""))
    if not number.isdigit() or world.account_of.get(int(number)) != call.account:
        raise Refused(1011)
    if version == 1 and body.get("permission") not in _PERMISSIONS:
        raise Refused(5008)
    contacts = [world.lookup(call.account, email=each) for each in body.get("email") or []]
    contacts += [world.lookup(call.account, phone=digits(each)) for each in body.get("phone") or []]
    found = [each for each in contacts if each is not None]
    for contact in found:
        for channel, name, out in (
            ("email", "emailPreferences", contact.email_out),
            ("text", "smsPreferences", contact.text_out),
        ):
            for category in CATEGORIES:
                if version == 2:
                    wish = (body.get(name) or {}).get(f"{category}Optin")
                else:
                    word = "sms" if channel == "text" else channel
                    wish = body["permission"] in ("both-subscribed", f"{word}-subscribed")
                if wish is True:
                    out.pop(category, None)
                elif wish is False:
                    out.setdefault(category, world.clock())
    return json_response(bool(found))


def _details(call: Call, match: re.Match[str]) -> Response:
    body = parsed_body(call.request)
    business = int(body.get("businessId") or 0)
    if call.world.account_of.get(business) != call.account:
        raise Refused(1175, 404)
    page, size = int(body.get("page") or 0), int(body.get("size") or 25)
    if size > _PAGE_LIMIT:
        raise Refused(2347)
    # The parent's number stands for all locations.
    parent = business in call.world.parents
    rows = [
        each
        for each in call.world.contacts.values()
        if each.account == call.account and (parent or business in each.businesses)
    ]
    return json_response(
        {
            "page": page,
            "size": size,
            "totalPages": -(-len(rows) // size) if size else 0,
            "totalCount": len(rows),
            "contacts": [
                _opted(each)
                | {"mappings": [{"businessId": number, "customerId": each.id} for number in each.businesses]}
                for each in rows[page * size : (page + 1) * size]
            ],
        }
    )


_Route = tuple[str, re.Pattern[str], int, Callable[[Call, re.Match[str]], Response]]
_ROUTES: Final[tuple[_Route, ...]] = (
    ("POST", re.compile(r"/v1/customer/checkin"), 1, _checkin),
    ("POST", re.compile(_V2 + "checkin"), 2, _checkin),
    ("POST", re.compile(r"/v1/customer-v2/external/getCustomer"), 1, _get_customer),
    ("POST", re.compile(_V2 + "getCustomer"), 2, _get_customer),
    ("GET", re.compile(r"/v1/customer/history/(?P<customer>\d{1,15})"), 1, _history),
    ("POST", re.compile(_V2 + "update-feed"), 2, _feed),
    ("POST", re.compile(r"/v1/contact/(?P<business>\d+)/update-feed"), 1, _feed),
    ("POST", re.compile(_V2 + "change-permission"), 2, _change_permission),
    ("POST", re.compile(r"/v1/customer-v2/change-permission"), 1, _change_permission),
    ("POST", re.compile(r"/v1/contact/details"), 1, _details),
)

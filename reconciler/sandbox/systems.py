"""Mounts the EMR and contacts half of the sandbox on an app, with its settings and its admin endpoints.

Below ``/_sandbox/emr`` and ``/_sandbox/contacts``; bodies are JSON objects:

- ``GET /_sandbox/emr``: emulated time, requests, violations, who is unauthorised
- ``POST /_sandbox/emr/unauthorise`` {practice, status}, ``/authorise`` {practice}
- ``POST /_sandbox/emr/visit`` {practice, appointment, status | custom | delete}: what staff do later
- ``POST /_sandbox/emr/merge`` {practice, patient, into}, ``/patient`` {practice, patient, email, mobile, sms_privacy, …}
- ``POST /_sandbox/emr/advance`` {days, hours, seconds}, ``/credentials`` {user, state | password}, ``/options`` {name: value},
  ``/upset`` {path, kind, first, times}
- ``GET /_sandbox/contacts``: who was contacted how often; ``GET /_sandbox/contacts/deliveries`` (``?after=N``)
- ``POST /_sandbox/contacts/opt-out`` {account, email | phone | externalId, channel, categories}, ``/block``, ``/stop`` {account, code},
  ``/start`` {account}, ``/options`` {name: value}, ``/reset``
- ``GET /_sandbox/contacts/appointments``: what is stored of appointments; ``GET /_sandbox/contacts/results``: requests of
  patients with their results; ``POST /_sandbox/contacts/ask`` {business, kind, …}: a patient asks for something
- ``POST /_sandbox/requests`` {business, practice, count, seed}: so many bookings that the practice can take
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from reconciler.sandbox import contacts_api, contacts_appointments, emr_token, nextech_api, practice_plus_api
from reconciler.sandbox.contacts_world import CATEGORIES, Contact, ContactsWorld, digits
from reconciler.sandbox.emr import Practice
from reconciler.sandbox.emr_options import Upset
from reconciler.sandbox.emr_world import EmrWorld
from reconciler.sandbox.http import Request, Response, json_response

if TYPE_CHECKING:
    from reconciler.sandbox.app import App

_W = TypeVar("_W", EmrWorld, ContactsWorld)
TOKEN_PREFIX: Final = "/oauth2/"  # noqa: S105 - a path
_SELECT_USER: Final = "reconciler@nextech-api.com"
_PARTNER: Final = "sandbox-partner"


def mount(app: App) -> tuple[EmrWorld, ContactsWorld]:
    """Mount both systems on an app, over its accounts, practices and clock; the worlds are for whoever looks behind."""

    def clock() -> datetime:
        return datetime.fromtimestamp(app.world.now(), UTC)

    accounts = tuple(app.world.accounts.values())
    emr = EmrWorld(seed=app.options.seed, accounts=accounts, known=app.world.practices.values(), clock=clock)
    emr.options.visits_per_day = app.options.visits_per_day
    contacts = ContactsWorld(accounts=accounts, clock=clock)
    select = emr.accounts[_SELECT_USER]
    partner = emr.accounts[_PARTNER]
    app.mount(
        nextech_api.PREFIX + "/",
        lambda request, _: nextech_api.handle(request, emr),
        {"RECONCILER_NEXTECH_URL": nextech_api.PREFIX},
    )
    app.mount(
        practice_plus_api.PREFIX + "/",
        lambda request, _: practice_plus_api.handle(request, emr),
        {"RECONCILER_PRACTICE_PLUS_URL": practice_plus_api.PREFIX},
    )
    app.mount(
        TOKEN_PREFIX,
        lambda request, _: emr_token.handle(request, emr),
        {"RECONCILER_NEXTECH_TOKEN_URL": TOKEN_PREFIX + "token"},
    )
    app.mount(
        contacts_api.PREFIX + "/",
        lambda request, _: contacts_api.handle(request, contacts),
        {"RECONCILER_CONTACTS_URL": contacts_api.PREFIX},
    )
    app.mount(contacts_appointments.PATH, lambda request, _: contacts_appointments.handle(request, contacts))
    app.mount("/_sandbox/emr", lambda request, _: _guarded(_emr, request, emr))
    app.mount(
        "/_sandbox/requests",
        lambda request, _: _guarded(lambda it, known: _requests(it, known, contacts), request, emr),
    )
    app.mount("/_sandbox/contacts", lambda request, _: _guarded(_contacts, request, contacts))
    app.exports |= {
        "RECONCILER_NEXTECH_CLIENT_ID": select.client_id,
        "RECONCILER_NEXTECH_USERNAME": _SELECT_USER,
        "RECONCILER_NEXTECH_PASSWORD": select.secret,
        "RECONCILER_PRACTICE_PLUS_CLIENT_ID": partner.client_id,
        "RECONCILER_PRACTICE_PLUS_CLIENT_SECRET": partner.secret,
        "RECONCILER_PRACTICE_PLUS_RESOURCE": "practice-plus-partner-api-id",
    }
    return emr, contacts


def _guarded(answer: Callable[[Request, _W], Any], request: Request, world: _W) -> Response:
    try:
        return json_response(answer(request, world))
    except (KeyError, LookupError, TypeError, ValueError) as wrong:
        return json_response({"code": 400, "message": f"{type(wrong).__name__}: {wrong}"}, 400)


def _body(request: Request) -> dict[str, Any]:
    body = json.loads(request.body or b"{}")
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    return body


def _set(options: object, body: dict[str, Any]) -> None:
    known = {each.name for each in fields(options)}  # type: ignore[arg-type]
    for name, value in body.items():
        if name not in known:
            raise LookupError(f"no option {name}")
        setattr(options, name, set(value) if isinstance(getattr(options, name), set) else value)


def _practice(emr: EmrWorld, body: dict[str, Any]) -> Practice:
    practice = emr.practice(str(body["practice"]))
    if practice is None:
        raise LookupError("no such practice")
    return practice


def _patient(practice: Practice, text: object) -> int:
    number = practice.patient_number(str(text))
    if number is None:
        raise LookupError("no such patient")
    return number


def _emr(request: Request, emr: EmrWorld) -> Any:
    action = request.path.removeprefix("/_sandbox/emr").strip("/")
    if request.method == "GET" and not action:
        return {
            "now": emr.now().isoformat(),
            "requests": dict(sorted(emr.requests.items())),
            "violations": emr.violations,
            "unauthorised": emr.unauthorised,
            "practices": len(emr.ids()),
        }
    if request.method != "POST":
        raise LookupError("not an endpoint of the sandbox")
    body = _body(request)
    with emr.lock:
        match action:
            case "unauthorise":
                emr.unauthorised[_practice(emr, body).practice_id.lower()] = int(body.get("status", 401))
            case "authorise":
                emr.unauthorised.pop(_practice(emr, body).practice_id.lower(), None)
            case "visit":
                return _visit(emr, body)
            case "merge":
                practice = _practice(emr, body)
                emr.merge(practice, _patient(practice, body["patient"]), _patient(practice, body["into"]))
            case "patient":
                practice = _practice(emr, body)
                number = _patient(practice, body["patient"])
                allowed = {
                    "email",
                    "mobile",
                    "home",
                    "preferred",
                    "sms_privacy",
                    "mailings_excluded",
                    "family",
                    "given",
                }
                changes = {name: value for name, value in body.items() if name in allowed}
                emr.edits(practice).people.setdefault(number, {}).update(changes | {"updated": emr.now()})
                emr.touch(practice)
            case "advance":
                return {
                    "now": emr.advance(timedelta(**{name: float(value) for name, value in body.items()})).isoformat()
                }
            case "credentials":
                if "password" in body:
                    emr_token.set_password(emr, str(body.get("user", _SELECT_USER)), str(body["password"]))
                else:
                    emr.accounts[str(body.get("user", _SELECT_USER))].state = str(body["state"])
            case "options":
                _set(emr.options, {name: value for name, value in body.items() if name not in ("shares", "upsets")})
            case "upset":
                emr.options.upsets.append(Upset(**body))
            case _:
                raise LookupError("not an endpoint of the sandbox")
    return {}


def _visit(emr: EmrWorld, body: dict[str, Any]) -> Any:
    practice, number = _practice(emr, body), int(body["appointment"])
    if body.get("delete"):
        emr.delete_visit(practice, number)
        return {}
    if "custom" in body:
        code = next(each for each in practice.custom_statuses if each.name == body["custom"])
        changed = emr.change_visit(practice, number, status=None, display=code)
    else:
        changed = emr.change_visit(practice, number, status=str(body["status"]))
    if changed is None:
        raise LookupError("no such appointment")
    return {"start": changed.start.isoformat()}


def _contacts(request: Request, world: ContactsWorld) -> Any:
    action = request.path.removeprefix("/_sandbox/contacts").strip("/")
    with world.lock:
        if request.method == "GET" and not action:
            return world.seen()
        if request.method == "GET" and action == "deliveries":
            return [each.as_json() for each in world.deliveries[int(request.first("after") or 0) :]]
        if request.method == "GET" and action == "appointments":
            return [{"business": business, **body} for (business, _), body in world.book.stored.items()]
        if request.method == "GET" and action == "results":
            return [{"business": it.business, **it.item, "results": it.results} for it in world.book.asked]
        if request.method != "POST":
            raise LookupError("not an endpoint of the sandbox")
        body = _body(request)
        match action:
            case "opt-out":
                chosen = tuple(body.get("categories", CATEGORIES))
                world.opt_out(_contact(world, body), str(body.get("channel", "both")), chosen)
            case "block":
                _contact(world, body).blocked = world.clock()
            case "stop":
                world.stopped[str(body["account"])] = int(body.get("code", 1033))
            case "start":
                world.stopped.pop(str(body["account"]), None)
            case "options":
                _set(world.options, body)
            case "ask":
                business = int(body.pop("business"))
                return world.book.ask(business, world.clock(), **body).item
            case "reset":
                world.forget()
            case _:
                raise LookupError("not an endpoint of the sandbox")
    return {}


def _requests(request: Request, emr: EmrWorld, contacts: ContactsWorld) -> Any:
    body = _body(request)
    with emr.lock, contacts.lock:
        made = contacts.book.seed(
            int(body["business"]), _practice(emr, body), int(body["count"]), int(body.get("seed", 1)), emr.now()
        )
    return [it.item["requestId"] for it in made]


def _contact(world: ContactsWorld, body: dict[str, Any]) -> Contact:
    """The contact a person means; one that does not exist yet is made, as when it came from elsewhere."""
    account = str(body["account"])
    wanted: dict[str, Any] = {}
    for name, kind in (("email", "email"), ("phone", "phone"), ("externalId", "external")):
        if body.get(name):
            wanted[kind] = digits(str(body[name])) if kind == "phone" else str(body[name])
    return world.lookup(account, **wanted) or world.make(account, str(body.get("name", "Sample Contact")), wanted)

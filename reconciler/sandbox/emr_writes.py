"""The documented changes to appointments: Select's PUT and POST, Practice+'s PATCH (nextech-api.md 5.6, 8.1)."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, Final

from reconciler.sandbox import emr_fhir
from reconciler.sandbox.emr import STATUS_CODES, Code, Person, Place, Practice, Provider, Visit
from reconciler.sandbox.emr_fhir import Json, outcome
from reconciler.sandbox.emr_world import Chart, EmrWorld
from reconciler.sandbox.http import Request, Response, json_response

_SETTABLE: Final = frozenset({"arrived", "fulfilled", "pending", "booked"})


def _failure(status: int, text: str) -> Response:
    return json_response(outcome(text), status)


def _body(request: Request) -> Json | None:
    try:
        value = json.loads(request.body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _extension(body: Json, name: str) -> Json | None:
    for each in body.get("extension") or []:
        if isinstance(each, dict) and str(each.get("url", "")).rpartition("/")[2] == name:
            return each
    return None


def _referenced(value: Any) -> str:
    """The id in a reference such as ``location/3``; empty if there is none."""
    return str(value.get("reference", "")).rpartition("/")[2] if isinstance(value, dict) else ""


def select(request: Request, resource: str, key: str, chart: Chart, world: EmrWorld) -> Response:
    """``PUT /Appointment/{id}`` and ``POST /Appointment/``; nothing else can be written here."""
    body = _body(request)
    if resource != "appointment" or request.method not in ("PUT", "POST"):
        return _failure(405, "Emulated: this cannot be written")
    if body is None or body.get("resourceType") != "Appointment":
        return _failure(400, "Emulated: the body is not an Appointment")
    if request.method == "POST":
        return _book(body, chart, world)
    visit = chart.visit(int(key)) if key.isascii() and key.isdigit() else None
    if visit is None:
        return _failure(404, "Emulated: no such appointment")
    status = body.get("status")
    custom = _extension(body, "appointment-status")
    if status is None and custom is not None:
        wanted = _referenced(custom.get("valueReference"))
        code = next((each for each in chart.practice.custom_statuses if str(each.id) == wanted), None)
        if code is None:
            return _failure(400, "Emulated: no such appointment status")
        return _changed(chart, world, visit, status=None, display=code)
    status = str(status).lower()
    if status == "cancelled":
        return _cancel(body, visit, chart, world)
    if status not in _SETTABLE:
        return _failure(400, "Emulated: this status cannot be set")
    if status == "arrived" and visit.status in ("fulfilled", "noshow"):
        return _failure(400, "Emulated: an appointment that left arrived cannot go back to it")
    return _changed(chart, world, visit, status=status)


def _changed(chart: Chart, world: EmrWorld, visit: Visit, **changes: object) -> Response:
    changed = world.change_visit(chart.practice, visit.id, **changes)
    return json_response(emr_fhir.appointment(changed or visit, chart))


def _cancel(body: Json, visit: Visit, chart: Chart, world: EmrWorld) -> Response:
    if visit.status == "cancelled":
        return _failure(422, "Emulated: it is already cancelled")
    if visit.id in chart.edits.queued:
        return _failure(422, "Emulated: a cancellation request is already queued")
    if visit.patient is None:
        return _failure(422, "Emulated: it has no patient")
    if world.options.cancellation_reason_required:
        return _failure(422, "Emulated: the preference 'Require a cancellation reason' is Yes")
    request_type = _extension(body, "request-type")
    if request_type is not None and request_type.get("valueString") == "queue":
        chart.edits.queued.add(visit.id)
        return json_response(emr_fhir.appointment(visit, chart))
    return _changed(chart, world, visit, status="cancelled")


def _refused(comment: str) -> Response:
    answer = {"resourceType": "AppointmentResponse", "participantStatus": "declined", "comment": f"Emulated: {comment}"}
    return json_response(answer, 409)


def _book(body: Json, chart: Chart, world: EmrWorld) -> Response:
    practice = chart.practice
    if body.get("status") != "proposed":
        return _refused("the status must be proposed")
    try:
        start, end = (datetime.fromisoformat(str(body.get(name))) for name in ("start", "end"))
    except ValueError:
        return _refused("start and end must be instants")
    if start.tzinfo is None or end.tzinfo is None or end <= start:
        return _refused("start and end must be instants with an offset, in order")
    place: Place | None = None
    provider: Provider | None = None
    patient: int | None = None
    for each in body.get("participant") or []:
        actor = each.get("actor") if isinstance(each, dict) else None
        kind, key = str((actor or {}).get("reference", "")).lower().partition("/")[0], _referenced(actor)
        if kind == "location":
            place = next((p for p in practice.everywhere if str(p.id) == key), None)
        elif kind == "practitioner":
            provider = next((p for p in practice.providers if str(p.id) == key), None)
        elif kind == "patient":
            patient = chart.patient_number(key)
    if place is None or provider is None:
        return _refused("a known location and practitioner are required")
    newcomer = _newcomer(body, practice, provider, world) if patient is None else None
    if patient is None and newcomer is None:
        return _refused("a known patient is required, or one inside with names, a phone and an e-mail")
    found: dict[str, Code] = {}
    for name, entries in (("appointment-type", practice.types), ("appointment-purpose", practice.purposes)):
        wanted = _referenced((_extension(body, name) or {}).get("valueReference"))
        code = next((each for each in entries if str(each.id) == wanted), None)
        if code is None and (wanted or world.options.codes_required):
            return _refused(f"a known {name} is required")
        if code is not None:
            found[name] = code
    if any(_blocks(v, start, provider, place) for v in chart.edits.booked.values()):
        return _refused("the requested time is not available")
    schedule = (_extension(body, "appointment-schedule") or {}).get("valueString", "book")
    status = "proposed" if schedule == "hold" else "pending"
    if newcomer is not None:
        patient = world.admit(practice, newcomer).number
    visit = Visit(
        id=0,
        start=start,
        minutes=int((end - start).total_seconds() // 60),
        place=place,
        provider=provider,
        patient=patient,
        status=status,
        display=STATUS_CODES[status],
        type=found.get("appointment-type", practice.types[0]),
        purposes=tuple(found[name] for name in ("appointment-purpose",) if name in found),
        created=world.now(),
        updated=world.now(),
        shape="plain",
        comment=str(body.get("comment", "")),
    )
    return json_response(emr_fhir.appointment(world.book(practice, visit), chart), 201)


def _blocks(visit: Visit, start: datetime, provider: Provider, place: Place) -> bool:
    return visit.start == start and visit.provider == provider and visit.place == place and visit.status != "cancelled"


def _newcomer(body: Json, practice: Practice, provider: Provider, world: EmrWorld) -> Person | None:
    """The prospect that a booking brings with it (5.6); None where it lacks a name, a phone or an e-mail."""
    inside = next((it for it in body.get("contained") or [] if isinstance(it, dict)), {})
    name = next((it for it in inside.get("name") or [] if isinstance(it, dict)), {})
    given, family = next(iter(name.get("given") or ()), None), name.get("family")
    points = [it for it in inside.get("telecom") or [] if isinstance(it, dict) and it.get("value")]
    email = next((str(it["value"]) for it in points if it.get("system") == "email"), None)
    phones = {str(it.get("use")): str(it["value"]) for it in points if it.get("system") == "phone"}
    if inside.get("resourceType") != "Patient" or not (given and family and email and phones):
        return None
    try:
        birth = date.fromisoformat(str(inside.get("birthDate")))
    except ValueError:
        birth = date(1900, 1, 1)
    return Person(
        number=0,
        guid="",
        chart=0,
        given=str(given),
        middle="",
        family=str(family),
        gender="unknown",
        birth=birth,
        email=email,
        mobile=phones.get("mobile"),
        home=phones.get("home") or phones.get("work"),
        preferred="mobile" if "mobile" in phones else "home",
        sms_privacy=False,
        mailings_excluded=False,
        type=practice.patient_types[0],
        city=("Sarasota", "FL", "34236", "USA"),
        provider=provider,
        updated=world.now(),
        oddity="plain",
        status="prospect",
    )


def practice_plus(request: Request, resource: str, key: str, chart: Chart, world: EmrWorld) -> Response:
    """``PATCH /Appointment/{id}`` with ``booked`` or ``arrived``: 204."""
    body = _body(request)
    if resource != "appointment" or request.method != "PATCH":
        return _failure(405, "Emulated: this cannot be written")
    visit = chart.visit(int(key)) if key.isascii() and key.isdigit() else None
    if visit is None:
        return _failure(404, "Emulated: no such appointment")
    if body is None or body.get("status") not in ("booked", "arrived"):
        return _failure(400, "Emulated: the status must be booked or arrived")
    world.change_visit(chart.practice, visit.id, status=body["status"])
    return Response(204)

"""What Nextech Select and Practice+ have in common: who may ask, paging, reading. Each product brings its own writing.

Order of the checks: token (401), practice header (400, 403 or 401), rate (429), then the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any
from urllib.parse import quote

from reconciler.sandbox import emr_search
from reconciler.sandbox.emr import Code, Place, Practice, Provider, Visit
from reconciler.sandbox.emr_fhir import Json, outcome
from reconciler.sandbox.emr_search import BadSearch
from reconciler.sandbox.emr_token import bearer
from reconciler.sandbox.emr_world import Chart, EmrWorld
from reconciler.sandbox.http import Request, Response, json_response

_ADDRESS = frozenset({"address", "address-city", "address-state", "address-postalcode"})
_PATIENT = (
    frozenset({"_lastUpdated", "family", "given", "name", "birthdate", "phone", "email", "identifier"}) | _ADDRESS
)
_LOCATION = frozenset({"identifier", "status", "includeAll", "name", "phone"}) | _ADDRESS
_PRACTITIONER = frozenset({"identifier", "active", "name", "family", "given", "phone", "email"}) | _ADDRESS
_CODES = frozenset({"identifier", "name"})


@dataclass(frozen=True, slots=True)
class Product:
    """One of the two products: where it is mounted and how it writes its resources."""

    name: str
    prefix: str
    appointment: Callable[[Visit, Chart], Json]
    patient: Callable[[int, Chart, EmrWorld], Json]
    location: Callable[[Place], Json]
    practitioner: Callable[[Provider, Place, EmrWorld], Json]
    code: Callable[[str, Code, Practice], Json]
    code_lists: tuple[str, ...]
    chart_numbers: bool
    write: Callable[[Request, str, str, Chart, EmrWorld], Response]


def failure(status: int, text: str) -> Response:
    """An OperationOutcome."""
    return json_response(outcome(text), status)


def serve(request: Request, world: EmrWorld, product: Product) -> Response:
    """Answer a request to one of the two products; ``upset`` may then spoil the answer."""
    with world.lock:
        response = _answer(request, world, product)
        return upset(request, response, world)


def _answer(request: Request, world: EmrWorld, product: Product) -> Response:
    parts = [part for part in request.path.removeprefix(product.prefix).split("/") if part]
    resource, key = (parts[0] if parts else ""), "/".join(parts[1:])
    world.count(f"{request.method} {resource}")
    token = bearer(request, world, product.name)
    if token is None:
        return failure(world.options.expired_status, "Emulated: the token is missing, unknown or expired")
    practice_id = request.headers.get("nx-practice-id", "").strip()
    if not practice_id:
        world.violations.append(f"{request.method} {resource} without nx-practice-id")
        return failure(400, "Emulated: nx-practice-id is missing")
    practice = world.practice(practice_id)
    refused = world.unauthorised.get(practice_id.lower())
    if practice is None or practice.practice_plus != (product.name == "practice_plus"):
        return failure(world.options.unknown_practice_status, "Emulated: this practice is not open to this user")
    if refused is not None:
        return failure(refused, "Emulated: access to this practice was withdrawn")
    if world.limited(token.user, resource.lower()):
        headers = (("Retry-After", "1"),) if world.options.retry_after else ()
        return json_response({"statusCode": 429, "message": "Rate limit is exceeded."}, 429, headers)
    chart = world.chart(practice)
    try:
        if request.method == "GET":
            return _read(request, resource.lower(), key, chart, world, product)
        return product.write(request, resource.lower(), key, chart, world)
    except BadSearch as bad:
        world.violations.append(f"{request.method} {resource}: {bad}")
        return failure(400, f"Emulated: {bad}")


def _read(request: Request, resource: str, key: str, chart: Chart, world: EmrWorld, product: Product) -> Response:
    if resource == "appointment" and not key:
        return _appointments(request, chart, world, product)
    if resource == "patient":
        return _patients(request, key, chart, world, product)
    if resource == "location":
        return _locations(request, key, chart, world, product)
    if resource == "practitioner":
        return _practitioners(request, key, chart, world, product)
    if resource in product.code_lists:
        return _codes(request, resource, key, chart, world, product)
    world.violations.append(f"GET {resource}/…: not documented")
    return failure(404, "Emulated: there is no such resource")


def _appointments(request: Request, chart: Chart, world: EmrWorld, product: Product) -> Response:
    query = emr_search.appointment_query(request, chart)
    page = emr_search.page_of(request)
    if query.by_date_only:
        found = chart.numbers(query.first, query.stop)
    else:
        found = world.searched(chart, query, lambda: emr_search.find(query, chart))
    shown = _slice(found, page, world)

    def write(number: int) -> Json | None:
        visit = chart.visit(number)
        return None if visit is None else product.appointment(visit, chart)

    response = bundle(request, page, len(found), map(write, shown), world, product)
    if page.offset + page.count < len(found):
        _move(found, chart, world)
    return response


def _move(found: Sequence[int], chart: Chart, world: EmrWorld) -> None:
    options = world.options
    if options.moves <= 0 or not (options.delete_while_paging or options.insert_while_paging):
        return
    options.moves -= 1
    ordered = found[::-1] if options.newest_first else found
    first = chart.visit(ordered[0])
    for number in list(ordered[: options.delete_while_paging]):
        world.delete_visit(chart.practice, number)
    for _ in range(options.insert_while_paging):
        if first is not None:
            world.book(chart.practice, replace(first, updated=world.now()))


def _slice(found: Sequence[Any], page: emr_search.Page, world: EmrWorld) -> Sequence[Any]:
    count = page.count + 5 if world.options.oversize else page.count
    if not world.options.newest_first:
        shown = found[page.offset : page.offset + count]
    else:
        end = max(0, len(found) - page.offset)
        shown = found[max(0, end - count) : end][::-1]
    if not shown and world.options.link_fault == "endless":
        shown = found[:count]
    return shown[: max(1, len(shown) // 10)] if world.options.short else shown


def _patients(request: Request, key: str, chart: Chart, world: EmrWorld, product: Product) -> Response:
    if key:
        number = chart.patient_number(key)
        if number is None or (key.isdigit() and not product.chart_numbers):
            return failure(404, "Emulated: no such patient")
        shown = list(_present([number], chart, world))
        if not shown:
            return failure(404, "Emulated: no such patient")
        return json_response(product.patient(shown[0], chart, world))
    emr_search.check_names(request, _PATIENT)
    page = emr_search.page_of(request)
    query = ("Patient", page.rest)
    found = world.searched(chart, query, lambda: _find_patients(request, chart, world, product))
    shown_numbers = _slice(found, page, world)
    writing = (product.patient(number, chart, world) for number in shown_numbers)
    return bundle(request, page, len(found), writing, world, product)


def _present(numbers: Iterable[int], chart: Chart, world: EmrWorld) -> Iterator[int]:
    """Patients that an answer may hold: a merged one is replaced or gone, each is there once."""
    merged, seen = chart.edits.merged, set()
    every = isinstance(numbers, range)
    for number in chain(numbers, chart.edits.prospects if every else ()):
        if number in merged:
            if every or world.options.merged == "absent":
                continue
            number = merged[number]
        if chart.oddity(number) == "absent" or (not every and number in seen):
            continue
        if not every:
            seen.add(number)
        yield number


def _find_patients(request: Request, chart: Chart, world: EmrWorld, product: Product) -> Iterator[int]:
    practice = chart.practice
    numbers: Iterable[int] = range(practice.patients)
    for wanted in emr_search.values(request, "identifier"):
        usable = {value for value in wanted if product.chart_numbers or not value.isdigit()}
        hit = {number for value in usable if (number := chart.patient_number(value)) is not None}
        numbers = sorted(hit.intersection(numbers) if not isinstance(numbers, range) else hit)
    names = ("family", "given", "name", "phone", "email", *sorted(_ADDRESS))
    texts = [(name, test) for name in names if (test := emr_search.text_test(request, name)) is not None]
    born, updated = emr_search.moments(request, "birthdate"), emr_search.moments(request, "_lastUpdated")
    for number in _present(numbers, chart, world):
        if texts or born or updated:
            person = chart.person(number)
            city, state, postal, _ = person.city
            fields = {
                "family": (person.family,),
                "given": (person.given,),
                "name": (person.family, person.given),
                "phone": tuple(each for each in (person.mobile, person.home) if each),
                "email": (person.email,) if person.email else (),
                "address": (city, state, postal),
                "address-city": (city,),
                "address-state": (state,),
                "address-postalcode": (postal,),
            }
            if not all(any(test(text) for text in fields[name]) for name, test in texts):
                continue
            if not emr_search.holds(updated, person.updated):
                continue
            if born and not emr_search.holds(born, emr_search.midnight(person.birth)):
                continue
        yield number


def _locations(request: Request, key: str, chart: Chart, world: EmrWorld, product: Product) -> Response:
    places = chart.practice.everywhere
    if key:
        return _one([product.location(place) for place in places if str(place.id) == key])
    emr_search.check_names(request, _LOCATION)
    if request.first("includeAll") != "true":
        places = tuple(place for place in places if place.managed)
    for wanted in emr_search.values(request, "status"):
        places = tuple(place for place in places if ("active" if place.active else "inactive") in wanted)
    for wanted in emr_search.values(request, "identifier"):
        places = tuple(place for place in places if str(place.id) in wanted)
    if (test := emr_search.text_test(request, "name")) is not None:
        places = tuple(place for place in places if test(place.name))
    return _list(request, [product.location(place) for place in places], world, product)


def _practitioners(request: Request, key: str, chart: Chart, world: EmrWorld, product: Product) -> Response:
    providers, home = chart.practice.providers, chart.practice.places[0]
    if key:
        found = [product.practitioner(each, home, world) for each in providers if str(each.id) == key]
        return _one(found)
    emr_search.check_names(request, _PRACTITIONER)
    for wanted in emr_search.values(request, "identifier"):
        providers = tuple(each for each in providers if str(each.id) in wanted)
    for name, parts in (("family", ("family",)), ("given", ("given",)), ("name", ("family", "given"))):
        if (test := emr_search.text_test(request, name)) is not None:
            providers = tuple(each for each in providers if any(test(getattr(each, part)) for part in parts))
    return _list(request, [product.practitioner(each, home, world) for each in providers], world, product)


def _codes(request: Request, kind: str, key: str, chart: Chart, world: EmrWorld, product: Product) -> Response:
    entries = code_list(kind, chart.practice)
    if key:
        return _one([product.code(kind, each, chart.practice) for each in entries if str(each.id) == key])
    emr_search.check_names(request, _CODES)
    for wanted in emr_search.values(request, "identifier"):
        entries = tuple(each for each in entries if str(each.id) in wanted)
    if (test := emr_search.text_test(request, "name")) is not None:
        entries = tuple(each for each in entries if test(each.name))
    return _list(request, [product.code(kind, each, chart.practice) for each in entries], world, product)


def code_list(kind: str, practice: Practice) -> tuple[Code, ...]:
    """The entries of a code list of a practice."""
    if kind == "appointment-type":
        return practice.types
    if kind == "appointment-purpose":
        return practice.purposes
    if kind == "patient-type":
        return practice.patient_types
    built_in = (Code(0, "Pending"), Code(1, "In"), Code(2, "Out"), Code(3, "No Show"), Code(4, "Cancelled"))
    return (*built_in, *practice.custom_statuses)


def _one(found: list[Json]) -> Response:
    return json_response(found[0]) if found else failure(404, "Emulated: no such resource")


def _list(request: Request, resources: list[Json], world: EmrWorld, product: Product) -> Response:
    page = emr_search.page_of(request)
    return bundle(request, page, len(resources), _slice(resources, page, world), world, product)


def bundle(
    request: Request,
    page: emr_search.Page,
    total: int,
    resources: Iterable[Json | None],
    world: EmrWorld,
    product: Product,
) -> Response:
    """A searchset page, or what the world answers where nothing matches."""
    options = world.options
    if total == 0 and options.empty_search == "404":
        return failure(404, "Emulated: nothing matches")
    scheme = request.headers.get("x-forwarded-proto", "http")
    resource = request.path.removeprefix(product.prefix).strip("/")
    base = f"{scheme}://{request.headers.get('host', '127.0.0.1')}{product.prefix}/{resource}"
    sent = "&".join(f"{quote(name, safe='.:_-')}={quote(value, safe='/:,.-')}" for name, value in request.query)
    answer: Json = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": total + 7 if options.total == "wrong" else total,
        "link": emr_search.links(base, sent, page, total, options),
        "entry": [{"resource": each} for each in resources if each is not None],
    }
    if options.total == "absent":
        del answer["total"]
    if not answer["entry"] and options.empty_search == "empty":
        del answer["entry"]
    return json_response(answer)


def upset(request: Request, response: Response, world: EmrWorld) -> Response:
    """The answer as a broken gateway passes it on, where ``options.upsets`` says so."""
    for each in world.options.upsets:
        if each.path.lower() not in request.path.lower():
            continue
        each.seen += 1
        if not each.first <= each.seen < each.first + each.times:
            continue
        json_type = (("Content-Type", "application/json"),)
        if each.kind == "html":
            return Response(200, b"<html><body>Sign in</body></html>", (("Content-Type", "text/html"),))
        if each.kind == "truncate":
            return Response(200, response.body[: len(response.body) // 2], json_type)
        if each.kind == "outcome":
            return json_response(outcome("Emulated failure text"))
        if each.kind == "empty":
            return Response(200, b"", json_type)
        if each.kind == "null":
            return Response(200, b"null", json_type)
        if each.kind == "nothing":
            return json_response({"resourceType": "Bundle", "type": "searchset", "total": 0})
        return failure(int(each.kind), "Emulated failure text")
    return response

"""FHIR search as nextech-api.md 3 and 5.2 describe it: parameters to a query, a query to ids, ids to a page with links.

Everything undocumented is refused with 400 and noted among the world's violations, so that a client that relies on it
is found out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from urllib.parse import quote

from reconciler.sandbox.emr_options import EmrOptions
from reconciler.sandbox.emr_world import BOOKED_FROM, Chart
from reconciler.sandbox.http import Request

_SETTLED = timedelta(days=7)
DEFAULT_COUNT, MOST_COUNT = 10, 50
STATUSES = frozenset({"cancelled", "booked", "noshow", "arrived", "fulfilled", "pending"})
APPOINTMENT = frozenset(
    {
        "_lastUpdated", "identifier", "patient", "date", "location.id", "location.name", "practitioner.id",
        "practitioner.name", "status", "created",
    }
)  # fmt: skip
PAGING = frozenset({"_count", "_getpagesoffset"})
_DATE = re.compile(r"(gt|lt|eq|le|ge|ne)?(\d{4}-\d{2}-\d{2})\Z")
_INSTANT = re.compile(r"(gt|lt|eq|le|ge|ne)?(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2}))\Z")


class BadSearch(Exception):
    """A search that the API refuses; the text names the parameter, never its value."""


@dataclass(frozen=True, slots=True)
class AppointmentQuery:
    """A search for appointments; None: no condition. Hashable, so that its result can be kept for the next page."""

    first: date | None = None
    stop: date | None = None
    identifiers: frozenset[str] | None = None
    places: frozenset[int] | None = None
    providers: frozenset[int] | None = None
    patients: frozenset[int] | None = None
    statuses: frozenset[str] | None = None
    updated: tuple[tuple[str, datetime, datetime], ...] = ()
    created: tuple[tuple[str, datetime, datetime], ...] = ()

    @property
    def by_date_only(self) -> bool:
        """Whether the dates alone decide: then nothing needs to be searched."""
        return self == AppointmentQuery(self.first, self.stop)


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page starts, how many rows it may have, and the search without paging parameters."""

    offset: int
    count: int
    rest: tuple[tuple[str, str], ...] = field(default=())


def page_of(request: Request) -> Page:
    """The paging parameters of a request. A count above 50 is clamped."""
    numbers = {}
    for name, default in (("_count", DEFAULT_COUNT), ("_getpagesoffset", 0)):
        value = request.first(name)
        if value is not None and not (value.isascii() and value.isdigit() and len(value) < 10):
            raise BadSearch(f"{name} is not a number")
        numbers[name] = default if value is None else int(value)
    rest = tuple((name, value) for name, value in request.query if name not in PAGING)
    return Page(numbers["_getpagesoffset"], min(max(numbers["_count"], 1), MOST_COUNT), rest)


def check_names(request: Request, known: frozenset[str]) -> None:
    """Refuse parameters that are not documented for a resource, and empty ones."""
    for name, value in request.query:
        base = name.partition(":")[0]
        if base not in known and base not in PAGING:
            raise BadSearch(f"{base} is not a supported search parameter")
        if not value.strip():
            raise BadSearch(f"{base} is empty")


def values(request: Request, name: str) -> list[frozenset[str]]:
    """The comma lists of a parameter, one set for each time it is given (all must hold)."""
    return [frozenset(part.strip() for part in text.split(",") if part.strip()) for text in request.every(name)]


def text_test(request: Request, name: str) -> Callable[[str], bool] | None:
    """The test for a string parameter: starts-with, ``:exact`` or ``:contains``; None if it is not given.

    Case and surrounding white space do not matter.
    """
    tests: list[Callable[[str], bool]] = []
    for given, value in request.query:
        base, _, modifier = given.partition(":")
        if base != name:
            continue
        if modifier not in ("", "exact", "contains"):
            raise BadSearch(f"{name} has an unknown modifier")
        wanted = tuple(part.strip().casefold() for part in value.split(",") if part.strip())

        def test(text: str, wanted: tuple[str, ...] = wanted, modifier: str = modifier) -> bool:
            text = text.strip().casefold()
            if modifier == "exact":
                return text in wanted
            return any(part in text for part in wanted) if modifier else text.startswith(wanted)

        tests.append(test)
    return (lambda text: all(test(text) for test in tests)) if tests else None


def moments(request: Request, name: str) -> tuple[tuple[str, datetime, datetime], ...]:
    """Conditions on an instant: operator, start and end of what was named (a day, or a second of no length)."""
    found = []
    for text in request.every(name):
        if match := _DATE.match(text):
            begin = datetime.combine(_day(match[2], name), time(), UTC)
            found.append((match[1] or "eq", begin, begin + timedelta(days=1)))
        elif match := _INSTANT.match(text):
            try:
                begin = datetime.fromisoformat(match[2])
            except ValueError:
                raise BadSearch(f"{name} is not an instant") from None
            found.append((match[1] or "eq", begin, begin))
        else:
            # A plus sign that was not encoded arrives as a space and ends here.
            raise BadSearch(f"{name} is not yyyy-MM-dd or yyyy-MM-ddThh:mm:ss with a zone")
    return tuple(found)


def holds(conditions: tuple[tuple[str, datetime, datetime], ...], moment: datetime) -> bool:
    """Whether an instant satisfies all conditions."""
    for operator, begin, end in conditions:
        inside = begin <= moment < end if begin != end else moment == begin
        after = moment >= end if begin != end else moment > begin
        verdict = {
            "eq": inside, "ne": not inside, "gt": after, "ge": after or inside, "lt": moment < begin,
            "le": moment < begin or inside,
        }  # fmt: skip
        if not verdict[operator]:
            return False
    return True


def midnight(day: date) -> datetime:
    """A day as the instant that conditions on days are compared with."""
    return datetime.combine(day, time(), UTC)


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadSearch(f"{name} is not a date") from None


def _days(request: Request) -> tuple[date | None, date | None]:
    first, stop = date.min, date.max
    for text in request.every("date"):
        match = _DATE.match(text)
        if match is None or match[1] == "ne":
            raise BadSearch("date takes one bare date with lt, gt, eq, le or ge")
        day = _day(match[2], "date")
        following = day + timedelta(days=1) if day < date.max else day
        operator = match[1] or "eq"
        if operator in ("eq", "ge"):
            first = max(first, day)
        if operator == "gt":
            first = max(first, following)
        if operator in ("eq", "le"):
            stop = min(stop, following)
        if operator == "lt":
            stop = min(stop, day)
    return (None if first == date.min else first), (None if stop == date.max else stop)


def _reference(value: str) -> str:
    return value.rpartition("/")[2]


def appointment_query(request: Request, chart: Chart) -> AppointmentQuery:
    """The search that a request asks for. Raises BadSearch."""
    check_names(request, APPOINTMENT)
    practice = chart.practice
    first, stop = _days(request)
    places = providers = None
    for wanted in values(request, "location.id"):
        hit = frozenset(place.id for place in practice.everywhere if str(place.id) in {_reference(v) for v in wanted})
        places = hit if places is None else places & hit
    if (test := text_test(request, "location.name")) is not None:
        hit = frozenset(place.id for place in practice.everywhere if test(place.name))
        places = hit if places is None else places & hit
    for wanted in values(request, "practitioner.id"):
        hit = frozenset(each.id for each in practice.providers if str(each.id) in {_reference(v) for v in wanted})
        providers = hit if providers is None else providers & hit
    if (test := text_test(request, "practitioner.name")) is not None:
        hit = frozenset(each.id for each in practice.providers if test(each.family) or test(each.given))
        providers = hit if providers is None else providers & hit
    patients = None
    for wanted in values(request, "patient"):
        hit = frozenset(n for v in wanted if (n := chart.patient_number(_reference(v))) is not None)
        patients = hit if patients is None else patients & hit
    statuses = None
    for wanted in values(request, "status"):
        if not wanted <= STATUSES:
            raise BadSearch("status has a value that is not supported")
        statuses = wanted if statuses is None else statuses & wanted
    identifiers = None
    for wanted in values(request, "identifier"):
        identifiers = wanted if identifiers is None else identifiers & wanted
    return AppointmentQuery(
        first, stop, identifiers, places, providers, patients, statuses,
        moments(request, "_lastUpdated"), moments(request, "created"),
    )  # fmt: skip


def find(query: AppointmentQuery, chart: Chart) -> Iterator[int]:
    """The ids that match, in order of entry. One pass, nothing kept."""
    candidates: Sequence[int] = chart.numbers(query.first, query.stop)
    since = max((begin for operator, begin, _ in query.updated if operator in ("ge", "gt", "eq")), default=None)
    if since is not None and query.first is None:
        # Nothing is touched later than a few days after its start, except by an edit.
        recent = chart.numbers(since.date() - _SETTLED, query.stop)
        edited = sorted(set(chart.edits.changed).intersection(candidates).difference(recent))
        candidates = [*edited, *recent] if edited else recent
    if query.identifiers is not None:
        wanted = sorted({int(text) for text in query.identifiers if text.isascii() and text.isdigit()})
        inside = frozenset(candidates) if not isinstance(candidates, range) else candidates
        candidates = [number for number in wanted if number in inside]
    for number in candidates:
        if query.places is not None and (
            chart.place_of(number).id not in query.places or _hidden(chart, number, "no_location")
        ):
            continue
        if query.providers is not None and (
            chart.provider_of(number).id not in query.providers or _hidden(chart, number, "no_practitioner")
        ):
            continue
        if query.patients is not None and chart.patient_of(number) not in query.patients:
            continue
        if query.statuses is not None or query.updated:
            status, updated = chart.status_of(number)
            if query.statuses is not None and status not in query.statuses:
                continue
            if not holds(query.updated, updated):
                continue
        if query.created and not holds(query.created, _created(chart, number)):
            continue
        yield number


def _hidden(chart: Chart, number: int, shape: str) -> bool:
    return number < BOOKED_FROM and chart.practice.shape_of(number) == shape


def _created(chart: Chart, number: int) -> datetime:
    booked = chart.edits.booked.get(number)
    return booked.created if booked is not None else chart.practice.created_of(number)


def links(base: str, sent: str, page: Page, total: int, options: EmrOptions) -> list[dict[str, str]]:
    """``Bundle.link`` of a page: ``self`` as it was sent, the others with paging parameters at the end."""

    def at(offset: int) -> str:
        query = "&".join(f"{quote(name, safe='.:_-')}={quote(value, safe='/:,.-')}" for name, value in page.rest)
        return f"{base}?{query}{'&' if query else ''}_getpagesoffset={offset}&_count={page.count}"

    following = page.offset + page.count
    upcoming: str | None = at(following) if following < total else None
    if options.own_next and upcoming is None:
        upcoming = at(page.offset)
    fault = options.link_fault
    if fault == "self":
        upcoming = at(page.offset)
    elif fault == "backwards":
        upcoming = at(max(0, page.offset - page.count)) if page.offset else at(following)
    elif fault == "loop":
        upcoming = at(following) if following < min(total, 3 * page.count) else at(0)
    elif fault == "endless":
        upcoming = at(following)
    elif fault == "foreign" and upcoming is not None:
        rest = upcoming.partition("://")[2].partition("/")[2]
        upcoming = f"https://{options.foreign_host}/{rest}"
    elif fault == "http" and upcoming is not None:
        upcoming = "http://" + upcoming.partition("://")[2]
    last = max(0, total - page.count) if options.last_overlaps else max(0, total - 1) // page.count * page.count
    found = [("self", f"{base}?{sent}" if sent else base)]
    if page.offset > 0:
        found.append(("previous", at(max(0, page.offset - page.count))))
    if upcoming is not None:
        found.append(("next", upcoming))
    found += [("first", at(0)), ("last", at(last))]
    return [{"relation": relation, "url": url} for relation, url in found]

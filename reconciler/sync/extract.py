"""What a pass reads from Nextech, and no more than that: visits of the union window, the patients needed, the names."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Any, Protocol

from reconciler.core import fhir, fhir_patient
from reconciler.core.fhir_models import Appointment, Location, Patient, Quarantined
from reconciler.core.phi import Phi
from reconciler.core.windows_reads import PAGE_SIZE, Read

CHUNK_VISITS = 2_000
"""A longer read is split by days, so that memory does not grow with the practice (at most a page more per part)."""
CACHED_PATIENTS = 2_000


class Page(Protocol):
    """One page, as ``clients.nextech`` gives it."""

    @property
    def resources(self) -> tuple[Any, ...]:
        """Parsed JSON."""

    @property
    def total(self) -> int | None:
        """How many the search finds, where the answer says so."""


class Reads(Protocol):
    """What a pass needs of ``clients.nextech.NextechClient``."""

    def appointments(
        self, practice_id: str, *, start: date, end: date, location_name: str | None = None
    ) -> Iterator[Any]:
        """Pages of appointments."""

    def patients(self, practice_id: str, identifiers: Iterable[str]) -> Iterator[Any]:
        """Pages of patients."""

    def locations(self, practice_id: str) -> Iterator[Any]:
        """Pages of locations."""

    def take_requests(self, practice_id: str) -> dict[str, int]:
        """Requests by endpoint since the last time."""


Visit = Appointment | Quarantined


@dataclass
class Extract:
    """The reads of one pass over one practice."""

    client: Reads
    practice_id: str
    keep: frozenset[str]
    """The campaign tags whose source is kept (``core.fhir``)."""

    def __post_init__(self) -> None:
        self._patients: OrderedDict[Phi[str], Patient | Quarantined | None] = OrderedDict()

    def visits(self, reads: Sequence[Read]) -> Iterator[list[Visit]]:
        """Every visit of the reads, in parts of about ``CHUNK_VISITS``; a visit may come twice."""
        for read in reads:
            yield from self._read(read)

    def visits_of(self, read: Read, names: Iterable[str]) -> list[Visit]:
        """The visits at locations whose names begin with one of these: they must be compared again."""
        found: list[Visit] = []
        for name in names:
            pages = self.client.appointments(self.practice_id, start=read.first, end=read.before, location_name=name)
            found += [it for page in pages for it in self._parsed(page)]
        return found

    def _read(self, read: Read) -> Iterator[list[Visit]]:
        pages = self.client.appointments(self.practice_id, start=read.first, end=read.before)
        found: list[Visit] = []
        days = (read.before - read.first).days
        for number, page in enumerate(pages):
            if number == 0 and days > 1 and page.total is not None and page.total > CHUNK_VISITS:
                break
            found += self._parsed(page)
        else:
            yield found
            return
        step = timedelta(days=max(1, days * CHUNK_VISITS // page.total))
        first = read.first
        while first < read.before:
            before = min(first + step, read.before)
            part = self.client.appointments(self.practice_id, start=first, end=before)
            yield [it for page in part for it in self._parsed(page)]
            first = before

    def _parsed(self, page: Any) -> list[Visit]:
        return [fhir.appointment(it, keep=self.keep) for it in page.resources]

    def patients(
        self, needed: Iterable[Phi[str]], following: Iterable[Phi[str]] = ()
    ) -> Mapping[Phi[str], Patient | Quarantined]:
        """The patients with these ids, as many as there are; each is asked for once, unless many others came between.

        ``following`` will be needed next: they fill the last request.
        """
        wanted = list(dict.fromkeys(needed))
        missing = [it for it in wanted if it not in self._patients]
        if missing:
            room = -len(missing) % PAGE_SIZE
            known = set(missing)
            later = (it for it in following if it not in self._patients and it not in known)
            while room > 0 and (more := list(dict.fromkeys(islice(later, room)))):
                missing += more
                known.update(more)
                room -= len(more)
            fresh = self._ask(missing)
            for it in missing:
                self._patients[it] = fresh.get(it)
        found = {it: one for it in wanted if (one := self._patients[it]) is not None}
        while len(self._patients) > CACHED_PATIENTS:
            self._patients.popitem(last=False)
        return found

    def _ask(self, missing: Sequence[Phi[str]]) -> dict[Phi[str], Patient | Quarantined]:
        asked = set(missing)
        fresh: dict[Phi[str], Patient | Quarantined] = {}
        for page in self.client.patients(self.practice_id, [it.reveal() for it in missing]):
            for resource in page.resources:
                one = fhir_patient.patient(resource, keep=self.keep)
                found = one.id
                if found is None or found not in asked:
                    continue
                if found in fresh and fresh[found] != one:
                    # Two records under one id that say different things: whose is the phone?
                    one = Quarantined("duplicate_patient", "Patient", found)
                fresh[found] = one
        return fresh

    def locations(self) -> tuple[Location, ...]:
        """Every location of the practice that has a name."""
        found = []
        for page in self.client.locations(self.practice_id):
            for resource in page.resources:
                one = fhir.location(resource)
                if isinstance(one, Location) and one.name:
                    found.append(one)
        return tuple(found)

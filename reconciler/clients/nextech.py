"""Reads one practice's appointments, patients, locations, practitioners and code lists from Nextech Select.

Facts from ``nextech-api.md`` 1.3, 2, 3, 5 to 7. Gives pages of resources as parsed from JSON (``core.fhir`` makes values
of them). A read that ends without an error is complete; an error part-way means that nothing may be concluded from what
came. The practice id is a secret: it travels in a header and stands in no message.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import quote

from reconciler import errors
from reconciler.clients.nextech_paging import PAGE_SIZE, Page, Paging, Search
from reconciler.clients.transport import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from reconciler.clients.nextech_auth import Token, TokenSource
    from reconciler.clients.transport import RateLimiter, Reply, Transport

__all__ = ["NextechClient", "Page"]

REQUESTS_PER_SECOND = 18.0
"""Per endpoint, unless set: below the documented 20 per user and endpoint (``nextech-api.md`` 2)."""
LONGEST_QUERY = 1_900
"""Characters of a patient query (``sync.md``, Extract)."""
DEADLINE_SECONDS = 30.0
MOST_READS = 3
"""How often a search is read in all while rows vanish under it."""
PROOF_SECONDS = 60.0
"""How long a known-good read vouches for a practice whose search answers 404."""
MOST_TRIES = 4
"""Attempts of one request while other threads keep renewing the token."""
SSN_SYSTEM = "us-ssn"
NOBODY_LET_IN = "nobody_let_in"
"""The code of a 403 that may be the practice's or ours: no other one has let us in so far."""
_UNAUTHORISED = frozenset({401, 403})
_ACCEPTED = frozenset({401, 403, 404})
_ACCEPTED_OF_WRITES = frozenset({400, 401, 403, 404, 405, 409, 422})
_LOCATIONS = "Location"
_WITNESS = "Practitioner"
"""Says whether the address is right where ``Location`` answers 404."""


class NextechClient:
    """Reads of one Nextech product, for any number of practices and threads."""

    def __init__(
        self,
        transport: Transport,
        tokens: TokenSource,
        *,
        base_url: str,
        now: Callable[[], float],
        new_limiter: Callable[[], RateLimiter] | None = None,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """``base_url`` is the transport's. ``new_limiter`` makes the bucket of one endpoint (see REQUESTS_PER_SECOND);
        without it only the transport's own limit holds.

        ``now`` is monotonic seconds; ``deadline_seconds`` bounds each request with its retries.
        """
        self._transport = transport
        self._tokens = tokens
        self._base_url = base_url
        self._now = now
        self._new_limiter = new_limiter
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._limiters: dict[str, RateLimiter] = {}
        self._requests: dict[str, Counter[str]] = {}
        self._good: list[str] = []
        """The last two practices that let us in: enough to know whether any but a given one did."""
        self._proved_at: dict[str, float] = {}

    def appointments(
        self,
        practice_id: str,
        *,
        start: date,
        end: date,
        location_name: str | None = None,
        updated_since: datetime | None = None,
    ) -> Iterator[Page]:
        """Appointments that start from ``start`` to before ``end`` (bare dates of the practice's own time zone).

        ``location_name`` matches names that start with it: compare again. ``updated_since`` (aware) needs Nextech 14.3.
        """
        filters = [("date", f"ge{start.isoformat()}"), ("date", f"lt{end.isoformat()}")]
        if location_name is not None:
            filters.append(("location.name", location_name))
        if updated_since is not None:
            if updated_since.tzinfo is None:
                raise errors.InternalError("updated_since needs a time zone")
            filters.append(("_lastUpdated", updated_since.astimezone(UTC).strftime("ge%Y-%m-%dT%H:%M:%SZ")))
        return self._read(practice_id, "Appointment", filters)

    def patients(self, practice_id: str, identifiers: Iterable[str]) -> Iterator[Page]:
        """The patients with these ids, each asked for once whatever its case; those who do not exist do not come."""
        for chunk in chunks(identifiers):
            yield from self._read(practice_id, "Patient", [("identifier", chunk)])

    def locations(self, practice_id: str) -> Iterator[Page]:
        """All locations, also those that the practice does not manage (before Nextech 14.4: the managed ones)."""
        try:
            yield from self._read(practice_id, _LOCATIONS, [("includeAll", "true")])
        except errors.Answered as error:
            if error.status != 400:
                raise
            yield from self._read(practice_id, _LOCATIONS, [])

    def practitioners(self, practice_id: str) -> Iterator[Page]:
        """Providers that are linked to a user."""
        return self._read(practice_id, "Practitioner", [])

    def appointment_types(self, practice_id: str) -> Iterator[Page]:
        """The code list of appointment types."""
        return self._read(practice_id, "appointment-type", [])

    def appointment_purposes(self, practice_id: str) -> Iterator[Page]:
        """The code list of appointment purposes."""
        return self._read(practice_id, "appointment-purpose", [])

    def appointment_statuses(self, practice_id: str) -> Iterator[Page]:
        """The code list of appointment statuses, custom ones too; needs Nextech 15.9."""
        return self._read(practice_id, "appointment-status", [])

    def patient_types(self, practice_id: str) -> Iterator[Page]:
        """The code list of patient types."""
        return self._read(practice_id, "patient-type", [])

    def search(self, practice_id: str, resource: str, filters: Sequence[tuple[str, str]]) -> Iterator[Page]:
        """Any search of a resource: documented parameters and their values, unencoded."""
        return self._read(practice_id, resource, list(filters))

    def write(self, practice_id: str, method: str, path: str, body: Mapping[str, Any], *, endpoint: str) -> Reply:
        """One write, never sent twice once it may have arrived: 2xx, or 400, 404, 405, 409, 422.

        Where the practice refuses the token nothing was written, so it is sent once more with a renewed one. Raises
        ``NotSent``, ``Unknown``, ``Answered`` (429), ``Garbage``, ``PracticeUnauthorised``.
        """
        if not _fits_header(practice_id):
            raise errors.SecretError("a practice id is empty or holds characters that no header can carry")
        token, own = self._tokens.current(), False
        for _ in range(MOST_TRIES):
            reply = self._exchange(
                practice_id, method, path, None, token, endpoint=endpoint, body=body, accepted=_ACCEPTED_OF_WRITES
            )
            if reply.status not in _UNAUTHORISED:
                self._note_good(practice_id)
                return reply
            if own:
                break
            renewal = self._tokens.renew(token)
            token, own = renewal.token, renewal.own
        raise self._refusal(practice_id, endpoint, reply.status)

    def requests(self, practice_id: str) -> dict[str, int]:
        """Requests made for a practice so far, by endpoint (an answer's retries inside the transport not counted)."""
        with self._lock:
            return dict(self._requests.get(practice_id, ()))

    def take_requests(self, practice_id: str) -> dict[str, int]:
        """The same, and count from 0 again: what one pass reports."""
        with self._lock:
            return dict(self._requests.pop(practice_id, ()))

    def _clean(self, resource: Any) -> Any:
        """What of a resource goes on from here. A social security number, even a masked one, does not."""
        return drop_ssn(resource)

    def _read(self, practice_id: str, resource: str, filters: list[tuple[str, str]]) -> Iterator[Page]:
        if not _fits_header(practice_id):
            raise errors.SecretError("a practice id is empty or holds characters that no header can carry")
        search = Search(self._base_url, resource, tuple(filters))
        seen: set[tuple[str, str]] = set()
        for _ in range(MOST_READS):
            paging, first = Paging(search, seen=seen), True
            while (query := paging.query) is not None:
                reply = self._get(practice_id, resource, query)
                if reply.status == 404:
                    self._judge_not_found(practice_id, resource, reply, first=first)
                    return
                page = paging.take(_parse(reply, resource))
                yield Page(tuple(self._clean(it) for it in page.resources), page.rows, page.total)
                first = False
            if not paging.unsettled:
                return
        msg = f"reading {resource}: resources vanish while they are read, {MOST_READS} times in a row; the read failed"
        raise errors.Garbage(msg, method="GET", path=search.path)

    def _judge_not_found(self, practice_id: str, resource: str, reply: Reply, *, first: bool) -> None:
        """Return where a 404 means that nothing matches, whatever its body (``nextech-api.md`` 4.1).

        Raises errors.Answered where no other read answers either: then the address is wrong, and nothing is known. So
        too in the middle of a search.
        """
        if first and self._is_known_good(practice_id, but=resource):
            return
        raise errors.Answered(
            f"GET {reply.path}: 404; whether nothing matches or the address is wrong is not known, so it counts as failed",
            method="GET",
            path=reply.path,
            status=404,
            hint="check nextech.url and the practice id",
        )

    def _is_known_good(self, practice_id: str, *, but: str) -> bool:
        """Whether the practice answers a read that always has a match, other than of ``but``. Raises like any read."""
        if but == _LOCATIONS:
            reply = self._get(practice_id, _WITNESS, Search(self._base_url, _WITNESS, (), page_size=1).query())
            return reply.status != 404 and _is_bundle(reply.json())
        with self._lock:
            proved_at = self._proved_at.get(practice_id)
        if proved_at is not None and self._now() - proved_at < PROOF_SECONDS:
            return True
        search = Search(self._base_url, _LOCATIONS, (), page_size=1)
        reply = self._get(practice_id, _LOCATIONS, search.query())
        if reply.status == 404 or not _holds_entries(reply.json()):
            return False
        with self._lock:
            if len(self._proved_at) > 10_000:
                self._proved_at.clear()
            self._proved_at[practice_id] = self._now()
        return True

    def _get(self, practice_id: str, resource: str, query: str) -> Reply:
        """One request, once more with a renewed token where the practice refuses: 2xx or 404."""
        token, own = self._tokens.current(), False
        for _ in range(MOST_TRIES):
            reply = self._send(practice_id, resource, query, token)
            if reply.status not in _UNAUTHORISED:
                if reply.status != 404:
                    self._note_good(practice_id)
                return reply
            if own:
                break
            renewal = self._tokens.renew(token)
            token, own = renewal.token, renewal.own
        raise self._refusal(practice_id, resource, reply.status)

    def _send(self, practice_id: str, resource: str, query: str, token: Token) -> Reply:
        return self._exchange(
            practice_id, "GET", f"/{resource}", query, token, endpoint=resource, body=None, accepted=_ACCEPTED
        )

    def _exchange(
        self,
        practice_id: str,
        method: str,
        path: str,
        query: str | None,
        token: Token,
        *,
        endpoint: str,
        body: Mapping[str, Any] | None,
        accepted: frozenset[int],
    ) -> Reply:
        with self._lock:
            counted = endpoint if method == "GET" else f"{method} {endpoint}"
            self._requests.setdefault(practice_id, Counter())[counted] += 1
            limiter = self._limiters.get(endpoint)
            if limiter is None and self._new_limiter is not None:
                limiter = self._limiters[endpoint] = self._new_limiter()
        return self._transport.send(
            method,
            path,
            raw_query=query,
            json_body=body,
            headers={"Authorization": token.header, "nx-practice-id": practice_id, "Accept": "application/json"},
            retry=Retry.READ if method == "GET" else Retry.ONCE,
            deadline_seconds=self._deadline_seconds,
            accept_statuses=accepted,
            endpoint=endpoint,
            limiter=limiter,
            secrets=(practice_id, token.value),
            remote_text=False,
            shown_path=f"/{endpoint}",
        )

    def _note_good(self, practice_id: str) -> None:
        with self._lock:
            if practice_id not in self._good:
                self._good = [*self._good[-1:], practice_id]

    def _refusal(self, practice_id: str, resource: str, status: int) -> errors.RemoteError:
        with self._lock:
            good_elsewhere = any(it != practice_id for it in self._good)
        path, product = f"/{resource}", self._tokens.product
        if status == 401 or good_elsewhere:
            return errors.PracticeUnauthorised(
                f"{product} answered {status} to a fresh token: the practice is unauthorised; nothing was read",
                method="GET",
                path=path,
                status=status,
                hint="have the practice's API access corrected, then authorise the business again",
            )
        return errors.Answered(
            f"{product} answered 403 to a fresh token, and no other practice has let us in; nothing was read",
            method="GET",
            path=path,
            status=status,
            code=NOBODY_LET_IN,
            hint="the API user may lack rights altogether; check with another practice",
        )


def chunks(identifiers: Iterable[str]) -> Iterator[str]:
    """Comma lists of ids, each id once (whatever its case), at most a page and LONGEST_QUERY characters of query."""
    room = LONGEST_QUERY - len(Search("", "Patient", (("identifier", ""),)).query())
    chunk: list[str] = []
    used = 0
    for identifier in {it.strip().casefold(): it.strip() for it in identifiers if it.strip()}.values():
        if "," in identifier or len(quote(identifier)) > room:
            continue  # No patient id looks like that; it comes back as "not found".
        length = len(quote(identifier)) + (1 if chunk else 0)
        if chunk and (used + length > room or len(chunk) == PAGE_SIZE):
            yield ",".join(chunk)
            chunk, used, length = [], 0, length - 1
        chunk.append(identifier)
        used += length
    if chunk:
        yield ",".join(chunk)


def drop_ssn(resource: Any) -> Any:
    """The resource without social security numbers (``identifier`` of that system, or typed ``SS``), contained too."""
    if not isinstance(resource, dict):
        return resource
    identifiers = resource.get("identifier")
    if isinstance(identifiers, list):
        resource = {**resource, "identifier": [it for it in identifiers if not _is_ssn(it)]}
    elif _is_ssn(identifiers):
        resource = {key: value for key, value in resource.items() if key != "identifier"}
    contained = resource.get("contained")
    if isinstance(contained, list) and contained:
        resource = {**resource, "contained": [drop_ssn(it) for it in contained]}
    return resource


def _is_ssn(identifier: object) -> bool:
    if not isinstance(identifier, dict):
        return False
    if any(SSN_SYSTEM in str(identifier.get(key, "")).casefold() for key in ("system", "use")):
        return True
    kind = identifier.get("type")
    codings = kind.get("coding") if isinstance(kind, dict) else None
    return isinstance(codings, list) and any(
        isinstance(it, dict) and str(it.get("code", "")).upper() == "SS" for it in codings
    )


def _parse(reply: Reply, resource: str) -> Any:
    if resource != "Practitioner":
        return reply.json()
    reply.json()  # Its checks; the documented sample repeats the key ``identifier``, so read again and keep both.
    return json.loads(reply.body, object_pairs_hook=_merged)


def _merged(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in pairs:
        before = merged.get(key)
        merged[key] = [*before, *value] if isinstance(before, list) and isinstance(value, list) else value
    return merged


def _is_bundle(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict) and value.get("resourceType") == "Bundle"


def _holds_entries(value: object) -> bool:
    return _is_bundle(value) and isinstance(value.get("entry"), list) and bool(value["entry"])


def _fits_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and value == value.strip()

"""Paging through a Nextech search: which rows an answer holds, what to ask next, and when the answer cannot be trusted.

Pure: answers in, pages and the next query out. The rules are those of ``nextech-api.md`` section 3: the last page may
overlap the one before, ``next`` may point at its own page, links may lose a filter or point elsewhere. An answer that
leaves doubt whether rows are missing raises errors.Garbage; it is never read as "there are none".
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urljoin, urlsplit

from reconciler import errors

PAGE_SIZE = 50
"""The documented maximum (``nextech-api.md`` 3)."""
MOST_PAGES = 5_000
"""A search that goes on longer (250,000 rows) is taken for endless."""
_OFFSET, _COUNT = "_getpagesoffset", "_count"
_PAGING = frozenset({_OFFSET, _COUNT})
_PORTS = {"https": 443, "http": 80}

Query = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search.

    ``resources`` leaves out what an earlier page of the same read had already (by id, whatever its case); a member may
    be anything, so that a malformed one can be quarantined by itself. ``rows`` counts the entries on the wire.
    """

    resources: tuple[Any, ...] = field(repr=False)
    rows: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Search:
    """One search: the resource, its filters (names and decoded values), where it is served."""

    base_url: str
    resource: str
    filters: Query
    page_size: int = PAGE_SIZE

    @property
    def path(self) -> str:
        """The path below the base URL."""
        return f"/{self.resource}"

    def query(self, offset: int | None = None) -> str:
        """The query as sent: commas, colons and slashes as they are, ``+`` and everything else encoded."""
        pairs = [*self.filters, (_COUNT, str(self.page_size))]
        if offset is not None:
            pairs.append((_OFFSET, str(offset)))
        return "&".join(f"{quote(name, safe=':.')}={quote(value, safe=',:/')}" for name, value in pairs)


class Paging:
    """The state of one read of one search. ``query`` is what to send next, None when all has come."""

    def __init__(self, search: Search, *, seen: set[tuple[str, str]] | None = None) -> None:
        """``seen`` holds the resources that earlier reads of the same search gave; it is added to."""
        self.query: str | None = search.query()
        self.unsettled = False
        """Rows may have moved to a page that was read already: what was read may lack some. Read again."""
        self._search = search
        self._seen = set() if seen is None else seen
        self._visited = {self.query}
        self._offset: int | None = 0
        self._total: int | None = None
        self._keys: set[tuple[str, str]] = set()
        self._came = 0
        """Different resources of this read; those without an id count each."""
        self._pages = 0
        self._beyond = False
        """Asked for because a link went on past the total."""

    def take(self, value: object) -> Page:
        """Read one answer. Raises errors.Garbage where it is no page, or where the pages do not add up."""
        bundle = self._bundle(value)
        total = self._read_total(bundle)
        resources = self._resources(bundle)
        if len(resources) > self._search.page_size:
            raise self._garbage(
                f"a page holds {len(resources)} resources where {self._search.page_size} were asked for"
            )
        if not resources and self._pages == 0 and total != 0:
            raise self._garbage(
                "no total and no resource came: that is not the same as none"
                if total is None
                else f"the total is {total} and no resource came"
            )
        if total is not None and self._total is not None and total < self._total:
            self.unsettled = True
        if total is not None and self._pages == 0 and len(resources) > total:
            raise self._garbage(f"the total is {total} and {len(resources)} resources came")
        self._total = total if total is not None else self._total
        self._pages += 1
        fresh, new = self._sort_out(resources)
        self.query = self._following(_next_link(bundle), rows=len(resources), new=new)
        if self.query is not None:
            if self._pages >= MOST_PAGES:
                raise self._garbage(f"there is no end after {MOST_PAGES} pages")
            self._visited.add(self.query)
        return Page(fresh, len(resources), self._total)

    def _following(self, link: str | None, *, rows: int, new: int) -> str | None:
        reached = self._came if self._offset is None else self._offset + rows
        if self._beyond:
            if new:
                raise self._garbage(f"the total is {self._total} and more resources came")
            return None
        missing = "" if self._total is None else f" at {reached} of {self._total} resources"
        if rows and not new:
            if self._total is None or rows == self._search.page_size:
                raise self._garbage(f"a page repeats what came before, and nothing else{missing}")
            self.unsettled = True
        if self._total is not None and reached >= self._total:
            return self._past_the_total(link, reached)
        if link is None or rows == 0:
            if self._total is None:
                return None
            raise self._garbage(f"the pages end{missing}")
        query, offset = self._read_link(link)
        if offset is None:
            return self._follow_opaque(query, rows=rows, missing=missing)
        if self._offset is not None and offset <= self._offset:
            return self._after_backward_link(reached, rows=rows, missing=missing)
        if offset > reached:
            self.unsettled = True
        return self._go_to(query, offset)

    def _go_to(self, query: str, offset: int) -> str:
        self._offset = offset
        # Whether real links keep a repeated ``date=`` is unknown (12.4): the offset is all that is needed of them.
        return query if self._keeps_filters(query) else self._search.query(offset)

    def _past_the_total(self, link: str | None, reached: int) -> str | None:
        """One more request where a link goes on although the total has come: a total per page would hide the rest."""
        if link is None:
            return None
        try:
            query, offset = self._read_link(link)
        except errors.Garbage:
            return None  # All has come; where the link leads no longer matters.
        if offset is None or offset < reached:
            return None
        self._beyond = True
        return self._go_to(query, offset)

    def _follow_opaque(self, query: str, *, rows: int, missing: str) -> str | None:
        if query in self._visited:
            if self._total is None and rows < self._search.page_size:
                return None
            raise self._garbage(f"the next link points at a page that was read already{missing}")
        if not self._keeps_filters(query):
            raise self._garbage(f"the next link has lost the filters{missing}")
        self._offset = None
        return query

    def _after_backward_link(self, reached: int, *, rows: int, missing: str) -> str | None:
        if self._total is not None:
            raise self._garbage(f"the next link points back{missing}")
        if rows < self._search.page_size:
            return None
        # A full page, no total, and a link to itself (evidence B of ``nextech-api.md`` 3.1): one more request tells.
        self._offset = reached
        return self._search.query(reached)

    def _read_link(self, link: str) -> tuple[str, int | None]:
        base = self._search.base_url.rstrip("/") + self._search.path
        try:
            target, home = urlsplit(urljoin(base, link)), urlsplit(base)
            same = (target.scheme, target.hostname, target.port or _PORTS.get(target.scheme)) == (
                home.scheme,
                home.hostname,
                home.port or _PORTS.get(home.scheme),
            )
        except ValueError:
            raise self._garbage("the next link is not a URL") from None
        if not same or target.username is not None or target.password is not None:
            raise self._garbage("the next link leaves the configured host; it was not followed")
        if target.path.rstrip("/").casefold() != home.path.casefold():
            raise self._garbage("the next link names another resource; it was not followed")
        query = quote(target.query, safe="%&=,:/+-._~!$'()*;@?")
        offsets = [value for name, value in parse_qsl(query) if name.casefold() == _OFFSET]
        if not offsets:
            return query, None
        if len(offsets) > 1 or not (offsets[0].isascii() and offsets[0].isdecimal()) or len(offsets[0]) > 9:
            raise self._garbage("the next link has no usable offset")
        return query, int(offsets[0])

    def _keeps_filters(self, query: str) -> bool:
        pairs = parse_qsl(query, keep_blank_values=True)
        kept = Counter((name.casefold(), value) for name, value in pairs if name.casefold() not in _PAGING)
        return not Counter((name.casefold(), value) for name, value in self._search.filters) - kept

    def _bundle(self, value: object) -> dict[str, Any]:
        kind = value.get("resourceType") if isinstance(value, dict) else None
        if kind == "OperationOutcome":
            raise self._garbage("an OperationOutcome came inside a success")
        if not isinstance(value, dict) or kind != "Bundle":
            raise self._garbage("the answer is not a Bundle")
        return value

    def _read_total(self, bundle: dict[str, Any]) -> int | None:
        total = bundle.get("total")
        if isinstance(total, str) and total.isascii() and total.isdecimal() and len(total) < 10:
            return int(total)
        if total is None or (isinstance(total, int) and not isinstance(total, bool) and total >= 0):
            return total
        raise self._garbage("the total is not a number")

    def _resources(self, bundle: dict[str, Any]) -> list[Any]:
        entries = bundle.get("entry")
        if entries is None:
            return []
        if not isinstance(entries, list):
            raise self._garbage("the entries are not a list")
        resources = []
        for entry in entries:
            resource = entry.get("resource", entry) if isinstance(entry, dict) else entry
            if isinstance(resource, dict) and resource.get("resourceType") == "OperationOutcome":
                if not _only_warns(resource):
                    raise self._garbage("an OperationOutcome with an error stands among the resources")
                continue
            resources.append(resource)
        return resources

    def _sort_out(self, resources: list[Any]) -> tuple[tuple[Any, ...], int]:
        """The resources that no read of this search gave yet, and how many are new to this read."""
        fresh, before = [], self._came
        for resource in resources:
            key = _key(resource)
            if key is not None and key in self._keys:
                continue
            self._came += 1
            if key is not None:
                self._keys.add(key)
                if key in self._seen:
                    continue
                self._seen.add(key)
            fresh.append(resource)
        return tuple(fresh), self._came - before

    def _garbage(self, what: str) -> errors.Garbage:
        msg = f"reading {self._search.resource}: {what}; the read counts as failed"
        return errors.Garbage(msg, method="GET", path=self._search.path)


def _next_link(bundle: dict[str, Any]) -> str | None:
    links = bundle.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return link["url"].strip() or None
    return None


def _key(resource: object) -> tuple[str, str] | None:
    """What tells a resource from its repetition on an overlapping page; None where it has no id of any kind."""
    if not isinstance(resource, dict):
        return None
    kind, value = resource.get("resourceType"), resource.get("id")
    if value is None:
        identifiers = resource.get("identifier")
        for it in identifiers if isinstance(identifiers, list) else ():
            if isinstance(it, dict) and it.get("use") == "official":
                value = it.get("value")
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    return (str(kind).casefold(), str(value).casefold())


def _only_warns(outcome: dict[str, Any]) -> bool:
    issues = outcome.get("issue")
    return (
        isinstance(issues, list)
        and bool(issues)
        and all(isinstance(it, dict) and it.get("severity") in ("warning", "information") for it in issues)
    )

"""``validate --online``: do the names in declarations exist where they are looked for?

One request for the trigger catalogue, one for the locations of each practice id, one for its practitioners where any are
declared. What cannot be asked is no finding about a declaration: it is told apart, and ends in exit code 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date

from reconciler.clients.integrations import IntegrationsClient, NamedItem
from reconciler.clock import Clock
from reconciler.core import lint_triggers
from reconciler.core.declared import Declared, Path
from reconciler.core.lint_one import managed, told
from reconciler.core.model import Location
from reconciler.core.naming import folded
from reconciler.core.problems import Problem, Severity
from reconciler.core.suggest import nearest, quoted
from reconciler.declarations import Loaded
from reconciler.declarations.directory import Positions
from reconciler.errors import Answered, RemoteError, SecretError
from reconciler.settings.values import Settings
from reconciler.workflow.looking import Asks
from reconciler.workflow.session import open_transport

REFUSING = frozenset({400, 401, 403, 404, 422})
"""Answers to a look-up that speak of this practice id, as long as others are answered."""
NO_LOOK_UP = frozenset({404, 405, 501})
"""Answers that may also mean that the server has no such look-up."""


@dataclass(frozen=True)
class Online:
    """What was found, and what could not be asked (one line each)."""

    problems: tuple[Problem, ...] = ()
    unread: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The text of the files that have a problem here, for excerpts."""


Key = tuple[str, bool]
"""A practice id itself and whether it is of Practice+. Never shown."""


@dataclass
class _Use:
    """One practice id with everything that refers to it."""

    reference: str
    places: list[tuple[Declared, int, Location, Path]] = field(default_factory=list)
    locations: tuple[NamedItem, ...] | RemoteError | None = None
    practitioners: tuple[NamedItem, ...] | RemoteError | None = None


def online_problems(settings: Settings, loaded: Loaded, today: date) -> Online:
    """Every finding about the selected declarations. Raises nothing for a system that is down or a missing secret."""
    del today
    selected = [it for it in loaded.declared if it.slug in loaded.selected]
    with open_transport(settings, Clock()) as transport:
        client = IntegrationsClient(transport)
        found = check(client, selected, settings.secrets.reveal, concurrency=settings.birdeye.concurrency)
    files = {it.position.file for it in found.problems}
    texts = {it.file: it.positions.text for it in selected if it.file in files and isinstance(it.positions, Positions)}
    return replace(found, sources=texts)


def check(client: Asks, declared: Sequence[Declared], reveal: Callable[[str], str], *, concurrency: int) -> Online:
    """The same over a client."""
    problems: list[Problem] = []
    unread: list[str] = []
    _triggers(client, declared, problems, unread)
    uses = _uses(declared, reveal, unread)
    _ask(client, uses, concurrency)
    answered = {
        "locations": any(isinstance(it.locations, tuple) for it in uses.values()),
        "practitioners": any(isinstance(it.practitioners, tuple) for it in uses.values()),
    }
    for it in uses.values():
        problems += _judge(it, uses, answered, unread)
    return Online(
        tuple(sorted(set(problems), key=lambda it: it.sort_key)),
        tuple(dict.fromkeys(unread)),
    )


def _triggers(client: Asks, declared: Sequence[Declared], problems: list[Problem], unread: list[str]) -> None:
    naming = [it for it in declared if it.declaration.triggers]
    if not naming:
        return
    try:
        catalogue = client.triggers()
    except RemoteError as error:
        unread.append(f"triggers: {error.message}")
        return
    for it in naming:
        # Warnings of the same rules are told without the catalogue already.
        problems += [one for one in lint_triggers.problems(it, catalogue) if one.severity is Severity.ERROR]


def _uses(declared: Sequence[Declared], reveal: Callable[[str], str], unread: list[str]) -> dict[Key, _Use]:
    found: dict[Key, _Use] = {}
    for it in declared:
        for i, location in managed(it):
            own = location.practice_id
            reference = own or it.declaration.group.practice_id
            if reference is None:
                continue
            try:
                key = (reveal(reference), it.declaration.practice_plus)
            except SecretError as error:
                unread.append(error.message)
                continue
            where: Path = ("locations", i, "practice_id") if own else ("group", "practice_id")
            found.setdefault(key, _Use(reference)).places.append((it, i, location, where))
    return found


def _ask(client: Asks, uses: dict[Key, _Use], concurrency: int) -> None:
    def one(item: tuple[Key, _Use]) -> None:
        (practice, plus), use = item
        use.locations = _tried(lambda: client.locations(practice, new_version=plus))
        if any(location.practitioner_ids for _, _, location, _ in use.places):
            use.practitioners = _tried(lambda: client.practitioners(practice, new_version=plus))

    with ThreadPoolExecutor(max_workers=max(1, concurrency), thread_name_prefix="online") as pool:
        list(pool.map(one, uses.items()))


def _tried(ask: Callable[[], tuple[NamedItem, ...]]) -> tuple[NamedItem, ...] | RemoteError:
    try:
        return ask()
    except RemoteError as error:
        return error


def _judge(use: _Use, uses: dict[Key, _Use], answered: dict[str, bool], unread: list[str]) -> Iterator[Problem]:
    listed = use.locations
    if isinstance(listed, RemoteError):
        if not _is_about_practice(listed, answered=answered["locations"]):
            unread.append(f"locations of {use.reference}: {listed.message}")
            return
        yield from _unknown_practice(use, "Nextech refuses the practice id behind this reference")
        return
    if not listed:
        yield from _unknown_practice(use, "Nextech lists no location for the practice id behind this reference")
        return
    yield from _names(use, {it.name for it in listed if it.name}, uses)
    practitioners = use.practitioners
    if isinstance(practitioners, RemoteError):
        unread.append(f"practitioners of {use.reference}: {practitioners.message}")
    elif practitioners is not None and any(not it.id for it in practitioners):
        unread.append(f"practitioners of {use.reference}: the answer has names and no ids")
    elif practitioners is not None:
        yield from _practitioners(use, practitioners)


def _is_about_practice(error: RemoteError, *, answered: bool) -> bool:
    """Does a failed look-up say something about the practice id, and not about the server or our own access?"""
    if not isinstance(error, Answered) or error.status not in REFUSING:
        return False
    own_access = {401, 403}
    return answered or error.status not in (NO_LOOK_UP | own_access)


def _unknown_practice(use: _Use, message: str) -> Iterator[Problem]:
    for it, _, _, where in use.places:
        hint = "compare with Nextech's case for the practice; is `practice_plus` right?"
        yield told(it, where, "E331", message, hint)


def _names(use: _Use, known: set[str], uses: dict[Key, _Use]) -> Iterator[Problem]:
    for it, i, location, _ in use.places:
        for k, name in enumerate(location.location_names or ()):
            if name not in known:
                message = f"Nextech has no location {quoted(name)} for this practice id"
                yield told(
                    it, ("locations", i, "location_names", k), "E332", message, _hint(name, known, use, uses, it)
                )


def _hint(name: str, known: set[str], use: _Use, uses: dict[Key, _Use], it: Declared) -> str:
    alike = sorted(other for other in known if folded(other) == folded(name))
    guess = alike[0] if alike else nearest(name, known)
    if guess is not None:
        return f"did you mean: {quoted(guess)}"
    for other in uses.values():
        same_file = any(place[0] is it for place in other.places)
        names = {one.name for one in other.locations} if isinstance(other.locations, tuple) else ()
        if other is not use and same_file and name in names:
            return f"it is listed for the practice id {other.reference}"
    return f"compare with `reconciler lookup locations {it.slug}`"


def _practitioners(use: _Use, listed: Sequence[NamedItem]) -> Iterator[Problem]:
    known = {it.id for it in listed}
    by_name = {folded(it.name): it.id for it in listed}
    for it, i, location, _ in use.places:
        for k, number in enumerate(location.practitioner_ids or ()):
            if number in known:
                continue
            guess = by_name.get(folded(number)) or nearest(number, known)
            hint = (
                f"did you mean: {quoted(guess)}"
                if guess
                else f"compare with `reconciler lookup practitioners {it.slug}`"
            )
            message = f"Nextech has no practitioner with the id {quoted(number)} for this practice id"
            yield told(it, ("locations", i, "practitioner_ids", k), "E333", message, hint)

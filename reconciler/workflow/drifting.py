"""Drift: read, wait, read again what differs, ask the practices' systems, and remember since when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.core import acceptances, drift, drift_emr, drift_find
from reconciler.core.acceptances import Acceptance
from reconciler.core.drift import BusinessDrift, Finding, Report
from reconciler.core.planner import instant
from reconciler.declarations import yaml_events
from reconciler.errors import Answered, ReconcilerError, RemoteError, SecretError, StoreError
from reconciler.store import drift as drift_rows
from reconciler.store.database import Store, open_store
from reconciler.store.drift import Seen, SeenKey
from reconciler.workflow import planning

NO_LOOK_UP = frozenset({404, 405, 501})
"""Statuses that mean: this server has no such look-up."""
LARGEST_FILE = 1 << 20

ListNames = Callable[[str, bool], frozenset[str]]


@dataclass(frozen=True)
class Options:
    """What a drift run is told beside what a plan needs."""

    sleep: Callable[[float], None]
    list_practitioners: ListNames
    """(practice id reference, practice_plus) -> the ids that Nextech lists (endpoint P)."""
    acceptances: tuple[Acceptance, ...] = ()
    confirm_after: float = 5.0
    """Seconds between the two reads."""
    remember: Callable[[list[Seen], list[SeenKey]], str] | None = None
    """Records first-seen times and forgets what has ended; returns why it could not, or nothing."""


def detect(inputs: planning.Inputs, options: Options) -> Report:
    """The whole report. Sends nothing but GET. Raises errors.RemoteError as ``planning.make`` does."""
    names = _Cached(inputs.list_names)
    secrets = _Lenient(inputs.reveal)
    inputs = replace(inputs, list_names=names, reveal=secrets.reveal)
    made = planning.make(inputs)
    found = drift_find.find(made.world, made.planned, secrets.prints(made.world.secrets))
    differ = frozenset(it.slug for it in found if it.is_different)
    planned = {it.slug: it for it in made.planned}
    passing = 0
    if differ:
        options.sleep(options.confirm_after)
        again = replace(inputs, loaded=replace(inputs.loaded, selected=differ), on_read=lambda business: None)
        second = planning.make(again)
        planned |= {it.slug: it for it in second.planned}
        later = drift_find.find(second.world, second.planned, secrets.prints(second.world.secrets))
        found, passing = drift.confirmed(found, [it for it in later if it.slug in differ])
    unresolved = secrets.prints(made.world.secrets)
    wanted = tuple(drift_emr.mapped(made.world, planned.values(), unresolved))
    listed = _look_up(wanted, {drift_emr.NAMES.key: names, drift_emr.PRACTITIONERS.key: options.list_practitioners})
    found = drift.merge(found, drift_emr.find(made.world, wanted, listed))
    found, trouble = _with_first_seen(inputs, options, found)
    notes = [
        f"{reference} does not resolve here: what it stands for is unverified"
        for reference in sorted(unresolved.values())
    ]
    return _accepted(found, options.acceptances, inputs, passing, made, [*notes, *trouble])


def _accepted(
    found: list[BusinessDrift],
    entries: tuple[Acceptance, ...],
    inputs: planning.Inputs,
    passing: int,
    made: planning.Made,
    notes: list[str],
) -> Report:
    accepted: list[tuple[Finding, str, str, str]] = []
    ended: list[str] = []
    businesses: list[BusinessDrift] = []
    for one in found:
        stay, taken, over = acceptances.split(one.findings, entries, inputs.now().date())
        accepted += [(it, by.reason, by.until.isoformat(), by.by) for it, by in taken]
        ended += over
        businesses.append(replace(one, findings=tuple(stay)))
    return Report(tuple(businesses), tuple(accepted), tuple(ended), passing, made.plan.objections, tuple(notes))


class _Lenient:
    """Reveals secrets; one that does not resolve gets a stand-in that equals nothing, and is remembered."""

    def __init__(self, reveal: Callable[[str], str]) -> None:
        self._reveal = reveal
        self._failed: set[str] = set()

    def reveal(self, reference: str) -> str:
        try:
            return self._reveal(reference)
        except SecretError:
            self._failed.add(reference)
            return f"unresolved {reference}"

    def prints(self, secrets: Mapping[str, str]) -> dict[str, str]:
        """Full fingerprint of each stand-in -> its reference."""
        return {secrets[it]: it for it in self._failed if it in secrets}


class _Cached:
    """A look-up that is sent once for each practice id."""

    def __init__(self, ask: ListNames) -> None:
        self._ask = ask
        self._answers: dict[tuple[str, bool], frozenset[str] | RemoteError] = {}

    def __call__(self, reference: str, practice_plus: bool) -> frozenset[str]:
        key = (reference, practice_plus)
        if key not in self._answers:
            try:
                self._answers[key] = self._ask(*key)
            except RemoteError as error:
                self._answers[key] = error
        found = self._answers[key]
        if isinstance(found, RemoteError):
            raise found
        return found


def _look_up(
    wanted: Iterable[drift_emr.Mapped], asks: Mapping[str, ListNames]
) -> dict[drift_emr.Ask, frozenset[str] | str]:
    """One request for each practice id and kind; a text in place of a list says why there is none."""
    listed: dict[drift_emr.Ask, frozenset[str] | str] = {}
    absent: set[str] = set()
    asked: set[drift_emr.Ask] = set()
    for it in wanted:
        kind = it.field.key
        if it.ask in asked or kind in absent:
            continue
        asked.add(it.ask)
        try:
            found = asks[kind](it.reference, it.ask[1])
        except Answered as error:
            if error.status in NO_LOOK_UP:
                absent.add(kind)
            else:
                listed[it.ask] = error.message
        except RemoteError as error:
            listed[it.ask] = error.message
        else:
            if found != frozenset({""}):  # names without ids: nothing to compare with
                listed[it.ask] = found
    return listed


def _with_first_seen(
    inputs: planning.Inputs, options: Options, found: list[BusinessDrift]
) -> tuple[list[BusinessDrift], list[str]]:
    """Findings with the moment at which each was first seen, kept where the store can be written."""
    store = inputs.store
    before: dict[SeenKey, Seen] = {}
    if not store.empty:
        with store.read() as connection:
            before = drift_rows.seen(connection)
    now = inputs.now()
    current: dict[SeenKey, Seen] = {}
    keep: set[str] = set()
    for one in found:
        if one.unreadable or any(it.kind == "unreadable" for it in one.findings):
            keep.add(one.slug)  # what could not be seen has not ended
        for it in one.findings:
            if it.kind in ("unverified", "unreadable"):
                continue
            old = before.get(it.key)
            since = old.first_seen if old is not None and old.live == it.live_print else now
            current[it.key] = Seen(it.slug, it.object, it.path, it.live_print, since)
    slugs = {it.slug for it in found} - keep
    new = [it for key, it in current.items() if before.get(key) != it]
    over = [key for key in before if key[0] in slugs and key not in current]
    trouble = options.remember(new, over) if options.remember is not None and (new or over) else ""
    is_kept = options.remember is not None and not trouble
    times = {key: it.first_seen for key, it in current.items() if is_kept or before.get(key) == it}
    shown = [
        replace(
            one,
            findings=tuple(
                replace(it, first_seen=instant(times[it.key])) if it.key in times else it for it in one.findings
            ),
        )
        for one in found
    ]
    return shown, [f"since when things differ was not recorded: {trouble}"] if trouble else []


def remembering(url: str, store: Store) -> Callable[[list[Seen], list[SeenKey]], str] | None:
    """Writes first-seen rows into a store that is there; None where there is none. A store is never created for it."""
    if store.empty:
        return None

    def remember(new: list[Seen], over: list[SeenKey]) -> str:
        try:
            with open_store(url, now=store.now, write=True) as opened, opened.begin() as connection:
                drift_rows.put_seen(connection, new)
                drift_rows.delete_seen(connection, over)
        except StoreError as error:
            return error.message
        return ""

    return remember


@dataclass(frozen=True)
class AcceptanceFile:
    """``acceptances.yaml`` as it was read."""

    path: Path
    text: str
    entries: tuple[tuple[Acceptance, int], ...]
    """Each with the line, from 1, at which it begins."""

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """The entries alone."""
        return tuple(it for it, _ in self.entries)


def read_acceptances(folder: Path) -> AcceptanceFile:
    """The file beside the settings; no entries where there is none. Raises errors.ReconcilerError where it is wrong."""
    path = folder / acceptances.FILE_NAME
    try:
        with path.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return AcceptanceFile(path, "", ())
    except OSError as error:
        raise ReconcilerError(f"{path} cannot be read: {(error.strerror or 'error').lower()}") from None
    decoded = yaml_events.decode(content, acceptances.FILE_NAME)
    if not isinstance(decoded, str):
        raise _not_right([f"{decoded.position}: {decoded.message}"])
    return parse_acceptances(path, decoded)


def parse_acceptances(path: Path, text: str) -> AcceptanceFile:
    """The entries of a text. Raises errors.ReconcilerError that tells of every problem."""
    if not text.strip():
        return AcceptanceFile(path, text, ())
    read = yaml_events.read(text, acceptances.FILE_NAME)
    if read.problems:
        raise _not_right([f"{it.position}: {it.message}" for it in read.problems])
    spans = {**read.places.values, **read.places.keys}
    lines = {place: (span[0], span[1]) for place, span in spans.items()}
    found, told = acceptances.parse(read.value, lines, acceptances.FILE_NAME)
    if told:
        raise _not_right(list(told))
    starts = [lines["acceptances", index][0] for index in range(len(found))]
    return AcceptanceFile(path, text, tuple(zip(found, starts, strict=True)))


def _not_right(problems: list[str]) -> ReconcilerError:
    return ReconcilerError(
        f"{acceptances.FILE_NAME} is not right; nothing was changed\n" + "\n".join(f"  {it}" for it in problems)
    )


def with_acceptance(file: AcceptanceFile, it: Acceptance) -> str:
    """The text of the file with one entry more, read back to be sure of it."""
    text = acceptances.with_entry(file.text, it, file.entries)
    kept = [one for one, _ in file.entries if (one.slug, one.business, one.path) != (it.slug, it.business, it.path)]
    found = parse_acceptances(file.path, text).acceptances
    if sorted(map(repr, found)) != sorted(map(repr, [*kept, it])):
        raise ReconcilerError(
            f"{acceptances.FILE_NAME} is written in a way that this command cannot add to; nothing was changed",
            hint="add this entry by hand:\n" + acceptances.entry_text(it),
        )
    return text

"""All that the emulated systems know and remember, behind one lock, and the state file that survives a kill.

The state file is a log: one JSON line for each commit, written and flushed before the request is answered. A line that a
kill cut in half belongs to a request that nobody got an answer to; the next start drops it. Opening rewrites the log as
one line, through a temporary file and a rename.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import SettingsError
from reconciler.sandbox import practices as made_up
from reconciler.sandbox.records import (
    CatalogueTrigger,
    Entry,
    Group,
    Mapping,
    group_as_json,
    group_from_json,
    mapping_as_json,
    mapping_from_json,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from pathlib import Path

SOURCE_ID = made_up.NEXTECH_SOURCE_ID
OTHER_SOURCE_ID = 7
"""A source that is not Nextech, so that a client that mixes sources up is noticed."""

CATALOGUE = (
    CatalogueTrigger(
        24,
        SOURCE_ID,
        "nextechFulfilledAppointmentTrigger",
        "Nextech Fulfilled Appointment Trigger",
        "Checks in the patients of fulfilled appointments",
    ),
    CatalogueTrigger(
        31,
        SOURCE_ID,
        "appointmentTrigger",
        "Appointment Trigger Service",
        "Writes appointments made in the widget back to the source",
    ),
    CatalogueTrigger(
        38,
        SOURCE_ID,
        "nextechAppointmentUpsertTrigger",
        "Nextech Appointment Upsert Trigger Service",
        "Upserts the appointments that were created or updated in the source",
    ),
    CatalogueTrigger(
        19,
        SOURCE_ID,
        "nextechLegacyPatientTrigger",
        "Nextech Legacy Patient Trigger",
        "Not used any more",
        active=False,
    ),
    CatalogueTrigger(
        5, OTHER_SOURCE_ID, "examplePatientTrigger", "Example Patient Trigger", "Belongs to another source"
    ),
)

_FIRST_GROUP_ID = 150
_LONGEST_LAG_SECONDS = 60.0
_MOST_HISTORY = 500_000

Undo = tuple[float, tuple[int, int] | int, Group | Mapping | None]


class World:
    """The data of both emulated systems. Hold ``lock`` while reading or writing; ``App`` does so around a handler."""

    def __init__(
        self, *, practices: int = 0, seed: int = 1, state: Path | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.lock = threading.RLock()
        self.now = now
        self.seed = seed
        more_accounts, more_practices = made_up.generated(practices, seed)
        self.accounts: dict[int, made_up.Account] = {it.business: it for it in (*made_up.ACCOUNTS, *more_accounts)}
        self.practices: dict[str, made_up.Practice] = {
            it.practice_id: it for it in (*made_up.PRACTICES, *more_practices)
        }
        self._parents = {
            site.business: account.business for account in self.accounts.values() for site in account.sites
        }
        self._parents |= {number: number for number in self.accounts}
        self._state = state
        self._log: FileIO | None = None
        self._forget()
        if state is not None:
            self._open_log(state)

    def _forget(self) -> None:
        self.catalogue: dict[int, CatalogueTrigger] = {it.id: it for it in CATALOGUE}
        self.groups: dict[int, Group] = {}
        self.mappings: dict[tuple[int, int], Mapping] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        """What mounted APIs keep: by table and key, values of plain JSON. Write with ``keep``."""
        self.history: list[Entry] = []
        self.next_group_id = _FIRST_GROUP_ID
        self._groups_of: dict[int, list[int]] = {}
        self._mapped_to: dict[int, list[int]] = {}
        self._mapped_by: dict[int, list[int]] = {}
        self._undo: deque[Undo] = deque()
        self._pending: list[list[Any]] = []

    # -- what is known from the start

    def knows_business(self, number: int) -> bool:
        """Is this a business (parent or location) that Birdeye has?"""
        return number in self._parents

    def parent_of(self, business: int) -> int | None:
        """The parent business of a location; a parent is its own."""
        return self._parents.get(business)

    # -- groups and mappings

    def groups_of(self, parent: int, *, lag_seconds: float = 0.0) -> list[Group]:
        """The groups of a parent business in the order of their creation, as they were ``lag_seconds`` ago."""
        found = {it: self.groups.get(it) for it in self._groups_of.get(parent, ())}
        for key, before in self._undone(lag_seconds):
            if isinstance(key, int) and (key in found or (isinstance(before, Group) and before.parent == parent)):
                found[key] = before if isinstance(before, Group) else None
        return sorted((it for it in found.values() if it is not None), key=lambda it: it.group_id)

    def mappings_of(self, business: int, *, lag_seconds: float = 0.0) -> list[Mapping]:
        """The mappings of one business, oldest first."""
        keys = [(business, group) for group in self._mapped_to.get(business, ())]
        return self._mappings(keys, lag_seconds)

    def mappings_in(self, group_id: int, *, lag_seconds: float = 0.0) -> list[Mapping]:
        """The mappings to one group, oldest first."""
        keys = [(business, group_id) for business in self._mapped_by.get(group_id, ())]
        return self._mappings(keys, lag_seconds)

    def _mappings(self, keys: list[tuple[int, int]], lag_seconds: float) -> list[Mapping]:
        found = {key: self.mappings.get(key) for key in keys}
        for key, before in self._undone(lag_seconds):
            if not isinstance(key, int) and key in found:
                found[key] = before if isinstance(before, Mapping) else None
        return [it for it in found.values() if it is not None]

    def _undone(self, lag_seconds: float) -> list[tuple[tuple[int, int] | int, Group | Mapping | None]]:
        """What younger writes replaced, youngest first, so that applying them in order goes back in time."""
        if lag_seconds <= 0:
            return []
        horizon = self.now() - lag_seconds
        return [(key, before) for at, key, before in reversed(self._undo) if at > horizon]

    def _remember(self, key: tuple[int, int] | int, before: Group | Mapping | None) -> None:
        now = self.now()
        self._undo.append((now, key, before))
        while self._undo and self._undo[0][0] < now - _LONGEST_LAG_SECONDS:
            self._undo.popleft()

    def add_group(self, group: Group) -> Group:
        """Store a new group under the next free id, which the returned group has."""
        made = replace(group, group_id=self.next_group_id)
        self.next_group_id += 1
        self.put_group(made)
        return made

    def put_group(self, group: Group) -> None:
        """Store a group under its own id."""
        self._remember(group.group_id, self.groups.get(group.group_id))
        self._set_group(group)
        self._pending.append(["group", group_as_json(group)])

    def _set_group(self, group: Group) -> None:
        self.groups[group.group_id] = group
        self.next_group_id = max(self.next_group_id, group.group_id + 1)
        ids = self._groups_of.setdefault(group.parent, [])
        if group.group_id not in ids:
            ids.append(group.group_id)

    def delete_group(self, group_id: int) -> None:
        """Forget a group and its mappings, which only somebody behind the API can do."""
        for mapping in self.mappings_in(group_id):
            self.delete_mapping(mapping.business, group_id)
        self._remember(group_id, self.groups[group_id])
        del self.groups[group_id]
        self._pending.append(["no_group", group_id])

    def put_mapping(self, mapping: Mapping) -> None:
        """Store a mapping for its pair of business and group."""
        key = (mapping.business, mapping.group_id)
        self._remember(key, self.mappings.get(key))
        self._set_mapping(mapping)
        self._pending.append(["mapping", mapping_as_json(mapping)])

    def _set_mapping(self, mapping: Mapping) -> None:
        self.mappings[(mapping.business, mapping.group_id)] = mapping
        for index, key, other in (
            (self._mapped_to, mapping.business, mapping.group_id),
            (self._mapped_by, mapping.group_id, mapping.business),
        ):
            members = index.setdefault(key, [])
            if other not in members:
                members.append(other)

    def delete_mapping(self, business: int, group_id: int) -> None:
        """Forget a mapping, which only somebody behind the API can do."""
        self._remember((business, group_id), self.mappings[(business, group_id)])
        del self.mappings[(business, group_id)]
        self._pending.append(["no_mapping", [business, group_id]])

    def set_trigger_active(self, trigger_id: int, active: bool) -> None:
        """Switch one entry of the catalogue on or off."""
        self.catalogue[trigger_id] = replace(self.catalogue[trigger_id], active=active)
        self._pending.append(["trigger", [trigger_id, active]])

    def keep(self, table: str, key: str, value: Any) -> None:
        """Store a value of plain JSON for a mounted API, durable with the commit of the request; None removes it."""
        self._keep(table, key, value)
        self._pending.append(["keep", [table, key, value]])

    def _keep(self, table: str, key: str, value: Any) -> None:
        rows = self.tables.setdefault(table, {})
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value

    # -- history and durability

    def record(
        self,
        *,
        method: str,
        path: str,
        endpoint: str,
        status: int | None,
        committed: bool,
        fault: str | None = None,
        body: Any = None,
    ) -> Entry:
        """Append one request to the history; number and time are given here."""
        entry = Entry(len(self.history), self.now(), method, path, endpoint, status, committed, fault, body)
        if len(self.history) < _MOST_HISTORY:
            self.history.append(entry)
        return entry

    def commit(self, entry: Entry | None = None) -> None:
        """Make all that was stored since the last commit durable, in one line, before anybody is answered.

        Raises ``OSError`` where the file cannot be written; the next commit then carries what this one could not.
        """
        if self._log is not None and self._pending:
            record = {"set": self._pending, "entry": entry.as_json() if entry is not None else None}
            line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
            end = self._log.seek(0, os.SEEK_END)
            try:
                written = self._log.write(line)
            except OSError:
                written = None
            if written != len(line):
                self._log.truncate(end)  # half a line would damage what follows
                raise OSError(errno.ENOSPC, "the sandbox's state file cannot be written")
        self._pending = []

    def snapshot(self) -> dict[str, Any]:
        """The whole changeable state as JSON, without the history."""
        return {
            "next_group_id": self.next_group_id,
            "groups": [group_as_json(it) for it in self.groups.values()],
            "mappings": [mapping_as_json(it) for it in self.mappings.values()],
            "triggers": {str(it.id): it.active for it in self.catalogue.values()},
            "tables": self.tables,
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Replace the changeable state by a snapshot."""
        history = self.history
        self._forget()
        self.history = history
        for group in snapshot["groups"]:
            self._set_group(group_from_json(group))
        for mapping in snapshot["mappings"]:
            self._set_mapping(mapping_from_json(mapping))
        for trigger_id, active in snapshot["triggers"].items():
            self.catalogue[int(trigger_id)] = replace(self.catalogue[int(trigger_id)], active=active)
        self.tables = snapshot["tables"]
        self.next_group_id = snapshot["next_group_id"]

    def reset(self) -> None:
        """Forget everything since the start, the state file included."""
        self._forget()
        if self._state is not None:
            self._compact(self._state)

    def close(self) -> None:
        """Close the state file."""
        if self._log is not None:
            self._log.close()
            self._log = None

    def _open_log(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._log = _locked(path)
            *lines, _cut = path.read_bytes().split(b"\n")  # what follows the last line end was never answered
            for number, line in enumerate(lines, 1):
                if not self._replay(line):
                    raise SettingsError(f"cannot read the sandbox's state file {path}: line {number} is damaged")
            self._compact(path)
        except OSError as error:
            self.close()
            raise SettingsError(f"cannot use the sandbox's state file {path}: {error.strerror}") from None
        except SettingsError:
            self.close()
            raise

    def _replay(self, line: bytes) -> bool:
        try:
            record = json.loads(line)
        except ValueError:
            return False
        if "snapshot" in record:
            self.restore(record["snapshot"])
            self.history = [Entry(**{**it, "number": number}) for number, it in enumerate(record["history"])]
            return True
        for kind, value in record["set"]:
            match kind:
                case "group":
                    self._set_group(group_from_json(value))
                case "no_group":
                    self.groups.pop(value, None)
                case "mapping":
                    self._set_mapping(mapping_from_json(value))
                case "no_mapping":
                    self.mappings.pop((value[0], value[1]), None)
                case "trigger":
                    self.catalogue[value[0]] = replace(self.catalogue[value[0]], active=value[1])
                case _:
                    self._keep(*value)
        if record["entry"] is not None:
            self.history.append(Entry(**{**record["entry"], "number": len(self.history)}))
        return True

    def _compact(self, path: Path) -> None:
        entries = [entry.as_json() for entry in self.history if entry.committed]
        line = {"snapshot": self.snapshot(), "history": entries}
        fresh = path.with_name(path.name + ".new")
        fresh.unlink(missing_ok=True)
        log = _locked(fresh)
        try:
            log.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
            os.fsync(log.fileno())
            fresh.replace(path)
        except OSError:
            log.close()
            raise
        self.close()
        self._log = log


def _locked(path: Path) -> FileIO:
    """The file, open for appending, and refused to any other sandbox until it is closed."""
    log = path.open("ab", buffering=0)
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.close()
        raise SettingsError(f"the sandbox's state file {path} is in use by another sandbox") from None
    return log

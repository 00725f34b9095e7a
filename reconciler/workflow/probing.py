"""``probe``: which parts of the APIs show what. It only records; visibility is judged per answer everywhere else."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.clients.integrations import IntegrationsClient
from reconciler.clock import Clock
from reconciler.core.live import LiveGroup, LiveMapping, Property
from reconciler.declarations import Loaded
from reconciler.errors import Answered, RemoteError, SecretError, UsageError
from reconciler.settings.values import Settings
from reconciler.workflow.looking import Target, practices_of
from reconciler.workflow.session import open_transport

UNSEEN = "not seen"
LARGEST_RECORD = 1 << 20
FORMAT_VERSION = "1.0"


@dataclass(frozen=True)
class Probe:
    """What was seen: a word for each feature, and what could not be read."""

    birdeye_url: str
    at: str
    businesses: tuple[int, ...]
    features: dict[str, str]
    unread: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The published JSON, and what is recorded."""
        return {
            "format_version": FORMAT_VERSION,
            "kind": "probe",
            "birdeye_url": self.birdeye_url,
            "at": self.at,
            "businesses": list(self.businesses),
            "features": self.features,
            "unread": list(self.unread),
        }


@dataclass
class _Seen:
    """Words by feature, as many as different answers gave."""

    words: dict[str, set[str]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    def note(self, feature: str, word: str) -> None:
        self.words.setdefault(feature, set()).add(word)

    def word(self, feature: str) -> str:
        found = self.words.get(feature, set())
        return " and ".join(sorted(found)) if found else UNSEEN


FEATURES = (
    "trigger catalogue",
    "groups of a business",
    "group triggers",
    "group properties",
    "group mappings",
    "mapping endpoint",
    "mapping properties",
    "mapping status",
    "secure values",
    "location look-up",
    "practitioner look-up",
)


def every(loaded: Loaded) -> list[Target]:
    """Every declared business that is managed."""
    return [Target(it.declaration.business, it) for it in loaded.declared if it.declaration.state != "released"]


def probe(settings: Settings, clock: Clock, targets: Sequence[Target]) -> Probe:
    """Ask with as few reads as tell anything: one group read per business, one mapping read, one look-up of each kind."""
    seen = _Seen()
    with open_transport(settings, clock) as transport:
        client = IntegrationsClient(transport)
        try:
            client.triggers()
            seen.note("trigger catalogue", "shown")
        except RemoteError as error:
            _failed(seen, "trigger catalogue", error)
        for target in targets:
            _groups(client, target, seen)
        for target in targets:
            if "mapping endpoint" not in seen.words or seen.words["mapping endpoint"] == {"404"}:
                _mappings(client, target, seen)
        for target in targets:
            if "location look-up" not in seen.words:
                _look_ups(client, target, settings, seen)
    features = {name: seen.word(name) for name in FEATURES}
    businesses = tuple(sorted({it.parent for it in targets}))
    return Probe(
        settings.birdeye.url, clock.now().isoformat(timespec="seconds"), businesses, features, tuple(seen.unread)
    )


def _failed(seen: _Seen, feature: str, error: RemoteError) -> None:
    seen.note(feature, f"answers {error.status}" if isinstance(error, Answered) else "unreadable")
    seen.unread.append(f"{feature}: {error.message}")


def _groups(client: IntegrationsClient, target: Target, seen: _Seen) -> None:
    try:
        groups = client.groups(target.parent)
    except RemoteError as error:
        _failed(seen, "groups of a business", error)
        return
    seen.note("groups of a business", "404" if groups is None else "shown" if groups else "empty")
    for it in groups or ():
        _group(it, seen)


def _group(it: LiveGroup, seen: _Seen) -> None:
    seen.note("group triggers", _shown(it.triggers))
    seen.note("group properties", _shown(it.properties))
    seen.note("group mappings", _shown(it.mappings))
    _secure(it.properties, seen)
    for one in it.mappings or ():
        _mapping(one, seen)


def _mapping(it: LiveMapping, seen: _Seen) -> None:
    seen.note("mapping properties", _shown(it.properties))
    seen.note("mapping status", _shown(it.status))
    _secure(it.properties, seen)


def _secure(properties: Iterable[Property] | None, seen: _Seen) -> None:
    for it in properties or ():
        if it.secure:
            word = "masked" if it.is_masked else "plain"
            seen.note("secure values", "absent" if it.value is None else word)


def _shown(value: object) -> str:
    return "absent" if value is None else "shown"


def _mappings(client: IntegrationsClient, target: Target, seen: _Seen) -> None:
    locations = target.declared.declaration.locations if target.declared else ()
    business = locations[target.location or 0].business if locations else target.business
    try:
        found = client.mappings(business)
    except Answered as error:
        if error.status in (404, 405):  # no such endpoint, or no such mapping
            seen.note("mapping endpoint", str(error.status))
        else:
            _failed(seen, "mapping endpoint", error)
        return
    except RemoteError as error:
        _failed(seen, "mapping endpoint", error)
        return
    seen.words["mapping endpoint"] = {"shown"}
    for it in found:
        _mapping(it, seen)


def _look_ups(client: IntegrationsClient, target: Target, settings: Settings, seen: _Seen) -> None:
    try:
        practice = practices_of(target, None, practice_plus=False)[0]
        value = settings.secrets.reveal(practice.reference)
    except UsageError:
        return
    except SecretError as error:
        seen.unread.append(error.message)
        return
    try:
        places = client.locations(value, new_version=practice.practice_plus)
        seen.note("location look-up", "shown with ids" if all(it.id for it in places) else "shown without ids")
    except RemoteError as error:
        _failed(seen, "location look-up", error)
    try:
        people = client.practitioners(value, new_version=practice.practice_plus)
        seen.note("practitioner look-up", "shown with ids" if all(it.id for it in people) else "shown without ids")
    except RemoteError as error:
        _failed(seen, "practitioner look-up", error)


def record_file(settings: Settings) -> Path:
    """Where the last probe is kept."""
    return settings.folder / ".reconciler" / "probe.json"


def record(settings: Settings, found: Probe) -> tuple[list[str], list[str]]:
    """What changed since the last probe of the same API, and why it could not be kept. A feature that was not seen this
    time, or not before, has not changed.
    """
    file = record_file(settings)
    before, kept = _last(file, found.birdeye_url), dict(found.features)
    changes = []
    for name, word in found.features.items():
        was = before.get(name, UNSEEN)
        if word == UNSEEN:
            kept[name] = was
        elif was not in (UNSEEN, word):
            changes.append(f"changed since the last probe: {name}: {was} -> {word}")
    try:
        _write(file, json.dumps(found.document() | {"features": kept}, indent=2) + "\n")
    except OSError as error:
        return changes, [f"warning: {file} could not be written: {error.strerror}"]
    return changes, []


def _last(file: Path, birdeye_url: str) -> dict[str, str]:
    try:
        if file.stat().st_size > LARGEST_RECORD:
            return {}
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format_version"] != FORMAT_VERSION or document["birdeye_url"] != birdeye_url:
            return {}
        return {str(name): str(word) for name, word in document["features"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(text)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise

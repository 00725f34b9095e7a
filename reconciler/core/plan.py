"""A plan is data: changes in order, objections, warnings, steps for a person, and a digest over what matters."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from reconciler.core.problems import Position

FORMAT_VERSION = "1.0"

ChangeKind = Literal["group", "mapping", "runner"]
Action = Literal["create", "update", "activate", "deactivate", "move", "reassert", "adopt", "manual"]
Verdict = Literal["different", "unverified"]
Cause = Literal["changed_outside", "not_applied_yet", "conflict", ""]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a change. ``before`` and ``after`` are JSON values; fingerprints (``#1a2b3c4d``) where sensitive."""

    path: str
    before: Any
    after: Any
    sensitive: bool = False
    verdict: Verdict = "different"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object."""

    id: str
    """Stable: a hash of kind, business and group, so that the same object has the same id in every plan."""
    kind: ChangeKind
    slug: str
    business: int
    action: Action
    reason: str
    source: Position
    fields: tuple[FieldChange, ...]

    def to_json(self) -> dict[str, Any]:
        """As published in ``interface.md``."""
        return {
            "id": self.id,
            "kind": self.kind,
            "slug": self.slug,
            "business": self.business,
            "action": self.action,
            "reason": self.reason,
            "source": {"file": self.source.file, "line": self.source.line, "column": self.source.column},
            "fields": [
                {
                    "path": it.path,
                    "before": it.before,
                    "after": it.after,
                    "sensitive": it.sensitive,
                    "verdict": it.verdict,
                }
                for it in self.fields
            ],
        }


@dataclass(frozen=True, slots=True)
class Manual:
    """A step that only a person can do."""

    slug: str
    text: str


@dataclass(frozen=True, slots=True)
class Objection:
    """A danger that must be allowed by name. ``slug`` is ``run`` for one of the whole run."""

    code: str
    slug: str
    message: str


@dataclass(frozen=True, slots=True)
class Warning_:
    """Something to know that stops nothing."""

    slug: str
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts: changes by action, and objects and fields that are not changes."""

    create: int = 0
    update: int = 0
    deactivate: int = 0
    activate: int = 0
    move: int = 0
    reassert: int = 0
    adopt: int = 0
    manual: int = 0
    unchanged: int = 0
    unverified_fields: int = 0
    unreadable: int = 0
    refused: int = 0

    def to_json(self) -> dict[str, int]:
        """Every count, in the published order."""
        return {name: getattr(self, name) for name in SUMMARY_KEYS}


SUMMARY_KEYS = (
    "create",
    "update",
    "deactivate",
    "activate",
    "move",
    "reassert",
    "adopt",
    "manual",
    "unchanged",
    "unverified_fields",
    "unreadable",
    "refused",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that ``plan --output json`` says. Times are ISO strings in UTC that end in ``Z``."""

    created_at: str
    expires_at: str
    birdeye_url: str
    commit: str | None
    declarations_digest: str
    summary: Summary
    changes: tuple[Change, ...]
    manual: tuple[Manual, ...] = ()
    objections: tuple[Objection, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    never_sent: tuple[tuple[str, int], ...] = ()
    """Per slug, how many declared fields were never sent; shown in text only (``--reassert SLUG``)."""
    unreadable: tuple[tuple[str, str], ...] = ()
    """Per slug, what could not be read; a part of ``warnings`` in JSON."""

    @property
    def digest(self) -> str:
        """SHA-256 over canonical JSON of target, changes (without id and source) and objections."""
        changes = []
        for change in self.changes:
            document = change.to_json()
            del document["id"], document["source"]
            changes.append(document)
        body = {
            "target": {"birdeye_url": self.birdeye_url},
            "changes": changes,
            "objections": [objection_json(it) for it in self.objections],
        }
        return hashlib.sha256(canonical_json(body)).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The published document. ``plan_id`` is a hash of all the rest, so that an edited file shows."""
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "kind": "plan",
            "plan_id": "",
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "target": {"birdeye_url": self.birdeye_url},
            "base": {"commit": self.commit, "declarations_digest": self.declarations_digest},
            "digest": self.digest,
            "summary": self.summary.to_json(),
            "changes": [it.to_json() for it in self.changes],
            "manual": [{"slug": it.slug, "text": it.text} for it in self.manual],
            "objections": [objection_json(it) for it in self.objections],
            "warnings": [{"slug": it.slug, "text": it.text} for it in self.warnings],
        }
        document["plan_id"] = plan_id_of(document)
        return document

    @property
    def plan_id(self) -> str:
        """Names the plan in journal, receipts and audit."""
        return str(self.to_json()["plan_id"])

    @property
    def is_empty(self) -> bool:
        """Nothing to do."""
        return not self.changes

    def without(self, slugs: frozenset[str]) -> Plan:
        """The same plan, the changes of some businesses left out."""
        return replace(self, changes=tuple(it for it in self.changes if it.slug not in slugs))


def objection_json(objection: Objection) -> dict[str, str]:
    """As published."""
    return {"code": objection.code, "slug": objection.slug, "message": objection.message}


def canonical_json(value: Any) -> bytes:
    """UTF-8, sorted keys, no white space, no floats by construction."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def plan_id_of(document: dict[str, Any]) -> str:
    """The first 16 hex digits of SHA-256 over the document without its ``plan_id``."""
    body = {key: value for key, value in document.items() if key != "plan_id"}
    return hashlib.sha256(canonical_json(body)).hexdigest()[:16]


def change_id(kind: str, business: int, slug: str, extra: str = "") -> str:
    """Stable over plans: 12 hex digits of a hash of what the change is about."""
    return hashlib.sha256(f"{kind}|{slug}|{business}|{extra}".encode()).hexdigest()[:12]

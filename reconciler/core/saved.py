"""Saved plans: is the file whole, and does it cover what would be done now?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from reconciler.core.plan import (
    FORMAT_VERSION,
    Action,
    Change,
    ChangeKind,
    FieldChange,
    Plan,
    canonical_json,
    plan_id_of,
)
from reconciler.core.problems import Position

Document = dict[str, Any]


class Damaged(ValueError):
    """The document is not a plan of ours, or was changed after it was made. The message says which."""


def parse(data: bytes) -> Document:
    """The document in a plan file, its format and digest checked. Raises Damaged."""
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise Damaged("it is not JSON") from None
    if not isinstance(document, dict) or document.get("kind") != "plan":
        raise Damaged("it is not a plan")
    version = document.get("format_version")
    if not isinstance(version, str) or version.split(".")[0] != FORMAT_VERSION.split(".")[0]:
        raise Damaged(f"its format version {str(version)[:20]!r} is not one that this version reads ({FORMAT_VERSION})")
    try:
        changes = [_change(it) for it in document["changes"]]
        digest = _digest(document, changes)
        for key in ("plan_id", "created_at", "expires_at", "digest"):
            if not isinstance(document[key], str):
                raise Damaged(f"its {key} is not text")
        datetime.fromisoformat(document["expires_at"])
        datetime.fromisoformat(document["created_at"])
        if not isinstance(document["base"]["declarations_digest"], str):
            raise Damaged("its base has no digest")
        for key in ("manual", "objections", "warnings"):
            if not all(isinstance(it, dict) for it in document[key]):
                raise Damaged(f"its {key} are not as published")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, Damaged):
            raise
        raise Damaged("it is not shaped as a plan is") from None
    if digest != document["digest"]:
        raise Damaged("it was changed after it was made: its digest does not fit")
    return document


def is_untouched(document: Document) -> bool:
    """Does the plan id fit all the rest? Times and base can be changed without the digest noticing."""
    return bool(plan_id_of(document) == document["plan_id"])


def is_expired(document: Document, now: datetime) -> bool:
    """Is ``expires_at`` past? A time without an offset counts as past."""
    expires = datetime.fromisoformat(document["expires_at"])
    return bool(expires.tzinfo is None or expires <= now)


def scope(document: Document) -> frozenset[str]:
    """The slugs that a saved plan speaks of. A plan of one file does not go stale by what happens elsewhere."""
    named = {str(it["slug"]) for part in ("changes", "objections") for it in document[part]}
    return frozenset(named - {"run"})


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _change(item: Mapping[str, Any]) -> Document:
    if item["kind"] not in get_args(ChangeKind) or item["action"] not in get_args(Action):
        raise Damaged("it has a change of an unknown kind or action")
    if not isinstance(item["id"], str) or not isinstance(item["source"]["file"], str):
        raise Damaged("a change has no id or no source")
    return {key: value for key, value in item.items() if key not in ("id", "source")}


def _digest(document: Document, changes: list[Document]) -> str:
    body = {"target": document["target"], "changes": changes, "objections": document["objections"]}
    return hashlib.sha256(canonical_json(body)).hexdigest()


def change_of(item: Mapping[str, Any]) -> Change:
    """One change of a checked document."""
    source = item["source"]
    return Change(
        str(item["id"]),
        item["kind"],
        str(item["slug"]),
        int(item["business"]),
        item["action"],
        str(item["reason"]),
        Position(str(source["file"]), int(source["line"]), int(source["column"])),
        tuple(
            FieldChange(it["path"], it["before"], it["after"], bool(it["sensitive"]), it["verdict"])
            for it in item["fields"]
        ),
    )


def _key(kind: str, slug: str, business: int, action: str) -> tuple[str, str, int, str]:
    return (kind, slug, business, action)


def _fields(item: Mapping[str, Any]) -> dict[str, str]:
    return {
        it["path"]: json.dumps([it["before"], it["after"], it["sensitive"]], sort_keys=True) for it in item["fields"]
    }


def _end(path: str, after: Any, sensitive: bool) -> str:
    return json.dumps([path, after, sensitive], sort_keys=True)


def _brought_by_writes(document: Document) -> dict[str, dict[int | None, set[str]]]:
    """By slug and location business (None: every location), the fields that the writes of a plan put in force."""
    found: dict[str, dict[int | None, set[str]]] = {}
    for item in document["changes"]:
        if item["kind"] == "runner" or item["action"] == "manual":
            continue
        where = None if item["kind"] == "group" else int(item["business"])
        ends = found.setdefault(str(item["slug"]), {}).setdefault(where, set())
        ends |= {_end(it["path"], it["after"], bool(it["sensitive"])) for it in item["fields"]}
    return found


def not_covered(plan: Plan, document: Document) -> list[str]:
    """What ``plan`` would do that ``document`` does not hold with equal kind, object, fields, before and after.

    A change may have fewer fields than the approved one (those are done already), never another. What the approved
    group and mapping changes would have put in force is held by them: where such a write is done already, by an
    interrupted apply or by hand, what is left of it is a change of the runner's configuration alone.
    """
    approved: dict[tuple[str, str, int, str], list[dict[str, str]]] = {}
    for item in document["changes"]:
        key = _key(item["kind"], item["slug"], item["business"], item["action"])
        approved.setdefault(key, []).append(_fields(item))
    in_force = _brought_by_writes(document)
    missing: list[str] = []
    for change in plan.changes:
        item = change.to_json()
        key = _key(change.kind, change.slug, change.business, change.action)
        wanted = _fields(item)
        if any(all(them.get(path) == value for path, value in wanted.items()) for them in approved.get(key, [])):
            continue
        if change.kind == "runner" and change.action in ("create", "update"):
            ours = {path: value for them in approved.get(key, []) for path, value in them.items()}
            ends = in_force.get(change.slug, {})
            brought = ends.get(change.business, set()) | ends.get(None, set())
            if all(
                ours.get(it.path) == wanted[it.path] or _end(it.path, it.after, it.sensitive) in brought
                for it in change.fields
            ):
                continue
        paths = ", ".join(wanted)
        missing.append(f"{change.action} {change.kind} {change.business} of {change.slug} ({paths})")
    return missing


def already_done(plan: Plan, document: Document) -> tuple[Change, ...]:
    """Changes of the saved plan whose object needs nothing any more."""
    now = {(it.kind, it.slug, it.business) for it in plan.changes}
    return tuple(
        change
        for item in document["changes"]
        if ((change := change_of(item)).kind, change.slug, change.business) not in now
    )

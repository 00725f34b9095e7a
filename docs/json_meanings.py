"""What every member of a JSON document means, in the order in which the page lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One kind of document. ``free``: the objects whose names are data."""

    kind: str
    lead: str
    meanings: Mapping[str, str]
    free: tuple[str, ...] = ()


_HEAD = {"format_version": "`1.0`", "kind": "which document this is"}

_PLAN = {
    **_HEAD,
    "plan_id": "of this making; receipts and the audit chain name it",
    "created_at": "when it was made",
    "expires_at": "24 hours later: from then on `apply PLAN` refuses it",
    "target.birdeye_url": "the integration API that it was made for",
    "base.commit": "the commit of the declarations, where they lie in git",
    "base.declarations_digest": "of the text of all declarations; another one makes the plan stale",
    "digest": "SHA-256 over `target`, `changes` (without `id` and `source`) and `objections`: equal plans, equal digests",
    "summary.create": "changes of this action",
    "summary.update": "likewise",
    "summary.deactivate": "likewise",
    "summary.activate": "likewise",
    "summary.move": "likewise",
    "summary.reassert": "likewise",
    "summary.adopt": "likewise",
    "summary.manual": "likewise: what no request can do",
    "summary.unchanged": "objects without a change",
    "summary.unverified_fields": "declared fields that the API does not show",
    "summary.unreadable": "businesses that could not be read; then the exit code is 7",
    "summary.refused": "objections",
    "changes[]": "in the order in which they are carried out; none in an empty plan",
    "changes[].id": "of the change, within the plan",
    "changes[].kind": "`group`, `mapping`, or `runner` (in force for the runner, never sent)",
    "changes[].slug": "the declaration",
    "changes[].business": "the parent business of a group, the location of a mapping",
    "changes[].action": "`create`, `update`, `activate`, `deactivate`, `move`, `reassert`, `adopt` or `manual`",
    "changes[].reason": "in words",
    "changes[].source.file": "the line that asks for it",
    "changes[].source.line": "from 1",
    "changes[].source.column": "from 1",
    "changes[].fields[].path": "`active`, `triggers`, `properties.KEY`, or a field of the declaration",
    "changes[].fields[].before": "the live value, else the one in force, else null",
    "changes[].fields[].after": "the value that is sent",
    "changes[].fields[].sensitive": "are `before` and `after` fingerprints?",
    "changes[].fields[].verdict": "`different` or `unverified`",
    "manual[].slug": "the declaration",
    "manual[].text": "a step that only a person can take",
    "objections[].code": "one of the [objections](objections.md)",
    "objections[].slug": "the declaration, or `run`",
    "objections[].message": "what would happen, to what",
    "warnings[].slug": "the declaration",
    "warnings[].text": "what to know before it is carried out",
}

_FIELD = {
    "slug": "the declaration",
    "object": "`group`, or the mapping and its location",
    "path": "as in a plan",
    "class": "as above",
    "declared": "the declared value",
    "live": "the live one, where it is shown",
    "recorded": "what was last applied, where it equals one of the two, else its fingerprint",
    "first_seen": "since when it differs, as far as the store knows",
}
_COUNTS = "a count"

DOCUMENTS: tuple[Document, ...] = (
    Document("plan", "`plan --output json`, `plan --out FILE`, `show PLAN --output json`.", _PLAN),
    Document(
        "check-plan",
        "`check-plan PLAN --output json`. A stale plan has no document: exit code 4, with what is new on standard error.",
        {**_HEAD, "state": "`current`, or `subset`: a part of the plan is left, the rest is done"},
    ),
    Document(
        "apply",
        "`apply --output json`: the plan that was carried out, each change with its outcome.",
        {
            **{name: words for name, words in _PLAN.items() if not name.startswith(("objections[", "warnings["))},
            "changes[].outcome": "`applied`, `already`, `failed`, `skipped`, `unknown` or `not_attempted`",
        },
    ),
    Document(
        "validate",
        "`validate --output json`. What each code means: [problem codes](codes.md).",
        {
            **_HEAD,
            "problems[].code": "`E…`, `W…` or `N…`",
            "problems[].severity": "`error`, `warning` or `note`",
            "problems[].file": "relative to the settings file",
            "problems[].line": "from 1",
            "problems[].column": "from 1",
            "problems[].message": "what is wrong",
            "problems[].hint": "what to do",
        },
    ),
    Document(
        "drift",
        "`drift --output json`. A field's class is `changed_outside`, `not_applied_yet`, `conflict`, `unverified`, `unreadable`, "
        "`unmanaged`, `missing`, `undeclared` or `released`.",
        {
            **_HEAD,
            "summary.drifted_fields": "fields that differ and that nobody accepted",
            "summary.checked_fields": "declared wire fields whose live value was shown",
            "summary.unverified_fields": "those that the API does not show",
            "summary.unreadable_fields": "those that could not be read; then the exit code is 7",
            "summary.coverage": "checked of all declared wire fields, 0 to 1",
            "businesses[].slug": "the declaration",
            "businesses[].business": "its parent business",
            **{f"businesses[].fields[].{name}": words for name, words in _FIELD.items() if name != "slug"},
            **{f"accepted[].{name}": words for name, words in _FIELD.items()},
            "accepted[].reason": "why it was accepted",
            "accepted[].until": "the last day",
            "accepted[].by": "who accepted it",
        },
    ),
    Document(
        "sync",
        "`sync --output json`. For each location `read` = `sent` + `already_sent` + `restricted` + `skipped` + `quarantined` + "
        "`held` + `failed` + `pending`, and `eligible` = `sent` + `failed` + `held` + `pending`. A location may have `detail`, "
        "`warnings` and `crm_locations` (the names that Nextech has) as well.",
        {
            **_HEAD,
            "dry_run": "was nothing sent or recorded, as asked?",
            "errors[]": "what kept the whole run from going on",
            "locations[].business": "the location",
            "locations[].slug": "the declaration",
            "locations[].window.from": "appointments that start at or after",
            "locations[].window.to": "and before",
            "locations[].read": "visits at this location",
            "locations[].eligible": "to be sent",
            "locations[].sent": "confirmed by Birdeye now",
            "locations[].already_sent": "in the ledger from before",
            "locations[].restricted.NAME": "held back, by reason",
            "locations[].skipped.NAME": "left out, by reason",
            "locations[].quarantined": "could not be read as visits",
            "locations[].held": "wait for a person, unknown outcomes included",
            "locations[].failed": "refused by Birdeye",
            "locations[].pending": "eligible, and not sent by this pass",
            "locations[].requests.NAME": "requests, by endpoint",
            "locations[].status": "`ok`, `inactive`, `unauthorised`, `paused`, `stopped`, `platform`, `waiting` or `error`",
            "practices[].practice": "a keyed pseudonym of the practice id",
            "practices[].unassigned": "visits that belong to none of its locations",
            "practices[].requests.NAME": "requests, by endpoint",
        },
        free=("locations[].restricted", "locations[].skipped", "locations[].requests", "practices[].requests"),
    ),
    Document(
        "held",
        "`held list --output json`. It shows appointment ids: mind who reads it.",
        {
            **_HEAD,
            "visits[].id": "what `held resend` and `held discard` take",
            "visits[].slug": "the declaration",
            "visits[].business": "the location",
            "visits[].day": "the visit's local day",
            "visits[].appointment": "the appointment's id in Nextech",
            "visits[].state": "`held`, `unknown`, or `failed` where those were asked for",
            "visits[].reason": "why it waits",
            "visits[].since": "since when",
            "visits[].can_be_sent": "is its payload still kept?",
        },
    ),
    Document(
        "audit",
        "`audit verify --output json`.",
        {
            **_HEAD,
            "records": "how many there are",
            "head": "`SEQ:HASH` of the newest; keep it elsewhere, and `--expect-head` shows a chain that was cut",
            "problem": "what is wrong, in words",
            "seq": "at which record",
        },
    ),
    Document(
        "explain",
        "`explain NAME --output json`.",
        {
            **_HEAD,
            "topics[].kind": "`code`, `objection`, `field` or `setting`",
            "topics[].name": "its name",
            "topics[].title": "in a few words",
            "topics[].text": "what it means",
            "topics[].facts.NAME": "short facts",
            "topics[].examples.NAME": "YAML, or a command",
        },
        free=("topics[].facts", "topics[].examples"),
    ),
)

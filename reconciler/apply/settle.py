"""What the open intents of an earlier run came to. The API is asked before anything is planned."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from reconciler.apply.deps import Deps
from reconciler.apply.writer import Writer, merged
from reconciler.core.live import LiveMapping
from reconciler.core.records import FieldReceipt, Intent, ObjectReceipt, unsure
from reconciler.core.values import Fingerprint, Value, fingerprint_of, of_property, plain
from reconciler.core.world import World
from reconciler.errors import RemoteError
from reconciler.store import journal, receipts

SUPERSEDED = "its outcome was never learnt; the next plan decides from what is live"


def settle(deps: Deps, world: World, intents: Sequence[Intent]) -> int:
    """Close every open intent that the API can answer for; returns how many. Creates that two groups answer stay open.

    Waits for a create until 10 s after its intent, since reads may lag behind writes.
    """
    if not intents:
        return 0
    with ThreadPoolExecutor(max_workers=max(1, deps.concurrency), thread_name_prefix="settle") as pool:
        return sum(pool.map(lambda it: _settle_one(deps, world, it), intents))


def _settle_one(deps: Deps, world: World, intent: Intent) -> int:
    if intent.endpoint == "G+":
        return _settle_create(deps, world, intent)
    try:
        took_effect = intent.endpoint == "M+" and _mapping_shows(deps, world.fingerprint, intent)
    except RemoteError:
        took_effect = False
    with deps.store.begin() as connection:
        if took_effect:
            _promote(deps, connection, intent, intent.group_id)
            journal.close_intent(connection, intent.id, outcome="applied", at=deps.now(), group_id=intent.group_id)
        else:
            for it in receipts.objects(connection, intent.slug):
                if (it.kind, it.business, it.group_id) == (intent.kind, intent.business, intent.group_id):
                    receipts.put_object(connection, unsure(it, intent))
            journal.close_intent(connection, intent.id, outcome="failed", at=deps.now(), detail=SUPERSEDED)
    return 1


def _settle_create(deps: Deps, world: World, intent: Intent) -> int:
    writer = Writer(deps, world, intent.slug, {}, {})
    before = set(intent.groups_before)
    done = writer.find_created(intent.business, before, intent.at, "", answered=intent.group_id)
    if done.outcome == "applied":
        with deps.store.begin() as connection:
            _promote(deps, connection, intent, done.group_id)
            journal.close_intent(connection, intent.id, outcome="applied", at=deps.now(), group_id=done.group_id)
        return 1
    try:
        found = {it.group_id for it in deps.client.groups(intent.business) or ()} - before
    except RemoteError:
        return 0
    if found or deps.stop.is_set() or intent.group_id is not None:
        return 0  # open: an answer that named a group is no less than a receipt, whatever is listed
    with deps.store.begin() as connection:
        detail = "no new group is listed: the create did not happen"
        journal.close_intent(connection, intent.id, outcome="failed", at=deps.now(), detail=detail)
    return 1


def _promote(deps: Deps, connection: object, intent: Intent, group_id: int | None) -> None:
    """The receipts that the write would have left behind."""
    known = receipts.objects(connection, intent.slug)  # type: ignore[arg-type]
    old = next(
        (it for it in known if (it.kind, it.business, it.group_id) == (intent.kind, intent.business, group_id)),
        None,
    )
    blank = ObjectReceipt(
        intent.kind, intent.business, intent.slug, group_id, deps.now(), intent.plan_id, None, created=old is None
    )
    receipt = merged(old, blank, intent.fields, ())
    if old is None:
        receipt = ObjectReceipt(
            intent.kind,
            intent.business,
            intent.slug,
            group_id,
            deps.now(),
            intent.plan_id,
            None,
            created=True,
            was_active=_sent_active(intent),
            fields=receipt.fields,
        )
    receipts.put_object(connection, receipt)  # type: ignore[arg-type]


def _sent_active(intent: Intent) -> bool:
    return any(it.path == "active" for it in intent.fields)


def _mapping_shows(deps: Deps, fingerprint: Fingerprint, intent: Intent) -> bool:
    """Does the live mapping show every field of the intent that can be shown?"""
    live = next((it for it in deps.client.mappings(intent.business) if it.group_id == intent.group_id), None)
    if live is None or live.properties is None:
        return False
    return all(_shows(live, it, fingerprint) for it in intent.fields)


def _shows(live: LiveMapping, field: FieldReceipt, fingerprint: Fingerprint) -> bool:
    if field.path == "active":
        value: Value | None = plain("active", "true" if live.active else "false")
        return live.active is not None and fingerprint_of("active", value, fingerprint) == field.fingerprint  # type: ignore[arg-type]
    key = field.path.removeprefix("properties.")
    for prop in live.properties or ():
        if prop.key == key:
            value = of_property(prop, fingerprint)
            return value is None or fingerprint_of(key, value, fingerprint) == field.fingerprint
    return False

"""One write: intent before, request, outcome and receipts after."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciler.apply.deps import POLL_SECONDS, Deps
from reconciler.apply.schedule import Outgoing, Write
from reconciler.core.live import Property
from reconciler.core.records import FieldReceipt, Intent, ObjectKind, ObjectReceipt
from reconciler.core.world import World
from reconciler.errors import InternalError, LockHeld, RemoteError, Unknown
from reconciler.store import journal, receipts


@dataclass(frozen=True, slots=True)
class Done:
    """How one write ended: ``applied``, ``failed``, ``unknown``; with the group it made or touched."""

    outcome: str
    detail: str = ""
    group_id: int | None = None


@dataclass
class Writer:
    """Sends the writes of one business and keeps its receipts, in the store and at hand."""

    deps: Deps
    world: World
    slug: str
    trigger_types: dict[int, int]
    objects: dict[tuple[ObjectKind, int, int | None], ObjectReceipt]
    """Receipts of the business as they are now."""
    existed: frozenset[int] = frozenset()
    """Locations whose mapping to the group was there before."""
    requests: int = 0
    in_flight: Write | None = None
    """A write whose intent stands and whose outcome could not be recorded: nobody knows whether it was carried out."""

    def write(self, one: Write, group_id: int | None) -> Done:
        """Carry out one write. Raises errors.StoreError before anything is sent where the intent cannot be kept."""
        if one.endpoint == "G+":
            return self._create(one)
        if group_id is None:
            raise InternalError(f"a write to business {one.business} has no group")
        intent = self._open(one, group_id, ())
        self.requests += 1
        try:
            self._send(one, group_id)
        except LockHeld:
            raise
        except Unknown as error:
            return self._close(intent, one, Done("unknown", error.message, group_id))
        except RemoteError as error:
            return self._close(intent, one, Done("failed", error.message, group_id))
        return self._close(intent, one, Done("applied", group_id=group_id))

    def _send(self, one: Write, group_id: int) -> None:
        properties = self._properties(one.properties)
        if one.endpoint == "Gu":
            self.deps.client.update_group(
                group_id,
                triggers=self._triggers(one.triggers) if one.triggers is not None else None,
                properties=properties if one.properties is not None else None,
            )
        else:
            self.deps.client.put_mapping(one.business, group_id, bool(one.active), properties)

    def _create(self, one: Write) -> Done:
        """G+, never twice: G before it, the ids kept with the intent, G again where the answer has no id."""
        try:
            before = {it.group_id for it in self.deps.client.groups(one.business) or ()}
        except RemoteError as error:
            return Done("failed", error.message)
        if before:
            names = ", ".join(str(it) for it in sorted(before))
            return Done("failed", f"group {names} has appeared since the plan was made; nothing was created")
        intent = self._open(one, None, tuple(sorted(before)))
        self.requests += 1
        detail = ""
        try:
            group_id = self.deps.client.create_group(
                one.business, triggers=self._triggers(one.triggers or ()), properties=self._properties(one.properties)
            )
        except LockHeld:
            raise
        except Unknown as error:
            group_id, detail = None, error.message
        except RemoteError as error:
            return self._close(intent, one, Done("failed", error.message))
        # The shape of the answer is not documented, and a damaged one may still read as a number: only an id that G
        # lists for this business is ever written to.
        done = self.find_created(one.business, before, self.deps.now(), detail, answered=group_id)
        return self._close(intent, one, done)

    def find_created(
        self, business: int, before: set[int], since: datetime, detail: str, *, answered: int | None = None
    ) -> Done:
        """Polls G until ``POLL_SECONDS`` after ``since``: exactly one new group, or the one ``answered``, is ours."""
        while True:
            try:
                new = [it.group_id for it in self.deps.client.groups(business) or () if it.group_id not in before]
            except LockHeld:
                raise
            except RemoteError as error:
                new, detail = [], error.message
            if answered in new:
                return Done("applied", group_id=answered)
            if len(new) == 1:
                return Done("applied", group_id=new[0])
            if len(new) > 1:
                names = ", ".join(str(it) for it in sorted(new))
                return Done("unknown", f"groups {names} appeared after the create; pin one with `group.id`")
            left = POLL_SECONDS - (self.deps.now() - since).total_seconds()
            if left <= 0 or self.deps.stop.is_set():
                had = "no group id" if answered is None else f"group id {answered}"
                detail = detail or f"the answer had {had} and no new group is listed"
                return Done("unknown", detail, group_id=answered)  # kept: while it stands, no second one is created
            self.deps.sleep(min(0.5, left))

    def _triggers(self, ids: tuple[int, ...]) -> list[tuple[int, int]]:
        return [(it, self.trigger_types.get(it, 1)) for it in ids]

    def _properties(self, outgoing: tuple[Outgoing, ...] | None) -> list[Property]:
        found: list[Property] = []
        for it in outgoing or ():
            value = self.deps.reveal(it.reference) if it.reference is not None else it.value
            found.append(Property(it.key, value, it.secure))
        return found

    def _open(self, one: Write, group_id: int | None, before: tuple[int, ...]) -> Intent:
        at = self.deps.now()
        intent = Intent(
            id=self.deps.new_id(),
            plan_id=self.deps.plan_id,
            change_id=one.change_ids[0],
            kind=one.kind,
            business=one.business,
            slug=self.slug,
            endpoint=one.endpoint,
            at=at,
            groups_before=before,
            fields=self._fields(one, at),
            group_id=group_id,
        )
        with self.deps.store.begin() as connection:
            journal.open_intent(connection, intent)
        self.in_flight = one
        return intent

    def _fields(self, one: Write, at: datetime) -> tuple[FieldReceipt, ...]:
        deps = self.deps
        return tuple(
            FieldReceipt(it.path, it.fingerprint, at, deps.plan_id, deps.commit, it.assumed, it.follows_group)
            for it in one.sent
        )

    def _close(self, intent: Intent, one: Write, done: Done) -> Done:
        at = self.deps.now()
        with self.deps.store.begin() as connection:
            journal.close_intent(
                connection, intent.id, outcome=done.outcome, at=at, detail=done.detail, group_id=done.group_id
            )
            if done.outcome == "applied":
                self._record(connection, one, done.group_id, intent.fields)
        self.in_flight = None
        return done

    def confirm(self, one: Write, group_id: int | None) -> None:
        """A read-back showed that a write of unknown outcome took effect."""
        with self.deps.store.begin() as connection:
            for it in journal.open_intents(connection):
                if it.plan_id == self.deps.plan_id and it.change_id == one.change_ids[0]:
                    at = self.deps.now()
                    journal.close_intent(connection, it.id, outcome="applied", at=at, group_id=group_id)
                    self._record(connection, one, group_id, it.fields)

    def _record(self, connection: object, one: Write, group_id: int | None, fields: tuple[FieldReceipt, ...]) -> None:
        key = (one.kind, one.business, group_id)
        if one.leaves:
            receipts.delete_object(connection, one.kind, one.business, group_id)  # type: ignore[arg-type]
            self.objects.pop(key, None)
            return
        receipt = merged(self.objects.get(key), self._blank(one, group_id), fields, one.dropped)
        if one.endpoint == "G+" or (one.endpoint == "M+" and one.business not in self.existed):
            receipt = receipt._replace(created=True)
        if one.active:
            receipt = receipt._replace(was_active=True)
        self.put(connection, receipt)

    def put(self, connection: object, receipt: ObjectReceipt) -> None:
        """Keep one receipt, in the store and at hand."""
        receipts.put_object(connection, receipt)  # type: ignore[arg-type]
        self.objects[receipt.kind, receipt.business, receipt.group_id] = receipt

    def _blank(self, one: Write, group_id: int | None) -> ObjectReceipt:
        deps = self.deps
        return ObjectReceipt(one.kind, one.business, self.slug, group_id, deps.now(), deps.plan_id, deps.commit)


def merged(
    old: ObjectReceipt | None, new: ObjectReceipt, fields: tuple[FieldReceipt, ...], dropped: tuple[str, ...]
) -> ObjectReceipt:
    """``old`` brought up to date: newer fields win, dropped ones go."""
    by_path = {it.path: it for it in (old.fields if old is not None else ())}
    for path in dropped:
        by_path.pop(path, None)
    by_path |= {it.path: it for it in fields}
    kept = tuple(by_path[path] for path in sorted(by_path))
    if old is None:
        return new._replace(fields=kept)
    return new._replace(fields=kept, created=old.created, was_active=old.was_active)

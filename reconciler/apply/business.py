"""One business, serially: narrow, write, read back, put in force, audit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from reconciler.apply.deps import POLL_SECONDS, Deps
from reconciler.apply.schedule import Write, schedule
from reconciler.apply.writer import Writer, merged
from reconciler.core import in_force
from reconciler.core.business import plan_business
from reconciler.core.compare import Row, shown_value
from reconciler.core.declared import Declared
from reconciler.core.live import Property
from reconciler.core.plan import Change
from reconciler.core.planned import Planned
from reconciler.core.records import FieldReceipt, InForce, ObjectKind, ObjectReceipt, Recorded
from reconciler.core.values import Fingerprint, Value, fingerprint_of
from reconciler.core.world import World
from reconciler.errors import ReconcilerError, RemoteError
from reconciler.store import audit, receipts
from reconciler.store import in_force as in_force_rows

ROUNDS = 2
"""A merging server may still show an override that was left out: its explicit end is a second round."""
_WAITS = (0.05, 0.15, 0.3, 0.6, 1.0, 1.5, 2.0, 2.0, 2.5)


@dataclass
class Result:
    """How one business ended. ``outcomes``: change id -> (outcome, detail)."""

    slug: str
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    put_in_force: bool = False
    requests: int = 0
    error: ReconcilerError | None = None
    """What ended the business early: a lost lock, a store that fails."""


def apply_business(
    deps: Deps, world: World, declared: Declared, planned: Planned, changes: tuple[Change, ...]
) -> Result:
    """Carry out ``changes`` (of this one business, in plan order). An error that ends it early is in the result."""
    run = _Run(deps, world, declared, planned, changes)
    try:
        run.carry_out()
    except ReconcilerError as error:
        run.break_off(error.message)
        run.result.error = error
    for change in changes:
        deps.on_outcome(change, *run.result.outcomes[change.id])
    return run.result


class _Run:
    def __init__(
        self, deps: Deps, world: World, declared: Declared, planned: Planned, changes: tuple[Change, ...]
    ) -> None:
        self.deps = deps
        self.declared = declared
        self.planned = planned
        self.changes = changes
        self.result = Result(planned.slug)
        names = {planned.slug, *(it.from_ for it in declared.declaration.moved)}
        self.elsewhere = {
            it.want.business: world.in_force_location[it.want.business][0]
            for it in planned.locations
            if world.in_force_location.get(it.want.business, (planned.slug,))[0] not in names
        }
        """Locations of this declaration that are in force under another name, and that name."""
        mine = {planned.business, *(it.want.business for it in planned.locations)}
        objects = tuple(it for it in world.recorded.objects if it.business in mine or it.slug == planned.slug)
        self.world = replace(
            world,
            declared=(declared,),
            selected=frozenset({planned.slug}),
            live={planned.business: world.live[planned.business]} if planned.business in world.live else {},
            reassert=frozenset(),
            recorded=Recorded(objects, tuple(it for it in world.recorded.in_force if it.document is planned.old), ()),
        )
        self.writer = Writer(
            deps,
            world,
            planned.slug,
            {it.id: it.type_ids[0] for it in world.catalogue if it.type_ids},
            {(it.kind, it.business, it.group_id): it for it in objects},
            existed=frozenset(it.want.business for it in planned.locations if it.sight.exists),
        )
        self.group_id = planned.choice.group.group_id if planned.choice.group is not None else None
        if planned.choice.foreign and self.group_id is not None:  # from here on it is named; stored once all is done
            adopted = ObjectReceipt("group", planned.business, planned.slug, self.group_id, deps.now(), deps.plan_id)
            self.writer.objects["group", planned.business, self.group_id] = adopted

    def give_up(self, why: str) -> None:
        for change in self.changes:
            self.result.outcomes.setdefault(change.id, ("not_attempted", why))

    def break_off(self, why: str) -> None:
        """After an error that ended the business: what was under way is unknown, and nothing new is in force."""
        in_flight = self.writer.in_flight
        for change_id in in_flight.change_ids if in_flight is not None else ():
            self.result.outcomes[change_id] = ("unknown", why)
        for change in self.changes:
            if change.kind == "runner" and self.result.outcomes.get(change.id, ("",))[0] == "applied":
                self.result.outcomes[change.id] = ("failed", why)
        self.give_up(why)

    def carry_out(self) -> None:
        self._narrow()
        plan = schedule(self.declared, self.planned, self.changes, self.world.fingerprint)
        for change_id in plan.by_hand:
            self.result.outcomes[change_id] = ("skipped", "a step for a person")
        ok = self._write_all(plan.writes)
        if ok and plan.writes:
            ok = self._read_back()
        self.result.requests = self.writer.requests
        by_hand = {it.id: it for it in self.changes if it.action == "manual"}
        blocked = any(it.kind != "runner" for it in by_hand.values())
        if ok:
            for change in self.changes:
                if change.kind == "runner":
                    self.result.outcomes.setdefault(change.id, ("applied", ""))
            self._finish(put=not blocked)
        else:
            self.give_up("an earlier change of this business did not succeed")
            self._finish(put=False)

    def _narrow(self) -> None:
        """What narrows who is contacted takes force before the first write, and a value that ends is known no more."""
        old, new = self.planned.old, self.planned.candidate
        if old is None or new is None:
            return
        ended = without_resets(old, self.planned)
        narrowed = without_resets(in_force.narrowed(old, new), self.planned)
        current = next(it for it in self.world.recorded.in_force if it.document is old)
        if narrowed != old:
            with self.deps.store.begin() as connection:
                in_force_rows.put_in_force(connection, self._record(connection, narrowed, slug=current.slug))
        recorded = replace(self.world.recorded, in_force=(replace(current, document=ended),))
        self.world = replace(self.world, recorded=recorded)

    def _write_all(self, writes: tuple[Write, ...]) -> bool:
        pending: dict[str, int] = {}
        for one in writes:
            for change_id in one.change_ids:
                pending[change_id] = pending.get(change_id, 0) + 1
        for one in writes:
            if self.deps.stop.is_set():
                self.give_up("stopped by a signal")
                return False
            group_id = one.group_id if one.group_id is not None else self.group_id
            done = self.writer.write(one, group_id)
            if done.outcome == "applied" and one.endpoint == "G+":
                self.group_id = done.group_id
            if done.outcome == "unknown" and one.endpoint != "G+" and self._took_effect(one, group_id):
                done = replace(done, outcome="applied", detail="")
            for change_id in one.change_ids:
                pending[change_id] -= 1
                if done.outcome != "applied":
                    self.result.outcomes[change_id] = (done.outcome, done.detail)
                elif not pending[change_id]:
                    self.result.outcomes[change_id] = ("applied", "")
            if done.outcome != "applied":
                return False
        return True

    def _took_effect(self, one: Write, group_id: int | None) -> bool:
        """After a write of unknown outcome: does a read show every field that it carried?"""
        try:
            seen = self._replan()
        except RemoteError:
            return False
        rows = list(seen.group_rows) if one.kind == "group" else []
        for it in seen.locations:
            if one.kind == "mapping" and it.want.business == one.business:
                rows = list(it.rows) if it.sight.have is not None and it.sight.have.group_id == group_id else []
        paths = {it.path for it in one.sent if not it.assumed}
        mine = [row for row in rows if row.path in paths]
        if len(mine) < len(paths) or not mine or any(row.judged.verdict != "same" for row in mine):
            return False
        self.writer.confirm(one, group_id)
        return True

    def _replan(self) -> Planned:
        """The business observed and planned anew, with the receipts as they are now."""
        seen = self.deps.look(
            self.planned.business,
            tuple(it.want.business for it in self.planned.locations),
            frozenset(it.business for it in self.writer.objects.values() if it.kind == "mapping"),
        )
        if seen.error:
            raise RemoteError(seen.error, method="GET", path="")
        world = replace(
            self.world,
            live={self.planned.business: seen},
            recorded=replace(self.world.recorded, objects=tuple(self.writer.objects.values())),
        )
        return plan_business(world, self.declared)

    def _read_back(self) -> bool:
        """Reads until what was written shows; what never does is said, and is not put in force."""
        started = self.deps.monotonic()
        rounds = 1
        problem = ""
        for wait in (*_WAITS, 0.0):
            try:
                seen = self._replan()
                problem = seen.unreadable or "; ".join(it.message for it in seen.objections)
            except RemoteError as error:
                seen, problem = None, error.message
            if seen is not None and not problem:
                left = tuple(it for it in seen.changes if it.kind != "runner" and it.action != "manual")
                stale = () if left else stale_resets(self.planned, seen, self.world.fingerprint)
                if not left and not stale:
                    self.planned = replace(
                        seen, old=self.planned.old, candidate=self._only_ours(seen.candidate), manual=()
                    )
                    return True
                if rounds < ROUNDS and all(
                    it.after is None or row_follows(seen, it.path) for c in left for it in c.fields
                ):
                    rounds += 1
                    again = schedule(self.declared, seen, left, self.world.fingerprint)
                    known = {it.id for it in self.changes}
                    if all(set(one.change_ids) <= known for one in again.writes):
                        if not self._write_all(again.writes):
                            return False
                        continue
                shown = [f"{it.path} of {c.business}" for c in left for it in c.fields]
                problem = "accepted, but not reflected: " + ", ".join([*shown, *stale])
            if wait == 0.0 or self.deps.monotonic() - started + wait > POLL_SECONDS or self.deps.stop.is_set():
                break
            self.deps.sleep(wait)
        self._not_reflected(seen, problem)
        return False

    def _not_reflected(self, seen: Planned | None, problem: str) -> None:
        left = {it.id for it in seen.changes} if seen is not None and not seen.unreadable else None
        for change in self.changes:
            if change.kind == "runner" or change.action == "manual":
                continue
            if left is None:
                self.result.outcomes[change.id] = ("unknown", problem)
            elif change.id in left:
                self.result.outcomes[change.id] = ("failed", problem)

    def _only_ours(self, candidate: in_force.Document | None) -> in_force.Document | None:
        """Replanning alone, a business does not see that a location has moved to another declaration."""
        first = self.planned.candidate
        if candidate is None or first is None:
            return candidate
        return {**candidate, "locations": {k: v for k, v in candidate["locations"].items() if k in first["locations"]}}

    def _finish(self, *, put: bool) -> None:
        deps, slug = self.deps, self.planned.slug
        objects = [self._audited(it) for it in self.changes]
        with deps.store.begin() as connection:
            if put and self.planned.candidate is not None:
                for move in self.declared.declaration.moved:
                    receipts.rename_slug(connection, move.from_, slug)
                    in_force_rows.delete_in_force(connection, move.from_)
                self._record_seen(connection)
                document = {**self.planned.candidate, "group_id": self.group_id or self.planned.candidate["group_id"]}
                document = in_force.with_moments(document, self.planned.old, deps.now())
                in_force_rows.put_in_force(connection, self._record(connection, document))
                self._take_over(connection)
                self.result.put_in_force = True
            audit.append(
                connection,
                {
                    "operation": "apply",
                    "who": deps.who,
                    "commit": deps.commit,
                    "plan_id": deps.plan_id,
                    "run_url": deps.run_url,
                    "slug": slug,
                    "business": self.planned.business,
                    "allowed": list(deps.allowed),
                    "objects": objects,
                    "outcome": "in force" if self.result.put_in_force else "not in force",
                },
                at=deps.now(),
            )

    def _take_over(self, connection: Any) -> None:
        """A location is in force once: under the name that declares it, whatever becomes of the other."""
        for slug in sorted(set(self.elsewhere.values())):
            current = in_force_rows.in_force(connection, slug)
            if current is None:
                continue
            gone = {str(business) for business, other in self.elsewhere.items() if other == slug}
            rest = {key: it for key, it in current.document["locations"].items() if key not in gone}
            if rest:
                document = {**current.document, "locations": rest}
                revision = in_force_rows.next_revision(connection, current.business)
                in_force_rows.put_in_force(
                    connection, replace(current, document=document, revision=revision, at=self.deps.now())
                )
            else:
                in_force_rows.delete_in_force(connection, slug)

    def _audited(self, change: Change) -> dict[str, Any]:
        outcome = self.result.outcomes.get(change.id, ("not_attempted", ""))[0]
        return {
            "kind": change.kind,
            "business": change.business,
            "action": change.action,
            "outcome": outcome,
            "fields": [it.path for it in change.fields],
            "change_id": change.id,
        }

    def _record(self, connection: Any, document: in_force.Document, slug: str | None = None) -> InForce:
        revision = in_force_rows.next_revision(connection, self.planned.business)
        return InForce(
            slug or self.planned.slug,
            self.planned.business,
            revision,
            self.deps.now(),
            self.deps.plan_id,
            self.deps.commit,
            document,
        )

    def _record_seen(self, connection: Any) -> None:
        """Receipts for what needed no write: equal where it is shown, assumed where it is not."""
        group = self.planned.choice.group
        if group is None or self.planned.want.released:
            return
        self._record_rows(connection, "group", self.planned.business, group.group_id, self.planned.group_rows)
        for one in self.planned.locations:
            if one.sight.exists and not one.want.released:
                self._record_rows(connection, "mapping", one.want.business, group.group_id, one.rows)

    def _record_rows(self, connection: Any, kind: ObjectKind, business: int, group_id: int, rows: Any) -> None:
        deps, at = self.deps, self.deps.now()
        old = self.writer.objects.get((kind, business, group_id))
        fields: list[FieldReceipt] = []
        for row in rows:
            if row.after is None or row.reset or row.judged.verdict == "different":
                continue
            known = old.field(row.path) if old is not None else None
            print_ = fingerprint_of(row.key, row.after, self.world.fingerprint)
            if known is not None and known.fingerprint == print_ and (known.assumed == (row.judged.verdict != "same")):
                continue
            if known is not None and row.judged.verdict == "unverified":
                continue
            assumed = row.judged.verdict == "unverified"
            fields.append(FieldReceipt(row.path, print_, at, deps.plan_id, deps.commit, assumed=assumed))
        active = any(row.key == "active" and row.after is not None and row.after.wire == "true" for row in rows)
        if old is not None and not fields and old.slug == self.planned.slug and (old.was_active or not active):
            return
        blank = ObjectReceipt(kind, business, self.planned.slug, group_id, at, deps.plan_id, deps.commit)
        receipt = merged(old, blank, tuple(fields), ())
        if kind == "group" and self.planned.choice.created_here:
            receipt = receipt._replace(created=True)
        self.writer.put(connection, receipt._replace(was_active=receipt.was_active or active))


def without_resets(document: in_force.Document, planned: Planned) -> in_force.Document:
    """``document`` without the known values that ``planned`` resets."""

    def keys(rows: tuple[Row, ...]) -> list[str]:
        return [it.key for it in rows if it.reset and not it.impossible]

    return in_force.without(
        document, keys(planned.group_rows), {it.want.business: keys(it.rows) for it in planned.locations}
    )


def row_follows(planned: Planned, path: str) -> bool:
    """Is the field one whose override ended and still shows?"""
    return any(row.path == path and row.follows_group for it in planned.locations for row in it.rows)


def stale_resets(before: Planned, seen: Planned, fingerprint: Fingerprint) -> tuple[str, ...]:
    """Fields whose end was written and whose old value an answer from before that write still shows.

    Their receipts are gone, so that nothing else would notice: the old value would be taken for one to be kept, and come
    into force.
    """
    found = []
    have = seen.choice.group.properties if seen.choice.group is not None else None
    found += [f"{it.path} of {before.business}" for it in before.group_rows if _is_stale(it, have, fingerprint)]
    now = {it.want.business: it.sight.have for it in seen.locations}
    for one in before.locations:
        mapping = now.get(one.want.business)
        have = mapping.properties if mapping is not None else None
        found += [f"{it.path} of {one.want.business}" for it in one.rows if _is_stale(it, have, fingerprint)]
    return tuple(found)


def _is_stale(row: Row, properties: tuple[Property, ...] | None, fingerprint: Fingerprint) -> bool:
    if not row.reset or row.after is None or row.live is None or row.live.canon == row.after.canon:
        return False
    shown = shown_value(properties, row.key, fingerprint)
    return isinstance(shown, Value) and shown.canon == row.live.canon

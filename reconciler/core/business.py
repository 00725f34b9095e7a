"""What a plan holds for one business: its rows, changes, warnings, and the configuration it leads to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from reconciler.core import compare, in_force, resolve, runner_changes
from reconciler.core.compare import Row
from reconciler.core.declared import Declared
from reconciler.core.desired import Desired, DesiredMapping, desired
from reconciler.core.groups import GroupChoice, choose_group
from reconciler.core.live import LiveBusiness
from reconciler.core.mappings import MappingSight, see_mapping
from reconciler.core.plan import Action, Change, ChangeKind, FieldChange, Manual, Warning_, change_id
from reconciler.core.planned import Planned
from reconciler.core.sources import nextech
from reconciler.core.world import World


def plan_business(world: World, declared: Declared) -> Planned:
    """All of one business except the objections that need the whole run (``core.objections``)."""
    want = desired(declared, secrets=world.secrets, catalogue=world.catalogue)
    seen = world.live.get(want.business, LiveBusiness(want.business, error="it was not read"))
    old = world.document_of(declared)
    if declared.declaration.is_waiting:
        return _waiting(declared, want, old)
    if want.released:
        return _released(world, declared, Planned(declared.slug, want.business, want, GroupChoice(None), old=old))
    choice = choose_group(world, want, seen)
    base = Planned(declared.slug, want.business, want, choice, objections=choice.objections, old=old)
    if choice.unreadable:
        return replace(base, unreadable=choice.unreadable)
    if choice.held:
        return base
    if want.unknown_triggers:
        names = ", ".join(want.unknown_triggers)
        text = f"the live trigger catalogue has no active trigger called {names}"
        return replace(base, unreadable=text)
    return _compare(world, declared, seen, base)


def _waiting(declared: Declared, want: Desired, old: in_force.Document | None) -> Planned:
    onboarding = declared.declaration.onboarding
    ordered = onboarding.ordered_on if onboarding is not None else None
    expected = f", expected by {onboarding.expected_by}" if onboarding is not None and onboarding.expected_by else ""
    text = f"waiting for the practice id ordered on {ordered}{expected}; nothing is planned until it is declared"
    return Planned(
        declared.slug,
        want.business,
        want,
        GroupChoice(None, held=True),
        warnings=(Warning_(declared.slug, text),),
        waiting=True,
        old=old,
    )


def _released(world: World, declared: Declared, base: Planned) -> Planned:
    """Whatever is live stays; only the runner's side ends."""
    text = "released: no longer managed and no longer synced; whatever is live stays"
    locations = tuple(resolve.LocationInput(it, MappingSight(exists=False)) for it in base.want.mappings)
    planned = replace(base, warnings=(Warning_(declared.slug, text),), locations=locations)
    if base.old is None:
        return planned
    candidate = {**base.old, "state": "released"}
    planned = replace(planned, candidate=candidate)
    return replace(planned, changes=runner_changes.changes(world, declared, planned))


def _compare(world: World, declared: Declared, seen: LiveBusiness, base: Planned) -> Planned:
    want, choice, old = base.want, base.choice, base.old
    known_group = in_force.group_known(old)
    context = compare.Context(world.fingerprint, known_group)
    group_rows, group_kept = compare.compare_group(want, choice.group, choice.receipt, context)
    known = resolve.layer(
        want.properties,
        choice.group.properties if choice.group is not None else (),
        known_group,
        group_rows,
        nextech.GROUP_KEYS,
        world,
    )
    group_values = resolve.group_values(known)
    inherited = resolve.inherited(known, shown=choice.group is None or choice.group.properties is not None)
    kept = {"group": group_kept}
    locations: list[resolve.LocationInput] = []
    listed = seen.listed() if seen.lists_mappings else None
    for it in want.mappings:
        sight = see_mapping(world, it.business, choice.group, seen, listed)
        if sight.unreadable:
            return replace(base, unreadable=sight.unreadable)
        known_here = in_force.location_known(old, it.business)
        if it.released:
            locations.append(resolve.LocationInput(it, sight, known=known_here))
            continue
        location_context = compare.Context(world.fingerprint, known_here, group_values, inherited)
        rows, mapping_kept = compare.compare_mapping(
            it, sight.have, sight.receipt, location_context, exists=sight.exists
        )
        kept[str(it.business)] = mapping_kept
        unknown = _unknown_filters(world, base, it, sight, rows)
        locations.append(resolve.LocationInput(it, sight, rows, unknown, known_here))
    candidate = resolve.resolve(
        world,
        declared,
        want,
        group=choice.group,
        created_here=choice.created_here,
        group_layer=known,
        locations=tuple(locations),
        old=old,
    )
    planned = replace(base, group_rows=group_rows, locations=tuple(locations), kept=kept, candidate=candidate)
    planned = _with_object_changes(world, declared, planned)
    if old is None and not planned.changes and declared.declaration.runner == "platform":
        # As it is after an import: live and recorded as declared, and run by Birdeye. What is in force concerns our
        # runner only, which passes it over; it comes into force with the first change, or with `runner: bundled`.
        return replace(planned, manual=())
    more = runner_changes.changes(world, declared, planned)
    return replace(planned, changes=planned.changes + more) if more else planned


def _unknown_filters(
    world: World, base: Planned, it: DesiredMapping, sight: MappingSight, rows: tuple[Row, ...]
) -> tuple[str, ...]:
    """Filters of an object that existed before us which are neither declared nor shown nor known from an apply."""
    group, choice, want = base.choice.group, base.choice, base.want
    in_force_here = in_force.location_of(base.old, it.business)
    if in_force_here is not None and not in_force_here.get("waiting"):
        return ()  # put in force before: what the runner uses for it was settled then
    group_is_old = group is not None and not choice.created_here
    mapping_is_old = (
        sight.exists and (sight.receipt is None or not sight.receipt.created) and not choice.created_here
    ) or (not sight.visible and sight.receipt is None and group_is_old)
    if not group_is_old and not mapping_is_old:
        return ()
    unknown: list[str] = []
    known_group = in_force.group_known(base.old)
    known_here = in_force.location_known(base.old, it.business)
    reset = {row.key for row in rows if row.reset}
    for spec in nextech.FIELDS:
        if not spec.filters or spec.key in it.properties or spec.key in reset:
            continue
        in_group = "group" in spec.scopes
        if in_group and spec.key in want.properties:
            continue
        here_shown = (sight.have is not None and sight.have.properties is not None) or spec.key in known_here
        if mapping_is_old and not here_shown and not in_group:
            unknown.append(spec.name)
        if in_group and group_is_old and group is not None:
            group_shown = group.properties is not None or spec.key in known_group
            if not group_shown:
                unknown.append(spec.name)
    return tuple(unknown)


def _with_object_changes(world: World, declared: Declared, planned: Planned) -> Planned:
    changes: list[Change] = []
    warnings: list[Warning_] = []
    manual: list[Manual] = []
    unchanged = 0
    group_changes, same = _group_changes(world, declared, planned)
    changes += group_changes
    unchanged += same
    for one in planned.locations:
        if one.want.released:
            text = f"location {one.want.business} is released: whatever is live stays"
            warnings.append(Warning_(planned.slug, text))
            continue
        change, notes = _mapping_change(world, declared, planned, one)
        warnings += notes
        if change is not None:
            changes.append(change)
        elif one.sight.exists:
            unchanged += 1
    warnings += _kept_warnings(planned)
    for key, location in (planned.candidate or {"locations": {}})["locations"].items():
        if location.get("waiting"):
            warnings.append(Warning_(planned.slug, f"location {key} is not put in force: {location['waiting']}"))
    if planned.old is None or (planned.old["runner"] == "platform" and declared.declaration.runner == "bundled"):
        manual += [Manual(planned.slug, text) for text in world.manual_steps.get(planned.slug, ())]
    rows = [*planned.group_rows, *(row for one in planned.locations for row in one.rows)]
    unverified = [row for row in rows if row.judged.verdict == "unverified"]
    sent = {(it.business, it.kind) for it in changes if it.action in ("reassert", "adopt")}
    never = [row for row in unverified if row.judged.never_sent] if not sent else []
    return replace(
        planned,
        changes=tuple(changes),
        warnings=tuple(warnings),
        manual=tuple(manual),
        unchanged=unchanged,
        unverified=len(unverified),
        never_sent=len(never),
    )


def _group_changes(world: World, declared: Declared, planned: Planned) -> tuple[list[Change], int]:
    choice, want = planned.choice, planned.want
    rows = planned.group_rows
    possible = [row for row in rows if not row.impossible]
    different = [row for row in possible if row.judged.verdict == "different"]
    unverified = [row for row in possible if row.judged.verdict == "unverified"]
    changes: list[Change] = []
    reassert = planned.slug in world.reassert and bool(unverified)
    action: Action | None = None
    if choice.group is None:
        action = "create"
    elif choice.foreign:
        action = "adopt"
    elif different:
        action = "update"
    elif reassert:
        action = "reassert"
    if action is not None:
        sent = [row for row in rows if row in different or (row in unverified and (reassert or action == "adopt"))]
        reason = _group_reason(action, different)
        changes.append(_change(world, declared, planned, "group", want.business, action, reason, sent, ("group",)))
    impossible = [row for row in rows if row.impossible]
    if impossible and choice.group is not None:
        reason = "a secret that was applied and is declared no more cannot be taken back through the API"
        changes.append(
            _change(
                world, declared, planned, "group", want.business, "manual", reason, impossible, ("group",), "manual"
            )
        )
    return changes, 0 if changes or choice.group is None else 1


def _group_reason(action: Action, different: list[Row]) -> str:
    if action == "create":
        return "declared, and no group of this source exists"
    if action == "adopt":
        return "a live group that this tool did not make is taken under management"
    if action == "reassert":
        return "asked for: what cannot be seen is sent again"
    return causes(different)


def causes(rows: Iterable[Row]) -> str:
    """Why fields differ, in words."""
    texts = {
        "changed_outside": "changed outside git since it was applied",
        "conflict": "changed in git and outside git since it was applied",
        "not_applied_yet": "declared and not applied yet",
    }
    found = sorted({"reset: no longer declared" if it.reset else texts.get(it.judged.cause, "") for it in rows})
    return "; ".join(it for it in found if it)


def _mapping_change(
    world: World, declared: Declared, planned: Planned, one: resolve.LocationInput
) -> tuple[Change | None, list[Warning_]]:
    sight, want, slug = one.sight, one.want, planned.slug
    notes: list[Warning_] = []
    if sight.strangers:
        ids = ", ".join(str(it) for it in sight.strangers)
        notes.append(Warning_(slug, f"location {want.business} is also mapped to group {ids}, which is not known here"))
    different = [row for row in one.rows if row.judged.verdict == "different"]
    unverified = [row for row in one.rows if row.judged.verdict == "unverified"]
    adopting = planned.choice.foreign and sight.exists
    reassert = slug in world.reassert and bool(unverified)
    where = ("locations", want.index)
    if sight.elsewhere:
        extra = _move_row(planned, sight)
        reason = f"the location moves from group {sight.elsewhere[0].group_id}"
        rows = [*one.rows] if not sight.exists else different
        change = _change(world, declared, planned, "mapping", want.business, "move", reason, rows, where)
        return replace(change, fields=(extra, *change.fields)), notes
    action: Action | None = None
    reason = causes(different)
    active_row = one.rows[0]
    if not sight.exists:
        action = "create"
        reason = "declared, and the location is not mapped to the group"
        if sight.vanished:
            reason = "a receipt says that it was mapped, and the API lists it no more"
    elif active_row.judged.verdict == "different":
        action = "activate" if want.active else "deactivate"
    elif different:
        action = "update"
    elif adopting and unverified:
        action, reason = "adopt", "taken under management with its group"
    elif reassert:
        action, reason = "reassert", "asked for: what cannot be seen is sent again"
    if action is None:
        return None, notes
    if (masked := planned.kept[str(want.business)].masked) and sight.exists:
        names = ", ".join(masked)
        reason = f"a write would lose the undeclared secure property {names}, whose value is not shown: declare it"
        return (
            _change(world, declared, planned, "mapping", want.business, "manual", reason, different, where),
            notes,
        )
    if sight.exists and (sight.have is None or sight.have.properties is None):
        notes.append(Warning_(slug, f"the write to location {want.business} may clear properties set elsewhere"))
    if sight.exists and not want.active and active_row.judged.never_sent:
        text = f"nobody knows whether location {want.business} is active now: this write deactivates it"
        notes.append(Warning_(slug, text))
    sent = [row for row in one.rows if row in different or row in unverified]
    return _change(world, declared, planned, "mapping", want.business, action, reason, sent, where), notes


def _move_row(planned: Planned, sight: MappingSight) -> FieldChange:
    group = planned.choice.group
    before = sight.elsewhere[0].group_id
    return FieldChange("integrationGroupId", before, group.group_id if group is not None else None)


def _change(
    world: World,
    declared: Declared,
    planned: Planned,
    kind: ChangeKind,
    business: int,
    action: Action,
    reason: str,
    rows: Iterable[Row],
    where: tuple[str | int, ...],
    extra: str = "",
) -> Change:
    rows = list(rows)
    first = next((row.where for row in rows if row.judged.verdict == "different" and not row.reset), where)
    return Change(
        id=change_id(kind, business, planned.slug, extra),
        kind=kind,
        slug=planned.slug,
        business=business,
        action=action,
        reason=reason,
        source=declared.position(*(where if action in ("create", "adopt", "move") else first)),
        fields=tuple(
            FieldChange(
                row.path,
                compare.display(row, row.before, world.trigger_names),
                compare.display(row, row.after, world.trigger_names),
                row.sensitive,
                "unverified" if row.judged.verdict == "unverified" else "different",
            )
            for row in rows
        ),
    )


def _kept_warnings(planned: Planned) -> list[Warning_]:
    notes: list[Warning_] = []
    for name, kept in planned.kept.items():
        if kept.keys:
            what = "the group" if name == "group" else f"location {name}"
            notes.append(
                Warning_(planned.slug, f"{what} has live properties that are not declared: {', '.join(kept.keys)}")
            )
    return notes

"""Which live group a business has: ours, a foreign one, none yet, or one that cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.core.desired import Desired
from reconciler.core.live import LiveBusiness, LiveGroup
from reconciler.core.plan import Objection
from reconciler.core.records import ObjectReceipt
from reconciler.core.world import World


@dataclass(frozen=True, slots=True)
class GroupChoice:
    """The group to compare with. With ``held`` nothing of the business can be planned."""

    group: LiveGroup | None
    receipt: ObjectReceipt | None = None
    created_here: bool = False
    """Made through this store's own journal."""
    foreign: bool = False
    held: bool = False
    unreadable: str = ""
    objections: tuple[Objection, ...] = ()


def choose_group(world: World, want: Desired, seen: LiveBusiness) -> GroupChoice:
    """Receipts and pins name a group; the journal claims the one that appeared after its intent; any other is foreign."""
    receipts = world.group_receipts.get(want.business, ())
    receipt = receipts[0] if receipts else None
    if seen.error:
        return GroupChoice(None, receipt, held=True, unreadable=seen.error)
    if seen.not_found and receipt is not None:
        why = f"the group of business {want.business} is recorded, and the API answers 404"
        return GroupChoice(None, receipt, held=True, unreadable=why)
    by_id = {it.group_id: it for it in seen.groups}
    if want.pin is not None:
        return _pinned(want, want.pin, by_id, receipts)
    if receipt is not None and receipt.group_id is not None:
        group = by_id.get(receipt.group_id)
        if group is None:
            return _vanished(want, receipt.group_id, "a receipt names", receipt)
        return GroupChoice(group, receipt, created_here=receipt.created)
    return _unrecorded(world, want, seen)


def _pinned(want: Desired, pin: int, by_id: dict[int, LiveGroup], receipts: tuple[ObjectReceipt, ...]) -> GroupChoice:
    receipt = next((it for it in receipts if it.group_id == pin), None)
    group = by_id.get(pin)
    if group is None:
        return _vanished(want, pin, "`group.id` names", receipt)
    other = next((it for it in receipts if it.group_id != pin), None)
    objections: tuple[Objection, ...] = ()
    if receipt is None and other is not None:
        text = f"`group.id` pins group {pin}; until now business {want.business} used group {other.group_id}"
        objections = (Objection("group-changed", want.slug, text),)
    return GroupChoice(group, receipt, created_here=receipt is not None and receipt.created, objections=objections)


def _vanished(want: Desired, group_id: int, who: str, receipt: ObjectReceipt | None) -> GroupChoice:
    text = f"{who} group {group_id} of business {want.business}, and the API does not list it; it is never created anew"
    return GroupChoice(None, receipt, held=True, objections=(Objection("group-vanished", want.slug, text),))


def _unrecorded(world: World, want: Desired, seen: LiveBusiness) -> GroupChoice:
    intents = [it for it in world.intents.get(want.business, ()) if it.endpoint == "G+"]
    if intents:
        before = set(intents[0].groups_before)
        new = [it for it in seen.groups if it.group_id not in before]
        if len(new) == 1:
            return GroupChoice(new[0], created_here=True)
        if len(new) > 1:
            return _ambiguous(want, [it.group_id for it in new], "appeared after a create whose outcome is unknown")
        claimed = next((it.group_id for it in intents if it.group_id is not None), None)
        if claimed is not None:
            return _vanished(want, claimed, "the answer to a create names", None)
    if not seen.groups:
        return GroupChoice(None, created_here=True)
    if len(seen.groups) > 1:
        return _ambiguous(want, [it.group_id for it in seen.groups], "are live")
    group = seen.groups[0]
    text = (
        f"business {want.business} has live group {group.group_id}, which neither journal, receipt nor `group.id` names"
    )
    return GroupChoice(group, foreign=True, objections=(Objection("adopt", want.slug, text),))


def _ambiguous(want: Desired, ids: list[int], what: str) -> GroupChoice:
    names = ", ".join(str(it) for it in sorted(ids))
    text = f"groups {names} of business {want.business} {what}; pin one with `group.id`"
    return GroupChoice(None, held=True, objections=(Objection("ambiguous-group", want.slug, text),))

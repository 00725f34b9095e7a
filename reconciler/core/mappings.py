"""What is known of one location's mapping to its group: shown, known from a receipt only, elsewhere, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, Property
from reconciler.core.records import ObjectReceipt
from reconciler.core.world import World


@dataclass(frozen=True, slots=True)
class MappingSight:
    """One location as seen. ``elsewhere`` are mappings of the location to other groups that we know."""

    exists: bool
    have: LiveMapping | None = None
    receipt: ObjectReceipt | None = None
    visible: bool = True
    """False where mappings are unobservable: the receipt is the only evidence."""
    elsewhere: tuple[LiveMapping, ...] = ()
    """Active live mappings to other known groups, and for an unseen one what a receipt says."""
    strangers: tuple[int, ...] = ()
    """Ids of groups that we do not know (perhaps of another source): never written to."""
    unreadable: str = ""
    vanished: bool = False
    """A receipt says that it was there, and a readable answer does not list it."""


def see_mapping(
    world: World,
    business: int,
    group: LiveGroup | None,
    seen: LiveBusiness,
    listed_by: Mapping[int, tuple[LiveMapping, ...]] | None,
) -> MappingSight:
    """Puts together the location's own answer, the groups' lists (``listed_by``; None: they have none), the receipts."""
    receipts = world.mapping_receipts.get(business, ())
    group_id = group.group_id if group is not None else None
    receipt = None
    if group_id is not None:
        for old in receipts:
            if old.group_id == group_id:
                receipt = old
                break
    own = seen.mappings.get(business)
    if own is not None and own.sight == "unreadable":
        return MappingSight(False, receipt=receipt, unreadable=own.error)
    if (twice := _twice(business, own.mappings if own is not None else (), listed_by)) is not None:
        text = f"location {business} is listed more than once as mapped to group {twice}, and not alike"
        return MappingSight(False, receipt=receipt, unreadable=text)
    known: list[LiveMapping] | None = None
    if own is not None and own.sight == "shown":
        known = list(own.mappings)
    listed = listed_by.get(business, ()) if listed_by is not None else ()
    if known is None and listed_by is not None:
        if len(listed) == 1 and listed[0].group_id == group_id is not None:  # as nearly all are
            return MappingSight(exists=True, have=listed[0], receipt=receipt)
        known = list(listed)
    elif known is not None:
        have_ids = {it.group_id for it in known}
        known += [it for it in listed if it.group_id not in have_ids]
    if known is None:
        return _from_receipts(group_id, receipt, receipts)
    others = [it for it in known if it.group_id != group_id]
    have = next((it for it in known if it.group_id == group_id), None) if group_id is not None else None
    moved_from = {it.group_id for it in receipts if it.group_id != group_id} if have is None else set()
    return MappingSight(
        exists=have is not None,
        have=have,
        receipt=receipt,
        elsewhere=tuple(
            it
            for it in others
            if it.group_id in world.known_groups and (it.active is not False or it.group_id in moved_from)
        ),
        strangers=tuple(sorted(it.group_id or 0 for it in others if it.group_id not in world.known_groups)),
        vanished=have is None and receipt is not None,
    )


def _twice(
    business: int, own: tuple[LiveMapping, ...], listed_by: Mapping[int, tuple[LiveMapping, ...]] | None
) -> int | None:
    """The group to which one answer maps the location twice, differently: which of them holds, nobody can tell."""
    for answer in (own, listed_by.get(business, ()) if listed_by is not None else ()):
        if len(answer) < 2:
            continue
        first: dict[int | None, tuple[bool | None, frozenset[Property] | None]] = {}
        for it in answer:
            said = it.active, frozenset(it.properties) if it.properties is not None else None
            if first.setdefault(it.group_id, said) != said:
                return it.group_id
    return None


def _from_receipts(
    group_id: int | None, receipt: ObjectReceipt | None, receipts: tuple[ObjectReceipt, ...]
) -> MappingSight:
    elsewhere = tuple(
        LiveMapping(it.business, it.group_id) for it in receipts if it.group_id != group_id and receipt is None
    )
    return MappingSight(receipt is not None, receipt=receipt, visible=False, elsewhere=elsewhere)

"""The configuration in force of one location, as the decisions need it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal
from zoneinfo import ZoneInfo

from reconciler.core.records import InForce
from reconciler.core.sources import nextech


@dataclass(frozen=True, slots=True)
class LocationRules:
    """What is in force for one location. No secret is here: the practice id stays with the pass."""

    slug: str
    parent: int
    """The parent business number."""
    business: int
    """The location's own business number."""
    revision: int
    """Of the configuration in force; part of what ``why`` answers."""
    time_zone: str
    country: str = "US"
    beta: bool = False
    practice_plus: bool = False
    appointment_types: tuple[str, ...] = ()
    """Empty: all."""
    appointment_statuses: tuple[str, ...] = ("fulfilled",)
    custom_appointment_statuses: tuple[str, ...] = ()
    location_names: tuple[str, ...] = ()
    """Empty: every location of the practice."""
    practitioner_ids: tuple[str, ...] = ()
    """Empty: every practitioner."""
    show_by: Literal["type", "purpose"] = "type"
    customer_fetch_delay_days: int = 0
    frequency: str = "1d"
    next_run: str | None = None
    """ISO moment with offset."""
    contact_start: date | None = None
    """The location's own key; see ``core.windows`` for what counts in the end."""
    campaign_tags: tuple[str, ...] | None = None
    """None: the default tags; empty: none."""
    excluded_patient_types: tuple[str, ...] = ()
    minimum_age: int | None = None
    past_months: int = 12
    """For reminders only, as ``future_months``."""
    future_months: int = 12

    @property
    def zone(self) -> ZoneInfo:
        """The location's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def tags(self) -> frozenset[str]:
        """The campaign tags that are sent."""
        return frozenset(nextech.CAMPAIGN_TAGS if self.campaign_tags is None else self.campaign_tags)

    @property
    def keep(self) -> frozenset[str]:
        """What the parsers keep for this location (``core.fhir``): its tags, and the birth date for an age limit."""
        return self.tags | ({"date.of.birth"} if self.minimum_age else frozenset())


def rules_of(in_force: InForce, business: int) -> LocationRules:
    """The rules of one location out of a configuration in force (the document's shape: ``core.in_force``).

    The location must be in the document and have a time zone.
    """
    document = in_force.document
    location = document["locations"][str(business)]
    wire = {key: str(side["value"]) for key, side in location["resolved"].items() if "value" in side}

    def listed(name: str) -> tuple[str, ...]:
        field = nextech.BY_NAME[name]
        parts = wire.get(field.key, field.default or "").split(field.separator)
        return tuple(it for part in parts if (it := part.strip()))

    def single(name: str) -> str:
        field = nextech.BY_NAME[name]
        return wire.get(field.key, "").strip() or field.default or ""

    start, tags = location.get("contact_start"), document.get("campaign_tags")
    return LocationRules(
        slug=in_force.slug,
        parent=int(document["business"]),
        business=business,
        revision=in_force.revision,
        time_zone=location["time_zone"],
        country=document.get("country") or "US",
        beta=bool(document.get("beta")),
        practice_plus=bool(document.get("practice_plus")),
        appointment_types=listed("appointment_types"),
        appointment_statuses=listed("appointment_statuses"),
        custom_appointment_statuses=listed("custom_appointment_statuses"),
        location_names=listed("location_names"),
        practitioner_ids=listed("practitioner_ids"),
        show_by="purpose" if single("show_by") == "purpose" else "type",
        customer_fetch_delay_days=int(single("customer_fetch_delay_days")),
        frequency=location.get("frequency") or "1d",
        next_run=location.get("next_run"),
        contact_start=date.fromisoformat(start) if start else None,
        campaign_tags=tuple(tags) if tags is not None else None,
        excluded_patient_types=tuple(document.get("excluded_patient_types") or ()),
        minimum_age=document.get("minimum_age"),
        past_months=int(single("past_months")),
        future_months=int(single("future_months")),
    )


def narrowed(old: LocationRules | None, new: LocationRules) -> frozenset[str]:
    """The filters that may exclude a visit which passed the old ones, by name; ``None``: nothing is known of them."""

    def adds(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
        """Is there anything in ``after`` that ``before`` has not?"""
        return not {it.strip() for it in after} <= {it.strip() for it in before}

    def limits(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
        """Lists whose emptiness means everything."""
        return bool(after) and (not before or adds(after, before))

    was = old if old is not None else LocationRules(new.slug, new.parent, new.business, 0, new.time_zone)
    found = {
        "appointment_types": limits(was.appointment_types, new.appointment_types),
        "location_names": limits(was.location_names, new.location_names),
        "practitioner_ids": limits(was.practitioner_ids, new.practitioner_ids),
        "appointment_statuses": old is None or adds(new.appointment_statuses, was.appointment_statuses),
        "custom_appointment_statuses": adds(new.custom_appointment_statuses, was.custom_appointment_statuses),
        "show_by": bool(new.appointment_types) and was.show_by != new.show_by,
        "excluded_patient_types": adds(was.excluded_patient_types, new.excluded_patient_types),
        "minimum_age": (new.minimum_age or 0) > (was.minimum_age or 0),
    }
    return frozenset(name for name, is_narrower in found.items() if is_narrower)

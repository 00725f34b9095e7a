"""What every field of a declaration is, in one place: ``explain``, the editors' schema and the reference say these words.

Types, choices, limits and wire keys are not here: they come from the models and from ``sources.nextech``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.core.sources import nextech


@dataclass(frozen=True, slots=True)
class FieldHelp:
    """One field. ``absent`` says what holds when it was never declared; ``example`` is one line of YAML."""

    text: str
    absent: str = ""
    example: str = ""


_TYPES = FieldHelp(
    "Which appointment types count: patients of others are not contacted. `[]` is all types.",
    "what is live stays, else all types, which validate says aloud",
    "appointment_types: [Procedure, Surgery]",
)
_STATUSES = FieldHelp(
    "Which appointment statuses count. `completed` is the manual's word for Nextech's `fulfilled`.",
    "what is live stays, else fulfilled",
    "appointment_statuses: [fulfilled, completed]",
)
_CUSTOM = FieldHelp(
    "Which of the practice's own statuses count, spelt as in Nextech (15.9 or newer). `[]` is no such filter.",
    "what is live stays, else no such filter",
    "custom_appointment_statuses: [Checked Out]",
)
_DELAY = FieldHelp(
    "Days to wait after a visit before its patient is fetched.",
    "what is live stays, else 0",
    "customer_fetch_delay_days: 2",
)
_PRACTICE_ID = FieldHelp(
    "The id of the practice's database at Nextech, as a reference to a secret, never as itself.",
    "an error, unless every location has one or `onboarding.ordered_on` is set",
    "practice_id: env:RECONCILER_SECRET_EXAMPLE_NORTH_PRACTICE_ID",
)
_OVERRIDE = " Overrides the group's for this location."
_THE_GROUPS = "the group's"


def _override(it: FieldHelp) -> FieldHelp:
    return FieldHelp(it.text + _OVERRIDE, _THE_GROUPS, it.example)


FIELDS: Mapping[str, FieldHelp] = {
    "version": FieldHelp("The version of this format.", "an error", "version: 1"),
    "business": FieldHelp(
        "The parent business number: the enterprise id, or the business id of an SMB. One file owns a business.",
        "an error",
        "business: 100000000000100",
    ),
    "name": FieldHelp("What people call the business; never sent.", "none", "name: Example Skin Group"),
    "source": FieldHelp("Where appointments come from.", "an error", "source: nextech"),
    "state": FieldHelp(
        "Whether the business is synced. `inactive`: its mappings are switched off. `released`: not managed and not synced by "
        "us any more; what is live stays, and every report still lists it.",
        "active",
        "state: inactive",
    ),
    "runner": FieldHelp(
        "Who syncs. `bundled`: `reconciler run`; then Birdeye's own job must be off, or every patient is contacted twice. "
        "`platform`: Birdeye's own scheduler; only configuration is managed.",
        "bundled",
        "runner: platform",
    ),
    "beta": FieldHelp("Reads and decides, and contacts nobody.", "false", "beta: true"),
    "practice_plus": FieldHelp(
        "Nextech's newer product, which is not live in production.", "false", "practice_plus: true"
    ),
    "country": FieldHelp("Two capital letters: how telephone numbers without a prefix are read.", "US", "country: US"),
    "contacts_api_key": FieldHelp(
        "The business's own key for Birdeye's contacts, as a reference to a secret.",
        "the key of the settings (`contacts.api_key`)",
        "contacts_api_key: env:RECONCILER_SECRET_EXAMPLE_SKIN_API_KEY",
    ),
    "triggers": FieldHelp(
        "What is synced: the exact set, by service or display name, compared with the live catalogue.",
        "the live ones are kept",
        "triggers: [nextechFulfilledAppointmentTrigger]",
    ),
    "group": FieldHelp("What all locations of the business share.", "nothing is set for all locations"),
    "group.id": FieldHelp(
        "Pins the live group by the id that Birdeye gave it, where several could be meant.", "none", "id: 150"
    ),
    "group.practice_id": _PRACTICE_ID,
    "group.appointment_types": _TYPES,
    "group.appointment_statuses": _STATUSES,
    "group.custom_appointment_statuses": _CUSTOM,
    "group.customer_fetch_delay_days": _DELAY,
    "group.campaign_tags": FieldHelp(
        "Which further values go to Birdeye with a contact (`reconciler lookup tags`). Sensitive ones go only when they are "
        "named: " + ", ".join(nextech.SENSITIVE_CAMPAIGN_TAGS) + ".",
        "every tag that is not sensitive",
        "campaign_tags: [appointment.types, city]",
    ),
    "group.excluded_patient_types": FieldHelp(
        "Patients of these types are never contacted.", "none", "excluded_patient_types: [Deceased]"
    ),
    "group.minimum_age": FieldHelp("Younger patients are not contacted; in years.", "none", "minimum_age: 18"),
    "locations": FieldHelp(
        "The locations. An SMB has exactly one, whose business is the parent; an enterprise one for each business id.",
        "an error",
    ),
    "locations[].business": FieldHelp(
        "The location's own business id at Birdeye.", "an error", "business: 100000000000101"
    ),
    "locations[].name": FieldHelp("What people call the location; never sent.", "none", "name: Downtown"),
    "locations[].state": FieldHelp(
        "As for the business. Deleting the entry of an applied location is refused: write `inactive` or `released`.",
        "active",
        "state: inactive",
    ),
    "locations[].time_zone": FieldHelp(
        "A name of the IANA database: what a day is at this location. An active location needs one.",
        "an error for an active location",
        "time_zone: America/New_York",
    ),
    "locations[].location_names": FieldHelp(
        "The location's names in Nextech, spelt exactly so (`reconciler lookup locations`). `[]` is every location.",
        "what is live stays, else every location",
        "location_names: [Dermatology, Oncology]",
    ),
    "locations[].practitioner_ids": FieldHelp(
        "Ids of practitioners as text (`reconciler lookup practitioners`). `[]` is every practitioner.",
        "what is live stays, else every practitioner",
        'practitioner_ids: ["417", "704"]',
    ),
    "locations[].frequency": FieldHelp("How often the location syncs, in hours or days.", "1d", "frequency: 12h"),
    "locations[].next_run": FieldHelp(
        "When it syncs next, with an offset.", "chosen by the runner", 'next_run: "2026-11-24T06:00:00-05:00"'
    ),
    "locations[].past_months": FieldHelp(
        "For reminders only: how far back appointments are kept, in months.",
        "what is live stays, else 12",
        "past_months: 12",
    ),
    "locations[].future_months": FieldHelp(
        "For reminders only: how far ahead appointments are kept, in months.",
        "what is live stays, else 12",
        "future_months: 12",
    ),
    "locations[].show_by": FieldHelp(
        "Whether appointments are shown by type or by purpose; each needs a step in Nextech, which the plan lists.",
        "what is live stays, else type",
        "show_by: purpose",
    ),
    "locations[].contact_start": FieldHelp(
        "Nobody whose visit was before this day is contacted.",
        "the setting `contact_start` where it is recent, else the day before the location is first put in force",
        'contact_start: "2026-11-20"',
    ),
    "locations[].practice_id": FieldHelp(
        _PRACTICE_ID.text + _OVERRIDE, _THE_GROUPS, "practice_id: file:practices.yaml#example_skin.uptown"
    ),
    "locations[].appointment_types": _override(_TYPES),
    "locations[].appointment_statuses": _override(_STATUSES),
    "locations[].custom_appointment_statuses": _override(_CUSTOM),
    "locations[].customer_fetch_delay_days": _override(_DELAY),
    "moved": FieldHelp("Keeps the identity of the business through renames of its file.", "never renamed"),
    "moved[].from": FieldHelp("A former slug of this file.", "an error", "from: example-skin"),
    "moved[].to": FieldHelp(
        "This file's own slug, if it is written at all.", "this file's slug", "to: example-skin-group"
    ),
    "allow": FieldHelp("Objections that are allowed for a while, reviewed like everything else here.", "none"),
    "allow[].code": FieldHelp("The objection.", "an error", "code: filter-widened"),
    "allow[].reason": FieldHelp("Why it is allowed.", "an error", "reason: The client asked for all types"),
    "allow[].until": FieldHelp(
        "The last day on which it is allowed, at most 14 days ahead.", "an error", 'until: "2026-11-30"'
    ),
    "onboarding": FieldHelp("How far the onboarding of the practice has come.", "nothing is awaited"),
    "onboarding.ordered_by": FieldHelp("Who ordered the API product in Nextech's portal.", "none", "ordered_by: Sam"),
    "onboarding.ordered_on": FieldHelp(
        "When. Without a practice id, nothing is planned for the business until it is here.",
        "nothing is awaited",
        'ordered_on: "2026-11-20"',
    ),
    "onboarding.transaction_id": FieldHelp("What Nextech's portal gave back.", "none", 'transaction_id: "20417"'),
    "onboarding.expected_by": FieldHelp("When the practice id should be here.", "none", 'expected_by: "2026-11-24"'),
    "onboarding.steps": FieldHelp("Steps that people do by hand.", "none"),
    "onboarding.steps[].step": FieldHelp(
        "What is to be done.", "an error", "step: Switch appointment purpose off in Nextech"
    ),
    "onboarding.steps[].by": FieldHelp("Who does it, or did it.", "nobody is named", "by: Sam"),
    "onboarding.steps[].on": FieldHelp("When it was done.", "not done yet", 'on: "2026-11-21"'),
}
"""By path; ``[]`` stands for every item of a list. In the house order."""

SENT: Mapping[str, str] = {
    "business": "`parentBusinessNumber`, whose group it is",
    "source": "`integrationSourceId`, the id of the source",
    "state": "the `active` of every mapping",
    "practice_plus": "`nextechNewVersion` of look-ups",
    "contacts_api_key": "the header `x-api-key` of check-ins",
    "triggers": "`integrationGroupTriggers`: the ids that the live catalogue has for these names",
    "group": "the group's `integrationGroupProperties`: those of its fields that have a property",
    "group.id": "`groupId` where the group is updated, `integrationGroupId` where a location is mapped to it",
    "group.campaign_tags": "`additionalParams` of a check-in",
    "locations": "a mapping for each",
    "locations[].business": "the mapping's `businessNumber`, the header `x-business-number` of check-ins",
    "locations[].state": "the mapping's `active`",
}
"""How a field is sent that is no property. Those that are neither here nor in ``sources.nextech`` are ours."""


def text_of(path: str) -> str:
    """The words for a path; empty for the top and for plain items of lists."""
    found = FIELDS.get(path)
    return found.text if found else ""

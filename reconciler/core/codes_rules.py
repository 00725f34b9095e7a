"""``E3xx`` rules, ``W4xx`` warnings, ``N5xx`` notes."""

from __future__ import annotations

from reconciler.core.codes_examples import ENTERPRISE, SMB, Explanation, on_enterprise, on_smb, swapped, with_good

_TRIGGERS = "[nextechFulfilledAppointmentTrigger]"
_TYPES = "appointment_types: [Procedure, Surgery]"
_ZONE = "time_zone: America/New_York"
_PRACTICE = "  practice_id: env:RECONCILER_SECRET_EXAMPLE_NORTH_PRACTICE_ID\n"
_ALLOW = "allow:\n  - code: {}\n    reason: agreed with the client\n    until: {}\n"
_OTHER = swapped(
    SMB,
    ("\nbusiness: 100000000000001", "\nbusiness: 100000000000002"),
    ("- business: 100000000000001", "- business: 100000000000002"),
).replace("EXAMPLE_NORTH", "EXAMPLE_SOUTH")


def _allow(code: str, title: str, cause: str, remedy: str, objection: str, until: str = '"2026-11-30"') -> Explanation:
    good = _ALLOW.format("goes-live", '"2026-11-30"')
    return with_good(code, title, cause, remedy, _ALLOW.format(objection, until), good)


_ERRORS = (
    on_smb(
        "E301",
        "a separator inside an item",
        "On the wire the items of a list are joined by `|` or `,`; an item that holds one would become two others.",
        "Write separate items.",
        (_TYPES, 'appointment_types: ["Procedure|Surgery"]'),
    ),
    on_smb(
        "E302",
        "an item twice in one list",
        "The second one says nothing, or was meant to be another.",
        "Delete or correct it.",
        (_TYPES, "appointment_types: [Procedure, Procedure]"),
    ),
    Explanation(
        "E303",
        "the source has no such trigger",
        "Names are compared with the live catalogue of the source; told by `plan` and `validate --online`.",
        "Take a name that `reconciler lookup triggers` lists.",
        swapped(SMB, (_TRIGGERS, "[somethingElseTrigger]")),
        SMB,
    ),
    Explanation(
        "E304",
        "the trigger is switched off at its source",
        "The live catalogue lists the trigger as inactive: a group that names it would sync nothing by it.",
        "Ask Birdeye to activate it, or delete it here.",
        swapped(SMB, (_TRIGGERS, "[appointmentTrigger]")),
        SMB,
    ),
    on_smb(
        "E305",
        "the same trigger twice",
        "Two of the names, service or display name, mean one trigger.",
        "Delete one.",
        (_TRIGGERS, "[nextechFulfilledAppointmentTrigger, Nextech Fulfilled Appointment Trigger]"),
    ),
    on_smb(
        "E306",
        "not an appointment status",
        "`appointment_statuses` holds the status words of the FHIR standard; any other word matches no visit.",
        "Correct it, or put it under `custom_appointment_statuses`.",
        (_TYPES, f"{_TYPES}\n  appointment_statuses: [Checked Out]"),
    ),
    on_smb(
        "E307",
        "no practice id",
        "Every location needs a practice id, its own or the group's.",
        "Give `group.practice_id`; or, while Nextech has not answered, `onboarding.ordered_on`.",
        (_PRACTICE, ""),
    ),
    on_enterprise(
        "E308",
        "a location without names beside others of its practice",
        "Without `location_names` a location takes the visits of the whole practice, those of the others included.",
        "List the names of each, as Nextech spells them.",
        ("\n    location_names: [Uptown]", ""),
    ),
    on_enterprise(
        "E309",
        "a location name claimed twice",
        "A visit at this name would belong to two locations, and would be held.",
        "Give both locations `practitioner_ids` that do not overlap, or delete the name from one.",
        ("[Uptown]", "[Downtown]"),
    ),
    Explanation(
        "E310",
        "a business in two files",
        "One file owns a business; two would undo each other.",
        "Delete one of them.",
        SMB,
        _OTHER.replace("000002", "000003").replace("SOUTH", "EAST"),
        beside=SMB.replace("NORTH", "SOUTH"),
    ),
    on_enterprise(
        "E311",
        "a business twice in one file",
        "Each location is a business of its own.",
        "Correct the number, or delete one.",
        ("100000000000102", "100000000000101"),
    ),
    on_enterprise(
        "E312",
        "an SMB with several locations",
        "A location that has the parent's number is an SMB's, and an SMB has exactly one.",
        "Give each location its own business id.",
        ("- business: 100000000000102", "- business: 100000000000100"),
    ),
    on_smb(
        "E313",
        "an active location without a time zone",
        "A day begins and ends by the location's own clock.",
        "Add `time_zone`.",
        (f"\n    {_ZONE}", ""),
    ),
    with_good(
        "E314",
        "beta beside Birdeye's own scheduler",
        "Birdeye's beta flag cannot be set through the API: with `runner: platform` patients of an active location would be"
        " contacted.",
        "Set the location's `state: inactive`, or `runner: bundled`.",
        "runner: platform\nbeta: true\n",
        "runner: bundled\nbeta: true\n",
    ),
    _allow(
        "E315",
        "no such objection",
        "`allow` names objections of a plan.",
        "Take the code from the plan.",
        "go-life",
    ),
    _allow(
        "E316",
        "an objection that no file can allow",
        "What concerns foreign or vanished objects, or a whole run, is allowed by whoever starts it.",
        "Give `--allow CODE:SLUG` on the command line.",
        "undeclared",
    ),
    _allow(
        "E317",
        "allowed for too long",
        "A permission in a file lasts at most 14 days, so that it is gone when the next danger of its kind comes.",
        "Write an earlier day.",
        "goes-live",
        '"2027-11-30"',
    ),
    _allow(
        "E318",
        "the permission has ended",
        "The day under `until` has passed.",
        "Delete the entry.",
        "goes-live",
        '"2026-11-01"',
    ),
    with_good(
        "E319",
        "`to` is not this slug",
        "An entry under `moved` stands in the file that the business moved to.",
        "Leave `to` out.",
        "moved:\n  - from: example-old\n    to: example-new\n",
        "moved:\n  - from: example-old\n",
    ),
    with_good(
        "E320",
        "renames in a circle",
        "Following the renames, a slug comes back to itself.",
        "Delete the entry that never happened.",
        "moved:\n  - from: example\n",
        "moved:\n  - from: example-old\n",
    ),
    with_good(
        "E321",
        "not a former slug",
        "`from` is the former file name without folder and ending, and only one file can have taken its place.",
        "Correct it, or delete the entry.",
        "moved:\n  - from: Example Old.yaml\n",
        "moved:\n  - from: example-old\n",
    ),
    on_smb(
        "E325",
        "an unknown campaign tag",
        "A tag that is not known is never sent, so that the campaign it was meant for reaches nobody.",
        "Take the name suggested.",
        (_TYPES, f"{_TYPES}\n  campaign_tags: [appointment.type]"),
    ),
)

_WARNINGS = (
    on_smb(
        "W401",
        "all appointment types are contacted",
        "An empty list, or none at all, means every type: consultations, no-charge visits, everything.",
        "List the types, unless that is what the client wants.",
        (f"  {_TYPES}\n", ""),
    ),
    on_smb(
        "W402",
        "a trigger that is not known here",
        "Triggers are checked against the live catalogue only by `plan` and `validate --online`.",
        "Compare with `reconciler lookup triggers`.",
        (_TRIGGERS, "[somethingElseTrigger]"),
    ),
    on_smb(
        "W403",
        "one reminder trigger without the other",
        "Reminders, scheduling and recall need both appointment triggers.",
        "Add the other, or delete this one.",
        (_TRIGGERS, "[appointmentTrigger]"),
    ),
    Explanation(
        "W404",
        "the fulfilled trigger alone, without custom statuses",
        "Many practices mark a visit as done by a custom status; then `fulfilled` alone finds nobody.",
        "Confirm with the client, and list custom statuses if there are any.",
        SMB,
        swapped(SMB, (_TYPES, f"{_TYPES}\n  custom_appointment_statuses: [Checked Out]")),
    ),
    on_smb(
        "W405",
        "a sensitive campaign tag",
        "The tag sends comments, a birth date or the like to Birdeye; no more should leave than a campaign needs.",
        "Delete it, unless the client agreed.",
        (_TYPES, f"{_TYPES}\n  campaign_tags: [city, date.of.birth]"),
    ),
    with_good(
        "W406",
        "Practice+ is not live",
        "Nextech's newer product is not served in production.",
        "Leave `practice_plus` out.",
        "practice_plus: true\n",
        "practice_plus: false\n",
    ),
    on_smb(
        "W407",
        "an unusual first day",
        "`contact_start` lies more than 14 days back, so that many past visits are contacted at once, or over a year ahead.",
        "Check the date; a plan objects with `contacts-backlog` where it goes back.",
        (_ZONE, f'{_ZONE}\n    contact_start: "2026-01-01"'),
    ),
    on_smb(
        "W408",
        "the next run is far away",
        "`next_run` lies more than a year ahead.",
        "Check the year.",
        (_ZONE, f'{_ZONE}\n    next_run: "2036-11-24T06:00:00-05:00"'),
    ),
    Explanation(
        "W409",
        "a schedule that the API cannot set",
        "With `runner: platform` Birdeye's own scheduler runs the syncs, and its times are set by hand.",
        "Follow the step that the plan lists.",
        swapped(SMB, (_ZONE, f"{_ZONE}\n    frequency: 12h")) + "runner: platform\n",
        swapped(SMB, (_ZONE, f"{_ZONE}\n    frequency: 12h")),
    ),
)

_NOTES = (
    on_smb(
        "N501",
        "needs Nextech 15.9",
        "Custom appointment statuses came with that release.",
        "Ask the practice for its version.",
        (_TYPES, f"{_TYPES}\n  custom_appointment_statuses: [Checked Out]"),
    ),
    Explanation(
        "N502",
        "needs Nextech 14.4",
        "Location names are compared with all locations, also inactive ones, which older releases do not list.",
        "Ask the practice for its version.",
        ENTERPRISE,
        SMB,
    ),
    with_good(
        "N503",
        "released",
        "The business or location is not managed and not synced any more; whatever is live stays.",
        "Nothing, if that is what was meant; to stop it, use `state: inactive`.",
        "state: released\n",
        "state: inactive\n",
    ),
    Explanation(
        "N504",
        "the practice id is awaited",
        "`onboarding.ordered_on` says that it has been ordered; until it is here nothing is planned for the business.",
        "Add `practice_id` when Nextech has answered.",
        swapped(SMB, (_PRACTICE, "")) + 'onboarding:\n  ordered_on: "2026-11-20"\n',
        SMB + 'onboarding:\n  ordered_on: "2026-11-20"\n',
    ),
    Explanation(
        "N505",
        "reminders need Nextech 15.9",
        "Cancelling an appointment came with that release, reading only what changed with 14.3; before, every pass reads "
        "everything.",
        "Ask the practice for its version.",
        swapped(SMB, (_TRIGGERS, "[appointmentTrigger, nextechAppointmentUpsertTrigger]")),
        SMB,
    ),
)

ENTRIES = (*_ERRORS, *_WARNINGS, *_NOTES)

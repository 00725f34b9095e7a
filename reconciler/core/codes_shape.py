"""``E2xx``: a field that is unknown, missing, or of the wrong kind."""

from __future__ import annotations

from reconciler.core.codes_examples import Explanation, on_smb, with_good

_NAME = "name: Example Dermatology North"
_TYPES = "appointment_types: [Procedure, Surgery]"
_ZONE = "time_zone: America/New_York"

ENTRIES = (
    Explanation(
        "E200",
        "a value that does not fit",
        "The value is none of those that the field takes.",
        "Compare with the table of fields in the documentation.",
    ),
    on_smb(
        "E201",
        "an unknown field",
        "No field of this name belongs here: it is misspelt, or stands at the wrong depth.",
        "Take the name suggested, or one of those listed.",
        (_ZONE, "time_zon: America/New_York"),
    ),
    on_smb("E202", "a field is missing", "The field has no default.", "Add it.", ("source: nextech\n", "")),
    on_smb(
        "E203",
        "a key without a value",
        "`null` could mean two things: not managed by this file, or wanted empty.",
        "Delete the key (not managed: what is live stays; once applied: reset), or give it a value: `[]`, where the field takes it.",
        (_TYPES, "appointment_types:"),
    ),
    with_good(
        "E204",
        "neither true nor false",
        "`yes`, `no`, `on` and `off` are text in today's YAML, whatever older programs made of them.",
        "Write `true` or `false`.",
        "beta: yes\n",
        "beta: true\n",
    ),
    on_smb(
        "E205",
        "not a whole number",
        "The field takes a whole number: plain digits without quotes, leading zeros, plus sign or separators.",
        "Write the digits.",
        ("\nbusiness: 100000000000001", '\nbusiness: "100000000000001"'),
    ),
    on_smb(
        "E206",
        "not text",
        "The field takes text, and this is read as a number, or as true or false. Ids of practitioners are text.",
        "Put the value in quotes.",
        (_NAME, "name: 417"),
    ),
    on_smb("E207", "not a list", "The field takes a list.", "Write `[…]`.", (_TYPES, "appointment_types: Procedure")),
    on_smb(
        "E208",
        "not a mapping of fields",
        "Here fields of their own are expected, each as `key: value`.",
        "Indent the fields below the key.",
        ("  - business: 100000000000001\n    time_zone: America/New_York", "  - 100000000000001"),
    ),
    with_good(
        "E209",
        "not one of the choices",
        "The field takes one of few words.",
        "Write one of those listed.",
        "state: paused\n",
        "state: inactive\n",
    ),
    on_smb(
        "E210",
        "a number out of its range",
        "The number is too small or too large for the field.",
        "Write one within the range.",
        (_TYPES, f"{_TYPES}\n  customer_fetch_delay_days: 90"),
    ),
    on_smb(
        "E211",
        "an empty list",
        "Nothing at all cannot be wanted here: without triggers nothing syncs, without statuses nobody is contacted.",
        "Delete the key, or list at least one.",
        ("[nextechFulfilledAppointmentTrigger]", "[]"),
    ),
    on_smb(
        "E212",
        "a secret that is not a reference",
        "Whatever stands in a file stays in git for ever. The value is not repeated here, because it may be a real one.",
        "Write a reference, `env:RECONCILER_SECRET_…` or `file:PATH#key.path`; have a real secret replaced.",
        ("env:RECONCILER_SECRET_EXAMPLE_NORTH_PRACTICE_ID", "example-literal"),
    ),
    on_smb(
        "E213",
        "not a business number",
        "A business number is a positive whole number of at most 18 digits.",
        "Copy it from Birdeye's dashboard.",
        ("\nbusiness: 100000000000001", "\nbusiness: 0"),
    ),
    on_smb(
        "E214",
        "not a time zone",
        "A time zone is a name of the IANA database, so that summer time is known.",
        "Write one as in `America/New_York`.",
        (_ZONE, "time_zone: Eastern Time"),
    ),
    on_smb(
        "E215",
        "not a frequency",
        "A frequency is a whole number of hours or days.",
        "Write it as in `12h` or `1d`.",
        (_ZONE, f"{_ZONE}\n    frequency: daily"),
    ),
    on_smb(
        "E216",
        "not a date",
        "A date has four digits of the year, two of the month and two of the day, and exists.",
        'Write it as in `"2026-11-20"`.',
        (_ZONE, f"{_ZONE}\n    contact_start: 11/20/2026"),
    ),
    on_smb(
        "E217",
        "not a moment with an offset",
        "Without an offset a time of day is another moment in every zone.",
        'Write it as in `"2026-11-24T06:00:00-05:00"`.',
        (_ZONE, f'{_ZONE}\n    next_run: "2026-11-24 06:00"'),
    ),
    on_smb(
        "E218",
        "text that is empty or has stray white space",
        "Names are compared character by character, so that a stray space means that nobody is contacted.",
        "Trim it; one line, no tab.",
        (_NAME, 'name: "Example Dermatology "'),
    ),
    with_good(
        "E219", "not a country", "A country is two capital letters.", "Write `US`.", "country: USA\n", "country: US\n"
    ),
    on_smb(
        "E220",
        "an unknown version",
        "The format's version is 1; a newer one needs a newer program.",
        "Write `version: 1`.",
        ("version: 1", "version: 2"),
    ),
)

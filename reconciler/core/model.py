"""The declaration of one business, as pydantic models: strict, frozen, nothing extra.

Every field of ``interface.md`` is here. A value keeps the form it has in YAML (``frequency`` is ``"1d"``, dates are ISO
strings); what a wire value looks like is ``core.canonical``'s matter. ``None`` means *never declared*: YAML's ``null``
is refused before a model is built. ``declared`` tells which keys a person wrote.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from reconciler.core.sources import nextech

State = Literal["active", "inactive", "released"]

_FREQUENCY = re.compile(r"[1-9][0-9]{0,3}[hd]")
_ENV = re.compile(r"env:RECONCILER_SECRET_[A-Z0-9_]+")
_FILE = re.compile(r"file:(?P<path>[^#\s]+)#(?P<key>[A-Za-z0-9_.-]+)")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})")
_COUNTRY = re.compile(r"[A-Z]{2}")

Unfit = Literal["secret", "business", "time_zone", "frequency", "date", "moment", "text", "country"]


class UnfitError(ValueError):
    """A value of the right type that cannot be right. ``kind`` says what it should have been; never holds the value."""

    def __init__(self, kind: Unfit, message: str) -> None:
        super().__init__(message)
        self.kind: Unfit = kind


class Model(BaseModel):
    """What every part of a declaration has in common."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)

    @property
    def declared(self) -> frozenset[str]:
        """The keys that the file gives."""
        return frozenset(self.model_fields_set)


def _secret_reference(value: str) -> str:
    if _ENV.fullmatch(value):
        return value
    match = _FILE.fullmatch(value)
    if match and not match["path"].startswith(("/", "~")) and ".." not in match["path"].split("/"):
        return value
    raise UnfitError("secret", "a secret is a reference: env:RECONCILER_SECRET_… or file:PATH#key.path")


def _business_number(value: int) -> int:
    if 0 < value < 10**18:
        return value
    raise UnfitError("business", "a business number is a positive whole number of at most 18 digits")


@cache
def time_zones() -> frozenset[str]:
    """Every zone of the IANA database that this machine has. Read once: it takes some 30 ms."""
    return frozenset(available_timezones())


def _time_zone(value: str) -> str:
    if value in time_zones():
        return value
    raise UnfitError("time_zone", "not a time zone of the IANA database (such as America/New_York)")


def _frequency(value: str) -> str:
    if _FREQUENCY.fullmatch(value):
        return value
    raise UnfitError("frequency", "a frequency is a whole number of hours or days, such as 12h or 1d")


def _iso_date(value: str) -> str:
    try:
        if date.fromisoformat(value).isoformat() == value:
            return value
    except ValueError:
        pass
    raise UnfitError("date", "not a date of the form 2026-11-20")


def _moment(value: str) -> str:
    try:
        if _MOMENT.fullmatch(value) and datetime.fromisoformat(value).tzinfo is not None:
            return value
    except ValueError:
        pass
    raise UnfitError("moment", "not a moment with an offset, such as 2026-11-24T06:00:00-05:00")


def _text(value: str) -> str:
    if value and value.isprintable() and value == value.strip():  # printable: no line breaks, tabs, no-break spaces
        return value
    if value and value == value.strip() and "\n" not in value and "\t" not in value:
        return value
    raise UnfitError("text", "must not be empty, hold a line break or a tab, or begin or end with white space")


def _country(value: str) -> str:
    if _COUNTRY.fullmatch(value):
        return value
    raise UnfitError("country", "a country is two capital letters, such as US")


def _whole_version(value: Any) -> Any:
    """``true`` and ``1.0`` equal 1, so a literal would take them."""
    return value if type(value) is int else None


Secret = Annotated[str, AfterValidator(_secret_reference)]
BusinessNumber = Annotated[int, AfterValidator(_business_number)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Frequency = Annotated[str, AfterValidator(_frequency)]
IsoDate = Annotated[str, AfterValidator(_iso_date)]
Moment = Annotated[str, AfterValidator(_moment)]
Text = Annotated[str, AfterValidator(_text)]
Country = Annotated[str, AfterValidator(_country)]
DelayDays = Annotated[int, Field(ge=0, le=60)]
Months = Annotated[int, Field(ge=0, le=120)]


class Group(Model):
    """What all locations of the business share."""

    id: Annotated[int, Field(gt=0)] | None = None
    """Pins the live group, by the id that Birdeye gave it."""
    practice_id: Secret | None = None
    appointment_types: tuple[Text, ...] | None = None
    appointment_statuses: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    custom_appointment_statuses: tuple[Text, ...] | None = None
    customer_fetch_delay_days: DelayDays | None = None
    campaign_tags: tuple[Text, ...] | None = None
    excluded_patient_types: tuple[Text, ...] | None = None
    minimum_age: Annotated[int, Field(ge=0, le=150)] | None = None


class Location(Model):
    """One location: a Birdeye business of its own, mapped to the group."""

    business: BusinessNumber
    name: Text | None = None
    state: State = "active"
    time_zone: TimeZone | None = None
    location_names: tuple[Text, ...] | None = None
    practitioner_ids: tuple[Text, ...] | None = None
    frequency: Frequency | None = None
    next_run: Moment | None = None
    past_months: Months | None = None
    future_months: Months | None = None
    show_by: Literal["type", "purpose"] | None = None
    contact_start: IsoDate | None = None
    practice_id: Secret | None = None
    appointment_types: tuple[Text, ...] | None = None
    appointment_statuses: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    custom_appointment_statuses: tuple[Text, ...] | None = None
    customer_fetch_delay_days: DelayDays | None = None


class Moved(Model):
    """Keeps the identity of a business through a rename of its file."""

    from_: Annotated[str, Field(alias="from")]
    to: str | None = None


class Allow(Model):
    """An objection allowed in a reviewed file, for a while."""

    code: str
    reason: Text
    until: IsoDate


class Step(Model):
    """One step that a person does, with who did it and when."""

    step: Text
    by: Text | None = None
    on: IsoDate | None = None


class Onboarding(Model):
    """How far the onboarding of the practice has come; everything here is optional."""

    ordered_by: Text | None = None
    ordered_on: IsoDate | None = None
    transaction_id: Text | None = None
    expected_by: IsoDate | None = None
    steps: tuple[Step, ...] = ()


class Declaration(Model):
    """One business: its group, triggers and locations."""

    version: Annotated[Literal[1], BeforeValidator(_whole_version)]
    business: BusinessNumber
    """The parent business number: the enterprise id, or the business id of an SMB."""
    name: Text | None = None
    source: Literal["nextech"]
    state: State = "active"
    runner: Literal["bundled", "platform"] = "bundled"
    beta: bool = False
    practice_plus: bool = False
    country: Country = "US"
    contacts_api_key: Secret | None = None
    triggers: Annotated[tuple[Text, ...], Field(min_length=1)] | None = None
    """Service or display names; the exact set."""
    group: Group = Group()
    locations: Annotated[tuple[Location, ...], Field(min_length=1)]
    moved: tuple[Moved, ...] = ()
    allow: tuple[Allow, ...] = ()
    onboarding: Onboarding | None = None

    @property
    def is_waiting(self) -> bool:
        """The practice id has been ordered and has not come yet, so there is nothing to plan."""
        ordered = self.onboarding is not None and self.onboarding.ordered_on is not None
        return ordered and self.group.practice_id is None and any(not it.practice_id for it in self.locations)


_FIELDS_SETS: dict[frozenset[str], set[str]] = {}


def share_fields_set(declaration: Declaration) -> Declaration:
    """The same declaration, its models holding one set of declared keys for all that give the same keys.

    They never change, and a set of its own for each model is a third of what ten thousand declarations take.
    """
    for one in (declaration, declaration.group, *declaration.locations):
        keys = one.model_fields_set
        object.__setattr__(one, "__pydantic_fields_set__", _FIELDS_SETS.setdefault(frozenset(keys), keys))
    return declaration


SECRET_FIELDS = frozenset({"practice_id", "contacts_api_key"})
"""Keys whose values are references, and whose lines are masked in excerpts."""

BUSINESS_RUNNER_FIELDS = (
    "name",
    "runner",
    "beta",
    "practice_plus",
    "country",
    "contacts_api_key",
    "onboarding",
    "group.id",
    "group.campaign_tags",
    "group.excluded_patient_types",
    "group.minimum_age",
)
"""Of class *ours*: never on the wire, compared with the configuration in force."""
LOCATION_RUNNER_FIELDS = ("name", "time_zone", "frequency", "next_run", "contact_start")

RUNNER_DEFAULTS: dict[str, Any] = {
    "runner": "bundled",
    "beta": False,
    "practice_plus": False,
    "country": "US",
    "frequency": "1d",
}


def wire_value(field: nextech.Field, value: Any) -> str:
    """What a declared value of a wire field looks like in a ``propertyValue``. Lists keep the declared order."""
    if field.kind == "list":
        return field.separator.join(value)
    return str(value)

"""The made-up practices: what Birdeye knows as businesses, and what Nextech knows behind each practice id.

Every name and number is invented. Business numbers run from 100000000000001, practice ids from
00000000-0000-4000-8000-000000000001. The samples in ``integrations/`` declare the first seven; ``generated`` makes as
many more as a load test wants.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

NEXTECH_SOURCE_ID = 22


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of Nextech's appointment location list, or one practitioner: an id and a name."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Practice:
    """One Nextech database, reached by its practice id."""

    practice_id: str
    locations: tuple[Place, ...]
    practitioners: tuple[Place, ...]
    appointment_types: tuple[str, ...] = ("Follow-up", "New Patient", "Procedure", "Surgery")
    purposes: tuple[str, ...] = ("Consultation", "Treatment")
    custom_statuses: tuple[str, ...] = ("Checked Out",)
    practice_plus: bool = False


@dataclass(frozen=True, slots=True)
class Site:
    """One Birdeye location of an account, and the Nextech names and practitioners that are its own."""

    business: int
    name: str
    time_zone: str
    practice_id: str
    location_names: tuple[str, ...] = ()
    practitioner_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """One parent business of Birdeye with its locations. An SMB's one location is the parent itself."""

    slug: str
    business: int
    name: str
    api_key: str
    sites: tuple[Site, ...]


def practice_id(number: int) -> str:
    """The made-up practice id with this number."""
    return f"00000000-0000-4000-8000-{number:012d}"


def _places(first: int, *names: str) -> tuple[Place, ...]:
    return tuple(Place(str(first + index), name) for index, name in enumerate(names))


NORTH, SKIN, EYE_EAST, EYE_WEST, BONES, PLASTIC, ALLERGY, VEIN = (practice_id(number) for number in range(1, 9))

PRACTICES: tuple[Practice, ...] = (
    Practice(NORTH, _places(11, "North Office"), _places(401, "Ada Example", "Ben Example")),
    Practice(
        SKIN,
        _places(21, "Dermatology", "Oncology", "Cosmetic Center", "Lakeside", "Warehouse"),
        _places(411, "Cleo Example", "Dov Example", "Eva Example"),
    ),
    Practice(EYE_EAST, _places(31, "East Eye Clinic"), _places(421, "Finn Example")),
    Practice(EYE_WEST, _places(41, "West Eye Clinic", "West Surgery Center"), _places(431, "Gil Example")),
    Practice(
        BONES,
        _places(51, "Main Campus"),
        (Place("417", "Hana Example"), Place("704", "Ivo Example"), Place("811", "Jun Example")),
    ),
    Practice(
        PLASTIC, _places(61, "Plastic Surgery Suite"), _places(451, "Kai Example"), purposes=("Breast", "Face", "Skin")
    ),
    Practice(ALLERGY, _places(71, "Allergy Clinic"), _places(461, "Lea Example")),
    Practice(VEIN, _places(81, "Vein Clinic"), _places(471, "Mio Example")),
)

_EASTERN, _CENTRAL, _PACIFIC = "America/New_York", "America/Chicago", "America/Los_Angeles"

ACCOUNTS: tuple[Account, ...] = (
    Account(
        "example-dermatology-north",
        100000000000001,
        "Example Dermatology North",
        "sandbox-key-dermatology-north",
        (Site(100000000000001, "Example Dermatology North", _EASTERN, NORTH),),
    ),
    Account(
        "example-skin-group",
        100000000000100,
        "Example Skin Group",
        "sandbox-key-skin-group",
        (
            Site(100000000000101, "Downtown", _EASTERN, SKIN, ("Dermatology", "Oncology")),
            Site(100000000000102, "Midtown", _EASTERN, SKIN, ("Cosmetic Center",)),
            Site(100000000000103, "Lakeside", _CENTRAL, SKIN, ("Lakeside",)),
        ),
    ),
    Account(
        "example-eye-partners",
        100000000000200,
        "Example Eye Partners",
        "sandbox-key-eye-partners",
        (
            Site(100000000000201, "East", _EASTERN, EYE_EAST),
            Site(100000000000202, "West", _PACIFIC, EYE_WEST, ("West Eye Clinic", "West Surgery Center")),
        ),
    ),
    Account(
        "example-orthopedics",
        100000000000300,
        "Example Orthopedics",
        "sandbox-key-orthopedics",
        (
            Site(100000000000301, "Spine", _CENTRAL, BONES, ("Main Campus",), ("417", "704")),
            Site(100000000000302, "Sports Medicine", _CENTRAL, BONES, ("Main Campus",), ("811",)),
        ),
    ),
    Account(
        "example-plastic-surgery",
        100000000000400,
        "Example Plastic Surgery",
        "sandbox-key-plastic-surgery",
        (Site(100000000000401, "Plastic Surgery Suite", _PACIFIC, PLASTIC),),
    ),
    Account(
        "example-allergy-beta",
        100000000000500,
        "Example Allergy",
        "sandbox-key-allergy",
        (Site(100000000000501, "Allergy Clinic", _CENTRAL, ALLERGY),),
    ),
    Account(
        "example-vein-inactive",
        100000000000600,
        "Example Vein Care",
        "sandbox-key-vein",
        (Site(100000000000601, "Vein Clinic", _EASTERN, VEIN),),
    ),
)

_FIRST_GENERATED_BUSINESS = 200000000000000
_FIRST_GENERATED_PRACTICE = 1_000_000


def generated(count: int, seed: int) -> tuple[tuple[Account, ...], tuple[Practice, ...]]:
    """``count`` further accounts of one to four locations, one practice id each; equal for equal arguments."""
    chance = random.Random(seed)
    accounts: list[Account] = []
    practices: list[Practice] = []
    for index in range(count):
        parent = _FIRST_GENERATED_BUSINESS + index * 100
        number = f"{index + 1:06d}"
        identity = practice_id(_FIRST_GENERATED_PRACTICE + index)
        places = _places(1000, *(f"Office {place + 1}" for place in range(chance.randint(1, 4))))
        zone = chance.choice((_EASTERN, _CENTRAL, _PACIFIC))
        sites = tuple(
            Site(parent + place + 1, each.name, zone, identity, (each.name,)) for place, each in enumerate(places)
        )
        if len(sites) == 1:
            sites = (Site(parent, places[0].name, zone, identity, (places[0].name,)),)
        accounts.append(
            Account(f"generated-{number}", parent, f"Generated Practice {number}", f"sandbox-key-{number}", sites)
        )
        practices.append(Practice(identity, places, _places(5000, f"Doctor {number} A", f"Doctor {number} B")))
    return tuple(accounts), tuple(practices)


def secret_name(slug: str, what: str) -> str:
    """The variable that a declaration names for one secret of an account, such as its ``practice_id``."""
    return f"RECONCILER_SECRET_{slug.replace('-', '_').upper()}_{what.upper()}"


def account_secrets(accounts: tuple[Account, ...]) -> dict[str, str]:
    """Variable names and values of all secrets of these accounts.

    Where the locations of an account share one practice id there is one variable for it; otherwise one for each
    location, with the location's name in the variable's.
    """
    secrets: dict[str, str] = {}
    for account in accounts:
        if len({site.practice_id for site in account.sites}) == 1:
            secrets[secret_name(account.slug, "practice_id")] = account.sites[0].practice_id
        else:
            for site in account.sites:
                where = site.name.lower().replace(" ", "_")
                secrets[secret_name(account.slug, f"{where}_practice_id")] = site.practice_id
        secrets[secret_name(account.slug, "api_key")] = account.api_key
    return secrets


def sample_secrets() -> dict[str, str]:
    """The variables that the samples in ``integrations/`` refer to, with values that the sandbox knows."""
    return account_secrets(ACCOUNTS)

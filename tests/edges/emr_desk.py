"""A desk in front of the emulated EMR and contacts API: requests as plain calls, without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from reconciler.sandbox import emr_token, nextech_api, practice_plus_api
from reconciler.sandbox.emr import CLEAN, Code, Place, Practice, Provider, Shares
from reconciler.sandbox.emr_options import EmrOptions
from reconciler.sandbox.emr_world import EmrWorld
from reconciler.sandbox.http import Request, Response

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
PRACTICE = "00000000-0000-4000-8000-0000000000aa"
SELECT = "https://select.nextech-api.com/api/structuredefinition/"


def practice(
    shares: Shares = CLEAN, *, visits: int = 10, days: int = 10, plus: bool = False, seed: int = 7
) -> Practice:
    """A practice of two locations, two practitioners and ``days`` days that end on the day before ``NOW``."""
    return Practice(
        practice_id=PRACTICE,
        name="Example Practice",
        seed=seed,
        first_day=date.fromordinal(NOW.date().toordinal() - days),
        last_day=NOW.date(),
        places=(
            Place(3, "Harbor Point", "America/New_York", "Sarasota", "FL", "34236"),
            Place(4, "Harbor West", "America/Chicago", "Peoria", "IL", "61602"),
        ),
        providers=(Provider(417, "Okafor", "Lena"), Provider(704, "Shaw", "Ivo")),
        types=(Code(14, "Follow Up"), Code(15, "Surgery")),
        purposes=(Code(58, "Skin Check"), Code(59, "Biopsy")),
        custom_statuses=(Code(11, "Checked Out"), Code(12, "Roomed")),
        patient_types=(Code(4, "Insurance Patient"), Code(5, "Cosmetic"), Code(6, "Medicare"), Code(7, "Deceased")),
        weekly=(visits,) * 7,
        patients=max(20, visits * 20),
        shares=shares,
        practice_plus=plus,
        hospital=Place(9001, "Example Hospital", "America/New_York", "Albany", "NY", "12207", managed=False),
    )


@dataclass
class Clock:
    """A clock that tests set."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Desk:
    """One signed-in client of the EMR."""

    world: EmrWorld
    clock: Clock
    token: str = ""
    plus: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    def form(self, **form: str) -> Response:
        """POST a form to the token endpoint."""
        return emr_token.handle(Request("POST", "/oauth2/token", body=urlencode(form).encode()), self.world)

    def sign_in(self, **changes: str) -> dict[str, Any]:
        """The password grant (or client credentials), keeping the token."""
        if self.plus:
            form = {
                "grant_type": "client_credentials",
                "client_id": "sandbox-partner",
                "client_secret": "sandbox-partner-secret",
                "resource": "plus",
            }
        else:
            form = {
                "grant_type": "password",
                "client_id": "sandbox-client",
                "username": "reconciler@nextech-api.com",
                "password": "sandbox-password",
                "resource": "https://select.nextech-api.com/api",
            }
        answer: dict[str, Any] = json.loads(self.form(**{**form, **changes}).body)
        self.token = answer.get("access_token", "")
        return answer

    def send(self, method: str, what: str, body: object = None) -> Response:
        """One request, ``what`` being resource and query."""
        path, _, query = what.partition("?")
        prefix, handle = (
            (practice_plus_api.PREFIX, practice_plus_api.handle)
            if self.plus
            else (nextech_api.PREFIX, nextech_api.handle)
        )
        request = Request(
            method,
            f"{prefix}/{path}",
            tuple(parse_qsl(query, keep_blank_values=True)),
            {
                "authorization": f"Bearer {self.token}",
                "nx-practice-id": PRACTICE,
                "host": "127.0.0.1:9",
                **self.headers,
            },
            b"" if body is None else json.dumps(body).encode(),
        )
        return handle(request, self.world)

    def get(self, what: str) -> Any:
        """The JSON of a successful GET."""
        response = self.send("GET", what)
        assert response.status == 200, response
        return json.loads(response.body)

    def status(self, what: str) -> int:
        """The status of a GET."""
        return self.send("GET", what).status

    def pages(self, what: str, most: int = 50) -> Iterator[dict[str, Any]]:
        """Pages along ``next``, as many as ``most``."""
        for _ in range(most):
            page = self.get(what)
            yield page
            following = link(page, "next")
            if following is None:
                return
            what = following.partition("/api/")[2]

    def ids(self, what: str) -> list[str]:
        """The ids of all resources along ``next``."""
        return [each["resource"].get("id", "?") for page in self.pages(what) for each in page.get("entry", [])]


def link(page: dict[str, Any], relation: str) -> str | None:
    """The URL of one of a Bundle's links."""
    return next((str(each["url"]) for each in page["link"] if each["relation"] == relation), None)


def desk(made: Practice | None = None, options: EmrOptions | None = None) -> Desk:
    """A signed-in client of a world with one practice."""
    made = made or practice()
    clock = Clock()
    world = EmrWorld(options, clock=clock)
    world.add(made)
    found = Desk(world, clock, plus=made.practice_plus)
    found.sign_in()
    return found

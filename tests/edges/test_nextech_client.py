"""Reading Nextech over real sockets: paging and its guards, refusals, what leaves with which header."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from reconciler import errors
from reconciler.clients.nextech import NextechClient, chunks, drop_ssn
from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
from reconciler.clients.practice_plus import PracticePlusClient, token_source
from tests.edges.loopback_server import Loopback, Seen, Step, connected, page, serving

PRACTICE = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
DAY, NEXT = date(2026, 11, 20), date(2026, 11, 21)
Answer = Callable[[Seen, "Emulated"], list[Step]]


def row(number: int, kind: str = "Appointment") -> dict[str, Any]:
    return {"resource": {"resourceType": kind, "id": str(number)}}


def bundle(first: int, last: int, **more: Any) -> dict[str, Any]:
    """Rows ``first`` to before ``last``."""
    return {"resourceType": "Bundle", "type": "searchset", "entry": [row(it) for it in range(first, last)], **more}


def following(url: str) -> list[dict[str, str]]:
    return [{"relation": "next", "url": url}]


def query_of(seen: Seen) -> dict[str, list[str]]:
    return parse_qs(urlsplit(seen.target).query)


class Emulated:
    """A token endpoint and a FHIR endpoint; ``answer`` decides about the latter."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.tokens = 0
        self.base = ""
        self.server: Loopback | None = None

    def __call__(self, seen: Seen) -> list[Step]:
        if seen.target == "/token":
            self.tokens += 1
            return page(
                200, {"access_token": f"token-{self.tokens}", "expires_in": "3599", "refresh_token": "refresh-1"}
            )
        return self.answer(seen, self)

    @property
    def reads(self) -> list[Seen]:
        assert self.server is not None
        return [it for it in self.server.seen if it.method == "GET"]


@contextlib.contextmanager
def reading(answer: Answer, kind: type[NextechClient] = NextechClient) -> Iterator[tuple[NextechClient, Emulated]]:
    emulated = Emulated(answer)
    with serving(emulated) as server, connected(server.url) as auth, connected(server.url + "/api") as api:
        emulated.server, emulated.base = server, server.url + "/api"
        grant = PasswordGrant("app", "user@example.com", "pass-1", "resource")
        tokens = TokenSource(auth, grant, path="/token", now=time.monotonic)
        yield kind(api, tokens, base_url=emulated.base, now=time.monotonic), emulated


def ids(client: NextechClient, practice: str = PRACTICE) -> list[str]:
    return [it["id"] for page_ in client.appointments(practice, start=DAY, end=NEXT) for it in page_.resources]


def numbers(first: int, last: int) -> list[str]:
    return [str(it) for it in range(first, last)]


def offset_of(seen: Seen) -> int:
    return int(query_of(seen).get("_getpagesoffset", ["0"])[0])


def paged(
    total: int, next_offset: Callable[[int], int | None], *, filters: str = "date=ge2026-11-20&date=lt2026-11-21"
) -> Answer:
    """Offset paging of ``total`` rows; ``next_offset`` says where the next link of a page leads."""

    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        offset = offset_of(seen)
        links = []
        if (target := next_offset(offset)) is not None:
            links = following(f"{emulated.base}/Appointment?{filters}&_getpagesoffset={target}&_count=50")
        return page(200, bundle(offset, min(offset + 50, total), total=total, link=links))

    return answer


def test_pages_are_followed_with_token_and_practice_and_the_filters_as_documented() -> None:
    with reading(paged(120, lambda it: it + 50 if it + 50 < 120 else None)) as (client, emulated):
        assert ids(client) == numbers(0, 120)
        assert [it.target for it in emulated.reads] == [
            "/api/Appointment?date=ge2026-11-20&date=lt2026-11-21&_count=50",
            "/api/Appointment?date=ge2026-11-20&date=lt2026-11-21&_getpagesoffset=50&_count=50",
            "/api/Appointment?date=ge2026-11-20&date=lt2026-11-21&_getpagesoffset=100&_count=50",
        ]
        assert {it.headers["authorization"] for it in emulated.reads} == {"Bearer token-1"}
        assert {it.headers["nx-practice-id"] for it in emulated.reads} == {PRACTICE}
        assert client.requests(PRACTICE) == {"Appointment": 3}
        assert client.take_requests(PRACTICE) == {"Appointment": 3}
        assert client.requests(PRACTICE) == {}


def test_a_last_page_that_overlaps_the_one_before_doubles_nothing() -> None:
    with reading(paged(63, lambda it: 13 if it == 0 else None)) as (client, emulated):
        assert ids(client) == numbers(0, 63)
        assert len(emulated.reads) == 2


def test_a_next_link_to_its_own_page_ends_a_complete_read_without_another_request() -> None:
    with reading(paged(50, lambda it: it)) as (client, emulated):
        assert ids(client) == numbers(0, 50)
        assert len(emulated.reads) == 1


def test_a_link_that_lost_its_filters_is_replaced_by_our_own_query() -> None:
    with reading(paged(60, lambda it: 50 if it == 0 else None, filters="date=ge2026-11-20")) as (client, emulated):
        assert ids(client) == numbers(0, 60)
        assert query_of(emulated.reads[1])["date"] == ["ge2026-11-20", "lt2026-11-21"]


def test_a_server_that_clamps_its_pages_is_read_to_the_end() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        offset = offset_of(seen)
        link = following(
            f"{emulated.base}/Appointment?date=ge2026-11-20&date=lt2026-11-21&_getpagesoffset={offset + 10}"
        )
        return page(200, bundle(offset, offset + 10, total=30, link=link if offset < 20 else []))

    with reading(answer) as (client, emulated):
        assert ids(client) == numbers(0, 30)
        assert len(emulated.reads) == 3


@pytest.mark.parametrize("offset", [0, 50])
def test_a_link_back_or_to_itself_before_the_end_fails_the_read_at_once(offset: int) -> None:
    def target(at: int) -> int:
        return 50 if at == 0 and offset else offset

    with reading(paged(200, target)) as (client, emulated):
        with pytest.raises(errors.Garbage, match="points back"):
            ids(client)
        assert len(emulated.reads) == (2 if offset else 1)


LINKS = {
    "other host": "http://localhost:{port}/api/Appointment?_getpagesoffset=50",
    "other port": "http://127.0.0.1:{other}/api/Appointment?_getpagesoffset=50",
    "other scheme": "https://127.0.0.1:{port}/api/Appointment?_getpagesoffset=50",
    "user in the link": "http://x@127.0.0.1:{port}/api/Appointment?_getpagesoffset=50",
    "other resource": "http://127.0.0.1:{port}/api/Patient?_getpagesoffset=50",
    "two offsets": "http://127.0.0.1:{port}/api/Appointment?_getpagesoffset=50&_getpagesoffset=90",
    "offset of words": "http://127.0.0.1:{port}/api/Appointment?_getpagesoffset=many",
    "bad port": "http://127.0.0.1:port/api/Appointment?_getpagesoffset=50",
    "no filters": "http://127.0.0.1:{port}/api/Appointment?cursor=2",
}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_a_link_that_leads_astray_is_not_followed_and_fails_the_read(link: str) -> None:
    with serving(lambda _: page(200, bundle(50, 60))) as stranger:

        def answer(seen: Seen, emulated: Emulated) -> list[Step]:
            assert emulated.server is not None
            url = link.format(port=emulated.server.port, other=stranger.port)
            return page(200, bundle(0, 50, total=60, link=following(url)))

        with reading(answer) as (client, emulated):
            with pytest.raises(errors.Garbage, match="next link"):
                ids(client)
            assert len(emulated.reads) == 1
        assert stranger.connections == []


def test_a_loop_of_opaque_links_stops_before_a_page_is_read_twice() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        at = int(query_of(seen).get("cursor", ["0"])[0])
        url = f"{emulated.base}/Appointment?date=ge2026-11-20&date=lt2026-11-21&cursor={1 + (at % 2)}"
        return page(200, bundle(at * 50, at * 50 + 50, total=900, link=following(url)))

    with reading(answer) as (client, emulated):
        with pytest.raises(errors.Garbage, match="read already"):
            ids(client)
        assert len(emulated.reads) == 3


def test_a_server_that_ignores_the_offset_is_found_out_with_the_second_page() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(
            200, bundle(0, 50, total=100, link=following(f"/api/Appointment?_getpagesoffset={offset_of(seen) + 50}"))
        )

    with reading(answer) as (client, emulated):
        with pytest.raises(errors.Garbage, match="repeats"):
            ids(client)
        assert len(emulated.reads) == 2


def test_without_a_total_a_full_page_that_links_to_itself_costs_one_request_more() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        offset = offset_of(seen)
        own = f"{emulated.base}/Appointment?date=ge2026-11-20&date=lt2026-11-21&_getpagesoffset={offset}&_count=50"
        return page(200, bundle(offset, min(offset + 50, 50), link=following(own)))

    with reading(answer) as (client, emulated):
        assert ids(client) == numbers(0, 50)
        assert len(emulated.reads) == 2


def test_a_total_that_counts_one_page_only_is_found_out() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        offset = offset_of(seen)
        return page(
            200,
            bundle(offset, offset + 50, total=50, link=following(f"/api/Appointment?_getpagesoffset={offset + 50}")),
        )

    with reading(answer) as (client, _), pytest.raises(errors.Garbage, match="more resources came"):
        ids(client)


def test_rows_that_vanish_while_paging_have_the_search_read_again() -> None:
    calls: list[int] = []

    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        offset = offset_of(seen)
        calls.append(offset)
        alive = list(range(100)) if len(calls) == 1 else list(range(1, 100))
        entries = [row(it) for it in alive[offset : offset + 50]]
        link = following("/api/Appointment?_getpagesoffset=50") if offset == 0 else []
        return page(200, {"resourceType": "Bundle", "total": len(alive), "entry": entries, "link": link})

    with reading(answer) as (client, _):
        assert sorted(ids(client), key=int) == numbers(0, 100)
        assert calls == [0, 50, 0, 50]


WRONG: dict[str, tuple[object, str]] = {
    "operation outcome": ({"resourceType": "OperationOutcome", "issue": []}, "OperationOutcome"),
    "outcome in an entry": (
        bundle(0, 1, total=2)
        | {"entry": [{"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}}]},
        "OperationOutcome",
    ),
    "html": ("<html>Dana Marsh</html>", "a web page"),
    "truncated": ('{"resourceType": "Bundle", "entry": [', "JSON"),
    "a list": ([], "not a Bundle"),
    "another resource": (row(1)["resource"], "not a Bundle"),
    "neither total nor entry": ({"resourceType": "Bundle"}, "not the same as none"),
    "total without entry": ({"resourceType": "Bundle", "total": 7}, "no resource came"),
    "total is text": (bundle(0, 1, total="many"), "total is not a number"),
    "total is negative": (bundle(0, 1, total=-1), "total is not a number"),
    "entries are an object": ({"resourceType": "Bundle", "total": 1, "entry": {}}, "not a list"),
    "total above the entries": (bundle(0, 5, total=50), "end at 5 of 50"),
    "total below the entries": (bundle(0, 5, total=2), "total is 2"),
    "a page larger than asked": (bundle(0, 51, total=51), "51 resources where 50"),
}


@pytest.mark.parametrize(("body", "says"), WRONG.values(), ids=WRONG.keys())
def test_an_answer_that_is_no_page_is_named_and_never_read_as_none(body: object, says: str) -> None:
    with reading(lambda _seen, _emulated: page(200, body)) as (client, emulated):
        with pytest.raises(errors.Garbage, match=says) as caught:
            ids(client)
        assert len(emulated.reads) == 1
    assert "Dana" not in caught.value.message
    assert PRACTICE not in caught.value.message


def test_an_empty_page_with_total_0_is_none_and_warnings_are_passed_over() -> None:
    warning = {"resource": {"resourceType": "OperationOutcome", "issue": [{"severity": "warning"}]}}
    with reading(lambda _s, _e: page(200, {"resourceType": "Bundle", "total": 0, "entry": [warning]})) as (client, _):
        assert ids(client) == []


def test_a_malformed_resource_goes_on_to_be_quarantined_and_its_neighbours_too() -> None:
    body = {"resourceType": "Bundle", "total": 4, "entry": [row(1), {"resource": None}, "x", row(2)]}
    with reading(lambda _s, _e: page(200, body)) as (client, _):
        pages = list(client.appointments(PRACTICE, start=DAY, end=NEXT))
    assert [it.resources for it in pages] == [(row(1)["resource"], None, "x", row(2)["resource"])]
    assert repr(pages[0]) == "Page(rows=4, total=4)"


def test_patients_are_asked_for_once_each_as_many_as_fit_with_plain_commas() -> None:
    wanted = [f"6e0b7b1c-52d4-4c0a-9f3e-{it:012d}" for it in range(120)]

    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        found = query_of(seen)["identifier"][0].split(",")
        entries = [{"resource": {"resourceType": "Patient", "id": it}} for it in found]
        return page(200, {"resourceType": "Bundle", "total": len(found), "entry": entries})

    with reading(answer) as (client, emulated):
        pages = list(client.patients(PRACTICE, [*wanted, *(it.upper() for it in wanted), " "]))
        targets = [it.target for it in emulated.reads]
    got = [it["id"].lower() for page_ in pages for it in page_.resources]
    assert got == wanted
    assert [it.count(",") for it in targets] == [49, 49, 19]
    assert max(len(it.split("?")[1]) for it in targets) <= 1_900


def test_long_ids_are_split_by_length_and_impossible_ones_left_out() -> None:
    assert [len(it) for it in chunks(["a" * 900, "b" * 900, "c" * 900, "d,e", "f" * 2_000])] == [1801, 900]
    assert list(chunks([])) == []


@pytest.mark.parametrize(
    ("known_good", "body", "outcome"),
    [
        (page(200, bundle(1, 2, total=9)), b"", "none"),
        (page(200, bundle(1, 2, total=9)), {"resourceType": "OperationOutcome"}, "none"),
        (page(200, bundle(1, 2, total=9)), "<html>no such page</html>", "none"),
        (page(200, bundle(1, 2, total=9)), {"statusCode": 404, "message": "Resource not found"}, "none"),
        (page(200, bundle(1, 1, total=0)), b"", "error"),
        (page(404), b"", "error"),
    ],
)
def test_404_means_none_only_after_a_known_good_read(known_good: list[Step], body: object, outcome: str) -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return known_good if "/Location?" in seen.target else page(404, body)

    with reading(answer) as (client, emulated):
        if outcome == "none":
            assert ids(client) == []
            assert ids(client) == []
            assert [urlsplit(it.target).path for it in emulated.reads] == [
                "/api/Appointment",
                "/api/Location",
                "/api/Appointment",
            ]
        else:
            with pytest.raises(errors.Answered) as caught:
                ids(client)
            assert caught.value.status == 404


@pytest.mark.parametrize(
    "body", [b"", {"resourceType": "OperationOutcome"}, "<html>Priya</html>", [], {"statusCode": 404}]
)
def test_404_means_none_in_a_search_of_anything_that_others_vouch_for(body: object) -> None:
    asked = ""

    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(404, body) if urlsplit(seen.target).path == asked else page(200, bundle(1, 2, total=1))

    with reading(answer) as (client, _):
        asked = "/api/Appointment"
        assert list(client.appointments(PRACTICE, start=DAY, end=NEXT)) == []
        asked = "/api/Patient"
        assert list(client.patients(PRACTICE, ["1"])) == []
        asked = "/api/Practitioner"
        assert list(client.practitioners(PRACTICE)) == []
        asked = "/api/Location"
        assert list(client.locations(PRACTICE)) == []


def test_404_where_nothing_else_answers_or_for_a_later_page_is_never_none() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        if "/Appointment" in seen.target and offset_of(seen) == 0:
            return page(200, bundle(0, 50, total=60, link=following("/api/Appointment?_getpagesoffset=50")))
        return page(404)

    with reading(answer) as (client, _):
        with pytest.raises(errors.Answered):
            list(client.locations(PRACTICE))
        with pytest.raises(errors.Answered):
            ids(client)


def test_an_expired_token_is_renewed_once_and_the_request_repeated() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(401) if seen.headers["authorization"] == "Bearer token-1" else page(200, bundle(0, 3, total=3))

    with reading(answer) as (client, emulated):
        assert ids(client) == numbers(0, 3)
        assert emulated.tokens == 2


def test_401_to_a_renewed_token_is_the_practice_and_others_go_on() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(401) if seen.headers["nx-practice-id"] == PRACTICE else page(200, bundle(0, 3, total=3))

    with reading(answer) as (client, emulated):
        with pytest.raises(errors.PracticeUnauthorised) as caught:
            ids(client)
        assert (caught.value.status, emulated.tokens, len(emulated.reads)) == (401, 2, 2)
        assert ids(client, OTHER) == numbers(0, 3)
        assert emulated.tokens == 2
    assert PRACTICE not in f"{caught.value!r}{caught.value}{caught.value.hint}"


def test_403_is_the_practice_only_where_the_credentials_are_good_elsewhere() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(403) if seen.headers["nx-practice-id"] == PRACTICE else page(200, bundle(0, 3, total=3))

    with reading(answer) as (client, _):
        with pytest.raises(errors.Answered) as caught:
            ids(client)
        assert caught.value.status == 403
        ids(client, OTHER)
        with pytest.raises(errors.PracticeUnauthorised):
            ids(client)


def test_a_token_that_expires_at_every_page_is_renewed_once_per_page_and_nothing_is_lost() -> None:
    used: set[str] = set()
    calm = paged(500, lambda it: it + 50 if it + 50 < 500 else None)

    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        if seen.headers["authorization"] in used:
            return page(401)
        used.add(seen.headers["authorization"])
        return calm(seen, emulated)

    with reading(answer) as (client, emulated):
        assert ids(client) == numbers(0, 500)
        assert emulated.tokens == 10


@pytest.mark.parametrize("practice", ["", " ", "a\r\nb", "ä", " x"])
def test_a_practice_id_that_no_header_carries_is_refused_before_anything_is_sent(practice: str) -> None:
    with reading(lambda _s, _e: page(200)) as (client, emulated):
        with pytest.raises(errors.SecretError):
            ids(client, practice)
        assert emulated.server is not None
        assert emulated.server.seen == []


def test_filters_are_encoded_and_times_are_whole_seconds_in_utc() -> None:
    with reading(lambda _s, _e: page(200, bundle(0, 1, total=1))) as (client, emulated):
        since = datetime(2026, 11, 20, 5, 6, 7, 890_000, tzinfo=UTC)
        list(client.appointments(PRACTICE, start=DAY, end=NEXT, location_name="A & B+", updated_since=since))
        assert emulated.reads[0].target.endswith(
            "&location.name=A%20%26%20B%2B&_lastUpdated=ge2026-11-20T05:06:07Z&_count=50"
        )


def test_lists_are_read_from_their_endpoints() -> None:
    with reading(lambda _s, _e: page(200, bundle(0, 1, total=1))) as (client, emulated):
        for read in (
            client.locations,
            client.practitioners,
            client.appointment_types,
            client.appointment_purposes,
            client.appointment_statuses,
            client.patient_types,
        ):
            assert len(list(read(PRACTICE))) == 1
        assert [it.target for it in emulated.reads] == [
            "/api/Location?includeAll=true&_count=50",
            "/api/Practitioner?_count=50",
            "/api/appointment-type?_count=50",
            "/api/appointment-purpose?_count=50",
            "/api/appointment-status?_count=50",
            "/api/patient-type?_count=50",
        ]


def test_a_practice_before_14_4_is_asked_for_its_managed_locations() -> None:
    def answer(seen: Seen, emulated: Emulated) -> list[Step]:
        return page(400) if "includeAll" in seen.target else page(200, bundle(0, 2, total=2))

    with reading(answer) as (client, _):
        assert [len(it.resources) for it in client.locations(PRACTICE)] == [2]


def test_a_repeated_identifier_key_of_a_practitioner_keeps_both_lists() -> None:
    resource = (
        '{"resourceType":"Practitioner","identifier":[{"use":"official","value":"7"}],"identifier":[{"use":"npi"}]}'
    )
    raw = '{"resourceType":"Bundle","total":1,"entry":[{"resource":' + resource + "}]}"
    with reading(lambda _s, _e: page(200, raw)) as (client, _):
        (found,) = client.practitioners(PRACTICE)
    assert found.resources[0]["identifier"] == [{"use": "official", "value": "7"}, {"use": "npi"}]


SSN = {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000000000"}
TYPED_SSN = {"type": {"coding": [{"code": "SS"}]}, "value": "000000000"}
NAMED = {"use": "official", "value": "p-1"}


def test_a_social_security_number_goes_no_further_than_the_edge() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "p-1",
        "identifier": [NAMED, SSN, TYPED_SSN],
        "contained": [{"resourceType": "Patient", "identifier": [SSN]}],
        "contact": [{"organization": {"identifier": {"value": "000000000"}}}],
    }
    body = {"resourceType": "Bundle", "total": 1, "entry": [{"resource": patient}]}
    with reading(lambda _s, _e: page(200, body), PracticePlusClient) as (client, _):
        (found,) = client.patients(PRACTICE, ["p-1"])
        with pytest.raises(errors.InternalError):
            client.appointment_statuses(PRACTICE)
    assert "000000000" not in json.dumps(found.resources)
    assert found.resources[0]["identifier"] == [NAMED]
    assert drop_ssn({"identifier": SSN}) == {}
    assert drop_ssn("x") == "x"


def test_practice_plus_asks_its_token_with_client_credentials() -> None:
    with serving(lambda _: page(200, {"token_type": "Bearer", "access_token": "t", "expires_in": 3599})) as server:
        with connected(server.url) as auth:
            source = token_source(
                auth, path="/token", now=time.monotonic, client_id="partner", client_secret="s-1", resource="r"
            )
            assert source.current().header == "Bearer t"
        assert parse_qs(server.seen[0].body.decode()) == {
            "grant_type": ["client_credentials"],
            "client_id": ["partner"],
            "client_secret": ["s-1"],
            "resource": ["r"],
        }


@pytest.mark.parametrize("status", [400, 422, 429, 500, 503])
def test_any_other_status_fails_the_read_without_the_query_or_the_practice(status: int) -> None:
    with reading(lambda _s, _e: page(status, {"message": f"bad {PRACTICE}"})) as (client, _):
        client._deadline_seconds = 0.3
        with pytest.raises(errors.RemoteError) as caught:
            ids(client)
    assert PRACTICE not in f"{caught.value}{caught.value!r}{vars(caught.value)}"
    assert "2026-11-20" not in f"{caught.value}{vars(caught.value)}"

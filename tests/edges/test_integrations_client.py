"""The integration client: what it sends, and what it makes of every answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import errors
from reconciler.clients.integrations import IntegrationsClient, MappingsUnobservable, NamedItem
from reconciler.clients.transport import Transport
from reconciler.core.live import LiveGroup, LiveMapping, Property, Trigger
from tests.edges.loopback_server import Seen, Step, VirtualTime, connected, page, serving

PARENT = 100000000000001
LOCATION = 100000000000002
PRACTICE = "00000000-0000-4000-8000-000000000001"
PRACTICE_PROPERTY = Property("practice.id", PRACTICE, secure=True)
TYPES = Property("appointment.types", "Procedure|Surgery")


class Api:
    """A client whose server gives one answer for ever, and the requests that it saw."""

    def __init__(self, body: object = None, status: int = 200) -> None:
        self.seen: list[httpx.Request] = []
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        def answer(request: httpx.Request) -> httpx.Response:
            self.seen.append(request)
            return httpx.Response(status, content=content)

        self.transport = Transport(
            base_url="https://common-services.example.com",
            allowed_hosts=frozenset({"common-services.example.com"}),
            http_transport=httpx.MockTransport(answer),
            **VirtualTime().settings(),
        )
        self.client = IntegrationsClient(self.transport)

    @property
    def request(self) -> tuple[str, str, Any]:
        only = self.seen[0]
        assert len(self.seen) == 1
        assert only.headers["cache-control"] == "no-cache"
        return only.method, only.url.raw_path.decode(), json.loads(only.content) if only.content else None


def test_triggers_are_read_as_documented() -> None:
    api = Api(
        [
            {
                "id": 24,
                "integrationSourceId": 22,
                "triggerService": "nextechFulfilledAppointmentTrigger",
                "displayName": "Nextech Fulfilled Appointment Trigger",
                "description": "...",
                "active": True,
                "integrationSourceName": "Nextech",
                "integrationTriggerType": [{"id": 1, "name": "JOB"}],
            },
            {"id": "7", "triggerService": "b", "active": "false", "integrationTriggerType": [{"id": "3"}, {"id": 2}]},
            {"id": 9, "integrationSourceId": "23", "triggerService": "of another source"},
            {"id": 8.0, "triggerService": None, "integrationTriggerType": []},
        ]
    )
    assert api.client.triggers() == (
        Trigger(7, "b", "", False, (2, 3)),
        Trigger(8, "", "", True, (1,)),
        Trigger(24, "nextechFulfilledAppointmentTrigger", "Nextech Fulfilled Appointment Trigger", True, (1,)),
    )
    assert api.request == ("GET", "/integration/trigger/integrationtriggers/sourceid/22", None)


DOCUMENTED_GROUP = {
    "groupId": 150,
    "integrationSourceType": {
        "id": 22,
        "integrationSource": "NEXTECH",
        "sourceCategory": "Healthcare",
        "oauthEnabled": False,
    },
    "integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 1}],
}


def test_a_documented_group_shows_its_triggers_and_nothing_else() -> None:
    api = Api([DOCUMENTED_GROUP])
    assert api.client.groups(PARENT) == (LiveGroup(150, 22, (24,), None, None),)
    assert api.request == ("GET", f"/integration/businessintegrationgroup/{PARENT}", None)


def test_a_rich_group_shows_properties_and_mappings() -> None:
    rich = {
        **DOCUMENTED_GROUP,
        "groupId": "150",
        "integrationGroupTriggers": [{"triggerId": "25"}, {"triggerId": 24}, {"triggerId": 24}],
        "integrationGroupProperties": [
            {"propertyKey": "practice.id", "propertyValue": "********", "isSecure": "true"},
            {"propertyKey": "customer.fetch.delay", "propertyValue": 2, "isSecure": None, "new": []},
            {"propertyKey": "appointment.types"},
        ],
        "businessIntegrationMappings": [
            {"businessNumber": str(LOCATION + 1), "active": 1, "integrationProperties": []},
            {"businessNumber": LOCATION, "integrationGroupId": 150, "status": "ACTIVE", "frequency": 24},
        ],
    }
    assert Api([rich]).client.groups(PARENT) == (
        LiveGroup(
            150,
            22,
            (24, 25),
            (
                Property("appointment.types", None),
                Property("customer.fetch.delay", "2"),
                Property("practice.id", "********", secure=True),
            ),
            (
                LiveMapping(LOCATION, 150, None, None, "ACTIVE", "24", None),
                LiveMapping(LOCATION + 1, 150, True, (), None, None, None),
            ),
        ),
    )


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ({"integrationSourceType": {"id": "22"}}, [(1, 22)]),
        ({"integrationSourceType": {"id": 23}}, []),
        ({"integrationSourceType": 22}, [(1, 22)]),
        ({"integrationSourceType": {"integrationSource": "nextech"}}, [(1, None)]),
        ({"integrationSourceType": {"integrationSource": "OTHER"}}, []),
        ({"integrationSourceType": None}, [(1, None)]),
        ({"integrationSourceId": "23"}, []),
        ({}, [(1, None)]),
    ],
)
def test_only_groups_that_can_be_of_this_source_are_given(
    source: dict[str, Any], ids: list[tuple[int, int | None]]
) -> None:
    groups = Api([{"groupId": 1, **source}]).client.groups(PARENT)
    assert groups is not None
    assert [(group.group_id, group.source_id) for group in groups] == ids


def test_no_groups_and_no_such_business_are_told_apart() -> None:
    assert Api([]).client.groups(PARENT) == ()
    assert Api({"code": 404}, status=404).client.groups(PARENT) is None


GROUPS = [
    {"groupId": number, "integrationGroupTriggers": [{"triggerId": t} for t in (3, 1, 2)]} for number in (5, 3, 9)
]


@given(st.permutations(GROUPS))
def test_the_order_of_an_answer_means_nothing(groups: list[dict[str, Any]]) -> None:
    assert Api(groups).client.groups(PARENT) == tuple(LiveGroup(number, None, (1, 2, 3)) for number in (3, 5, 9))


def test_mappings_of_the_business_asked_for_are_given() -> None:
    api = Api(
        [
            {
                "businessNumber": LOCATION,
                "integrationGroupId": "150",
                "active": "false",
                "integrationProperties": [{"propertyKey": "location.name", "propertyValue": "Dermatology|Oncology"}],
                "status": "UNAUTHORIZED",
                "frequency": "1 day",
                "nextRunTime": 1800000000000,
            },
            {"integrationGroupId": 149},
            {"businessNumber": LOCATION + 7, "integrationGroupId": 1},
        ]
    )
    assert api.client.mappings(LOCATION) == (
        LiveMapping(LOCATION, 149),
        LiveMapping(
            LOCATION,
            150,
            False,
            (Property("location.name", "Dermatology|Oncology"),),
            "UNAUTHORIZED",
            "1 day",
            "1800000000000",
        ),
    )
    assert api.request == ("GET", f"/integration/businessintegrationmapping/{LOCATION}", None)


@pytest.mark.parametrize("status", [404, 405])
def test_mappings_that_nobody_can_see_are_an_outcome_of_their_own(status: int) -> None:
    with pytest.raises(MappingsUnobservable) as caught:
        Api("no", status=status).client.mappings(LOCATION)
    assert caught.value.status == status


READS: list[Callable[[IntegrationsClient], object]] = [
    lambda client: client.triggers(),
    lambda client: client.groups(PARENT),
    lambda client: client.mappings(LOCATION),
    lambda client: client.locations(PRACTICE),
    lambda client: client.practitioners(PRACTICE),
]
NOT_AN_ANSWER: list[object] = [
    b"",
    b"<html><title>Sign in</title></html>",
    b'[{"groupId": 1',
    None,
    1,
    "text",
    {},
    {"code": 500, "message": f"no practice {PRACTICE}"},
    {"code": "401", "data": []},
    {"status": "down", "errors": [], "more": []},
    [None],
    [[]],
    [True, {}],
    [{"id": {}, "groupId": "x", "integrationGroupId": "x"}],
    [{"id": [], "name": {}, "groupId": True, "businessNumber": "1.5"}],
]


@pytest.mark.parametrize("read", READS, ids=["T", "G", "Mg", "L", "P"])
@pytest.mark.parametrize("body", NOT_AN_ANSWER, ids=range(len(NOT_AN_ANSWER)))
def test_what_an_endpoint_does_not_give_is_garbage_and_never_empty(
    body: object, read: Callable[[IntegrationsClient], object]
) -> None:
    with pytest.raises(errors.Garbage) as caught:
        read(Api(body).client)
    assert PRACTICE not in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("read", READS, ids=["T", "G", "Mg", "L", "P"])
@pytest.mark.parametrize("status", [401, 403, 500, 502])
def test_a_failed_read_is_answered_without_the_practice_id(
    status: int, read: Callable[[IntegrationsClient], object]
) -> None:
    with pytest.raises(errors.Answered) as caught:
        read(Api({"code": 77, "message": f"Practice {PRACTICE.upper()} ({PRACTICE})"}, status=status).client)
    assert caught.value.status == status
    assert PRACTICE not in caught.value.message.lower()
    assert "?" not in caught.value.message


def test_a_group_is_created_with_the_documented_body() -> None:
    api = Api({"groupId": 150})
    created = api.client.create_group(PARENT, properties=[PRACTICE_PROPERTY, TYPES], triggers=[(24, 1)])
    assert created == 150
    assert api.request == (
        "PUT",
        "/integration/add/businessintegrationgroup",
        {
            "parentBusinessNumber": PARENT,
            "integrationGroupProperties": [
                {"propertyKey": "practice.id", "propertyValue": PRACTICE, "isSecure": True},
                {"propertyKey": "appointment.types", "propertyValue": "Procedure|Surgery"},
            ],
            "integrationSourceId": 22,
            "integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 1}],
        },
    )


@pytest.mark.parametrize(
    ("body", "group_id"),
    [
        (150, 150),
        ("150", 150),
        (b"150\n", 150),
        ({"groupId": 150}, 150),
        ({"groupId": "150", "id": 3}, 150),
        ({"id": 150}, 150),
        ({**DOCUMENTED_GROUP}, 150),
        ([DOCUMENTED_GROUP], 150),
        ({"data": DOCUMENTED_GROUP, "status": "ok"}, 150),
        ({"result": {"group": {"groupId": 150}}}, 150),
        ({"data": 150}, 150),
        ({"code": 200, "groupId": 150}, 150),
        (b"", None),
        (b"  \n", None),
        (b"created", None),
        (None, None),
        (True, None),
        (0, None),
        (-1, None),
        ([], None),
        ({}, None),
        ({"message": "created"}, None),
        ({"integrationSourceType": {"id": 22}}, None),
        ({"a": {"groupId": 1}, "b": {"groupId": 2}}, None),
    ],
    ids=range(24),
)
def test_the_new_groups_id_is_read_from_every_shape_or_from_none(body: object, group_id: int | None) -> None:
    assert Api(body).client.create_group(PARENT, properties=[TYPES], triggers=[]) == group_id


WRITES: list[Callable[[IntegrationsClient], object]] = [
    lambda client: client.create_group(PARENT, properties=[PRACTICE_PROPERTY], triggers=[(24, 1)]),
    lambda client: client.update_group(150, properties=[PRACTICE_PROPERTY]),
    lambda client: client.put_mapping(LOCATION, 150, True, [PRACTICE_PROPERTY]),
]


@pytest.mark.parametrize("write", WRITES, ids=["G+", "Gu", "M+"])
@pytest.mark.parametrize(
    "body", [b"<html>login</html>", {"code": 500, "message": f"no {PRACTICE}"}, {"code": "E1"}], ids=range(3)
)
def test_a_write_answered_with_an_error_in_disguise_is_unknown(
    body: object, write: Callable[[IntegrationsClient], object]
) -> None:
    api = Api(body)
    with pytest.raises(errors.Unknown, match="it may or may not have been carried out") as caught:
        write(api.client)
    assert len(api.seen) == 1
    assert PRACTICE not in caught.value.message


@pytest.mark.parametrize("write", WRITES, ids=["G+", "Gu", "M+"])
def test_a_write_that_is_refused_is_answered_without_its_secrets(
    write: Callable[[IntegrationsClient], object],
) -> None:
    with pytest.raises(errors.Answered) as caught:
        write(Api({"code": 12, "message": f"practice.id {PRACTICE} is unknown"}, status=400).client)
    assert (caught.value.status, caught.value.code) == (400, 12)
    assert caught.value.remote_message == "practice.id [removed] is unknown"


@pytest.mark.parametrize("write", WRITES[1:], ids=["Gu", "M+"])
@pytest.mark.parametrize("body", [b"", b"success", {}, {"code": 0}, {"code": "200", "message": "ok"}, 1, True])
def test_a_write_that_succeeds_says_nothing(body: object, write: Callable[[IntegrationsClient], object]) -> None:
    assert write(Api(body).client) is None


@pytest.mark.parametrize(
    ("arguments", "flag", "body"),
    [
        (
            {"triggers": [(24, 1), (25, 2)]},
            "true",
            {
                "groupId": 150,
                "integrationGroupTriggers": [
                    {"triggerId": 24, "triggerTypeId": 1},
                    {"triggerId": 25, "triggerTypeId": 2},
                ],
            },
        ),
        ({"triggers": []}, "true", {"groupId": 150, "integrationGroupTriggers": []}),
        (
            {"properties": [TYPES]},
            "false",
            {
                "groupId": 150,
                "integrationGroupProperties": [
                    {"propertyKey": "appointment.types", "propertyValue": "Procedure|Surgery"}
                ],
            },
        ),
    ],
)
def test_an_update_replaces_triggers_only_when_it_has_some(
    arguments: dict[str, Any], flag: str, body: dict[str, Any]
) -> None:
    api = Api(b"")
    api.client.update_group(150, **arguments)
    path = f"/integration/update/businessintegrationgroup?replaceTriggers={flag}"
    assert api.request == ("POST", path, body)


def test_a_mapping_is_written_with_its_properties_or_without_the_member() -> None:
    api = Api(b"")
    api.client.put_mapping(LOCATION, 150, True, [Property("practitioner.id", "417|704"), PRACTICE_PROPERTY])
    assert api.request == (
        "PUT",
        "/integration/add/businessintegrationmapping",
        {
            "businessNumber": LOCATION,
            "active": True,
            "integrationGroupId": 150,
            "integrationProperties": [
                {"propertyKey": "practitioner.id", "propertyValue": "417|704"},
                {"propertyKey": "practice.id", "propertyValue": PRACTICE, "isSecure": True},
            ],
        },
    )
    bare = Api(b"")
    bare.client.put_mapping(LOCATION, 150, False)
    assert bare.request[2] == {"businessNumber": LOCATION, "active": False, "integrationGroupId": 150}


@pytest.mark.parametrize("value", [None, "********", ""])
def test_a_value_that_nobody_knows_is_never_sent(value: str | None) -> None:
    api = Api(b"")
    with pytest.raises(errors.InternalError):
        api.client.put_mapping(LOCATION, 150, True, [Property("practice.id", value, secure=True)])
    assert api.seen == []


def test_locations_and_practitioners_are_asked_for_as_documented() -> None:
    api = Api([{"id": 2, "name": "Oncology"}, {"id": "1", "name": "Dermatology"}])
    found = (NamedItem("1", "Dermatology"), NamedItem("2", "Oncology"))
    assert api.client.locations(PRACTICE) == found
    assert api.client.locations(PRACTICE, business=LOCATION, new_version=True) == found
    assert api.client.practitioners(PRACTICE) == found
    assert [request.url.raw_path.decode() for request in api.seen] == [
        f"/nextech/locations?practiceId={PRACTICE}&nextechNewVersion=false",
        f"/nextech/locations?practiceId={PRACTICE}&businessNumber={LOCATION}&nextechNewVersion=true",
        f"/nextech/practitioners?practiceId={PRACTICE}&nextechNewVersion=false",
    ]


@pytest.mark.parametrize(
    ("body", "items"),
    [
        ([], ()),
        (["Oncology", "Dermatology", "Dermatology"], (NamedItem("", "Dermatology"), NamedItem("", "Oncology"))),
        ({"total": 1, "locations": [{"id": 417, "name": None}]}, (NamedItem("417", ""),)),
        ({"code": 200, "data": [{"name": "A", "active": True}]}, (NamedItem("", "A"),)),
    ],
)
def test_named_items_are_read_from_every_known_shape(body: object, items: tuple[NamedItem, ...]) -> None:
    assert Api(body).client.practitioners(PRACTICE) == items


@pytest.mark.parametrize("after_commit", ["reset", "close", 502, 504])
def test_a_create_whose_answer_is_lost_is_sent_once_and_unknown(after_commit: str | int) -> None:
    committed: list[Any] = []

    def answer(seen: Seen) -> Iterable[Step]:
        committed.append(seen.json())
        return [after_commit] if isinstance(after_commit, str) else page(after_commit, "<html>bad gateway</html>")

    with serving(answer) as server, connected(server.url) as transport:
        with pytest.raises(errors.Unknown):
            IntegrationsClient(transport).create_group(PARENT, properties=[TYPES], triggers=[(24, 1)])
        assert transport.counts == {"G+": 1}
    assert len(committed) == 1


def test_a_mapping_write_whose_answer_is_lost_is_sent_again() -> None:
    committed: list[Any] = []

    def answer(seen: Seen) -> Iterable[Step]:
        committed.append(seen.json())
        return ["reset"] if len(committed) == 1 else page(200)

    with serving(answer) as server, connected(server.url) as transport:
        IntegrationsClient(transport).put_mapping(LOCATION, 150, True)
    assert committed[0] == committed[1] == {"businessNumber": LOCATION, "active": True, "integrationGroupId": 150}
    assert len(committed) == 2


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "groupId",
                    "id",
                    "code",
                    "name",
                    "integrationSourceType",
                    "integrationGroupTriggers",
                    "triggerId",
                    "propertyKey",
                    "integrationGroupProperties",
                    "propertyValue",
                    "isSecure",
                    "businessNumber",
                    "active",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.lists(JSON_VALUES, max_size=3) | JSON_VALUES, st.sampled_from(READS))
def test_any_json_is_an_answer_or_garbage(body: object, read: Callable[[IntegrationsClient], object]) -> None:
    try:
        read(Api(body).client)
    except errors.Garbage as error:
        assert error.message.isprintable()  # noqa: PT017 - both ends are right, neither is expected

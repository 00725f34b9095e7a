"""The integration API of the sandbox, endpoint by endpoint, as one function from request to response."""

import json
from typing import Any

import pytest

from reconciler.sandbox.app import App
from reconciler.sandbox.http import Request, Response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import EYE_WEST, NORTH, SKIN

SMB = 100000000000001
DOWNTOWN = 100000000000101
PRACTICE = {"propertyKey": "practice.id", "propertyValue": NORTH, "isSecure": True}
TYPES = {"propertyKey": "appointment.types", "propertyValue": "Procedure|Surgery"}
FULFILLED = {"triggerId": 24, "triggerTypeId": 1}
WRITEBACK = {"triggerId": 31, "triggerTypeId": 1}
NEW_GROUP = {
    "parentBusinessNumber": SMB,
    "integrationGroupProperties": [PRACTICE, TYPES],
    "integrationSourceId": 22,
    "integrationGroupTriggers": [FULFILLED],
}
NEW_MAPPING = {
    "businessNumber": DOWNTOWN,
    "active": True,
    "integrationGroupId": 150,
    "integrationProperties": [{"propertyKey": "location.name", "propertyValue": "Dermatology|Oncology"}],
}
NEXTECH = {"id": 22, "integrationSource": "NEXTECH", "sourceCategory": "Healthcare", "oauthEnabled": False}


def send(app: App, method: str, path: str, body: object = None, **query: str) -> Response:
    data = b"" if body is None else json.dumps(body).encode()
    return app(Request(method, path, tuple(query.items()), {"content-type": "application/json"}, data))


def answer(app: App, method: str, path: str, body: object = None, **query: str) -> Any:
    response = send(app, method, path, body, **query)
    assert response.status == 200, response.body
    return json.loads(response.body)


def refusal(app: App, method: str, path: str, body: object = None, **query: str) -> tuple[int, int, str]:
    response = send(app, method, path, body, **query)
    value = json.loads(response.body)
    return response.status, value["code"], value["message"]


@pytest.fixture
def app() -> App:
    return App(SandboxOptions(dialect="rich"))


def test_the_catalogue_lists_the_triggers_of_one_source(app: App) -> None:
    found = answer(app, "GET", "/integration/trigger/integrationtriggers/sourceid/22")
    assert found[0] == {
        "id": 24,
        "integrationSourceId": 22,
        "triggerService": "nextechFulfilledAppointmentTrigger",
        "displayName": "Nextech Fulfilled Appointment Trigger",
        "description": "Checks in the patients of fulfilled appointments",
        "active": True,
        "integrationSourceName": "Nextech",
        "integrationTriggerType": [{"id": 1, "name": "JOB"}],
    }
    assert [(it["id"], it["active"]) for it in found] == [(24, True), (31, True), (38, True), (19, False)]
    assert answer(app, "GET", "/integration/trigger/integrationtriggers/sourceid/99") == []


def test_a_new_group_is_listed_with_what_it_was_given(app: App) -> None:
    assert answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP) == {"groupId": 150}
    assert answer(app, "GET", f"/integration/businessintegrationgroup/{SMB}") == [
        {
            "groupId": 150,
            "integrationSourceType": NEXTECH,
            "integrationGroupTriggers": [FULFILLED],
            "integrationGroupProperties": [PRACTICE | {"propertyValue": "********"}, TYPES],
            "businessIntegrationMappings": [],
        }
    ]


def test_adding_a_group_twice_makes_two_groups(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    groups = answer(app, "GET", f"/integration/businessintegrationgroup/{SMB}")
    assert [it["groupId"] for it in groups] == [150, 151]


def test_triggers_are_replaced_or_added_to(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    body = {"groupId": 150, "integrationGroupTriggers": [WRITEBACK]}
    seen = []
    for replaces in ("false", "false", "true"):
        answer(app, "POST", "/integration/update/businessintegrationgroup", body, replaceTriggers=replaces)
        seen.append([trigger for trigger, _ in app.world.groups[150].triggers])
    assert seen == [[24, 31], [24, 31], [31]]


def test_group_properties_are_upserted_by_key(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    body = {"groupId": 150, "integrationGroupProperties": [TYPES | {"propertyValue": "Surgery"}]}
    answer(app, "POST", "/integration/update/businessintegrationgroup", body, replaceTriggers="false")
    group = app.world.groups[150]
    assert [(it.key, it.value) for it in group.properties] == [("practice.id", NORTH), ("appointment.types", "Surgery")]
    assert group.triggers == ((24, 1),)


def test_a_second_mapping_of_a_pair_replaces_flag_and_properties(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    answer(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING)
    bare = {"businessNumber": DOWNTOWN, "active": False, "integrationGroupId": 150}
    answer(app, "PUT", "/integration/add/businessintegrationmapping", bare)
    shown = {
        "businessNumber": DOWNTOWN,
        "integrationGroupId": 150,
        "active": False,
        "integrationProperties": [],
        "status": "INACTIVE",
        "frequency": "1d",
        "nextRunTime": None,
    }
    assert answer(app, "GET", f"/integration/businessintegrationmapping/{DOWNTOWN}") == [shown]
    assert answer(app, "GET", f"/integration/businessintegrationgroup/{SMB}")[0]["businessIntegrationMappings"] == [
        shown
    ]


def test_a_mapping_to_another_group_is_another_mapping(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    answer(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING)
    answer(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING | {"integrationGroupId": 151})
    found = answer(app, "GET", f"/integration/businessintegrationmapping/{DOWNTOWN}")
    assert [(it["integrationGroupId"], it["active"]) for it in found] == [(150, True), (151, True)]


def test_nothing_can_be_deleted(app: App) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    assert send(app, "DELETE", f"/integration/businessintegrationgroup/{SMB}").status == 405
    assert send(app, "DELETE", "/integration/add/businessintegrationgroup").status == 405
    assert list(app.world.groups) == [150]


def test_look_ups_know_the_names_behind_a_practice_id(app: App) -> None:
    query = {"practiceId": EYE_WEST, "nextechNewVersion": "false"}
    assert answer(app, "GET", "/nextech/locations", **query) == [
        {"id": "41", "name": "West Eye Clinic"},
        {"id": "42", "name": "West Surgery Center"},
    ]
    assert answer(app, "GET", "/nextech/practitioners", **query) == [{"id": "431", "name": "Gil Example"}]


def test_look_ups_in_the_other_product_find_nothing(app: App) -> None:
    assert answer(app, "GET", "/nextech/locations", practiceId=SKIN, nextechNewVersion="true") == []


def test_a_look_up_for_a_business_checks_its_configured_names(app: App) -> None:
    query = {"practiceId": SKIN, "businessNumber": str(DOWNTOWN)}
    assert refusal(app, "GET", "/nextech/locations", **query) == (400, 4009, f"Business {DOWNTOWN} is not set up")
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    answer(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING)
    assert len(answer(app, "GET", "/nextech/locations", **query)) == 5
    wrong = {"propertyKey": "location.name", "propertyValue": "Dermatology|Onkology"}
    answer(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING | {"integrationProperties": [wrong]})
    message = "configured locations do not exist in nextech: Onkology"
    assert refusal(app, "GET", "/nextech/locations", **query) == (400, 4010, message)


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


BAD_GROUPS: list[tuple[object, str]] = [
    ([], "The body is not a JSON object"),
    (without(NEW_GROUP, "parentBusinessNumber"), "parentBusinessNumber is missing"),
    (without(NEW_GROUP, "integrationSourceId"), "integrationSourceId is missing"),
    (NEW_GROUP | {"parentBusinessNumber": str(SMB)}, "parentBusinessNumber must be a whole number"),
    (NEW_GROUP | {"parentBusinessNumber": True}, "parentBusinessNumber must be a whole number"),
    (NEW_GROUP | {"parentBusinessNumber": 7}, "Business 7 does not exist"),
    (NEW_GROUP | {"integrationSourceId": 23}, "Integration source 23 does not exist"),
    (NEW_GROUP | {"integrationGroupTriggers": {}}, "integrationGroupTriggers must be a list of objects"),
    (NEW_GROUP | {"integrationGroupTriggers": [{"triggerId": 24}]}, "triggerTypeId is missing"),
    (
        NEW_GROUP | {"integrationGroupTriggers": [{"triggerId": 5, "triggerTypeId": 1}]},
        "Trigger 5 does not exist for source 22",
    ),
    (NEW_GROUP | {"integrationGroupTriggers": [{"triggerId": 19, "triggerTypeId": 1}]}, "Trigger 19 is not active"),
    (NEW_GROUP | {"integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 2}]}, "Trigger 24 has no type 2"),
    (NEW_GROUP | {"integrationGroupTriggers": [FULFILLED] * 2}, "integrationGroupTriggers names a trigger twice"),
    (
        NEW_GROUP | {"integrationGroupProperties": [{"propertyKey": "a", "propertyValue": 1}]},
        "integrationGroupProperties: propertyValue must be a string",
    ),
    (
        NEW_GROUP | {"integrationGroupProperties": [{"propertyValue": "x"}]},
        "integrationGroupProperties: propertyKey must be a string",
    ),
    (
        NEW_GROUP | {"integrationGroupProperties": [PRACTICE | {"isSecure": "true"}]},
        "integrationGroupProperties: isSecure must be true or false",
    ),
    (
        NEW_GROUP | {"integrationGroupProperties": [TYPES, TYPES]},
        "integrationGroupProperties: a propertyKey stands there twice",
    ),
]


@pytest.mark.parametrize(("body", "message"), BAD_GROUPS, ids=range(len(BAD_GROUPS)))
def test_a_group_that_cannot_be_is_refused_and_not_stored(app: App, body: object, message: str) -> None:
    status, _, said = refusal(app, "PUT", "/integration/add/businessintegrationgroup", body)
    assert (status, said) == (400, message)
    assert app.world.groups == {}
    assert [it.committed for it in app.world.history] == [False]


BAD_MAPPINGS: list[tuple[dict[str, Any], str]] = [
    (without(NEW_MAPPING, "businessNumber"), "businessNumber is missing"),
    (without(NEW_MAPPING, "active"), "active is missing"),
    (without(NEW_MAPPING, "integrationGroupId"), "integrationGroupId is missing"),
    (NEW_MAPPING | {"active": "true"}, "active must be true or false"),
    (NEW_MAPPING | {"businessNumber": 7}, "Business 7 does not exist"),
    (NEW_MAPPING | {"integrationGroupId": 99}, "Integration group 99 does not exist"),
    (NEW_MAPPING | {"integrationProperties": None}, "integrationProperties must be a list of objects"),
]


@pytest.mark.parametrize(("body", "message"), BAD_MAPPINGS, ids=range(len(BAD_MAPPINGS)))
def test_a_mapping_that_cannot_be_is_refused_and_not_stored(app: App, body: dict[str, Any], message: str) -> None:
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    status, _, said = refusal(app, "PUT", "/integration/add/businessintegrationmapping", body)
    assert (status, said) == (400, message)
    assert app.world.mappings == {}


def test_other_bad_requests_get_a_code_and_a_message(app: App) -> None:
    update = "/integration/update/businessintegrationgroup"
    assert refusal(app, "POST", update, {"groupId": 9}) == (400, 4006, "Integration group 9 does not exist")
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    missing = "integrationGroupTriggers is missing, and replaceTriggers is true"
    assert refusal(app, "POST", update, {"groupId": 150}, replaceTriggers="true") == (400, 4008, missing)
    flag = "replaceTriggers must be true or false"
    assert refusal(app, "POST", update, {"groupId": 150}, replaceTriggers="yes") == (400, 4000, flag)
    digits = "The business number must be a whole number"
    assert refusal(app, "GET", "/integration/businessintegrationgroup/x1") == (400, 4000, digits)
    gone = "Business 7 does not exist"
    assert refusal(app, "GET", "/integration/businessintegrationgroup/7") == (404, 4040, gone)
    assert refusal(app, "GET", "/integration/businessintegrationmapping/7") == (404, 4040, gone)
    assert refusal(app, "GET", "/nextech/locations") == (400, 4011, "practiceId is missing")
    unknown = "Nextech does not know this practice id"
    assert refusal(app, "GET", "/nextech/practitioners", practiceId="x") == (400, 4012, unknown)
    assert refusal(app, "GET", "/integration/elsewhere") == (404, 404, "No such path")
    assert refusal(app, "GET", "/elsewhere") == (404, 404, "No such path")
    broken = Request("PUT", "/integration/add/businessintegrationgroup", (), {"content-type": "application/json"}, b"{")
    assert json.loads(app(broken).body) == {"code": 4000, "message": "The body is not JSON"}
    form = Request("PUT", "/integration/add/businessintegrationgroup", (), {"content-type": "text/plain"}, b"{}")
    assert app(form).status == 415


def test_a_read_only_token_reads_and_does_not_write() -> None:
    app = App(SandboxOptions(token="writer-token", read_only_token="reader-token"))
    path = f"/integration/businessintegrationgroup/{SMB}"

    def status(method: str, where: str, token: str) -> int:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        return app(Request(method, where, (), headers, json.dumps(NEW_GROUP).encode())).status

    assert [status("GET", path, it) for it in ("writer-token", "reader-token", "other")] == [200, 200, 401]
    add = "/integration/add/businessintegrationgroup"
    assert [status("PUT", add, it) for it in ("reader-token", "other", "writer-token")] == [403, 401, 200]
    assert len(app.world.groups) == 1


def test_a_token_may_stand_in_a_named_header() -> None:
    app = App(SandboxOptions(token="writer-token", token_header="X-Token"))
    path = f"/integration/businessintegrationgroup/{SMB}"
    assert app(Request("GET", path, (), {"x-token": "writer-token"})).status == 200
    assert app(Request("GET", path, (), {"authorization": "Bearer writer-token"})).status == 401


def test_the_history_keeps_requests_in_the_order_of_their_effect(app: App) -> None:
    answer(app, "GET", f"/integration/businessintegrationgroup/{SMB}")
    answer(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    refusal(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING | {"integrationGroupId": 1})
    assert [(it.number, it.method, it.endpoint, it.status, it.committed) for it in app.world.history] == [
        (0, "GET", "G", 200, False),
        (1, "PUT", "G+", 200, True),
        (2, "PUT", "M+", 400, False),
    ]
    assert app.world.history[1].body == NEW_GROUP

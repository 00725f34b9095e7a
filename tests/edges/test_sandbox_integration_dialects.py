"""Every freedom of the integration API that its description leaves open, as one option of the dialect."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.sandbox.app import App
from reconciler.sandbox.dialects import DOCUMENTED, RICH, Dialect, dialect
from reconciler.sandbox.http import Request, Response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import BONES

SMB = 100000000000001
G = f"/integration/businessintegrationgroup/{SMB}"
MG = f"/integration/businessintegrationmapping/{SMB}"
PRACTICE = {"propertyKey": "practice.id", "propertyValue": "made-up", "isSecure": True}
TYPES = {"propertyKey": "appointment.types", "propertyValue": " Surgery | Procedure"}
STATUSES = {"propertyKey": "appointment.status", "propertyValue": "fulfilled,completed"}
NEW_GROUP = {
    "parentBusinessNumber": SMB,
    "integrationGroupProperties": [PRACTICE, TYPES],
    "integrationSourceId": 22,
    "integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 1}],
}
DELAY = {"propertyKey": "customer.fetch.delay", "propertyValue": "2"}
NEW_MAPPING = {"businessNumber": SMB, "active": True, "integrationGroupId": 150, "integrationProperties": [DELAY]}


def send(app: App, method: str, path: str, body: object = None, **query: str) -> Response:
    data = b"" if body is None else json.dumps(body).encode()
    return app(Request(method, path, tuple(query.items()), {"content-type": "application/json"}, data))


def read(app: App, path: str, **query: str) -> Any:
    return json.loads(send(app, "GET", path, **query).body)


def onboarded(*settings: str, name: str = "rich") -> App:
    app = App(SandboxOptions(dialect=name, settings=settings))
    assert send(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP).status < 300
    assert send(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING).status < 300
    return app


def values(app: App) -> dict[str, str]:
    return {it.key: it.value for it in app.world.groups[150].properties}


def test_the_documented_dialect_shows_only_what_the_manual_prints() -> None:
    app = onboarded(name="documented")
    assert read(app, G) == [
        {
            "groupId": 150,
            "integrationSourceType": {
                "id": 22,
                "integrationSource": "NEXTECH",
                "sourceCategory": "Healthcare",
                "oauthEnabled": False,
            },
            "integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 1}],
        }
    ]
    assert send(app, "GET", MG).status == 404
    assert send(app, "GET", "/integration/businessintegrationmapping/anything").status == 404
    answer = send(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING)
    assert json.loads(answer.body) == {"message": "success"}


@pytest.mark.parametrize(
    ("how", "status", "body"),
    [
        ("integer", 200, b"150"),
        ("groupId", 200, b'{"groupId": 150}'),
        ("id", 200, b'{"id": 150}'),
        ("empty", 200, b""),
        ("no_content", 204, b""),
    ],
)
def test_a_create_answers_as_told(how: str, status: int, body: bytes) -> None:
    app = App(SandboxOptions(settings=(f"create_answer={how}",)))
    answer = send(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    assert (answer.status, answer.body) == (status, body)
    assert list(app.world.groups) == [150]


def test_a_create_may_answer_the_whole_group() -> None:
    app = App(SandboxOptions(settings=("create_answer=group",)))
    answer = send(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    assert [json.loads(answer.body)] == read(app, G)


@pytest.mark.parametrize(("how", "length"), [("object", 100), ("message", 22), ("empty", 0)])
def test_other_writes_answer_as_told(how: str, length: int) -> None:
    app = onboarded(f"write_answer={how}")
    for method, path, body in (
        ("PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING),
        ("POST", "/integration/update/businessintegrationgroup", {"groupId": 150}),
    ):
        found = len(send(app, method, path, body).body)
        assert found == length or (how == "object" and found > length)


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("absent", [{"propertyKey": "practice.id", "isSecure": True}]),
        ("null", [PRACTICE | {"propertyValue": None}]),
        ("masked", [PRACTICE | {"propertyValue": "********"}]),
        ("plain", [PRACTICE]),
        ("omitted", []),
    ],
)
def test_secure_values_are_shown_as_told(how: str, shown: list[object]) -> None:
    assert read(onboarded(f"secure_values={how}"), G)[0]["integrationGroupProperties"] == [*shown, TYPES]


def test_null_members_may_be_left_out() -> None:
    app = onboarded("secure_values=null", "drops_nulls=true")
    assert read(app, G)[0]["integrationGroupProperties"] == [{"propertyKey": "practice.id", "isSecure": True}, TYPES]


def test_members_of_a_group_and_of_a_mapping_can_be_hidden() -> None:
    app = onboarded("group_properties=false", "group_mappings=false")
    assert list(read(app, G)[0]) == ["groupId", "integrationSourceType", "integrationGroupTriggers"]
    app = onboarded("mapping_properties=false", "mapping_status=false")
    shown = [{"businessNumber": SMB, "integrationGroupId": 150, "active": True}]
    assert read(app, MG) == read(app, G)[0]["businessIntegrationMappings"] == shown


def test_the_mapping_path_may_refuse_the_method_or_not_exist() -> None:
    assert [send(onboarded(f"mapping_endpoint={it}"), "GET", MG).status for it in ("on", "404", "405")] == [
        200,
        404,
        405,
    ]


def test_a_second_mapping_may_merge_properties() -> None:
    app = onboarded("mapping_put=merges")
    more = NEW_MAPPING | {"integrationProperties": [STATUSES]}
    send(app, "PUT", "/integration/add/businessintegrationmapping", more)
    assert read(app, MG)[0]["integrationProperties"] == [DELAY, STATUSES]


@pytest.mark.parametrize(
    ("how", "status", "keys"),
    [
        ("upserts", 200, ["practice.id", "appointment.types", "appointment.status"]),
        ("replaces", 200, ["appointment.status"]),
        ("ignores", 200, ["practice.id", "appointment.types"]),
        ("rejects", 400, ["practice.id", "appointment.types"]),
    ],
)
def test_an_update_treats_properties_as_told(how: str, status: int, keys: list[str]) -> None:
    app = onboarded(f"group_post={how}")
    body = {"groupId": 150, "integrationGroupProperties": [STATUSES]}
    assert send(app, "POST", "/integration/update/businessintegrationgroup", body).status == status
    assert list(values(app)) == keys


def test_a_business_without_a_group_may_be_404() -> None:
    app = App(SandboxOptions(settings=("no_groups=404",)))
    assert json.loads(send(app, "GET", G).body)["code"] == 4041
    assert read(App(), G) == []


@pytest.mark.parametrize(
    ("how", "reads", "writes"), [("404", 404, 400), ("400", 400, 400), ("empty", 200, 400), ("accepted", 200, 200)]
)
def test_an_unknown_business_is_treated_as_told(how: str, reads: int, writes: int) -> None:
    app = App(SandboxOptions(settings=(f"unknown_business={how}",)))
    assert send(app, "GET", "/integration/businessintegrationgroup/7").status == reads
    body = NEW_GROUP | {"parentBusinessNumber": 7}
    assert send(app, "PUT", "/integration/add/businessintegrationgroup", body).status == writes


def test_numbers_may_be_strings_and_the_reverse() -> None:
    strings = read(onboarded("numbers=strings"), G)[0]
    assert strings["groupId"] == "150"
    assert strings["integrationSourceType"]["id"] == "22"
    assert strings["integrationSourceType"]["oauthEnabled"] is False
    assert strings["integrationGroupTriggers"] == [{"triggerId": "24", "triggerTypeId": "1"}]
    mapping = read(onboarded("numbers=swapped"), MG)[0]
    assert (mapping["businessNumber"], mapping["integrationProperties"]) == (
        str(SMB),
        [{"propertyKey": "customer.fetch.delay", "propertyValue": 2}],
    )


def test_lists_may_come_in_any_order() -> None:
    def ids(how: str) -> list[int]:
        app = App(SandboxOptions(settings=(f"order={how}",), seed=3))
        return [it["id"] for it in read(app, "/integration/trigger/integrationtriggers/sourceid/22")]

    assert ids("kept") == [24, 31, 38, 19]
    assert ids("reversed") == [19, 38, 31, 24]
    assert sorted(ids("shuffled")) == [19, 24, 31, 38]
    assert ids("shuffled") == ids("shuffled")
    assert ids("shuffled") != ids("kept")


def test_small_freedoms_of_the_shape() -> None:
    assert read(onboarded("trigger_type_ids=false"), G)[0]["integrationGroupTriggers"] == [{"triggerId": 24}]
    assert read(onboarded("insecure_flags=true"), G)[0]["integrationGroupProperties"][1] == TYPES | {"isSecure": False}
    assert read(onboarded("source_case=title"), G)[0]["integrationSourceType"]["integrationSource"] == "Nextech"
    extra = read(onboarded("extra_members=true"), G)[0]
    assert (extra["revision"], extra["integrationGroupTriggers"][0]["links"]) == (1, {"self": None})


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("objects", [{"id": "51", "name": "Main Campus"}]),
        ("numbers", [{"id": 51, "name": "Main Campus"}]),
        ("strings", ["Main Campus"]),
        ("wrapped", {"total": 1, "locations": [{"id": "51", "name": "Main Campus"}]}),
    ],
)
def test_look_ups_answer_in_the_shape_told(how: str, shown: object) -> None:
    app = App(SandboxOptions(settings=(f"look_up_shape={how}",)))
    assert read(app, "/nextech/locations", practiceId=BONES) == shown


def test_stored_values_may_be_normalised() -> None:
    assert values(onboarded())["appointment.types"] == " Surgery | Procedure"
    assert values(onboarded("trims=true"))["appointment.types"] == "Surgery|Procedure"
    assert values(onboarded("trims=true", "sorts_items=true"))["appointment.types"] == "Procedure|Surgery"


def test_empty_values_may_vanish() -> None:
    body = {"groupId": 150, "integrationGroupProperties": [TYPES | {"propertyValue": ""}]}
    for setting, kept in (("false", ["practice.id", "appointment.types"]), ("true", ["practice.id"])):
        app = onboarded(f"drops_empty={setting}")
        send(app, "POST", "/integration/update/businessintegrationgroup", body)
        assert list(values(app)) == kept


@pytest.mark.parametrize(("how", "kind"), [("json", "application/json"), ("text", "text/plain"), ("html", "text/html")])
def test_errors_come_as_told(how: str, kind: str) -> None:
    answer = send(App(SandboxOptions(settings=(f"errors={how}",))), "GET", "/integration/businessintegrationgroup/7")
    assert answer.status == 404
    assert dict(answer.headers)["Content-Type"].startswith(kind)


def test_reads_may_lag_writes() -> None:
    clock = [1000.0]
    app = App(SandboxOptions(dialect="rich", settings=("read_lag_seconds=3",)), now=lambda: clock[0])
    send(app, "PUT", "/integration/add/businessintegrationgroup", NEW_GROUP)
    clock[0] += 2.0
    send(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING)
    send(app, "PUT", "/integration/add/businessintegrationmapping", NEW_MAPPING | {"active": False})
    assert (read(app, G), read(app, MG)) == ([], [])
    clock[0] += 1.0
    assert [(it["groupId"], it["businessIntegrationMappings"]) for it in read(app, G)] == [(150, [])]
    clock[0] += 2.0
    assert [it["active"] for it in read(app, MG)] == [False]
    with app.world.lock:
        app.world.delete_group(150)
    assert [it["groupId"] for it in read(app, G)] == [150]
    clock[0] += 3.0
    assert read(app, G) == []


def test_a_setting_that_does_not_exist_is_refused() -> None:
    assert (dialect("documented"), dialect("rich")) == (DOCUMENTED, RICH)
    for wrong in ("nothing=1", "trims", "trims=1", "numbers=words", "read_lag_seconds=-1", "read_lag_seconds=61"):
        with pytest.raises(UsageError, match=f"--set {wrong}"):
            RICH.set(wrong)
    with pytest.raises(UsageError, match="--dialect plain"):
        dialect("plain")


def test_every_option_of_the_dialect_is_exercised_here() -> None:
    text = Path(__file__).read_text()
    assert [it.name for it in dataclasses.fields(Dialect) if f"{it.name}=" not in text] == []

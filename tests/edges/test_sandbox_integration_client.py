"""The tool's own client meets every dialect of the sandbox; the two share no code, so agreement means something."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from reconciler import errors
from reconciler.clients.integrations import IntegrationsClient, MappingsUnobservable
from reconciler.clients.transport import Transport
from reconciler.core.live import Property
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import NORTH, SKIN
from reconciler.sandbox.server import Server, serve

SMB = 100000000000001
PRACTICE = Property("practice.id", NORTH, secure=True)
TYPES = Property("appointment.types", "Procedure|Surgery")
NAMES = Property("location.name", "Dermatology|Oncology")

SETTINGS = [
    (),
    *((f"create_answer={it}",) for it in ("integer", "groupId", "id", "group", "empty", "no_content")),
    *((f"write_answer={it}",) for it in ("object", "message", "empty")),
    *((f"secure_values={it}",) for it in ("absent", "null", "masked", "plain", "omitted")),
    *((f"numbers={it}",) for it in ("strings", "swapped")),
    *((f"order={it}",) for it in ("reversed", "shuffled")),
    ("trigger_type_ids=false",),
    ("insecure_flags=true",),
    ("extra_members=true",),
    ("source_case=lower",),
    ("drops_nulls=true", "secure_values=null"),
    ("mapping_status=false", "mapping_properties=false"),
    ("group_properties=false", "group_mappings=false"),
    ("mapping_endpoint=404",),
    ("mapping_endpoint=405",),
    ("no_groups=404",),
]


@contextmanager
def met(
    *settings: str, dialect: str = "rich", faults: tuple[str, ...] = ()
) -> Iterator[tuple[Server, IntegrationsClient]]:
    options = SandboxOptions(dialect=dialect, settings=settings, faults=faults)
    with (
        serve(options) as sandbox,
        Transport(
            base_url=sandbox.url,
            allowed_hosts=frozenset({"127.0.0.1"}),
            now=time.monotonic,
            wall=lambda: datetime.now(UTC),
            sleep=lambda _: None,
            jitter=random.random,
            deadline_seconds=4.0,
        ) as transport,
    ):
        yield sandbox, IntegrationsClient(transport)


def shown(properties: tuple[Property, ...] | None) -> dict[str, str | None] | None:
    return None if properties is None else {it.key: it.value for it in properties if not it.secure}


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda it: " ".join(it) or "plain")
def test_the_client_reads_what_it_wrote_in_every_dialect(dialect: str, settings: tuple[str, ...]) -> None:
    with met(*settings, dialect=dialect) as (sandbox, client):
        assert client.groups(SMB) in ((), None)
        assert [(it.id, it.active) for it in client.triggers()] == [(19, False), (24, True), (31, True), (38, True)]
        created = client.create_group(SMB, properties=[PRACTICE, TYPES], triggers=[(24, 1)])
        silent = sandbox.app.dialect.create_answer in ("empty", "no_content")
        assert created == (None if silent else 150)
        client.put_mapping(SMB, 150, True, [NAMES])
        client.update_group(150, triggers=[(24, 1), (31, 1)])
        groups = client.groups(SMB)
        assert groups is not None
        assert [(it.group_id, it.source_id, it.triggers) for it in groups] == [(150, 22, (24, 31))]
        assert shown(groups[0].properties) in (None, {"appointment.types": "Procedure|Surgery"})
        try:
            mappings = client.mappings(SMB)
        except MappingsUnobservable:
            assert sandbox.app.dialect.mapping_endpoint in ("404", "405")
        else:
            assert [(it.business, it.group_id, it.active) for it in mappings] == [(SMB, 150, True)]
            assert shown(mappings[0].properties) in (None, {"location.name": "Dermatology|Oncology"})


@pytest.mark.parametrize("shape", ["objects", "strings", "wrapped", "numbers"])
def test_the_client_reads_look_ups_of_every_shape(shape: str) -> None:
    with met(f"look_up_shape={shape}") as (_, client):
        names = [it.name for it in client.locations(SKIN)]
        assert names == ["Cosmetic Center", "Dermatology", "Lakeside", "Oncology", "Warehouse"]
        assert [it.name for it in client.practitioners(SKIN)] == ["Cleo Example", "Dov Example", "Eva Example"]


@pytest.mark.parametrize("kind", ["502-after-commit", "reset-after-commit", "html", "error-object", "503", "reset"])
def test_a_create_with_an_unknown_outcome_is_sent_once(kind: str) -> None:
    with met(faults=(f"G+:1:{kind}",)) as (sandbox, client):
        with pytest.raises(errors.Unknown):
            client.create_group(SMB, properties=[PRACTICE], triggers=[(24, 1)])
        assert [it.endpoint for it in sandbox.app.world.history] == ["G+"]


@pytest.mark.parametrize("kind", ["html", "truncated", "null", "error-object", "302"])
def test_an_answer_that_is_none_is_an_error(kind: str) -> None:
    with met(faults=(f"G:*:{kind}",)) as (_, client), pytest.raises(errors.RemoteError):
        client.groups(SMB)


def test_a_secret_that_a_careless_server_repeats_is_not_shown() -> None:
    with met(faults=("G+:1:echo",)) as (_, client):
        with pytest.raises(errors.RemoteError) as caught:
            client.create_group(SMB, properties=[PRACTICE], triggers=[(24, 1)])
        assert NORTH not in str(caught.value) + repr(vars(caught.value))

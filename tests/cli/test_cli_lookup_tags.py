"""``lookup tags``: what check-ins carry, and the values that contacts already sent took; nothing of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.core import tags
from reconciler.core.model import Group
from reconciler.core.sources import nextech
from reconciler.store import tags_seen
from reconciler.store.database import open_store
from tests.syncing import PARENT, SLUG, START, Bench, bench

HERE, THERE = PARENT + 1, PARENT + 2
ALL_DEFAULT = list(nextech.CAMPAIGN_TAGS)


@pytest.fixture
def it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations").mkdir()
    monkeypatch.setenv("RECONCILER_STORE", f"sqlite:///{tmp_path}/store.db")
    with bench(tmp_path) as made:
        yield made


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(["lookup", "tags", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def sent(it: Bench) -> None:
    """Three contacts of one location, one of another."""
    it.put(
        HERE,
        THERE,
        locations={HERE: {"wire": {"location.name": "Downtown"}}, THERE: {"wire": {"location.name": "Midtown"}}},
    )
    it.book("2026-11-23", 8)
    it.book("2026-11-23", 9)
    it.book("2026-11-23", 10, kind=1)
    it.book("2026-11-23", 11, kind=1, place=1)
    assert sum(one.counts.sent for one in it.sync().locations) == 4


def test_without_a_business_the_tags_are_named_with_what_they_say(
    capsys: pytest.CaptureFixture[str], it: Bench
) -> None:
    code, out, err = run(capsys)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "What check-ins can carry; name a business for the values that its contacts took",
        "  tag                      sent              says",
        "  appointment.status       yes               the visit's status, or the custom one",
        "  appointment.types        yes               the visit's types",
        "  appointment.purpose      yes               the visit's purposes",
        "  city                     yes               where the patient lives",
        "  state                    yes               where the patient lives",
        "  general.practitioner     yes               who the patient's general practitioner is",
        "  primary.care.physician   yes               who the patient's primary care physician is",
        "  patient.last.updated     yes               when the patient's record changed last",
        "  patient.type             yes               the patient's types",
        "  exclude.from.mailings    yes               does the patient take no mailings? true or false",
        "  appointment.comment      only where named  what somebody wrote about the visit",
        "  appointment.description  only where named  what somebody wrote about the visit",
        "  date.of.birth            only where named  when the patient was born",
        "  ethnicity                only where named  the patient's ethnicity",
    ]


def test_the_values_seen_in_contacts_already_sent_are_counted(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    sent(it)
    code, out, err = run(capsys, SLUG)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{SLUG} ({PARENT}): in force, revision 1"
    seen = lines[lines.index("values seen in contacts already sent:") + 1 :]
    assert "  appointment.status     fulfilled          4 contacts  last 2026-11-24" in seen
    assert "  appointment.types      Follow Up          2 contacts  last 2026-11-24" in seen
    assert "  appointment.types      Surgery            2 contacts  last 2026-11-24" in seen
    assert lines[-1] == (
        "sent, and of a person, so kept nowhere: city, state, general.practitioner, primary.care.physician, "
        "patient.last.updated"
    )


def test_of_a_location_its_own_contacts_are_counted(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    sent(it)
    code, out, _ = run(capsys, str(THERE), "--output", "json")
    found = json.loads(out)
    assert (code, found["kind"], found["what"], found["basis"]) == (0, "lookup", "tags", "in force")
    assert (found["business"], found["slug"], found["locations"]) == (THERE, SLUG, [THERE])
    types = next(one for one in found["tags"] if one["tag"] == "appointment.types")
    assert types == {
        "tag": "appointment.types",
        "says": "the visit's types",
        "sent": "yes",
        "kept": True,
        "values": [{"value": "Surgery", "contacts": 1, "last": "2026-11-24"}],
    }


def test_values_of_people_are_kept_nowhere_even_where_they_are_sent(
    it: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    it.put(campaign_tags=["appointment.types", "city", "date.of.birth", "appointment.comment"])
    it.book("2026-11-23")
    assert it.one().counts.sent == 1
    params = it.deliveries[0].body["additionalParams"]
    assert params["city"]
    assert params["date.of.birth"]
    out = run(capsys, SLUG, "--output", "json")[1]
    for one in json.loads(out)["tags"]:
        assert one["kept"] == (one["tag"] in tags.KEPT)
        assert not one["values"] or one["kept"]
    assert [one["tag"] for one in json.loads(out)["tags"] if one["values"]] == ["appointment.types"]
    assert params["city"] not in out
    assert params["date.of.birth"] not in out
    with it.store.read() as connection:
        assert set(tags_seen.of(connection, HERE)) == {"appointment.types"}


def test_yaml_can_be_pasted_and_says_what_is_sent_now(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert yaml.safe_load(run(capsys, "--output", "yaml")[1]) == {"campaign_tags": ALL_DEFAULT}
    it.put(campaign_tags=["city", "appointment.types"])
    pasted = yaml.safe_load(run(capsys, SLUG, "--output", "yaml")[1])
    assert pasted == {"campaign_tags": ["appointment.types", "city"]}
    assert Group.model_validate_json(json.dumps(pasted)).campaign_tags == ("appointment.types", "city")


def test_tags_that_were_emptied_are_none(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    it.put(campaign_tags=[])
    assert run(capsys, SLUG, "--output", "yaml")[1] == "campaign_tags: []\n"


def test_a_declaration_that_was_never_applied_says_so(
    it: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "integrations" / "example-new.yaml").write_text(
        "version: 1\nbusiness: 100000000000900\nsource: nextech\ntriggers: [nextechFulfilledAppointmentTrigger]\n"
        "group:\n  practice_id: env:RECONCILER_SECRET_NEW\n  campaign_tags: [city]\n"
        "locations:\n  - business: 100000000000900\n    time_zone: America/New_York\n"
    )
    code, out, _ = run(capsys, "example-new")
    assert code == 0
    assert out.splitlines()[0] == "example-new (100000000000900): declared, not in force yet"
    assert "  city                     yes               where the patient lives" in out
    assert out.splitlines()[-2:] == ["  none", "sent, and of a person, so kept nowhere: city"]


def test_a_business_that_nobody_knows_is_wrong_usage(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "100000000000999") == (
        64,
        "",
        "error: no declaration has the business or slug 100000000000999\n",
    )
    assert run(capsys, "nobody")[0] == 64


def test_a_hostile_value_acts_on_no_terminal(it: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    it.put()
    with it.store.begin() as connection:
        tags_seen.add(connection, HERE, {("appointment.types", "Bo\x1b[31mtox\u202e"): 1}, now=START)
    for form in ("text", "json", "yaml"):
        out = run(capsys, SLUG, "--output", form)[1]
        assert "\x1b" not in out
        assert "\u202e" not in out


def test_a_store_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations").mkdir()
    assert run(capsys)[0] == 0
    assert run(capsys, "nobody")[0] == 64
    assert not (tmp_path / ".reconciler").exists()


seen_values = st.dictionaries(
    st.tuples(st.sampled_from(sorted(tags.KEPT)), st.text(max_size=5)), st.integers(1, 9), max_size=8
)


@given(st.lists(seen_values, max_size=4))
def test_counts_add_up_whatever_the_order_of_deliveries(parts: list[dict[tuple[str, str], int]]) -> None:
    known: tags.Seen = {}
    for one in parts:
        known = tags.with_more(known, one, "2026-11-24")
    backwards: tags.Seen = {}
    for one in reversed(parts):
        backwards = tags.with_more(backwards, one, "2026-11-24")
    assert known == backwards
    assert sum(count for values in known.values() for count, _ in values.values()) == sum(
        count for one in parts for count in one.values()
    )


def test_of_too_many_values_the_oldest_go() -> None:
    known: tags.Seen = {}
    for number in range(tags.MOST_VALUES + 50):
        day = f"2026-{1 + number // 28:02d}-{1 + number % 28:02d}"
        known = tags.with_more(known, {("appointment.types", f"Type {number}"): 1}, day)
    assert len(known["appointment.types"]) == tags.MOST_VALUES
    assert "Type 0" not in known["appointment.types"]
    assert f"Type {tags.MOST_VALUES + 49}" in known["appointment.types"]


def test_the_tags_are_those_of_the_contacts(tmp_path: Path) -> None:
    assert {it.name for it in tags.tags(None)} == {*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS}
    assert tags.vocabulary({"additionalParams": {"city": "Albany", "appointment.types": "Surgery"}}) == (
        ("appointment.types", "Surgery"),
    )
    assert tags.vocabulary({"name": "x"}) == ()
    with open_store(f"sqlite:///{tmp_path}/s.db", now=lambda: START, write=True) as store, store.read() as connection:
        assert tags_seen.of(connection, HERE) == {}

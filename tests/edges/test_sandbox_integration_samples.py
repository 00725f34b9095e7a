"""The sample declarations and the sandbox's practices describe the same made-up world."""

import re
from pathlib import Path

import pytest
import yaml

from reconciler.core.model import Declaration
from reconciler.sandbox import practices
from reconciler.sandbox.world import World

FOLDER = Path(__file__).parents[2] / "integrations"
SAMPLES = sorted(FOLDER.glob("*.yaml"))
PRACTICES = {it.practice_id: it for it in practices.PRACTICES}
ACCOUNTS = {it.slug: it for it in practices.ACCOUNTS}


def lists_as_tuples(value: object) -> object:
    if isinstance(value, list):
        return tuple(lists_as_tuples(it) for it in value)
    if isinstance(value, dict):
        return {key: lists_as_tuples(it) for key, it in value.items()}
    return value


def declaration(path: Path) -> Declaration:
    return Declaration.model_validate(lists_as_tuples(yaml.safe_load(path.read_text())))


def test_the_samples_are_the_seven_accounts() -> None:
    assert [it.stem for it in SAMPLES] == sorted(ACCOUNTS)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: it.stem)
def test_a_sample_declares_its_account(path: Path) -> None:
    declared, account = declaration(path), ACCOUNTS[path.stem]
    assert (declared.business, declared.name) == (account.business, account.name)
    assert [
        (it.business, it.time_zone, it.location_names or (), it.practitioner_ids or ()) for it in declared.locations
    ] == [(it.business, it.time_zone, it.location_names, it.practitioner_ids) for it in account.sites]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: it.stem)
def test_every_name_of_a_sample_is_known_to_its_practice(path: Path) -> None:
    declared, secrets = declaration(path), practices.sample_secrets()
    for location in declared.locations:
        reference = location.practice_id or declared.group.practice_id
        assert reference is not None
        practice = PRACTICES[secrets[reference.removeprefix("env:")]]
        words = practice.purposes if location.show_by == "purpose" else practice.appointment_types
        types = location.appointment_types or declared.group.appointment_types
        assert types is not None
        assert set(types) <= set(words)
        assert set(location.location_names or ()) <= {it.name for it in practice.locations}
        assert set(location.practitioner_ids or ()) <= {it.id for it in practice.practitioners}
        assert set(declared.group.custom_appointment_statuses or ()) <= set(practice.custom_statuses)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda it: it.stem)
def test_every_trigger_of_a_sample_is_active_in_the_catalogue(path: Path) -> None:
    active = {name for it in World().catalogue.values() if it.active for name in (it.service, it.display_name)}
    assert set(declaration(path).triggers or ()) <= active


def test_the_sample_secrets_are_exactly_the_references_of_the_samples() -> None:
    referred = {name for path in SAMPLES for name in re.findall(r"env:(RECONCILER_SECRET_\w+)", path.read_text())}
    assert referred == set(practices.sample_secrets())


def test_generated_practices_are_the_same_for_a_seed_and_differ_from_the_samples() -> None:
    first, second = practices.generated(50, seed=7), practices.generated(50, seed=7)
    assert first == second
    accounts, places = first
    numbers = [number for it in accounts for number in {it.business, *(site.business for site in it.sites)}]
    assert len(set(numbers)) == len(numbers)
    assert not {it.practice_id for it in places} & set(PRACTICES)
    world = World(practices=50, seed=7)
    assert all(world.knows_business(number) for number in numbers)

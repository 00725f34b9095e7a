"""Import against the sandbox: the plan of what was imported is empty, and no secret is ever written."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.core.live import Trigger
from reconciler.errors import SecretError
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.records import Group, Mapping, Property
from reconciler.sandbox.server import Server, serve
from reconciler.workflow import formatting, importing, planning
from tests.reconciling import SAMPLES, Reconciler

ZONE = "America/New_York"


@dataclass
class Importer:
    """Imports into the folder of a reconciler, as the command does."""

    it: Reconciler
    secrets: dict[str, str]

    def run(self, business: int, *, write: bool = True, **options: object) -> importing.Imported:
        (made,) = self.run_many({business: options}, write=write)
        return made

    def run_many(self, wanted: dict[int, dict[str, object]], *, write: bool = True) -> list[importing.Imported]:
        found: list[importing.Imported] = []
        with self.it.inputs(write=write) as inputs:
            context = importing.Context(
                client=inputs.client,
                loaded=inputs.loaded,
                recorded=planning.read_records(inputs.store),
                fingerprint=inputs.fingerprint,
                reveal=self.reveal,
                now=inputs.now,
                folder=self.it.folder,
            )
            catalogue: tuple[Trigger, ...] = inputs.client.triggers()
            for business, options in wanted.items():
                chosen = importing.Options(**{"time_zones": {None: ZONE}, **options})  # type: ignore[arg-type]
                made = importing.make(context, business, chosen, catalogue)
                if write:
                    importing.write_file(made)
                    importing.record(inputs.store, made, who="tester", run_url=None, commit=None)
                context = replace(context, loaded=importing.with_imported(context.loaded, made))
                found.append(made)
        return found

    def reveal(self, reference: str) -> str:
        try:
            return self.it.reveal(reference)
        except KeyError:
            raise SecretError(f"{reference} does not resolve") from None


def applied_samples(tmp_path: Path, server: Server) -> Reconciler:
    first = tmp_path / "first"
    shutil.copytree(SAMPLES, first)
    it = Reconciler(server.url, first, f"sqlite:///{tmp_path}/first.db")
    assert it.apply().exit_code == 0
    (tmp_path / "second").mkdir()
    return Reconciler(server.url, tmp_path / "second", f"sqlite:///{tmp_path}/second.db")


def wire(it: Reconciler) -> list[tuple[str, str, int]]:
    """Changes of the plan that would send something."""
    return [(one.kind, one.action, one.business) for one in it.plan().changes if one.kind != "runner"]


def knows(it: Reconciler, made: importing.Imported, server: Server) -> None:
    """Store the practice ids, as the printed commands would."""
    world = server.app.world
    for name in made.secrets:
        where = name.removeprefix(f"RECONCILER_SECRET_{made.slug.replace('-', '_').upper()}_").split("_")[0]
        holders = world.mappings_of(int(where)) if where.isdigit() else world.groups_of(made.business)
        values = [one.value for holder in holders for one in holder.properties if one.key == "practice.id"]
        it.secrets[name] = values[0] if values else "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("secure", ["masked", "plain", "null", "absent", "omitted"])
@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_the_plan_of_every_imported_sample_sends_nothing(tmp_path: Path, dialect: str, secure: str) -> None:
    with serve(SandboxOptions(dialect=dialect, settings=(f"secure_values={secure}",))) as server:
        it = applied_samples(tmp_path, server)
        for account in list(server.app.world.accounts.values()):
            named = tuple(site.business for site in account.sites) if dialect == "documented" else ()
            made = Importer(it, it.secrets).run(account.business, locations=named)
            knows(it, made, server)
            for secret in it.secrets.values():
                assert secret not in made.text
        plan = it.plan()
        assert (plan.changes, plan.objections, plan.manual, plan.unreadable) == ((), (), (), ())
        if dialect == "documented":
            assert plan.summary.unverified_fields > 0


def test_an_imported_business_comes_into_force_once_it_is_bundled(tmp_path: Path) -> None:
    with serve(SandboxOptions(dialect="rich")) as server:
        it = applied_samples(tmp_path, server)
        made = Importer(it, it.secrets).run(100000000000001, slug="north")
        knows(it, made, server)
        assert it.plan().changes == ()
        file = tmp_path / "second" / "north.yaml"
        file.write_text(made.text.replace("runner: platform", "runner: bundled"))
        plan = it.plan()
    assert {(one.kind, one.action) for one in plan.changes} == {("runner", "create")}
    assert any("two jobs text every patient twice" in one.text for one in plan.manual)


def test_an_import_is_in_the_house_order_with_defaults_left_out(tmp_path: Path) -> None:
    with serve(SandboxOptions(dialect="rich")) as server:
        it = applied_samples(tmp_path, server)
        made = Importer(it, it.secrets).run(100000000000100, slug="skin", write=False)
        (group,) = server.app.world.groups_of(100000000000100)
    assert made.text == (
        "# yaml-language-server: $schema=../integration.schema.json\n"
        "version: 1\n"
        "business: 100000000000100\n"
        "source: nextech\n"
        "# Birdeye's own scheduler runs this business today.\n"
        "# Before `bundled`, switch that job off: two of them text every patient twice.\n"
        "runner: platform\n"
        "triggers: [nextechFulfilledAppointmentTrigger]\n"
        "group:\n"
        f"  id: {group.group_id}\n"
        "  practice_id: env:RECONCILER_SECRET_SKIN_PRACTICE_ID\n"
        "  appointment_types: [Procedure, Surgery]\n"
        "  appointment_statuses: [fulfilled, completed]\n"
        "  custom_appointment_statuses: [Checked Out]\n"
        "  customer_fetch_delay_days: 2\n"
        "locations:\n"
        "  - business: 100000000000101\n"
        "    time_zone: America/New_York\n"
        "    location_names: [Dermatology, Oncology]\n"
        "  - business: 100000000000102\n"
        "    time_zone: America/New_York\n"
        "    location_names: [Cosmetic Center]\n"
        "    customer_fetch_delay_days: 1\n"
        "  - business: 100000000000103\n"
        "    time_zone: America/New_York\n"
        "    location_names: [Lakeside]\n"
    )
    assert made.secrets == {"RECONCILER_SECRET_SKIN_PRACTICE_ID": "practice_id of business 100000000000100"}
    assert list(it.folder.iterdir()) == []


HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "right\u202eleft",
    "two\nlines",
    "tab\there",
    "zero\u200bwidth",
    "# a comment",
    "key: value",
    "- item",
    "&anchor",
    "{{ template }}",
    "'quotes' and \"more\"",
    "back\\slash",
    "NO",
    "012",
    "1e3",
    "2026-11-20",
    "~",
    "é中文",
    "nul\x00byte",
    "%41",
    "!tag",
    "`tick`",
    "x" * 300,
)
TYPES = ("Procedure", "Surgery", "New Patient", "Follow-up", "Mohs, stage 1", *HOSTILE)
STATUSES = ("fulfilled", "completed", "booked", "Fulfilled", "arrived", "No Such Status", *HOSTILE[:8])
NUMBERS = ("0", "1", "2", "12", "007", "60", "61", "999", "-1", "many", "", " 3 ", "99999999999")


def some(chance: random.Random, words: tuple[str, ...], separator: str) -> str:
    chosen = [it for it in chance.choices(words, k=chance.randint(0, 4)) if separator not in it]
    return separator.join([*chosen, *(("",) if chance.random() < 0.1 else ())])


def properties(chance: random.Random, practice_id: str, *, location: bool) -> tuple[Property, ...]:
    """Any state that live properties can be in, the odd and the wrong included."""
    makers: dict[str, Callable[[], str]] = {
        "appointment.types": lambda: some(chance, TYPES, "|"),
        "appointment.status": lambda: some(chance, STATUSES, ","),
        "appointment.custom.status": lambda: some(chance, TYPES, ","),
        "customer.fetch.delay": lambda: chance.choice(NUMBERS),
        "some.other.key": lambda: chance.choice(HOSTILE),
    }
    if location:
        makers |= {
            "location.name": lambda: some(chance, TYPES, "|"),
            "practitioner.id": lambda: some(chance, ("417", "704", "0012", "Dr. X"), "|"),
            "past.duration": lambda: chance.choice(NUMBERS),
            "future.duration": lambda: chance.choice(NUMBERS),
            "appointment.preference": lambda: chance.choice(("type", "purpose", "both", "")),
        }
    found = [Property(key, make()) for key, make in makers.items() if chance.random() < 0.5]
    if chance.random() < (0.3 if location else 0.8):
        found.append(Property("practice.id", practice_id, secure=True))
    chance.shuffle(found)
    return tuple(found)


def invent(server: Server, seed: int) -> dict[int, dict[str, object]]:
    """Live groups and mappings for every invented account; how each is to be imported where nothing is listed."""
    chance = random.Random(seed)
    world = server.app.world
    wanted: dict[int, dict[str, object]] = {}
    with world.lock:
        for account in [it for it in world.accounts.values() if it.slug.startswith("generated-")]:
            practice = account.sites[0].practice_id
            triggers = tuple((number, 1) for number in (24, 31, 38, 19) if chance.random() < 0.4)
            group = world.add_group(
                Group(0, account.business, 22, triggers, properties(chance, practice, location=False))
            )
            sites = chance.sample(account.sites, chance.randint(1, len(account.sites)))
            for site in sites:
                own = properties(chance, practice, location=True)
                world.put_mapping(Mapping(site.business, group.group_id, chance.random() < 0.6, own))
            zones = {None: ZONE} if chance.random() < 0.8 else {}
            wanted[account.business] = {"time_zones": zones, "locations": tuple(sorted(it.business for it in sites))}
        world.commit()
    return wanted


def round_trip(tmp_path: Path, dialect: str, secure: str, count: int, seed: int) -> None:
    options = SandboxOptions(dialect=dialect, practices=count, seed=seed, settings=(f"secure_values={secure}",))
    with serve(options) as server:
        wanted = invent(server, seed)
        folder = tmp_path / "integrations"
        folder.mkdir()
        it = Reconciler(server.url, folder, f"sqlite:///{tmp_path}/store.db", secrets={})
        before = len(server.app.world.history)
        for made in Importer(it, {}).run_many(wanted):
            knows(it, made, server)
            assert formatting.house_text(made.text) == made.text
            assert all(line.isprintable() for line in made.text.splitlines())
            assert not [secret for secret in it.secrets.values() if secret in made.text]
        assert {one.method for one in list(server.app.world.history)[before:]} == {"GET"}
        loaded = declarations.load(folder, shown_from=folder, today=it.now().date())
        assert [problem for problem in loaded.problems if problem.severity == "error"] == []
        assert len(loaded.declared) == count
        plan = it.plan()
        assert (plan.changes, plan.objections, plan.manual, plan.unreadable) == ((), (), (), ())


@pytest.mark.parametrize(
    ("dialect", "secure", "count"),
    [("rich", "masked", 15), ("rich", "plain", 15), ("rich", "omitted", 15), ("documented", "omitted", 15)],
)
def test_the_plan_of_an_invented_world_sends_nothing(tmp_path: Path, dialect: str, secure: str, count: int) -> None:
    round_trip(tmp_path, dialect, secure, count, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_the_plans_of_500_invented_worlds_send_nothing(tmp_path: Path, seed: int) -> None:
    dialect = "documented" if seed % 3 == 2 else "rich"
    round_trip(tmp_path, dialect, ("masked", "plain", "null", "absent", "omitted")[seed % 5], 50, seed=100 + seed)

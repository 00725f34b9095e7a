"""Whatever was declared, undeclared, changed by hand, made to fail or cut off: when faults stop, two applies converge."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from reconciler.clients.integrations import IntegrationsClient
from reconciler.sandbox.app import App
from reconciler.sandbox.changes import change
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import Account, account_secrets, secret_name
from reconciler.sandbox.server import serve
from reconciler.store.database import Store
from reconciler.workflow.applying import Report
from tests.faults.workplace import accounts, commits
from tests.reconciling import Reconciler, VirtualClock

SEED = 5
CHOSEN = accounts(3, seed=SEED)
SHRINK = False
"""Shrinking takes minutes: for the one who looks into a failure."""
FREEDOMS = st.fixed_dictionaries(
    {},
    optional={
        "create_answer": st.sampled_from(["integer", "groupId", "id", "group", "empty", "no_content"]),
        "write_answer": st.sampled_from(["object", "message", "empty"]),
        "secure_values": st.sampled_from(["absent", "null", "masked", "plain", "omitted"]),
        "group_properties": st.sampled_from(["true", "false"]),
        "group_mappings": st.sampled_from(["true", "false"]),
        "mapping_endpoint": st.sampled_from(["on", "404", "405"]),
        "mapping_properties": st.sampled_from(["true", "false"]),
        "mapping_put": st.sampled_from(["replaces", "merges"]),
        "group_post": st.sampled_from(["upserts", "replaces"]),
        "no_groups": st.sampled_from(["empty", "404"]),
        "numbers": st.sampled_from(["numbers", "strings", "swapped"]),
        "order": st.sampled_from(["kept", "reversed", "shuffled"]),
        "trims": st.sampled_from(["true", "false"]),
        "sorts_items": st.sampled_from(["true", "false"]),
        "drops_empty": st.sampled_from(["true", "false"]),
        "read_lag_seconds": st.sampled_from(["0", "3"]),
    },
)
FAULTS = [
    f"{where}:{when}:{kind}"
    for where in ("writes", "G+", "M+", "Gu")
    for when in ("1", "2", "1-3", "*")
    for kind in ("502-after-commit", "502-before-commit", "reset-after-commit", "html", "400-before-commit", "null")
] + [
    f"{where}:{when}:{kind}"
    for where in ("G", "Mg", "T")
    for when in ("1", "*")
    for kind in ("503", "html", "empty-list")
]

Content = dict[str, Any]
CONTENTS = st.fixed_dictionaries(
    {"state": st.sampled_from(["active", "active", "inactive", "released"]), "off": st.booleans()},
    optional={
        "appointment_types": st.sampled_from(["[Procedure, Surgery]", "[Surgery]", "[]"]),
        "customer_fetch_delay_days": st.sampled_from(["0", "2"]),
        "custom_appointment_statuses": st.sampled_from(["[Checked Out]", "[]"]),
        "location_names": st.sampled_from(["own", "[]"]),
        "override": st.sampled_from(["[Surgery]", "[Procedure]"]),
        "beta": st.sampled_from(["true", "false"]),
        "allow": st.none(),
    },
)


def text_of(account: Account, content: Content) -> str:
    """The declaration of an account with this content."""
    lines = ["version: 1", f"business: {account.business}", f"name: {account.name}", "source: nextech"]
    lines += [f"state: {content['state']}", "triggers: [nextechFulfilledAppointmentTrigger]"]
    if "beta" in content:
        lines.append(f"beta: {content['beta']}")
    lines += ["group:", f"  practice_id: env:{secret_name(account.slug, 'practice_id')}"]
    lines += [
        f"  {key}: {content[key]}"
        for key in ("appointment_types", "customer_fetch_delay_days", "custom_appointment_statuses")
        if key in content
    ]
    lines.append("locations:")
    for index, site in enumerate(account.sites):
        lines += [f"  - business: {site.business}", f"    name: {site.name}", f"    time_zone: {site.time_zone}"]
        names = "own" if len(account.sites) > 1 else content.get("location_names")
        if names is not None:
            lines.append(
                f"    location_names: {'[' + ', '.join(site.location_names) + ']' if names == 'own' else '[]'}"
            )
        if content["off"] and index == 0:
            lines.append("    state: inactive")
        if "override" in content and index == 0:
            lines.append(f"    appointment_types: {content['override']}")
    return "\n".join(lines) + "\n"


class Died(BaseException):
    """The process ended here: nothing of it goes on."""


class Dying(Reconciler):
    """Dies at its n-th look at the store for writing or request, whichever comes first, in every thread."""

    left: int = 0

    @contextmanager
    def inputs(self, *, reassert: frozenset[str] = frozenset(), write: bool = False) -> Iterator[Any]:
        with super().inputs(reassert=reassert, write=write) as inputs, pytest.MonkeyPatch.context() as patch:
            for owner, name in (
                (Store, "begin"),
                (IntegrationsClient, "create_group"),
                (IntegrationsClient, "put_mapping"),
                (IntegrationsClient, "update_group"),
                (IntegrationsClient, "groups"),
                (IntegrationsClient, "mappings"),
            ):
                patch.setattr(owner, name, self._mortal(getattr(owner, name)))
            yield inputs

    def _mortal(self, real: Any) -> Any:
        def call(*arguments: Any, **keywords: Any) -> Any:
            self.left -= 1
            if self.left < 0:
                raise Died
            return real(*arguments, **keywords)

        return call


class Machine(RuleBasedStateMachine):
    dialect: Literal["documented", "rich"] = "rich"
    free = False

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="convergence-"))
        self.declarations = self.folder / "integrations"
        self.declarations.mkdir()
        self.contents: dict[str, Content] = {}
        self.by_hand = False
        self.lied = False
        """The list of groups was, or may have been, empty beside groups: whoever was cut off meanwhile creates again."""
        self.server: Any = None

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        chosen = data.draw(FREEDOMS) if self.free else {}
        self.clock = VirtualClock()
        self.app = App(
            SandboxOptions(
                practices=len(CHOSEN),
                seed=SEED,
                dialect=self.dialect,
                settings=tuple(f"{k}={v}" for k, v in chosen.items()),
            ),
            now=self.clock.time,
        )
        self.server = serve(self.app)
        self.declare(CHOSEN[0], {"state": "active", "off": False})

    def teardown(self) -> None:
        try:
            if self.server is not None:
                self.settle()
        finally:
            if self.server is not None:
                self.server.stop()
            shutil.rmtree(self.folder)

    def reconciler(self, kind: type[Reconciler] = Reconciler) -> Any:
        return kind(
            self.server.url,
            self.declarations,
            f"sqlite:///{self.folder}/state/store.db",
            secrets=account_secrets(CHOSEN),
            deadline_seconds=5.0,
            now=self.clock.now,
            sleep=self.clock.sleep,
            monotonic=self.clock.monotonic,
        )

    @rule(account=st.sampled_from(CHOSEN), content=CONTENTS)
    def declare(self, account: Account, content: Content) -> None:
        self.contents[account.slug] = content
        (self.declarations / f"{account.slug}.yaml").write_text(text_of(account, content))

    @rule(account=st.sampled_from(CHOSEN))
    def undeclare(self, account: Account) -> None:
        if len(self.contents) > 1 and self.contents.pop(account.slug, None) is not None:
            (self.declarations / f"{account.slug}.yaml").unlink()

    @rule(
        account=st.sampled_from(CHOSEN),
        what=st.sampled_from(["types", "names", "remove", "active", "triggers", "unmap", "add_group"]),
        pick=st.integers(0, 3),
    )
    def change_by_hand(self, account: Account, what: str, pick: int) -> None:
        groups = self.app.world.groups_of(account.business)
        if what == "add_group" and not groups:
            change(self.app.world, {"action": "add_group", "parent": account.business, "triggers": [24]})
            self.by_hand = True
        if not groups:
            return
        group = groups[0].group_id
        mappings = self.app.world.mappings_in(group)
        mapping = mappings[pick % len(mappings)] if mappings else None
        wanted: dict[str, Any] | None = None
        if what == "types":
            wanted = {"action": "set_property", "key": "appointment.types", "value": "Follow-up", "group": group}
        elif what == "triggers":
            wanted = {"action": "set_triggers", "group": group, "triggers": [24, 31]}
        elif what == "remove" and any(it.key == "appointment.types" for it in groups[0].properties):
            wanted = {"action": "remove_property", "key": "appointment.types", "group": group}
        elif mapping is not None:
            at = {"group": group, "business": mapping.business}
            wanted = {
                "names": {"action": "set_property", "key": "location.name", "value": "Elsewhere", **at},
                "active": {"action": "set_active", "active": not mapping.active, **at},
                "unmap": {"action": "delete_mapping", **at},
            }.get(what)
        if wanted is not None:
            change(self.app.world, wanted)
            self.by_hand = True

    @rule(fault=st.sampled_from(FAULTS))
    def arm(self, fault: str) -> None:
        self.app.faults.arm(fault)
        self.lied = self.lied or fault in {"G:1:empty-list", "G:*:empty-list"}

    @rule()
    def disarm(self) -> None:
        self.app.faults.clear()

    @rule(seconds=st.sampled_from([1, 11, 86_400 * 15]))
    def wait(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule()
    def apply(self) -> None:
        try:
            report = self.allowed_apply(self.reconciler())
        except Exception as error:
            if type(error).__module__ != "reconciler.errors":
                raise
            return
        assert report.exit_code in (0, 3, 5, 7)

    @rule(after=st.integers(0, 40))
    def apply_and_die(self, after: int) -> None:
        dying = self.reconciler(Dying)
        dying.left = after
        try:
            self.allowed_apply(dying)
        except Died:
            pass
        except Exception as error:
            if type(error).__module__ != "reconciler.errors":
                raise

    def allowed_apply(self, it: Reconciler) -> Report:
        """Apply; where objections refuse it, again with each of them allowed by name.

        More than once, since a read that a fault falsified objects to something else than the next one.
        """
        allowed: set[str] = set()
        report = it.apply()
        while report.refused and (refused := {f"{o.code}:{o.slug}" for o in report.refused}) - allowed:
            allowed |= refused
            report = it.apply(*sorted(allowed))
        assert not report.refused, report.refused
        return report

    def settle(self) -> None:
        self.app.faults.clear()
        created = Counter(each.body["parentBusinessNumber"] for each in commits(self.app, "G+"))
        if self.lied and max(created.values(), default=0) > 1:
            return  # several groups: which one holds is for a person
        self.clock.sleep(timedelta(seconds=30).total_seconds())
        it = self.reconciler()
        reports = [self.allowed_apply(it), self.allowed_apply(it)]
        said = [(r.exit_code, r.outcomes) for r in reports]
        for _ in range(3):
            plan = it.plan()
            assert (plan.changes, plan.unreadable) == ((), ()), (said, self.app.dialect)
            self.clock.sleep(5)
        assert reports[-1].exit_code == 0, (said, self.app.dialect)
        writes = len(commits(self.app))
        assert self.allowed_apply(it).exit_code == 0
        assert len(commits(self.app)) == writes
        created = Counter(each.body["parentBusinessNumber"] for each in commits(self.app, "G+"))
        assert max(created.values(), default=0) <= 1
        if not self.by_hand:
            self.judge_live()

    def judge_live(self) -> None:
        """Without changes by hand, what is declared is live, whether it can be seen or not."""
        for account in CHOSEN:
            content = self.contents.get(account.slug)
            if content is None or content["state"] == "released":
                continue
            (group,) = self.app.world.groups_of(account.business)
            held = {it.key: it.value for it in group.properties}
            assert held["practice.id"] == account.sites[0].practice_id
            if "appointment_types" in content:
                types = content["appointment_types"].strip("[]").replace(", ", "|")
                assert set(held.get("appointment.types", "").split("|")) == set(types.split("|"))
            mappings = {it.business: it for it in self.app.world.mappings_in(group.group_id)}
            for index, site in enumerate(account.sites):
                on = content["state"] == "active" and not (content["off"] and index == 0)
                sent = [(it.time, it.body) for it in commits(self.app) if str(site.business) in f"{it.path} {it.body}"]
                assert mappings[site.business].active is on, (site.business, on, sent)


def prove(dialect: str, free: bool, examples: int, steps: int) -> None:
    kind = type("Machine", (Machine,), {"dialect": dialect, "free": free})
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink] if SHRINK else [Phase.generate],
        ),
    )


@pytest.mark.parametrize(
    ("dialect", "free"), [("documented", False), ("rich", False), ("documented", True), ("rich", True)]
)
def test_two_applies_converge_and_three_plans_are_empty(dialect: str, free: bool) -> None:
    prove(dialect, free, 15, 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dialect", "free"), [("documented", False), ("rich", False), ("documented", True), ("rich", True)]
)
def test_two_applies_converge_after_long_histories(dialect: str, free: bool) -> None:
    prove(dialect, free, 250, 25)

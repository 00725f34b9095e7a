"""Real ``reconciler`` processes in a folder of their own, with generated declarations, against one sandbox."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from reconciler.sandbox.app import App
from reconciler.sandbox.practices import Account, account_secrets, generated, secret_name
from reconciler.store import keys
from reconciler.store.database import open_store
from tests.faults.nursery import Child, Nursery
from tests.reconciling import Reconciler

KEY = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"
TYPES = "[Procedure, Surgery]"
DEADLINE = 60.0
NURSERY: Nursery | None = None
"""Where processes come from; the folder's conftest opens and closes it."""


def declaration(account: Account, *, types: str = TYPES, state: str = "active") -> str:
    """A declaration of a generated account, as a person would write it."""
    lines = [
        "version: 1",
        f"business: {account.business}",
        f"name: {account.name}",
        "source: nextech",
        f"state: {state}",
        f"contacts_api_key: env:{secret_name(account.slug, 'api_key')}",
        "triggers: [nextechFulfilledAppointmentTrigger]",
        "group:",
        f"  practice_id: env:{secret_name(account.slug, 'practice_id')}",
        f"  appointment_types: {types}",
        "  customer_fetch_delay_days: 2",
        "locations:",
    ]
    for site in account.sites:
        lines += [
            f"  - business: {site.business}",
            f"    name: {site.name}",
            f"    time_zone: {site.time_zone}",
            f"    location_names: [{', '.join(site.location_names)}]",
        ]
    return "\n".join(lines) + "\n"


def accounts(count: int, *, seed: int = 1) -> tuple[Account, ...]:
    """The generated accounts that a sandbox with as many ``practices`` and the same seed has."""
    return generated(count, seed)[0]


@dataclass
class Finished:
    """How a process ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Workplace:
    """A folder with declarations and a store, and the variables that lead to one sandbox."""

    folder: Path
    url: str
    secrets: dict[str, str]
    more: dict[str, str] = field(default_factory=dict)

    @property
    def declarations(self) -> Path:
        return self.folder / "integrations"

    @property
    def store_file(self) -> Path:
        return self.folder / "state" / "store.db"

    @property
    def store_url(self) -> str:
        return f"sqlite:///{self.store_file}"

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **self.secrets,
            "HOME": str(self.folder),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "RECONCILER_BIRDEYE_URL": self.url,
            "RECONCILER_BIRDEYE_REQUESTS_PER_SECOND": "5000",
            "RECONCILER_STORE": self.store_url,
            "RECONCILER_RECEIPT_KEY": KEY,
            "RECONCILER_DECLARATIONS": str(self.declarations),
            "USER": "tester",
            **self.more,
        }

    def start(self, *arguments: str, limit: int | None = None) -> Child:
        """Start ``reconciler`` with these arguments; ``limit`` bounds the size of every file that it writes."""
        assert NURSERY is not None
        return NURSERY.start(arguments, self.folder, self.environment, limit=limit)

    def run(self, *arguments: str, limit: int | None = None, timeout: float = DEADLINE) -> Finished:
        """Run ``reconciler`` to its end."""
        began = time.monotonic()
        return finish(self.start(*arguments, limit=limit), began=began, timeout=timeout)

    def apply(self, *arguments: str) -> Finished:
        return self.run("apply", "--auto-approve", "-q", *arguments)

    def in_process(self, *, later: timedelta = timedelta()) -> Reconciler:
        """The same folder and store, without the cost of a process. ``later`` is how far its clock is ahead."""
        with open_store(self.store_url, now=lambda: datetime.now(UTC), write=True) as store:
            inner = keys.inner_key(store, "receipt", keys.parse_key(KEY, named="key"))
        return Reconciler(
            self.url,
            self.declarations,
            self.store_url,
            secrets=self.secrets,
            key=inner,
            now=lambda: datetime.now(UTC) + later,
        )


def finish(process: Child, *, began: float | None = None, timeout: float = DEADLINE) -> Finished:
    """Wait for a process, bounded; never leaves it behind."""
    began = time.monotonic() if began is None else began
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the process did not end within {timeout:g} s; stderr: {err[-2000:]}") from None
    assert process.returncode is not None
    return Finished(process.returncode, out, err, time.monotonic() - began)


def workplace(folder: Path, url: str, chosen: tuple[Account, ...], **more: str) -> Workplace:
    """A workplace whose declarations are the given accounts."""
    place = Workplace(folder, url, account_secrets(chosen), dict(more))
    place.declarations.mkdir(parents=True)
    for account in chosen:
        (place.declarations / f"{account.slug}.yaml").write_text(declaration(account))
    return place


def expected(account: Account) -> dict[str, Any]:
    """What must be live for a declaration of ``declaration``, said without any code of the tool."""
    return {
        "source": 22,
        "triggers": [24],
        "properties": {
            "practice.id": (account.sites[0].practice_id, True),
            "appointment.types": ("Procedure|Surgery", False),
            "customer.fetch.delay": ("2", False),
        },
        "mappings": {
            site.business: (True, {"location.name": ("|".join(site.location_names), False)}) for site in account.sites
        },
    }


def live(app: App, parent: int) -> list[dict[str, Any]]:
    """Every group of a parent business in the sandbox, with its mappings, in the form of ``expected``."""
    with app.world.lock:
        return [
            {
                "source": group.source_id,
                "triggers": [trigger for trigger, _ in group.triggers],
                "properties": {it.key: (it.value, it.secure) for it in group.properties},
                "mappings": {
                    it.business: (it.active, {p.key: (p.value, p.secure) for p in it.properties})
                    for it in app.world.mappings_in(group.group_id)
                },
            }
            for group in app.world.groups_of(parent)
        ]


def wrong(app: App, chosen: tuple[Account, ...]) -> list[str]:
    """The oracle: what is not exactly as declared, and every business that was given more than one group."""
    found = [f"{it.slug}: {seen}" for it in chosen if (seen := live(app, it.business)) != [expected(it)]]
    created = Counter(entry.body["parentBusinessNumber"] for entry in commits(app, "G+"))
    return found + [f"{parent}: {count} groups were created" for parent, count in created.items() if count > 1]


def commits(app: App, endpoint: str = "") -> list[Any]:
    """Every write that the sandbox carried out, in order."""
    with app.world.lock:
        return [it for it in app.world.history if it.committed and (not endpoint or it.endpoint == endpoint)]

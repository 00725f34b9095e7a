"""One practice's sync beside a bare loop that does the same reads and posts and keeps nothing.

    python -m benchmarks.sync [--visits 20000] [--days 2] [--rounds 3] [--memory]

The sandbox is a process of its own, on the same machine. ``--memory`` only syncs
and prints the peak: 100,000 visits of a fortnight beside 2,000 is what a practice that was cut off comes back with.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from benchmarks.measure import Command

PARENT = 100000000000001
SLUG = "example-dermatology-north"
PRACTICE_ID = "00000000-0000-4000-8000-000000000001"
KEY = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"
REFERENCE = "RECONCILER_SECRET_EXAMPLE_DERMATOLOGY_NORTH_PRACTICE_ID"
API_KEY = "RECONCILER_SECRET_EXAMPLE_DERMATOLOGY_NORTH_API_KEY"
THREADS = 8


@contextlib.contextmanager
def sandbox(visits: int, days: int) -> Iterator[dict[str, str]]:
    """A sandbox whose practice has so many visits in the last days; the variables that lead there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "sandbox"], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    found: dict[str, str] = {}
    try:
        for line in process.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                found[name] = value.strip("'")
            if REFERENCE in found and API_KEY in found and "RECONCILER_CONTACTS_URL" in found:
                break
        options = {"visits_by_practice": {PRACTICE_ID: visits // days}, "days_back": days + 8, "days_ahead": 2}
        admin(found, "emr/options", options)
        yield found
    finally:
        process.terminate()
        process.stdout.close()
        process.wait(10)


def admin(variables: Mapping[str, str], path: str, body: Mapping[str, Any] | None = None) -> Any:
    """One request behind the scenes."""
    parts = urlsplit(variables["RECONCILER_CONTACTS_URL"])
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    connection.request("GET" if body is None else "POST", f"/_sandbox/{path}", json.dumps(body) if body else None)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def put_in_force(folder: Path, days: int) -> None:
    """The configuration of the one location, as an apply would leave it."""
    from reconciler.core.records import InForce
    from reconciler.store import in_force, keys
    from reconciler.store.crypto import Fingerprints
    from reconciler.store.database import open_store

    now = datetime.now(UTC)
    with open_store(f"sqlite:///{folder}/store.db", now=lambda: now, write=True) as store:
        inner = keys.inner_key(store, "receipt", keys.parse_key(KEY, named="key"))
        side = {"reference": f"env:{REFERENCE}", "print": Fingerprints(inner).full("practice.id", PRACTICE_ID)}
        at = (now - timedelta(days=days - 1)).isoformat()
        location = {
            "state": "active",
            "active": True,
            "time_zone": "America/New_York",
            "resolved": {"practice.id": side},
            "waiting": None,
            "first_active_at": at,
            "contacting_since": at,
        }
        document = {
            "business": PARENT,
            "name": "Benchmark",
            "state": "active",
            "runner": "bundled",
            "beta": False,
            "contacts_api_key": f"env:{API_KEY}",
            "group_created": True,
            "triggers": ["nextechFulfilledAppointmentTrigger"],
            "locations": {str(PARENT): location},
        }
        with store.begin() as connection:
            in_force.put_in_force(connection, InForce(SLUG, PARENT, 1, now, "plan", None, document))


def settings(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """What the sync is told: the sandbox, a store of its own, and no quota that would be measured instead."""
    return {
        **variables,
        "RECONCILER_STORE": f"sqlite:///{folder}/store.db",
        "RECONCILER_RECEIPT_KEY": KEY,
        "RECONCILER_LEDGER_KEY": KEY[::-1],
        "RECONCILER_MAX_CONTACTS_PER_RUN": "1000000",
        "RECONCILER_CONTACTS_REQUESTS_PER_SECOND": "100000",
        "RECONCILER_CONTACTS_CONCURRENCY": str(THREADS),
        "RECONCILER_NEXTECH_REQUESTS_PER_SECOND": "100000",
    }


def bare(days: int) -> None:
    """The loop to compare with: the same reads, the same posts, one httpx client, nothing kept."""
    import httpx

    start = (datetime.now(UTC) - timedelta(hours=5)).date()
    first, before = start - timedelta(days=days), start
    url = os.environ["RECONCILER_NEXTECH_URL"]
    with httpx.Client(timeout=60) as client, ThreadPoolExecutor(THREADS) as pool:
        form = {
            "grant_type": "password",
            "client_id": os.environ["RECONCILER_NEXTECH_CLIENT_ID"],
            "username": os.environ["RECONCILER_NEXTECH_USERNAME"],
            "password": os.environ["RECONCILER_NEXTECH_PASSWORD"],
            "resource": url,
        }
        token = client.post(os.environ["RECONCILER_NEXTECH_TOKEN_URL"], data=form).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "nx-practice-id": PRACTICE_ID}
        following: str | None = f"{url}/Appointment?date=ge{first}&date=lt{before}&_count=50"
        patients: list[str] = []
        while following:
            page = client.get(following, headers=headers).json()
            for entry in page.get("entry") or []:
                with contextlib.suppress(
                    AttributeError, TypeError
                ):  # malformed ones; a bare loop cares for none of them
                    resource = entry["resource"]
                    if resource.get("status") == "fulfilled":
                        for it in resource["participant"]:
                            reference = it["actor"]["reference"]
                            if "patient/" in reference.lower():
                                patients.append(reference.rpartition("/")[2])
            links = {it["relation"]: it["url"] for it in page.get("link") or []}
            following = links.get("next")

        def post(resource: Mapping[str, Any]) -> int:
            with contextlib.suppress(AttributeError, TypeError):
                return post_well_formed(resource)
            return 0

        def post_well_formed(resource: Mapping[str, Any]) -> int:
            telecoms = resource.get("telecom", [])
            email = next((it["value"] for it in telecoms if it.get("system") == "email" and it.get("value")), None)
            phone = next((it["value"] for it in telecoms if it.get("system") == "phone" and it.get("value")), None)
            name = (resource.get("name") or [{}])[0]
            shown = " ".join([*(name.get("given") or [])[:1], str(name.get("family") or "")])
            body = {"name": shown, "emailId": email, "phone": phone, "smsEnabled": 1}
            sent = client.post(
                os.environ["RECONCILER_CONTACTS_URL"] + "/v1/contact/external/preferences/checkin",
                json=body,
                headers={"x-api-key": os.environ[API_KEY], "x-business-number": str(PARENT)},
            )
            return int(sent.status_code == 200 and "customerId" in sent.text)

        done = 0
        for begin in range(0, len(patients), 50):
            ids = ",".join(dict.fromkeys(patients[begin : begin + 50]))
            page = client.get(f"{url}/Patient?identifier={ids}&_count=50", headers=headers).json()
            done += sum(pool.map(post, [it["resource"] for it in page.get("entry") or []]))
        print(done)


def measured(visits: int, days: int, rounds: int) -> None:
    """One table."""
    rates: dict[str, list[float]] = {"sync": [], "bare loop": []}
    walls: dict[str, list[float]] = {"sync": [], "bare loop": []}
    peaks: list[float] = []
    contacts = rows = 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name, sandbox(visits, days) as variables:
            folder = Path(name)
            put_in_force(folder, days)
            environ = settings(variables, folder)
            sync = Command("sync", [sys.executable, "-m", "reconciler", "sync", "-q"], folder, environ, expect=(0, 5))
            sync.run()
            contacts = admin(variables, "contacts")["deliveries"]
            peaks.append(sync.peak_mb[0])
            walls["sync"].append(sync.wall[0])
            rates["sync"].append(contacts / sync.wall[0])
            admin(variables, "contacts/reset", {"now": True})
            loop = Command(
                "bare", [sys.executable, "-m", "benchmarks.sync", "--bare", "--days", str(days)], Path.cwd(), environ
            )
            loop.run()
            walls["bare loop"].append(loop.wall[0])
            rows = admin(variables, "contacts")["deliveries"]
            rates["bare loop"].append(rows / loop.wall[0])
    print(f"{visits} appointments: {contacts} contacts by sync, {rows} by the bare loop; peak {median(peaks):.0f} MB")
    for name, found in walls.items():
        rate = f"{median(rates[name]):8.0f} contacts/s"
        print(f"  {name:<18} {median(found):8.1f} s ({min(found):.1f}-{max(found):.1f}) {rate}")
    pairs = [a / b for a, b in zip(rates["sync"], rates["bare loop"], strict=True)]
    print(f"  sync / bare loop   {median(pairs):.2f} ({min(pairs):.2f}-{max(pairs):.2f})")


def peak(visits: int, days: int) -> None:
    """One line: the peak of one sync."""
    with tempfile.TemporaryDirectory() as name, sandbox(visits, days) as variables:
        folder = Path(name)
        put_in_force(folder, days)
        environ = settings(variables, folder)
        sync = Command("sync", [sys.executable, "-m", "reconciler", "sync", "-q"], folder, environ, expect=(0, 5))
        sync.run()
        contacts = admin(variables, "contacts")["deliveries"]
    print(
        f"{visits} appointments of {days} days: {contacts} contacts, peak {sync.peak_mb[0]:.0f} MB, {sync.cpu[0]:.0f} s CPU"
    )


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.sync")
    parser.add_argument("--visits", type=int, nargs="+", default=[20_000])
    parser.add_argument("--days", type=int, default=2, help="how many days the visits are spread over")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="only sync, and print the peak")
    parser.add_argument("--bare", action="store_true", help="be the loop that is compared with")
    given = parser.parse_args(arguments)
    if given.bare:
        bare(given.days)
        return
    for visits in given.visits:
        if given.memory:
            peak(visits, given.days)
        else:
            measured(visits, given.days, given.rounds)


if __name__ == "__main__":
    main()

"""The reading part of a pass beside dlt writing the same appointments to files.

    python -m benchmarks.reading [--visits 20000] [--rounds 5] [--dlt PYTHON]

``--dlt`` names a Python that has dlt. The pages are the sandbox's, taken once and then served from memory, so that both
are measured and not what makes up the patients. Ours is what a pass does: token, pages one after the other with every
guard, each appointment as a value of ours.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.measure import Command, interleaved, table
from benchmarks.plan import static_server
from benchmarks.static_server import SELF
from benchmarks.sync import PRACTICE_ID, sandbox

DAYS = 2

DLT = """
import sys, dlt
from dlt.sources.helpers import requests
url, folder = sys.argv[1:]
@dlt.resource(name="appointments")
def appointments():
    following = f"{url}"
    while following:
        page = requests.get(following, headers={"nx-practice-id": "PRACTICE"}).json()
        yield [entry["resource"] for entry in page.get("entry", [])]
        following = {it["relation"]: it["url"] for it in page.get("link") or []}.get("next")
pipeline = dlt.pipeline("benchmark", destination=dlt.destinations.filesystem(folder), dataset_name="d", pipelines_dir=folder)
pipeline.run(appointments(), loader_file_format="jsonl")
""".replace("PRACTICE", PRACTICE_ID)


def taken(visits: int, folder: Path) -> tuple[Path, str, date, date]:
    """The sandbox's pages in a file, the first one's path, and the days that they are of."""
    import httpx

    before = (datetime.now(UTC) - timedelta(hours=5)).date()
    first = before - timedelta(days=DAYS)
    held: dict[str, str] = {}
    with sandbox(visits, DAYS) as variables, httpx.Client(timeout=60) as client:
        url = variables["RECONCILER_NEXTECH_URL"]
        form = {
            "grant_type": "password",
            "client_id": variables["RECONCILER_NEXTECH_CLIENT_ID"],
            "username": variables["RECONCILER_NEXTECH_USERNAME"],
            "password": variables["RECONCILER_NEXTECH_PASSWORD"],
            "resource": url,
        }
        answer = client.post(variables["RECONCILER_NEXTECH_TOKEN_URL"], data=form)
        held["/token"] = answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}", "nx-practice-id": PRACTICE_ID}
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(url))
        whole = (first, before)
        days = [(first + timedelta(days=it), first + timedelta(days=it + 1)) for it in range(DAYS)]
        for start, end in (whole, *days):  # a pass looks at how many there are, and reads many day by day
            following: str | None = f"{url}/Appointment?date=ge{start}&date=lt{end}&_count=50"
            while following:
                body = client.get(following, headers=headers).text
                target = following.removeprefix(origin)
                if target in held:
                    break  # one of the sandbox's quirks: a last page that points at itself
                held[target] = body.replace(origin, SELF)
                links = {it["relation"]: it["url"] for it in json.loads(body).get("link") or []}
                following = links.get("next")
        begin = f"{url}/Appointment?date=ge{first}&date=lt{before}&_count=50"
    file = folder / "pages.json"
    file.write_text(json.dumps(held))
    return file, begin.removeprefix(origin), first, before


def ours(url: str, base: str, first: date, before: date) -> None:
    """Read everything, and print how much it was."""
    from reconciler.clients.nextech import NextechClient
    from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
    from reconciler.clients.transport import Transport
    from reconciler.core.fhir import DEFAULT_KEEP
    from reconciler.core.windows_reads import Read
    from reconciler.sync.extract import Extract

    def transport(at: str) -> Transport:
        return Transport(
            base_url=at,
            allowed_hosts=frozenset({"127.0.0.1"}),
            now=time.monotonic,
            wall=lambda: datetime.now(UTC),
            sleep=time.sleep,
            jitter=lambda: 0.5,
        )

    with transport(url) as for_tokens, transport(url + base) as reads:
        tokens = TokenSource(for_tokens, PasswordGrant("c", "u", "p", url), path="/token", now=time.monotonic)
        client = NextechClient(reads, tokens, base_url=url + base, now=time.monotonic)
        extract = Extract(client, PRACTICE_ID, DEFAULT_KEEP)
        print(sum(len(part) for part in extract.visits([Read(first, before, (0,))])))


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.reading")
    parser.add_argument("--visits", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--dlt", metavar="PYTHON")
    parser.add_argument("--take", type=Path, metavar="FOLDER", help="only take the pages")
    parser.add_argument("--ours", nargs=4, metavar=("URL", "BASE", "FIRST", "BEFORE"), help="be what is measured")
    given = parser.parse_args(arguments)
    if given.ours:
        url, base, first, before = given.ours
        ours(url, base, date.fromisoformat(first), date.fromisoformat(before))
        return
    if given.take:
        print(*taken(given.visits, given.take))
        return
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        module = [sys.executable, "-m", "benchmarks.reading"]
        # By a process of its own: a child's peak memory is never below what its parent has in memory when it is made.
        take = [*module, "--visits", str(given.visits), "--take", str(folder)]
        file, begin, *days = subprocess.run(take, check=True, capture_output=True, text=True).stdout.split()
        base = begin.partition("/Appointment")[0]
        with static_server("--pages", str(file)) as url:
            commands = [Command("reading part of a pass", [*module, "--ours", url, base, *days], Path.cwd())]
            if given.dlt:
                quiet = {"RUNTIME__DLTHUB_TELEMETRY": "false"}
                program = [given.dlt, "-c", DLT, url + begin, f"{folder}/dlt"]
                commands.append(Command("dlt to files", program, folder, quiet))
            interleaved(commands, given.rounds)
    print(f"{given.visits} appointments, {given.rounds} rounds, medians; starting up included")
    print(table(commands, against=commands[-1].name))


if __name__ == "__main__":
    main()

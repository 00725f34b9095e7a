"""No secret, in any form, in anything that a command prints, writes or keeps: under every command and many failures."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import Desk
from tests.reconciling import SAMPLES

CANARIES = {
    "RECONCILER_BIRDEYE_TOKEN": "canary/token+of=Birdeye-7f3a91",
    "RECONCILER_CONTACTS_API_KEY": "canary/contacts+key-88c1d2",
    "RECONCILER_NEXTECH_CLIENT_ID": "canary-client-id-19ab77",
    "RECONCILER_NEXTECH_USERNAME": "canary-user-5521fe@example.com",
    "RECONCILER_NEXTECH_PASSWORD": 'canary "password" \\ 90fe21',
    "RECONCILER_PRACTICE_PLUS_CLIENT_ID": "canary-plus-id-4410aa",
    "RECONCILER_PRACTICE_PLUS_CLIENT_SECRET": "canary-plus-secret-77dd10",
    "RECONCILER_RECEIPT_KEY": "canary-receipt-key-0123456789abcdefghij-43210",
    "RECONCILER_LEDGER_KEY": "canary-ledger-key-9876543210zyxwvutsrqp-01234",
}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("validate",),
    ("validate", "--output", "json"),
    ("plan", "-vv"),
    ("plan", "--output", "json", "--out", "plan.json"),
    ("show", "plan.json"),
    ("check-plan", "plan.json"),
    ("apply", "plan.json", "-vv", "--log-format", "json"),
    ("plan", "--output", "json"),
    ("apply", "--auto-approve", "--output", "json"),
    ("drift", "--confirm-after", "0"),
    ("drift", "--confirm-after", "0", "--output", "json"),
    ("lookup", "locations", "example-skin-group"),
    ("lookup", "practitioners", "example-skin-group", "--output", "json"),
    ("validate", "--online"),
    ("doctor",),
    ("lock", "list"),
    ("store", "check"),
    ("audit", "verify"),
    ("import", "100000000000600"),
    ("status",),
    ("sync", "--dry-run"),
    ("forget", "example-vein-inactive"),
    ("explain", "practice_id"),
)
FAULTS = (
    "T:*:echo",
    "G:*:echo",
    "G+:*:echo",
    "M+:*:echo",
    "L:*:echo",
    "G:*:403",
    "G+:1:502-after-commit",
    "G:*:truncated",
)


def forms(value: str) -> list[bytes]:
    """A secret as it is, and as it looks in base64, URLs, hex and JSON."""
    data = value.encode()
    texts = {
        value,
        quote(value, safe=""),
        quote(value),
        json.dumps(value)[1:-1],
        data.hex(),
        base64.b64encode(data).decode().rstrip("="),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    }
    return [it.encode() for it in texts]


class Watched(Desk):
    """A desk that looks for every canary in what each command printed."""

    def __init__(self, server: object, folder: Path) -> None:
        super().__init__(server, folder)  # type: ignore[arg-type]
        shutil.rmtree(folder / "integrations")
        shutil.copytree(SAMPLES, folder / "integrations")
        secrets = {key: value for key, value in self.environ.items() if key.startswith("RECONCILER_SECRET_")}
        self.environ |= {
            **CANARIES,
            **{key: f"canary-{index:02}-api-key" for index, key in enumerate(secrets) if key.endswith("API_KEY")},
        }
        watched = [value for key, value in self.environ.items() if key in CANARIES or key in secrets]
        self.needles = [form for value in watched for form in forms(value)]

    def watch(self, *arguments: str) -> None:
        import subprocess
        import sys

        found = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert b"Traceback" not in found.stderr, (arguments, found.stderr[-800:])
        self.search(found.stdout, f"stdout of {arguments}")
        self.search(found.stderr, f"stderr of {arguments}")

    def search(self, data: bytes, where: str) -> None:
        for needle in self.needles:
            assert needle not in data, f"a secret in {where}"

    def search_files(self) -> None:
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and not path.name.endswith(".key"):
                self.search(path.read_bytes(), str(path.relative_to(self.folder)))


@pytest.fixture(params=["documented", "plain"])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    settings = ("secure_values=plain",) if request.param == "plain" else ()
    dialect = "rich" if request.param == "plain" else "documented"
    options = SandboxOptions(dialect=dialect, settings=settings, token=CANARIES["RECONCILER_BIRDEYE_TOKEN"])
    with serve(options) as server:
        yield Watched(server, tmp_path)


def test_no_secret_in_any_output_or_file_of_any_command(desk: Watched) -> None:
    for arguments in COMMANDS:
        desk.watch(*arguments)
    desk.search_files()


@pytest.mark.parametrize("fault", FAULTS)
def test_no_secret_where_a_server_fails_or_repeats_what_it_was_sent(tmp_path: Path, fault: str) -> None:
    with serve(SandboxOptions(token=CANARIES["RECONCILER_BIRDEYE_TOKEN"])) as server:
        desk = Watched(server, tmp_path)
        server.app.faults.arm(fault)
        desk.watch("plan", "-vv")
        desk.watch("apply", "--auto-approve", "--output", "json", "-v")
        desk.watch("lookup", "locations", "example-skin-group")
        desk.search_files()

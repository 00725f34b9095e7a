"""``doctor`` and ``probe``: what they say, and that doctor writes nothing."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import SKIN
from reconciler.sandbox.server import Server, serve, variables
from reconciler.workflow import checking

SAMPLES = Path(__file__).parents[2] / "integrations"


@pytest.fixture
def rich() -> Iterator[Server]:
    with serve(SandboxOptions(dialect="rich")) as it:
        yield it


@pytest.fixture
def place(rich: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(SAMPLES, tmp_path / "integrations")
    (tmp_path / "reconciler.yaml").write_text("declarations: integrations\n")
    use(rich, monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECONCILER_PRACTICE_PLUS_TOKEN_URL", variables(server)["RECONCILER_NEXTECH_TOKEN_URL"])


def doctor(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    code = main.run(["doctor", "--output", "json"])
    document = json.loads(capsys.readouterr().out)
    assert (document["format_version"], document["kind"]) == ("1.0", "doctor")
    return code, {it["name"]: (it["state"], it["text"]) for it in document["checks"]}


def files(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    found = {}
    for it in sorted(folder.rglob("*")):
        status = it.stat()
        found[str(it)] = (status.st_mode, status.st_mtime_ns, it.read_bytes() if it.is_file() else b"")
    return found


def test_a_whole_installation_is_all_right_and_is_left_as_it_was(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(place)
    code, checks = doctor(capsys)
    assert code == 0
    assert {name for name, (state, _) in checks.items() if state != "ok"} <= {
        "git",
        "clock",
    }  # the sandbox sends no date
    assert {
        "settings",
        "versions",
        "declarations",
        "secrets",
        "store",
        "receipt key",
        "integration API",
        "clock",
    } <= set(checks)
    assert checks["Nextech Select token"] == ("ok", "the token service accepts the credentials")
    assert files(place) == before


def test_text_has_one_line_for_each_check_with_the_remedy(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    monkeypatch.delenv("RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID")
    assert main.run(["doctor"]) == 1
    out = capsys.readouterr().out
    line = next(it for it in out.splitlines() if "  secrets: " in it)
    assert line.startswith("fail  secrets: 1 of ")
    assert line.endswith(
        " do not resolve: env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"
        " -> export them, or set RECONCILER_SECRETS_ROOT"
    )
    assert all(it[:6] in ("ok    ", "warn  ", "fail  ") for it in out.splitlines())


def test_a_store_that_others_may_read_is_told_and_not_touched(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["apply", "--auto-approve", "-q"]) in (0, 3)
    capsys.readouterr()
    store = place / ".reconciler" / "store.db"
    code, checks = doctor(capsys)
    assert (code, checks["receipt key"][1].endswith(", fits the store")) == (0, True)
    store.chmod(0o644)
    code, checks = doctor(capsys)
    assert (code, checks["store"]) == (1, ("fail", f"{store} may be read by other users (mode 0644)"))
    assert stat.S_IMODE(store.stat().st_mode) == 0o644


def test_another_key_and_a_lost_one_fail(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["apply", "--auto-approve", "-q"]) in (0, 3)
    capsys.readouterr()
    (place / ".reconciler" / "store.receipt.key").unlink()
    assert doctor(capsys)[1]["receipt key"][0] == "fail"
    monkeypatch.setenv("RECONCILER_RECEIPT_KEY", "0123456789abcdef0123456789abcdef")
    assert doctor(capsys)[1]["receipt key"] == (
        "fail",
        "RECONCILER_RECEIPT_KEY is not the key that the store was made with",
    )


def test_a_damaged_store_fails(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place / ".reconciler"
    folder.mkdir()
    (folder / "store.db").write_bytes(b"not a database" * 100)
    (folder / "store.db").chmod(0o600)
    code, checks = doctor(capsys)
    assert (code, checks["store"][0]) == (1, "fail")


def test_a_host_that_is_down_and_settings_that_cannot_be_read_fail_without_a_traceback(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reconciler.clock.Clock.sleep", lambda self, seconds: None)
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", "http://127.0.0.1:9")
    code, checks = doctor(capsys)
    assert (code, checks["host 127.0.0.1:9"]) == (1, ("fail", "connection refused"))
    assert checks["integration API"][0] == "fail"
    (place / "reconciler.yaml").write_text("birdeye: {tokn: CANARY}\n")
    code, checks = doctor(capsys)
    assert (code, list(checks), checks["settings"][0]) == (1, ["settings"], "fail")


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (29, "ok"), (-60, "warn"), (60, "warn"), (900, "fail")])
def test_the_clock_is_judged_by_how_far_it_is_off(seconds: int, state: str) -> None:
    now = datetime(2026, 11, 24, 6, 0, 0, tzinfo=UTC)
    assert checking._clock("Tue, 24 Nov 2026 06:00:00 GMT", lambda: now + timedelta(seconds=seconds)).state == state


def test_a_date_that_is_none_is_not_compared() -> None:
    assert checking._clock("\x1b yesterday", lambda: datetime.now(UTC)).state == "warn"


def test_probe_records_and_tells_what_changed(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["apply", "--auto-approve", "-q"]) in (0, 3)
    capsys.readouterr()
    assert main.run(["probe", "example-skin-group", "--output", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert SKIN not in out
    features = json.loads(out)["features"]
    assert (features["group properties"], features["mapping endpoint"], features["secure values"]) == (
        "shown",
        "shown",
        "masked",
    )
    file = place / ".reconciler" / "probe.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document = json.loads(file.read_text())
    document["features"]["group properties"] = "absent"
    file.write_text(json.dumps(document))
    assert main.run(["probe", "example-skin-group"]) == 0
    assert capsys.readouterr().err == "changed since the last probe: group properties: absent -> shown\n"
    for rubbish in ("", "[]", '{"format_version": "9"}', "[" * 100_000):
        file.write_text(rubbish)
        assert main.run(["probe", "example-skin-group"]) == 0
        assert capsys.readouterr().err == ""


def test_probe_of_a_server_that_is_down_is_7(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    monkeypatch.setattr("reconciler.clock.Clock.sleep", lambda self, seconds: None)
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", "http://127.0.0.1:9")
    assert main.run(["probe", "example-skin-group"]) == 7
    assert capsys.readouterr().err.startswith("error: trigger catalogue: GET /integration/trigger/")

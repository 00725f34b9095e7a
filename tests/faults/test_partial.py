"""Some changes fail for good: the others are made, the report names the failed ones, a rerun sends only those."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.sandbox.http import Request
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.faults.workplace import accounts, commits, workplace, wrong

CHOSEN = accounts(24)
SITES = [(account.slug, site.business) for account in CHOSEN for site in account.sites[-1:] if len(account.sites) > 1]


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("k", [1, 5, 12])
def test_k_changes_that_fail_for_good_are_named_and_sent_again_alone(tmp_path: Path, dialect: str, k: int) -> None:
    failing = {business for _, business in SITES[:k]}
    with serve(SandboxOptions(practices=len(CHOSEN), dialect=dialect)) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        with server.app.world.lock:  # businesses that Birdeye does not have are refused for good
            parents = {it: server.app.world._parents.pop(it) for it in failing}
        first = place.apply("--output", "json", "--output", f"text={tmp_path}/report.txt")
        done = len(commits(server.app))
        outcomes = {it["business"]: it for it in first.json["changes"] if it["outcome"] == "failed"}
        assert first.code in (5, 7), first.err
        if first.code == 5:
            assert set(outcomes) == failing
            text = (tmp_path / "report.txt").read_text()
            for slug, business in SITES[:k]:
                assert f"{slug}.yaml:" in text
                assert str(business) in text
        server.app.world._parents |= parents
        total = len(CHOSEN) + sum(len(it.sites) for it in CHOSEN)
        second = place.apply()
        assert second.code == 0, second.err
        assert len(commits(server.app)) == total
        assert total - done == k or first.code == 7
        assert wrong(server.app, CHOSEN) == []


def test_unmanaged_objects_are_never_written_to(tmp_path: Path) -> None:
    everybody = accounts(400)
    managed, others = everybody[:6], everybody[6:]
    with serve(SandboxOptions(practices=len(everybody), dialect="rich")) as server:
        world = server.app.world
        from reconciler.sandbox.changes import change

        for account in others:
            group = change(world, {"action": "add_group", "parent": account.business, "triggers": [24]})
            for site in account.sites:
                change(world, {"action": "add_mapping", "business": site.business, "group": group["group_id"]})
        for account in managed:  # another source's group of the same business
            change(world, {"action": "add_group", "parent": account.business, "source": 7})
        before = (
            dict(world.groups.items()),
            dict(world.mappings.items()),
        )
        assert len(before[0]) + len(before[1]) > 1000
        place = workplace(tmp_path, server.url, managed)
        writes: list[Request] = []
        server.app.on_boundary = lambda moment, request: writes.append(request)
        for faults in (("writes:2:502-after-commit", "M+:3:reset"), ("G+:1-2:truncated",), ("G:2:html",), ()):
            server.app.faults.clear()
            server.app.faults.arm(*faults)
            place.apply()
        assert place.run("plan", "--detailed-exitcode", "-q").code == 0
        assert writes
        assert {key: world.groups[key] for key in before[0]} == before[0]
        assert {key: world.mappings[key] for key in before[1]} == before[1]


def test_commands_that_only_look_send_nothing_but_get(tmp_path: Path) -> None:
    chosen = CHOSEN[:3]
    with serve(SandboxOptions(practices=len(CHOSEN), dialect="rich")) as server:
        place = workplace(tmp_path, server.url, chosen)

        def look() -> None:
            assert place.run("validate").code == 0
            assert place.run("plan", "--out", "p.json", "--detailed-exitcode").code in (0, 2)
            for arguments in (("plan", "--output", "json"), ("show", "p.json"), ("check-plan", "p.json"), ("drift",)):
                assert place.run(*arguments).code in (0, 2), arguments
            server.app.faults.arm("reads:*:403")
            assert place.run("plan").code == 7
            server.app.faults.clear()

        look()
        assert {it.method for it in server.app.world.history} == {"GET"}
        assert place.apply().code == 0
        done = len(server.app.world.history)
        look()
        assert {it.method for it in server.app.world.history[done:]} == {"GET"}

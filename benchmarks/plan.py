"""``validate`` and ``plan`` of businesses with five locations each, beside octoDNS and Terraform in the same minutes."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Command, interleaved, table
from benchmarks.plan_world import KEY, change_one_in

RECORDS = 5


@contextmanager
def static_server(*arguments: str) -> Iterator[str]:
    """The URL of a server of its own process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.static_server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.communicate(timeout=10)


def terraform(folder: Path, count: int) -> Command | None:
    """As many builtin ``terraform_data`` as there are businesses; None where there is no terraform.

    One is applied for real; its entry in the state file is then written once for each of the others, since an apply of
    10,000 takes longer than everything else here together. The plan must find nothing to change.
    """
    program = shutil.which("terraform")
    if program is None:
        return None
    folder.mkdir()

    def block(index: int) -> str:
        values = f'name = "Practice {index}", types = "Procedure|Surgery", status = "fulfilled", custom = "Checked Out"'
        return f'resource "terraform_data" "p{index}" {{\n  input = {{ {values}, a = "1", b = "2", c = "3", d = "4" }}\n}}\n'

    (folder / "main.tf").write_text(block(0))
    for arguments in (["init", "-no-color"], ["apply", "-auto-approve", "-no-color"]):
        subprocess.run([program, *arguments], cwd=folder, check=True, capture_output=True, timeout=600)
    state = json.loads((folder / "terraform.tfstate").read_text())
    first = json.dumps(state["resources"][0])
    state["resources"] = [
        json.loads(first.replace("Practice 0", f"Practice {it}").replace('"p0"', f'"p{it}"')) for it in range(count)
    ]
    (folder / "terraform.tfstate").write_text(json.dumps(state))
    (folder / "main.tf").write_text("".join(block(it) for it in range(count)))
    return Command("terraform plan", [program, "plan", "-no-color", "-detailed-exitcode"], folder)


def octodns(folder: Path, count: int) -> Command | None:
    """As many zones of five records, YAML to YAML; None where octoDNS cannot be installed."""
    venv.create(folder / "venv", with_pip=True)
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "octodns"]
    if subprocess.run(pip, check=False, capture_output=True, timeout=600).returncode != 0:
        return None
    for side in ("config", "target"):
        (folder / side).mkdir(parents=True)
        for index in range(count):
            records = "".join(f"w{it}:\n  type: A\n  value: 192.0.2.{it + 1}\n" for it in range(RECORDS))
            (folder / side / f"z{index}.example.yaml").write_text(f"---\n{records}")
    zones = "".join(f"  z{index}.example.:\n    sources: [config]\n    targets: [target]\n" for index in range(count))
    (folder / "octodns.yaml").write_text(
        "---\nproviders:\n"
        "  config:\n    class: octodns.provider.yaml.YamlProvider\n    directory: ./config\n"
        "  target:\n    class: octodns.provider.yaml.YamlProvider\n    directory: ./target\n    supports_root_ns: false\n"
        f"zones:\n{zones}"
    )
    return Command("octodns-sync", [str(folder / "venv/bin/octodns-sync"), "--config-file", "octodns.yaml"], folder)


def peer(make: Callable[[Path, int], Command | None], name: str, folder: Path, size: int) -> Command | None:
    """A peer that has proved that it runs; None, and a line that says why, where it is not there or does not."""
    try:
        made = make(folder, size)
        if made is not None:
            subprocess.run([made.arguments[0], "--version"], check=True, capture_output=True, timeout=60)
            return made
        why = "it is not installed"
    except subprocess.CalledProcessError as error:
        why = f"it ended with {error.returncode}: {error.stderr.decode(errors='replace').strip()[-200:]}"
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        why = str(error)
    print(f"{name} is left out: {why}", file=sys.stderr)
    return None


def main(arguments: list[str]) -> None:
    """One table per size."""
    parser = argparse.ArgumentParser(prog="benchmarks plan")
    parser.add_argument("--size", type=int, action="append", help="businesses; 1000 and 10000 unless given")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--without", action="append", default=[], choices=["terraform", "octodns"])
    given = parser.parse_args(arguments)
    for size in given.size or [1000, 10000]:
        with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
            print(f"\n{size} businesses, {given.rounds} rounds, medians")
            _one_size(Path(name), size, given.rounds, frozenset(given.without))


def _one_size(root: Path, size: int, rounds: int, without: frozenset[str]) -> None:
    same, changed = root / "same", root / "changed"
    # By a process of its own: a child's peak memory is never below what its parent has in memory when it is made.
    subprocess.run([sys.executable, "-m", "benchmarks.plan_world", str(same), str(size)], check=True, timeout=600)
    shutil.copytree(same, changed)
    change_one_in(changed, size, 100)
    single = root / "single"
    shutil.copytree(same, single)
    for git in (
        ["init", "-q"],
        ["add", "integrations", "practices.json"],
        ["-c", "user.name=b", "-c", "user.email=b@example.com", "commit", "-qm", "b"],
    ):
        subprocess.run(["git", *git], cwd=single, check=True, capture_output=True)
    change_one_in(single, 1, 1)
    with static_server(str(size)) as url:
        environ = {
            "RECONCILER_BIRDEYE_URL": url,
            "RECONCILER_BIRDEYE_REQUESTS_PER_SECOND": "100000",
            "RECONCILER_RECEIPT_KEY": KEY,
            "RECONCILER_SECRETS_ROOT": ".",
        }
        ours = [sys.executable, "-m", "reconciler"]
        commands = [
            Command("reconciler validate", [*ours, "validate", "-q"], same, environ),
            Command("reconciler plan, nothing changed", [*ours, "plan", "-q"], same, environ),
            Command("reconciler plan, 1 % changed", [*ours, "plan", "-q"], changed, environ),
            Command(
                "reconciler plan --changed-since, 1 file",
                [*ours, "plan", "-q", "--changed-since", "HEAD"],
                single,
                environ,
            ),
        ]
        peers = {"terraform": terraform, "octodns": octodns}
        found = [peer(make, it, root / it, size) for it, make in peers.items() if it not in without]
        commands += [it for it in found if it is not None]
        interleaved(commands, rounds)
    for against in ("terraform plan", "octodns-sync", "reconciler plan, nothing changed"):
        if any(it.name == against for it in commands):
            print(table(commands, against=against), "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

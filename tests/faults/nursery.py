"""Starts ``reconciler`` processes by forking one that has imported everything: real processes, without the second that
Python and its libraries take to start.

    python -m tests.faults.nursery

Reads one JSON object a line ({"number", "arguments", "cwd", "environment", "out", "err", "limit"}) and writes
{"number", "pid"} when a process runs and {"number", "code"} when it has ended (negative for a signal, as subprocess has it).
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DELIVER = "deliver"
"""In place of a command: deliver what a ledger has planned, see ``outbox_driver``."""


class Child:
    """A process from the nursery, with the part of ``subprocess.Popen`` that tests use."""

    def __init__(self, out: Path, err: Path) -> None:
        self._out, self._err = out, err
        self.pid = 0
        self.returncode: int | None = None
        self.running = threading.Event()
        self.ended = threading.Event()

    def poll(self) -> int | None:
        return self.returncode

    def said(self) -> str:
        """What it has written to stderr so far."""
        return self._err.read_text()

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        if not self.ended.wait(timeout):
            raise subprocess.TimeoutExpired("reconciler", timeout or 0)
        return self._out.read_text(), self._err.read_text()


class Nursery:
    """The process that forks, and the thread that hears of its children."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._children: list[Child] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._hear, daemon=True)
        self._thread.start()

    def start(
        self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], *, limit: int | None = None
    ) -> Child:
        """Start ``reconciler`` with these arguments; ``limit`` bounds the size of every file that it writes."""
        assert self._process.stdin is not None
        with self._lock:
            number = len(self._children)
            out, err = cwd / f".out-{number}", cwd / f".err-{number}"
            child = Child(out, err)
            self._children.append(child)
            for path in (out, err):
                path.touch(0o600)
            request = {
                "number": number,
                "arguments": arguments,
                "cwd": str(cwd),
                "environment": environment,
                "out": str(out),
                "err": str(err),
                "limit": limit,
            }
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        assert child.running.wait(30), "the nursery does not answer"
        return child

    def _hear(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            child = self._children[said["number"]]
            if "pid" in said:
                child.pid = said["pid"]
                child.running.set()
            else:
                child.returncode = said["code"]
                child.ended.set()

    def close(self) -> None:
        """End the nursery and whatever still runs in it."""
        for child in self._children:
            child.kill()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._thread.join(5)
        self._process.stdout.close()


def _child(asked: dict[str, Any], modules: frozenset[str]) -> None:
    from reconciler.cli import main
    from tests.faults import outbox_driver

    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    for path, number in ((os.devnull, 0), (asked["out"], 1), (asked["err"], 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    if asked["limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked["limit"], asked["limit"]))
    command, *rest = asked["arguments"]
    code = outbox_driver.run(rest) if command == DELIVER else main.run([command, *rest])
    late = sorted(_loaded() - modules)
    if late:
        sys.stderr.write(f"the nursery does not know {', '.join(late)}\n")
        code = 70
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def load() -> frozenset[str]:
    """Import the whole program before the first fork, and what it imports late; the names of its modules.

    A child that imported a part of it from the disk could get a part that was edited meanwhile: half of one version,
    half of another.
    """
    import sqlalchemy.dialects.sqlite  # noqa: F401

    import reconciler
    from tests.faults import outbox_driver  # noqa: F401

    for found in pkgutil.walk_packages(reconciler.__path__, "reconciler."):
        if not found.name.endswith("__main__") and ".migrations." not in found.name:
            importlib.import_module(found.name)
    return _loaded()


def _loaded() -> frozenset[str]:
    return frozenset(it for it in sys.modules if it.partition(".")[0] in ("reconciler", "tests"))


def _serve() -> None:
    modules = load()
    gc.freeze()  # what is imported is nobody's garbage: no child looks through it
    numbers: dict[int, int] = {}
    pending = b""
    is_open = True
    while is_open or numbers:
        ready, _, _ = select.select([0] if is_open else [], [], [], 0.005)
        if ready:
            read = os.read(0, 1 << 20)
            is_open = bool(read)
            *lines, pending = (pending + read).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    try:
                        _child(asked, modules)
                    finally:
                        os._exit(70)
                numbers[pid] = asked["number"]
                _say({"number": asked["number"], "pid": pid})
        while numbers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            _say({"number": numbers.pop(pid), "code": os.waitstatus_to_exitcode(status)})


def _say(value: dict[str, int]) -> None:
    os.write(1, json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    _serve()

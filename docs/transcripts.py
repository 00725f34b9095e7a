"""Runs the commands that a page shows, in order, against a sandbox, and compares what they print.

What counts in a page:

- a block `console`: lines `$ COMMAND` (continued by `\\` and `> `), below each what it prints. A line `…` stands for any
  lines, `…` within a line for any characters. Nothing below a command: its output is not shown. An exit code other than
  0 must be asked for: `$ echo $?`, and the number.
- a block `yaml file=PATH`: the file is written. A block `diff file=PATH`: its lines with ` ` and `-` are found in the
  file and replaced by those with ` ` and `+`.
- comments of one line: `<!-- samples -->` copies the sample declarations; `<!-- sandbox: OPTIONS -->` starts a sandbox
  with other options than none; `<!-- change: JSON -->` changes something behind the API; `<!-- fault: FAULT -->`, `<!-- no faults -->`;
  `<!-- later: DAYS -->` moves the clock; `<!-- real clock -->`; `<!-- run: COMMAND -->` runs what is not shown.

`python -m docs.transcripts PAGE…` writes the output in where a command is followed by the line `?`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import time_machine

from reconciler.cli import main as program
from reconciler.cli.serve import sandbox as sandbox_command
from reconciler.clock import Clock
from reconciler.sandbox import changes
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve, variables

ROOT = Path(__file__).parents[1]
START = dt.datetime(2026, 11, 24, 14, 0, tzinfo=dt.UTC)
"""When every page begins: the day on which the samples are current."""
LONGEST_SLEEP_SECONDS = 0.05
SHELL_SECONDS = 30
ANY = "…"

_FENCE = re.compile(r"^ *(```+)(?P<info>[^`]*)$")
_COMMENT = re.compile(r"^ *<!-- (?P<words>.+?) -->$")
_MASKS = (
    (re.compile(r"\b(?=\d*[a-f])[0-9a-f]{12,}\b"), ANY),
    (re.compile(r"(?<!\d)\d{2}:\d{2}:\d{2}(\.\d+)?(Z|\+00:00)?"), ANY),
    (re.compile(r"127\.0\.0\.1:\d+"), f"127.0.0.1:{ANY}"),
    (re.compile(r"#[0-9a-f]{8}\b"), f"#{ANY}"),
    (re.compile(r"\b(applied|last success|decided|confirmed on)( +)(\d{4}-\d\d-\d\d) \d\d:\d\d"), rf"\1\2\3 {ANY}"),
    (re.compile(r"\bnext due \d{4}-\d\d-\d\d \d\d:\d\d"), f"next due {ANY}"),
    (re.compile(r"\b(plan|in pass) [0-9a-f]{8}\b"), rf"\1 {ANY}"),
    (re.compile(r"\b(appointment|customer) \d+"), rf"\1 {ANY}"),
)


class Differs(AssertionError):
    """A page and the program say different things."""


@dataclass
class Step:
    """One thing to do: its kind (`run`, `write`, `diff`, or a comment's word), words, and what was shown."""

    kind: str
    words: str
    line: int
    body: list[str] = field(default_factory=list)
    end: int = 0
    """The line (from 0) after what is shown."""


def read(text: str) -> list[Step]:
    """The steps of a page, in order."""
    lines = text.splitlines()
    steps: list[Step] = []
    at = 0
    while at < len(lines):
        if found := _COMMENT.match(lines[at]):
            kind, _, words = found["words"].partition(": ")
            steps.append(Step(f"<{kind}>", words, at))
        elif found := _FENCE.match(lines[at]):
            mark, info, start = found[1], found["info"].split(), at + 1
            at = next(i for i in range(start, len(lines)) if lines[i].strip() == mark)
            if info[:1] == ["console"]:
                steps += _commands(lines, start, at)
            elif info[1:] and info[1].startswith("file="):
                kind = "diff" if info[0] == "diff" else "write"
                steps.append(Step(kind, info[1].removeprefix("file="), start, lines[start:at]))
        at += 1
    return steps


def _commands(lines: list[str], start: int, end: int) -> list[Step]:
    steps: list[Step] = []
    at = start
    while at < end:
        if lines[at].startswith("$ "):
            step = Step("run", lines[at][2:], at)
            while step.words.endswith("\\") and lines[at + 1].startswith("> "):
                at += 1
                step.words = step.words[:-1] + lines[at][2:]
            steps.append(step)
        elif steps:
            steps[-1].body.append(lines[at])
        else:
            raise Differs(f"line {at + 1}: a console block begins with a command")
        steps[-1].end = at + 1
        at += 1
    return steps


def masked(text: str, folder: Path) -> list[str]:
    """What a command printed, without what differs from run to run."""
    text = text.replace(str(folder), ANY)
    for pattern, instead in _MASKS:
        text = pattern.sub(instead, text)
    lines = [line.rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def agree(shown: list[str], printed: str) -> bool:
    """Does what a page shows stand for what was printed?"""
    parts = [
        r"(?:.*\n)*?" if line.strip() == ANY else ".*".join(re.escape(it) for it in line.rstrip().split(ANY)) + r" *\n"
        for line in shown
    ]
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch("".join(parts) + r"\n*", text) is not None


class Runner:
    """Does the steps of one page in a folder of its own. Use it as a context manager."""

    def __init__(self, folder: Path, *, real_clock: bool = False) -> None:
        self.folder = folder
        self.code = 0
        self._stack = contextlib.ExitStack()
        self._server: Server | None = None
        self._travel = None if real_clock else time_machine.travel(START, tick=True)
        self._now: time_machine.Traveller | None = None

    def __enter__(self) -> Runner:
        stack = self._stack
        environ, here = dict(os.environ), Path.cwd()
        stack.callback(os.environ.update, environ)
        stack.callback(os.environ.clear)
        stack.callback(os.chdir, here)
        for name in [it for it in os.environ if it.startswith("RECONCILER_") or it == "CI"]:
            del os.environ[name]
        binaries = self._shim()
        os.environ.update(
            HOME=str(self.folder), USER="you", NO_COLOR="1", PATH=f"{binaries}{os.pathsep}{os.environ['PATH']}"
        )
        os.environ.update(RECONCILER_BIRDEYE_CONCURRENCY="1")  # else group ids depend on who is first
        os.environ.update(PYTHONPATH=str(ROOT), GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_NOSYSTEM="1", COLUMNS="120")
        for who in ("AUTHOR", "COMMITTER"):
            os.environ.update({f"GIT_{who}_NAME": "You", f"GIT_{who}_EMAIL": "you@example.com"})
        os.chdir(self.folder)
        sleep = Clock.sleep
        briefly = lambda it, seconds: sleep(it, min(seconds, LONGEST_SLEEP_SECONDS))  # noqa: E731
        setattr(Clock, "sleep", briefly)  # noqa: B010 - mypy knows no other way to replace a method
        stack.callback(setattr, Clock, "sleep", sleep)
        if self._travel is not None:
            self._now = stack.enter_context(self._travel)
        return self

    def __exit__(self, *about: object) -> None:
        self._stack.close()

    def _shim(self) -> Path:
        """A `reconciler` for the shell: the same code, whether or not it is installed."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "reconciler").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n')
        (folder / "reconciler").chmod(0o755)
        return folder

    def do(self, step: Step) -> str:
        """Do one step; gives what was printed."""
        match step.kind:
            case "run" | "<run>":
                return self._run(step.words)
            case "write":
                path = self.folder / step.words
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("\n".join(step.body) + "\n", encoding="utf-8")
            case "diff":
                self._edit(self.folder / step.words, step.body)
            case "<samples>":
                shutil.copytree(ROOT / "integrations", self.folder / "integrations")
            case "<sandbox>":
                self._start(shlex.split(step.words))
            case "<change>":
                changes.change(self.server.app.world, json.loads(step.words))
            case "<fault>":
                self.server.app.faults.arm(step.words)
            case "<no faults>":
                self.server.app.faults.clear()
            case "<later>":
                assert self._now is not None
                self._now.shift(dt.timedelta(days=float(step.words)))
        return ""

    @property
    def server(self) -> Server:
        """The sandbox, started when first needed."""
        if self._server is None:
            self._start([])
        assert self._server is not None
        return self._server

    def _start(self, arguments: list[str], *, export: bool = True) -> None:
        given = dict(sandbox_command.make_context("sandbox", arguments).params)
        for name in ("config", "log_format", "verbose", "quiet", "debug"):
            given.pop(name)
        options = SandboxOptions(**{{"sets": "settings"}.get(name, name): value for name, value in given.items()})
        self._server = self._stack.enter_context(serve(options))
        if export:
            os.environ.update(variables(self._server))

    def _edit(self, path: Path, body: list[str]) -> None:
        text = path.read_text(encoding="utf-8")
        before = "".join(f"{it[1:]}\n" for it in body if it[:1] in (" ", "-"))
        after = "".join(f"{it[1:]}\n" for it in body if it[:1] in (" ", "+"))
        if text.count(before) != 1:
            raise Differs(f"{path.name}: the lines of the diff stand there {text.count(before)} times")
        path.write_text(text.replace(before, after), encoding="utf-8")

    def _run(self, words: str) -> str:
        if words == "echo $?":
            return f"{self.code}\n"
        if found := re.fullmatch(r"reconciler sandbox(?P<options>.*) > (?P<file>\S+) &", words):
            self._start(shlex.split(found["options"]), export=False)
            exports = [f"export {name}={shlex.quote(value)}\n" for name, value in variables(self.server).items()]
            Path(found["file"]).write_text("".join(exports), encoding="utf-8")
            return ""
        if found := re.fullmatch(r"export (?P<name>\w+)=(?P<value>.*)", words):
            os.environ[found["name"]] = "".join(shlex.split(found["value"]))
            return ""
        if found := re.fullmatch(r"unset (?P<name>\w+)", words):
            os.environ.pop(found["name"], None)
            return ""
        if found := re.fullmatch(r"source (?P<file>\S+)", words):
            return "".join(self._run(line) for line in Path(found["file"]).read_text(encoding="utf-8").splitlines())
        if found := re.fullmatch(r"cd (?P<folder>\S+)", words):
            os.chdir(found["folder"])
            self.folder = Path.cwd()
            return ""
        if self._server is None and "RECONCILER_BIRDEYE_URL" not in os.environ:
            os.environ.update(variables(self.server))
        if words.startswith("reconciler ") and not re.search(r"[|;&<>$`]", words.replace("'|'", "")):
            return self._own(shlex.split(words)[1:])
        return self._shell(words)

    def _own(self, arguments: list[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self.code = program.run(arguments)
        return printed.getvalue()

    def _shell(self, words: str) -> str:
        done = subprocess.run(
            ["bash", "-c", words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )
        self.code = done.returncode if done.returncode >= 0 else 128 - done.returncode
        return done.stdout


def play(page: Path, folder: Path, see: Callable[[Step, Step | None, str, Runner], None]) -> None:
    """Do every step of a page; `see` gets each with the one that follows, and what it printed."""
    text = page.read_text(encoding="utf-8")
    steps = read(text)
    with Runner(folder, real_clock=any(it.kind == "<real clock>" for it in steps)) as runner:
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            printed = runner.do(step)
            see(step, following, printed, runner)


def check(page: Path, folder: Path) -> None:
    """Raises Differs where the page and the program say different things."""

    def see(step: Step, following: Step | None, printed: str, runner: Runner) -> None:
        where = f"{page.name}:{step.line + 1}: {step.words}"
        asked = following is not None and following.words == "echo $?"
        if runner.code and step.words != "echo $?" and step.kind in ("run", "<run>") and not asked:
            raise Differs(f"{where}: exit code {runner.code}\n{printed}")
        shown = list(step.body)
        while shown and not shown[-1]:
            shown.pop()
        if step.kind == "run" and shown and not agree(shown, printed):
            raise Differs(f"{where}: the page shows\n{chr(10).join(shown)}\n--- and the program prints\n{printed}")

    play(page, folder, see)


def fill(page: Path) -> Iterator[str]:
    """Write what commands print in where the page has a `?`. Gives a line for each command of which it shows less."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found: list[tuple[int, list[str]]] = []
    notes: list[str] = []

    def see(step: Step, following: Step | None, printed: str, runner: Runner) -> None:
        if step.kind == "run" and "?" in step.body:
            found.append((step.line + 1 + step.words.count("\n"), masked(printed, runner.folder)))
        elif (
            step.kind == "run"
            and step.body
            and not agree([it for it in step.body if it], printed.replace("\n\n", "\n"))
        ):
            notes.append(f"{page.name}:{step.line + 1}: {step.words} now prints\n{printed}")
        if runner.code and step.kind == "<run>":
            notes.append(f"{page.name}:{step.line + 1}: {step.words} ends in {runner.code}\n{printed}")

    with tempfile.TemporaryDirectory() as folder:
        play(page, Path(folder).resolve(), see)
    for at, printed_lines in reversed(found):
        question = next(i for i in range(at, len(lines)) if lines[i] == "?")
        lines[question : question + 1] = printed_lines
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    yield from notes


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for note in fill(Path(name)):
            sys.stderr.write(f"{note}\n")

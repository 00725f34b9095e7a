"""The README says what is so: its commands, folders, targets and exit codes exist."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler import errors
from reconciler.cli.main import SECTIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def every_error(base: type[errors.ReconcilerError]) -> set[type[errors.ReconcilerError]]:
    return {base}.union(*(every_error(it) for it in base.__subclasses__()))


def test_every_command_that_it_names_exists() -> None:
    known = {name for _, commands in SECTIONS for name in commands}
    named = set(re.findall(r"`reconciler ([a-z][a-z-]+)", README))
    assert named
    assert named <= known


def test_every_make_target_that_it_names_exists() -> None:
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = set(re.findall(r"make ([a-z-]+)", README.split("## A declaration")[0].split("## Try it")[1]))
    assert named == {"demo", "test"} <= known


def test_every_folder_and_file_that_it_lists_exists() -> None:
    listing = README.split("## What lies where")[1]
    top, inner = re.findall(r"^ {4}(\S+)", listing, re.M), re.findall(r"^ {6}(\S+)", listing, re.M)
    assert [it for it in top if not (ROOT / it).exists()] == []
    assert [it for it in inner if not (ROOT / "reconciler" / it).exists()] == []
    parts = {it.name for it in (ROOT / "reconciler").iterdir() if not it.name.startswith(("_", "."))} - {"py.typed"}
    assert {it.removesuffix("/") for it in inner} >= parts


def test_every_exit_code_of_an_error_is_in_its_table() -> None:
    table = README.split("## Exit codes")[1].split("##")[0]
    written = {int(it) for cell in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for it in cell.split(",")}
    raised = {it.exit_code for it in every_error(errors.ReconcilerError)}
    assert raised <= written == {0, 1, 2, 3, 4, 5, 6, 7, 64, 130, 143}

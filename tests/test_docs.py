"""The documentation holds together: its links lead somewhere, and no page is forgotten by the map."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from docs import generate
from reconciler import errors
from reconciler.cli.main import SECTIONS, cli

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINKING = [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md"]


def prose(text: str) -> str:
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *(```+)[^\n]*\n.*?^ *\1 *$", "", text, flags=re.M | re.S))


def anchors(page: Path) -> set[str]:
    """What `#name` may stand for in a page, by GitHub's rule."""
    text = re.sub(r"^ *(```+)[^\n]*\n.*?^ *\1 *$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", it.lower()).replace(" ", "-") for it in headings}


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = (page.parent / name).resolve() if name else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_the_map_names_every_page() -> None:
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    named = {(DOCS / it.partition("#")[0]).resolve() for it in re.findall(r"\]\(([^)\s]+)\)", text)}
    assert [str(it.relative_to(DOCS)) for it in PAGES if it.name != "index.md" and it not in named] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_page_begins_with_its_one_title_and_leaves_no_question_open(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert [it for it in lines if it.rstrip() == "?"] == []


def test_the_reference_is_what_the_program_says() -> None:
    """Where it is not: `python -m docs.generate`, and read the difference."""
    written = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
    made = generate.pages()
    assert written.keys() == made.keys()
    assert [name for name, text in made.items() if written[name] != text] == []


def test_every_exit_code_of_an_error_is_in_the_reference() -> None:
    raised = {str(it.exit_code) for it in generate.every_error(errors.ReconcilerError)}
    assert raised <= {code for cell, _ in generate.EXIT_CODES for code in cell.split(", ")}


def test_every_command_and_option_that_a_page_names_exists() -> None:
    """In prose and in blocks that no test runs; blocks of commands are run."""
    known = {name: options(name) for _, names in SECTIONS for name in names}
    wrong = []
    for page in PAGES:
        for words in re.findall(r"(?:`|^|; )reconciler ([a-z][^`\n;#]*)", page.read_text(encoding="utf-8"), re.M):
            name, *rest = words.split()
            if name not in known or not {it.split("=")[0] for it in rest if it.startswith("--")} <= known[name]:
                wrong.append(f"{page.relative_to(DOCS)}: {words}")
    assert wrong == []


def options(name: str) -> set[str]:
    """Every long option of a command and of what is below it."""

    def of(command: click.Command) -> set[str]:
        found = {name for it in command.params for name in it.opts}
        if isinstance(command, click.Group):
            found = found.union(*(of(it) for it in command.commands.values()))
        return found

    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return of(command) | {"--help"}

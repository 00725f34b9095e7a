"""Every command that the documentation shows runs, ends in the exit code that is shown, and prints what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import transcripts

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(
    path for path in DOCS.rglob("*.md") if any(it.kind == "run" for it in transcripts.read(path.read_text("utf-8")))
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_commands_of_a_page_do_what_it_shows(page: Path, tmp_path: Path) -> None:
    transcripts.check(page, tmp_path)


def test_a_dot_line_stands_for_any_lines_and_dots_for_any_characters() -> None:
    assert transcripts.agree(["a", "…", "d … f"], "a\nb\nc\nd 1234 f\n")
    assert transcripts.agree(["…"], "")
    assert not transcripts.agree(["a", "c"], "a\nb\nc\n")
    assert not transcripts.agree(["a"], "a\nb\n")


def test_an_exit_code_that_a_page_does_not_ask_for_is_a_difference(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "folder"
    folder.mkdir()
    page.write_text("```console\n$ reconciler explain no-such-code\n```\n", encoding="utf-8")
    with pytest.raises(transcripts.Differs, match=r"page\.md:2: reconciler explain no-such-code: exit code 64"):
        transcripts.check(page, folder)


def test_output_that_is_not_what_a_page_shows_is_a_difference(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "folder"
    folder.mkdir()
    page.write_text("```console\n$ reconciler --version\nreconciler, version none\n```\n", encoding="utf-8")
    with pytest.raises(transcripts.Differs, match="the page shows\nreconciler, version none"):
        transcripts.check(page, folder)

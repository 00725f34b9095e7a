"""Each code's bad example, as text, for GitHub and as JSON: whole outputs, in ``renderings/``.

After a wanted change of words: delete the files, run this test twice, and read the difference before it is committed.
"""

import json
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.core import codes
from reconciler.report import problems as report
from tests import reviewing

FOLDER = Path(__file__).parent / "renderings"
TEXTUAL = [code for code, it in codes.registry().items() if it.bad and code not in ("E303", "E304")]


@pytest.mark.parametrize("code", TEXTUAL)
def test_a_problem_looks_as_it_did(code: str, tmp_path: Path) -> None:
    folder = tmp_path / "integrations"
    folder.mkdir()
    entry = codes.registry()[code]
    (folder / "example.yaml").write_text(entry.bad)
    if entry.beside:
        (folder / "other.yaml").write_text(entry.beside)
    loaded = declarations.load(folder, shown_from=tmp_path, today=codes.EXAMPLE_TODAY)
    told = [it for it in loaded.problems if it.code == code]
    document = json.loads(report.render_json(told))
    shown = "\n".join(
        (
            report.render_text(told, loaded.sources),
            reviewing.annotated(told),
            json.dumps(document, ensure_ascii=False),
        )
    )
    file = FOLDER / f"{code}.txt"
    if not file.exists():
        FOLDER.mkdir(exist_ok=True)
        file.write_text(shown + "\n")
        pytest.fail(f"{file.name} was missing and has been written: read it, then run again")
    assert shown + "\n" == file.read_text()


def test_no_rendering_is_left_over() -> None:
    assert sorted(it.stem for it in FOLDER.iterdir()) == sorted(TEXTUAL)

"""The pages of a plan and of drift in a real browser: drawn in light, dark, narrow and printed, and nothing runs in them.

Debian's Chromium, headless, without any driver: what a page holds is read from the DOM that it prints, what it looks
like from its picture. Skipped where there is no Chromium.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from reconciler.report import documents, html, view_other, view_plan
from tests import reviewing
from tests.core import test_view_hostile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
)  # fmt: skip
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"
HOSTILE = "</style></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


def browse(tmp_path: Path, page: Path, *arguments: str) -> str:
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", *arguments, page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["plan", "drift"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "plan":
        plan = reviewing.plan(24)
        view = view_plan.view_of_plan(documents.view_of_plan(plan), view_plan.About("example.com", plan.digest))
    else:
        view = view_other.view_of_drift(reviewing.drift_report(), reviewing.NOW)
    path = tmp_path / "page.html"
    path.write_text(html.render(view))
    return path


def pixel(picture: Path, x: int, y: int) -> tuple[int, int, int]:
    """One pixel of a PNG with 8 bits and no interlace, as Chromium writes it."""
    data = picture.read_bytes()
    width, _, depth, kind = struct.unpack(">IIBB", data[16:26])
    assert depth == 8
    size = {2: 3, 6: 4}[kind]
    raw, at = b"", 8
    while at < len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        raw += data[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    lines = zlib.decompress(raw)
    before = bytearray(width * size)
    for row in range(y + 1):
        start = row * (width * size + 1)
        before = unfiltered(lines[start], bytearray(lines[start + 1 : start + 1 + width * size]), before, size)
    red, green, blue = before[x * size : x * size + 3]
    return red, green, blue


def unfiltered(kind: int, line: bytearray, above: bytearray, size: int) -> bytearray:
    for i in range(len(line)):
        left = line[i - size] if i >= size else 0
        up, corner = above[i], above[i - size] if i >= size else 0
        near = left + up - corner
        paeth = min((left, up, corner), key=lambda it: abs(near - it))
        line[i] = (line[i] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
    return line


@pytest.mark.parametrize(("scheme", "ground"), [(LIGHT, (0xF5, 0xF6, 0xF8)), (DARK, (0x10, 0x14, 0x1A))])
def test_a_page_is_drawn_in_the_scheme_that_the_reader_prefers(
    tmp_path: Path, page: Path, scheme: str, ground: tuple[int, int, int]
) -> None:
    picture = tmp_path / "page.png"
    browse(tmp_path, page, scheme, "--window-size=900,300", f"--screenshot={picture}")
    assert pixel(picture, 3, 3) == ground


def test_a_page_prints_with_its_details_open(tmp_path: Path, page: Path) -> None:
    printed = tmp_path / "page.pdf"
    browse(tmp_path, page, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF-")
    assert printed.stat().st_size > 10_000


def test_what_is_folded_is_printed_too(tmp_path: Path) -> None:
    plan = reviewing.plan(60, per_business=1, actions=("update",), objections=0)
    page = html.render(view_plan.view_of_plan(documents.view_of_plan(plan)))
    assert page.count('<details class="box">') == 60
    sizes = []
    for text in (page, page.replace('<details class="box">', '<details class="box" open>')):
        path, printed = tmp_path / "page.html", tmp_path / "page.pdf"
        path.write_text(text)
        browse(tmp_path, path, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
        sizes.append(printed.stat().st_size)
    assert abs(sizes[0] - sizes[1]) < sizes[1] / 20


@pytest.mark.parametrize("kind", ["plan", "drift", "validate", "apply"])
def test_ten_thousand_hostile_texts_become_no_tag_of_their_own(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(html.render(test_view_hostile.VIEWS[kind]()))
    dom = browse(tmp_path, path, "--dump-dom")
    assert len(dom) > path.stat().st_size * 0.9
    assert set(re.findall(r"<([a-zA-Z][^\s>/]*)", dom)) <= test_view_hostile.HTML_TAGS


def test_hostile_values_neither_run_nor_load_nor_break_the_page(tmp_path: Path) -> None:
    plan = reviewing.hostile_plan(HOSTILE)
    about = view_plan.About(HOSTILE, plan.digest, "", HOSTILE, notes=(HOSTILE,))
    path = tmp_path / "page.html"
    path.write_text(html.render(view_plan.view_of_plan(documents.view_of_plan(plan), about)))
    dom = browse(tmp_path, path, "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom, re.DOTALL)
    assert title is not None
    assert title.group(1).startswith("Plan for &lt;/style&gt;")
    assert not re.search(r"<(?:script|img)\b", dom)
    assert dom.count("<main>") == 1
    assert dom.rstrip().endswith("</main>\n\n\n</body></html>") or "</main>" in dom[-60:]


def test_the_policy_forbids_what_somebody_puts_into_the_page_afterwards(tmp_path: Path, page: Path) -> None:
    added = "<script>document.title='owned'</script><style>body{display:none}</style>"
    page.write_text(page.read_text().replace("</main>", f"</main>{added}"))
    dom = browse(tmp_path, page, "--dump-dom")
    assert "<title>owned</title>" not in dom

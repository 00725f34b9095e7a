"""Takes the pictures of the pages that people review: `python -m docs.pictures`, where Debian's Chromium is installed.

A plan and a drift report in light and dark, and a request's comment, whose Markdown is drawn nearly as a forge draws it.
What they show is made up, and the same each time.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from markdown_it import MarkdownIt

from reconciler.report import documents, html, markdown, view_other, view_plan
from reconciler.report.view import Origin, View
from tests import reviewing

FOLDER = Path(__file__).parent / "pictures"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync")
SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}
ORIGINS: tuple[Origin, ...] = ("pull", "pull", "main", "outside")
FORGE_STYLE = """
body { font: 14px/1.5 sans-serif; max-width: 800px; margin: 16px; color: #1f2328; }
table { border-collapse: collapse; } th, td { border: 1px solid #d1d9e0; padding: 4px 10px; }
code { background: #eff1f3; border-radius: 4px; padding: .1em .3em; font-size: 85%; }
pre { background: #f6f8fa; padding: 12px; overflow: auto; } pre code { background: none; padding: 0; }
blockquote { border-left: 4px solid; margin: 0 0 12px; padding: 0 12px; }
.caution { border-color: #cf222e; } .warning { border-color: #9a6700; }
"""


def plan_view() -> View:
    """Changes in four businesses, from all three places."""
    plan = reviewing.plan(8, per_business=2, actions=("create", "update", "update", "deactivate"), objections=1)
    origins = {it.id: ORIGINS[i % 4] for i, it in enumerate(plan.changes)}
    about = view_plan.About("common-services.birdeye.com", plan.digest, plan.created_at, plan.commit, origins=origins)
    return view_plan.view_of_plan(documents.view_of_plan(replace(plan, manual=plan.manual[:1])), about)


def drift_view() -> View:
    """A difference of each kind."""
    return view_other.view_of_drift(reviewing.drift_report(), reviewing.NOW)


def comment_page(view: View) -> str:
    """The comment, drawn."""
    text = markdown.fit(view, markdown.COMMENT_BYTES).text
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    for name in ("CAUTION", "WARNING"):
        body = re.sub(
            rf"<blockquote>\s*<p>\[!{name}\]", f'<blockquote class="{name.lower()}"><p><b>{name.title()}</b><br>', body
        )
    return f'<!doctype html><meta charset="utf-8"><style>{FORGE_STYLE}</style>{body}'


def main() -> int:
    """Every picture anew."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.stderr.write("Chromium is not installed\n")
        return 1
    FOLDER.mkdir(exist_ok=True)
    pages = {"plan": html.render(plan_view()), "drift": html.render(drift_view())}
    with tempfile.TemporaryDirectory() as name:
        page = Path(name) / "page.html"

        def shot(text: str, scheme: str, size: str, picture: str) -> None:
            page.write_text(text)
            whole = (*FLAGS, f"--user-data-dir={name}/profile", SCHEMES[scheme], f"--window-size={size}")
            subprocess.run(
                [chromium, *whole, f"--screenshot={FOLDER / picture}", page.as_uri()],
                check=True, capture_output=True, timeout=60,
            )  # fmt: skip

        for kind, text in pages.items():
            for scheme in SCHEMES:
                shot(text, scheme, "900,1100", f"{kind}-{scheme}.png")
        shot(comment_page(plan_view()), "light", "840,1100", "comment.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A view in any of the formats that render one."""

from __future__ import annotations

from typing import Literal

from reconciler import __version__
from reconciler.report.view import View

Form = Literal["markdown", "html", "github", "sarif", "junit"]
FORMS: tuple[Form, ...] = ("markdown", "html", "github", "sarif", "junit")


def render(view: View, form: str) -> str:
    """The whole view; the renderer is loaded when it is used."""
    if form == "markdown":
        from reconciler.report import markdown

        return markdown.render(view)
    if form == "html":
        from reconciler.report import html

        return html.render(view)
    if form == "sarif":
        from reconciler.report import sarif

        return sarif.render(view, __version__)
    if form == "junit":
        from reconciler.report import junit

        return junit.render(view)
    from reconciler.report import annotations

    return annotations.render(view)

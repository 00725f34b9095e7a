"""Tells webhooks that something changed: a generic JSON document, or the form that Slack takes.

A webhook's URL is a credential (Slack's path is one): no message names more than its host. A URL that ends in
``#slack``, or whose host is Slack's, gets Slack's form; the fragment is never sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from reconciler import errors
from reconciler.clients.transport import Retry, Transport

SLACK_HOST = "hooks.slack.com"
DEADLINE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Notice:
    """One change of state, in words that may be shown to anybody who operates the syncs."""

    kind: str
    """``unauthorised``, ``recovered``, ``capped``, ``late``, ``credentials``, ``stopped``, ``error``."""
    subject: str
    """A slug, or the name of a product."""
    text: str
    at: str
    """ISO time."""

    def generic(self) -> dict[str, Any]:
        """The generic document."""
        return {
            "source": "reconciler",
            "kind": self.kind,
            "subject": self.subject,
            "text": self.text,
            "at": self.at,
        }

    def slack(self) -> dict[str, Any]:
        """Slack's form. ``&<>`` would be markup."""
        text = f"reconciler: {self.kind}: {self.subject}: {self.text}"
        for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(character, entity)
        return {"text": text}


class NoticesClient:
    """Sends notices to every webhook. A webhook that fails is told about, and stops nothing."""

    def __init__(self, urls: Sequence[str], open_transport: Callable[[str], Transport]) -> None:
        """``open_transport`` makes the transport of a base URL (scheme, host, port)."""
        self._hooks = [_hook(it) for it in urls]
        self._open = open_transport

    def send(self, notice: Notice) -> tuple[str, ...]:
        """Tell every webhook. The hosts of those that could not be told."""
        failed = []
        for base, host, path, query, is_slack in self._hooks:
            body: Mapping[str, Any] = notice.slack() if is_slack else notice.generic()
            try:
                with contextlib.closing(self._open(base)) as transport:
                    transport.send(
                        "POST",
                        path,
                        raw_query=query,
                        json_body=body,
                        # A second notice of the same change is a nuisance and no harm.
                        retry=Retry.SAFE_WRITE,
                        deadline_seconds=DEADLINE_SECONDS,
                        endpoint="notice",
                    )
            except errors.ReconcilerError:
                failed.append(host)
        return tuple(failed)


def _hook(url: str) -> tuple[str, str, str, str, bool]:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    base = f"{parts.scheme}://{parts.netloc}"
    return base, host, parts.path or "/", parts.query, parts.fragment == "slack" or host == SLACK_HOST

"""The names that live systems know, for checking what a person types: asked once, and never in the way.

A system that cannot be reached, or a secret that is not at hand, only means that names are not checked; why is said once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit

from reconciler import errors
from reconciler.clients.integrations import IntegrationsClient, NamedItem
from reconciler.clock import Clock
from reconciler.core import live
from reconciler.core.suggest import nearest, quoted
from reconciler.settings.hosts import LOOPBACK
from reconciler.settings.values import Settings
from reconciler.workflow.session import open_transport

T = TypeVar("T")


class LiveNames:
    """Triggers (endpoint T), locations (L) and practitioners (P), each None where it cannot be known."""

    def __init__(self, settings: Settings, clock: Clock, say: Callable[[str], None], *, offline: bool) -> None:
        self._settings = settings
        self._say = say
        self._stack = ExitStack()
        self._client: IntegrationsClient | None = None
        self._known: dict[tuple[str, str], object] = {}
        if offline:
            return
        if settings.birdeye.token is None and (urlsplit(settings.birdeye.url).hostname or "") not in LOOPBACK:
            say("names are not checked: RECONCILER_BIRDEYE_TOKEN is not set")
            return
        self._client = IntegrationsClient(self._stack.enter_context(open_transport(settings, clock)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def triggers(self) -> tuple[live.Trigger, ...] | None:
        """The source's catalogue."""
        return self._ask(("T", ""), lambda client: client.triggers())

    def locations(self, reference: str) -> tuple[NamedItem, ...] | None:
        """The locations of the practice whose id a reference stands for."""
        return self._of_practice("L", reference, lambda client, practice: client.locations(practice))

    def practitioners(self, reference: str) -> tuple[NamedItem, ...] | None:
        """Its practitioners."""
        return self._of_practice("P", reference, lambda client, practice: client.practitioners(practice))

    def _of_practice(self, endpoint: str, reference: str, ask: Callable[[IntegrationsClient, str], T]) -> T | None:
        if self._client is None:
            return None
        try:
            practice = self._settings.secrets.reveal(reference)
        except errors.SecretError as error:
            self._once(("secret", reference), f"names are not checked: {error.message}")
            return None
        return self._ask((endpoint, reference), lambda client: ask(client, practice))

    def _ask(self, key: tuple[str, str], ask: Callable[[IntegrationsClient], T]) -> T | None:
        if self._client is None:
            return None
        if key not in self._known:
            try:
                self._known[key] = ask(self._client)
            except errors.RemoteError as error:
                self._known[key] = None
                self._say(f"names are not checked: {error.message}")
                if isinstance(error, errors.NotSent):
                    self._client = None  # nothing listens there: the next question would wait as long
        found: T | None = self._known.get(key)  # type: ignore[assignment]
        return found

    def _once(self, key: tuple[str, str], text: str) -> None:
        if key not in self._known:
            self._known[key] = None
            self._say(text)


def trigger_trouble(name: str, catalogue: tuple[live.Trigger, ...]) -> str | None:
    """What is wrong with a trigger's name; None where the catalogue has it and it is active."""
    found = [it for it in catalogue if name in (it.service, it.display_name)]
    if any(it.active for it in found):
        return None
    if found:
        return f"the trigger {quoted(name)} is switched off at its source"
    close = nearest(name, [text for it in catalogue for text in (it.service, it.display_name) if text])
    return f"the source has no trigger {quoted(name)}" + (f"; did you mean {quoted(close)}?" if close else "")


def name_trouble(name: str, items: tuple[NamedItem, ...]) -> str | None:
    """What is wrong with a location's name; None where Nextech lists exactly it."""
    known = [it.name for it in items]
    if name in known:
        return None
    close = nearest(name, known)
    return f"Nextech lists no location {quoted(name)}" + (f"; did you mean {quoted(close)}?" if close else "")


def practitioner_id(word: str, items: tuple[NamedItem, ...]) -> tuple[str | None, str | None]:
    """The id for an id or a name, or what is wrong with it."""
    by_name = {it.name: it.id for it in items if it.id}
    if any(it.id == word for it in items):
        return word, None
    if word in by_name:
        return by_name[word], None
    close = nearest(word, by_name)
    trouble = f"Nextech lists no practitioner {quoted(word)}"
    return None, trouble + (f"; did you mean {quoted(close)} ({by_name[close]})?" if close else "")

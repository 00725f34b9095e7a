"""For every folder: no network but loopback, no environment but the test's own, and one Hypothesis profile."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

import pytest
from hypothesis import settings

from tests.postgres import postgres_server, postgres_store_url, postgres_template, postgres_url

__all__ = ["postgres_server", "postgres_store_url", "postgres_template", "postgres_url"]

# What a developer's shell or a CI service may hold and a test must not see, besides every RECONCILER_ variable. CI is
# among them: it changes what the program demands, and a test that means it sets it.
FOREIGN = frozenset(
    {"CI", "GITHUB_ACTIONS", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
)

# No deadline: the machine is shared, so one slow example proves nothing. In CI the same examples every time, so that a
# red run is about the change at hand; on a developer's machine new ones.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


class NetworkBlocked(AssertionError):
    """A test reached for the network. Not an ``OSError``: nothing may take it for a host that is down."""


def is_local(host: object) -> bool:
    """Whether a host, as given to a socket, is this machine without asking any name server."""
    if host in (None, "", "localhost", b"", b"localhost"):
        return True
    name = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    try:
        return ipaddress.ip_address(name.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) and address else None  # anything else is a Unix socket's path
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        try:  # an address needs no name server, whatever it is; connecting to it is judged above
            ipaddress.ip_address(str(host))
            return
        except ValueError:
            pass
    else:
        return
    if not is_local(host):
        raise NetworkBlocked(f"a test reached for {host!r} ({event}); only loopback is allowed")


# An audit hook and not a patched socket module: it also sees sockets that were imported earlier.
sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the surroundings' variables away; ``tests.postgres`` has read CI before this."""
    for name in tuple(os.environ):
        if name.startswith("RECONCILER_") or name.upper() in FOREIGN:
            monkeypatch.delenv(name)

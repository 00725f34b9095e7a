"""Which URLs may be contacted at all, decided on the text of the URL, before any name is looked up."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from reconciler import errors

if TYPE_CHECKING:
    from collections.abc import Iterable

PORTS = {"https": 443, "http": 80}
NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
# "0x7f.1", "127.1" and "2130706433" are addresses to the operating system though they look like names here.
NUMERIC_END = re.compile(r"(\A|\.)(0x[0-9a-f]*|[0-9]+)\Z")
UNPRINTABLE = re.compile(r"[^\x21-\x7e]|\\")


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host in lower case (an IPv6 address without brackets) and port."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port, as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine, by its literal name or address."""
        return self.host == "localhost" or ((address := ip_address(self.host)) is not None and address.is_loopback)


@dataclass(frozen=True, slots=True)
class Target:
    """An absolute URL in parts. ``query`` is as written, without its question mark."""

    origin: Origin
    path: str
    query: str


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is in its one canonical spelling, else None."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return address if str(address) == host else None


def parse(url: str) -> Target:
    """Split a URL. Raises ValueError, whose text repeats nothing of the URL, for every form that is not plain."""
    if UNPRINTABLE.search(url):
        raise ValueError("it has spaces, backslashes or characters outside ASCII (write such a host in its xn-- form)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is not a URL") from None
    if parts.scheme not in PORTS or not parts.netloc:
        raise ValueError("it does not start with https://")
    if "@" in parts.netloc:
        raise ValueError("it holds a user name or password")
    if parts.fragment or "#" in url:
        raise ValueError("it has a fragment")
    host = (parts.hostname or "").lower()
    if ip_address(host) is None and (NUMERIC_END.search(host) or not NAME.match(host)):
        raise ValueError("its host is neither a name nor an address in its usual spelling")
    if port == 0:
        raise ValueError("its port is 0")
    return Target(Origin(parts.scheme, host, port or PORTS[parts.scheme]), parts.path, parts.query)


def base(url: str, *, allowed_hosts: Iterable[str]) -> Target:
    """The base URL of a client, without its last slash.

    Raises errors.SettingsError unless it is https, or http to loopback, and its host is one of ``allowed_hosts``.
    """
    try:
        target = parse(url)
        if target.query or "?" in url:
            raise ValueError("it has a query")
        if {"..", "."} & set(target.path.split("/")):
            raise ValueError("its path has dots")
    except ValueError as reason:
        raise errors.SettingsError(f"a base URL is refused: {reason}; nothing was sent") from None
    origin = target.origin
    if origin.scheme == "http" and not origin.is_loopback:
        msg = f"the base URL of {origin.authority} is refused: http is for loopback only; nothing was sent"
        raise errors.SettingsError(msg, hint="write https://")
    if origin.host not in {host.lower() for host in allowed_hosts}:
        msg = f"the host {origin.host} is not allowed; nothing was sent"
        raise errors.SettingsError(msg, hint="name it in RECONCILER_ALLOWED_HOSTS if it is meant")
    return Target(origin, target.path.rstrip("/"), "")

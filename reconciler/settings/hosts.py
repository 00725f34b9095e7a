"""Where credentials may go: the hosts that variables allow, over https, or http to loopback."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from reconciler.errors import SettingsError
from reconciler.settings.values import (
    BIRDEYE_URL,
    CONTACTS_URL,
    NEXTECH_TOKEN_URL,
    NEXTECH_URL,
    PRACTICE_PLUS_URL,
    Settings,
)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def allowed_hosts(environ: Mapping[str, str]) -> frozenset[str]:
    """The hosts of the default URLs, loopback, and what ``RECONCILER_ALLOWED_HOSTS`` adds."""
    defaults = (BIRDEYE_URL, CONTACTS_URL, NEXTECH_URL, NEXTECH_TOKEN_URL, PRACTICE_PLUS_URL)
    hosts = {urlsplit(it).hostname or "" for it in defaults} | LOOPBACK
    extra = environ.get("RECONCILER_ALLOWED_HOSTS", "").replace(",", " ").split()
    return frozenset(hosts | {it.lower() for it in extra})


def check_url(url: str, name: str, hosts: frozenset[str]) -> None:
    """Refuse a URL that credentials must not be sent to."""
    try:
        parts = urlsplit(url)
        host, _ = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise SettingsError(f"`{name}` is not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise SettingsError(f"`{name}` is not an https URL")
    if parts.username is not None or parts.password is not None:
        raise SettingsError(f"`{name}` holds a user name or password")
    if parts.scheme == "http" and host not in LOOPBACK:
        raise SettingsError(f"`{name}` is http; that is accepted for loopback only", hint="use https")
    if host not in hosts:
        raise SettingsError(
            f"`{name}` leads to the host {host}, which is not allowed", hint="export RECONCILER_ALLOWED_HOSTS=HOST"
        )


def check_store(url: str, name: str, hosts: frozenset[str]) -> None:
    """A file may not send the database's credentials to another host; a variable may."""
    try:
        parts = urlsplit(url)
        named = [
            (parts.hostname or "").lower(),
            *(value.lower() for key, value in parse_qsl(parts.query) if key == "host"),
        ]
    except ValueError:
        raise SettingsError(f"`{name}` is not a URL") from None
    for host in named:
        if host and not host.startswith("/") and host not in hosts:
            raise SettingsError(
                f"`{name}` leads to the host {host}, which a file may not choose",
                hint=f"export RECONCILER_{name.upper()}=…, or RECONCILER_ALLOWED_HOSTS={host}",
            )


def holds_password(url: str) -> bool:
    """Whether a database URL carries a password, in its authority or as a parameter. An unreadable URL counts as one."""
    try:
        parts = urlsplit(url)
        return parts.password is not None or any(key == "password" for key, _ in parse_qsl(parts.query))
    except ValueError:
        return True


def urls(settings: Settings) -> list[tuple[str, str]]:
    """Every URL that is set, with its name."""
    return [
        (settings.birdeye.url, "birdeye.url"),
        (settings.contacts.url, "contacts.url"),
        (settings.nextech.url, "nextech.url"),
        (settings.nextech.token_url, "nextech.token_url"),
        (settings.practice_plus.url, "practice_plus.url"),
        (settings.practice_plus.token_url, "practice_plus.token_url"),
        *((url, "notices") for url in settings.notices),
    ]

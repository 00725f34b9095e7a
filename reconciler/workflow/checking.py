"""``doctor``: is everything there that the other commands need? Looks, asks, and writes nothing."""

from __future__ import annotations

import platform
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from reconciler import __version__, declarations
from reconciler.clients.integrations import IntegrationsClient
from reconciler.clients.nextech_auth import ClientGrant, Grant, PasswordGrant, TokenSource
from reconciler.clients.reply import Reply
from reconciler.clients.transport import Transport
from reconciler.clock import Clock
from reconciler.core.problems import Severity
from reconciler.declarations import Loaded
from reconciler.errors import ReconcilerError
from reconciler.settings.values import Settings
from reconciler.store import keys
from reconciler.store.database import Store, integrity, open_store
from reconciler.workflow.session import sqlite_path

State = Literal["ok", "warn", "fail"]
REACH_SECONDS = 5.0
ASK_SECONDS = 10.0
SKEW_WARNS_SECONDS = 30
SKEW_FAILS_SECONDS = 300
"""A token that is five minutes off is refused by many services."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and what to do where it is not right."""

    name: str
    state: State
    text: str
    remedy: str = ""


def examine(settings: Settings, clock: Clock) -> Iterator[Check]:
    """Every check, in the order in which a person would mend things."""
    where = (
        str(settings.file) if settings.file else f"no reconciler.yaml above {settings.folder}: defaults and variables"
    )
    yield Check("settings", "ok" if settings.file else "warn", where, "" if settings.file else "reconciler init")
    yield Check(
        "versions",
        "ok",
        f"reconciler {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
    )
    yield _git(settings)
    loaded = declarations.load(settings.declarations, shown_from=settings.folder, today=clock.now().date())
    yield _declarations(loaded)
    yield _secrets(settings, loaded)
    yield from _store(settings, clock)
    yield from _hosts(settings)
    yield from _integration_api(settings, clock)
    yield from _tokens(settings, clock)


def _git(settings: Settings) -> Check:
    if shutil.which("git") is None:
        return Check("git", "warn", "not installed: plans name no commit", "install git")
    try:
        found = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "--no-optional-locks", "-C", str(settings.folder), "rev-parse", "--show-toplevel"],  # noqa: S607
            capture_output=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return Check("git", "warn", "does not answer", "run `git status` there")
    if found.returncode != 0:
        return Check("git", "warn", "the settings are in no git repository: plans name no commit", "git init")
    return Check("git", "ok", "the settings are in a git repository")


def _declarations(loaded: Loaded) -> Check:
    errors = sum(it.severity is Severity.ERROR for it in loaded.problems)
    if errors:
        return Check("declarations", "fail", f"{len(loaded.files)} files, {errors} errors", "reconciler validate")
    return Check("declarations", "ok", f"{len(loaded.files)} files, valid")


def _secrets(settings: Settings, loaded: Loaded) -> Check:
    references = set()
    for it in loaded.declared:
        holders = [it.declaration.group.practice_id, it.declaration.contacts_api_key]
        references |= {one for one in (*holders, *(x.practice_id for x in it.declaration.locations)) if one}
    missing = []
    for reference in sorted(references):
        try:
            settings.secrets.resolve(reference)
        except ReconcilerError:
            missing.append(reference)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        text = f"{len(missing)} of {len(references)} do not resolve: {', '.join(missing[:3])}{more}"
        return Check("secrets", "fail", text, "export them, or set RECONCILER_SECRETS_ROOT")
    return Check("secrets", "ok", f"{len(references)} references resolve")


def _store(settings: Settings, clock: Clock) -> Iterator[Check]:
    given = {"receipt": settings.receipt_key, "ledger": settings.ledger_key}
    wanted: list[tuple[str, str, list[keys.KeyName]]] = [("store", settings.store, ["receipt"])]
    if settings.ledger_store == settings.store:
        wanted[0][2].append("ledger")
    else:
        wanted.append(("ledger store", settings.ledger_store, ["ledger"]))
    for name, url, names in wanted:
        closed = _is_closed_to_others(url)
        if closed is not None:
            yield Check(name, "fail", *closed)
            continue
        try:
            with open_store(url, now=clock.now, write=False) as store:
                yield _store_state(name, store)
                for key in names:
                    secret = given[key]
                    yield _key(settings, store, url, key, secret.reveal() if secret else None)
        except ReconcilerError as error:
            yield Check(name, "fail", error.message, error.hint or "reconciler store check")


def _is_closed_to_others(url: str) -> tuple[str, str] | None:
    """Why the file of a store must not be opened as it is: opening would change its mode, and doctor changes nothing."""
    path = sqlite_path(url)
    if path is None:
        return None
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None  # opening says what is wrong
    if mode & 0o077:
        return f"{path} may be read by other users (mode {mode:04o})", f"chmod 600 {path}"
    return None


def _store_state(name: str, store: Store) -> Check:
    if store.empty:
        return Check(name, "ok", f"{store.shown}: nothing there yet; the first apply makes it")
    problems = integrity(store)
    if problems:
        return Check(name, "fail", f"{store.shown}: {problems[0]}", "restore a backup; see `reconciler store check`")
    return Check(name, "ok", f"{store.shown}: current schema, sound")


def _key(settings: Settings, store: Store, url: str, name: keys.KeyName, given: str | None) -> Check:
    label, variable = f"{name} key", keys.VARIABLES[name]
    path = sqlite_path(url)
    try:
        if given is not None:
            key: keys.GivenKey | None = keys.parse_key(given, named=variable)
            source = variable
        elif path is None or settings.is_ci:
            state: State = "fail" if name == "receipt" else "warn"
            why = "CI=true" if settings.is_ci else "the store is no SQLite file"
            return Check(label, state, f"{variable} is not set, and is required where {why}", f"export {variable}=…")
        else:
            file = keys.key_file(path, name)
            key, source = keys.load_key(file), str(file)
    except ReconcilerError as error:
        return Check(label, "fail", error.message, error.hint or "")
    if store.empty:
        fits = None
    else:
        with store.read() as connection:
            fits = keys.fits(connection, name, key) if key else None
            if key is None and keys.fits(connection, name, keys.GivenKey(b"")) is not None:
                return Check(
                    label, "fail", f"{source} is gone, and the store was made with it", "restore it from a backup"
                )
    if key is None:
        return Check(label, "ok", "none yet; the first command that needs one makes it")
    if fits is False:
        return Check(
            label, "fail", f"{source} is not the key that the store was made with", f"give the right {variable}"
        )
    return Check(label, "ok", f"{source}" + ("" if fits is None else ", fits the store"))


def _hosts(settings: Settings) -> Iterator[Check]:
    urls = [settings.birdeye.url, settings.contacts.url, settings.nextech.url]
    urls += [settings.nextech.token_url] if settings.nextech.client_id else []
    urls += [settings.practice_plus.url, settings.practice_plus.token_url] if settings.practice_plus.client_id else []
    targets: dict[tuple[str, int, bool], str] = {}
    for url in [settings.proxy] if settings.proxy else urls:
        parts = urlsplit(url)
        is_tls = parts.scheme == "https"
        port = parts.port or (443 if is_tls else 80)
        targets.setdefault((parts.hostname or "", port, is_tls), f"{parts.hostname}:{port}")
    for (host, port, is_tls), text in _reached(list(targets), settings).items():
        name = f"proxy {host}:{port}" if settings.proxy else f"host {host}:{port}"
        if text:
            remedy = "check network, firewall and RECONCILER_PROXY"
            if text.startswith("TLS"):
                remedy = "check RECONCILER_CA_BUNDLE and this machine's clock"
            yield Check(name, "fail", text, remedy)
        else:
            yield Check(name, "ok", "reached" + (", certificate good" if is_tls else ""))


def _reached(targets: Sequence[tuple[str, int, bool]], settings: Settings) -> dict[tuple[str, int, bool], str]:
    """Why each target cannot be reached, or nothing. All at once; a name look-up that hangs is left to itself."""
    found: dict[tuple[str, int, bool], str] = {}

    def one(target: tuple[str, int, bool]) -> None:
        found[target] = _reach(*target, settings)

    threads = [threading.Thread(target=one, args=(it,), daemon=True) for it in targets]
    for it in threads:
        it.start()
    for it in threads:
        it.join(2 * REACH_SECONDS)
    return {it: found.get(it, f"no answer within {2 * REACH_SECONDS:.0f} s") for it in targets}


def _reach(host: str, port: int, is_tls: bool, settings: Settings) -> str:
    try:
        with socket.create_connection((host, port), timeout=REACH_SECONDS) as plain:
            if is_tls:
                context = ssl.create_default_context(cafile=str(settings.ca_bundle) if settings.ca_bundle else None)
                with context.wrap_socket(plain, server_hostname=host):
                    pass
    except ssl.SSLCertVerificationError as error:
        return f"TLS: {error.verify_message}"
    except ssl.SSLError as error:
        return f"TLS: {error.reason or 'failed'}"
    except TimeoutError:
        return f"no answer within {REACH_SECONDS:.0f} s"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    return ""


class _Heard(Transport):
    """Remembers the headers of the last answer."""

    heard: Mapping[str, str] = {}

    def send(self, *arguments: Any, **named: Any) -> Reply:
        """As the transport does."""
        reply = super().send(*arguments, **named)
        self.heard = reply.headers
        return reply


def _transport(settings: Settings, clock: Clock, url: str, headers: Mapping[str, str]) -> _Heard:
    return _Heard(
        base_url=url,
        allowed_hosts=settings.allowed_hosts,
        headers=headers,
        now=clock.monotonic,
        wall=clock.now,
        sleep=clock.sleep,
        jitter=lambda: 0.5,
        deadline_seconds=ASK_SECONDS,
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
    )


def _integration_api(settings: Settings, clock: Clock) -> Iterator[Check]:
    name = "integration API"
    try:
        transport = _transport(settings, clock, settings.birdeye.url, settings.birdeye.headers)
        with transport:
            found = IntegrationsClient(transport).triggers()
            yield Check(name, "ok", f"lists {len(found)} triggers, {sum(it.active for it in found)} active")
            yield _clock(transport.heard.get("date", ""), clock.now)
    except ReconcilerError as error:
        remedy = error.hint or "check birdeye.url and RECONCILER_BIRDEYE_TOKEN; the API is in an internal network"
        yield Check(name, "fail", error.message, remedy)
        yield Check("clock", "warn", "not compared: the API did not answer")


def _clock(date: str, now: Callable[[], datetime]) -> Check:
    try:
        told = parsedate_to_datetime(date)
    except (ValueError, TypeError, OverflowError):
        return Check("clock", "warn", "not compared: the API's answer has no date")
    told = told if told.tzinfo else told.replace(tzinfo=UTC)
    off = round((now() - told).total_seconds())
    state: State = "fail" if abs(off) > SKEW_FAILS_SECONDS else "warn" if abs(off) > SKEW_WARNS_SECONDS else "ok"
    text = f"{abs(off)} s {'ahead of' if off > 0 else 'behind'} the API's" if state != "ok" else "agrees with the API's"
    return Check("clock", state, text, "" if state == "ok" else "let this machine's clock be set by NTP")


def _tokens(settings: Settings, clock: Clock) -> Iterator[Check]:
    select, plus = settings.nextech, settings.practice_plus
    grants: list[tuple[Grant, str]] = []
    if select.client_id and select.username and select.password:
        grant: Grant = PasswordGrant(
            select.client_id.reveal(), select.username.reveal(), select.password.reveal(), select.resource
        )
        grants.append((grant, select.token_url))
    if plus.client_id and plus.client_secret:
        resource = plus.resource or plus.url
        grants.append((ClientGrant(plus.client_id.reveal(), plus.client_secret.reveal(), resource), plus.token_url))
    for grant, url in grants:
        base, _, path = url.rpartition("/")
        try:
            with _transport(settings, clock, base, {}) as transport:
                TokenSource(transport, grant, path=f"/{path}", now=clock.monotonic).current()
            yield Check(f"{grant.product} token", "ok", "the token service accepts the credentials")
        except ReconcilerError as error:
            yield Check(f"{grant.product} token", "fail", error.message, error.hint or "check the credentials")


def failed(error: ReconcilerError) -> Check:
    """Settings that cannot even be read."""
    return Check("settings", "fail", error.message, error.hint or "")

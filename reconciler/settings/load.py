"""File and variables to settings; variables win. Every error names the place and never repeats a value."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from reconciler.core.suggest import nearest
from reconciler.errors import SettingsError
from reconciler.settings import hosts
from reconciler.settings.secrets import MAX_BYTES, Secret, Secrets, number, yaml_mapping
from reconciler.settings.values import NEXTECH_URL, Birdeye, Contacts, Nextech, PracticePlus, Settings

FILE_NAME = "reconciler.yaml"

_GROUPS: dict[str, dict[str, str]] = {
    "birdeye": {"url": "url", "token_header": "text", "requests_per_second": "rate", "concurrency": "count"},
    "contacts": {
        "url": "url",
        "version": "count",
        "requests_per_second": "rate",
        "concurrency": "count",
        "appointment_path": "path of externalId",
        "requests_path": "path",
        "result_path": "path of requestId",
    },
    "nextech": {
        "url": "url",
        "token_url": "url",
        "resource": "text",
        "requests_per_second": "rate",
        "daily_calls": "count",
    },
    "practice_plus": {"url": "url", "token_url": "url", "resource": "text"},
}
_TOP: dict[str, str] = {
    "declarations": "text",
    "store": "text",
    "ledger_store": "text",
    "contact_start": "date",
    "max_contacts_per_run": "count",
    "max_catch_up_days": "number",
    "overlap_days": "number",
    "unknown_settle_seconds": "number",
    "notices": "urls",
    "retention_days": "count",
    "pause_all": "flag",
}
_SECRET_KEYS = {
    "birdeye": {"token"},
    "contacts": {"api_key"},
    "nextech": {"client_id", "username", "password"},
    "practice_plus": {"client_id", "client_secret"},
}
_VARIABLES_ONLY = frozenset(
    {"allowed_hosts", "secrets_root", "proxy", "ca_bundle", "receipt_key", "ledger_key", "allow"}
)


def load_settings(
    *, config: Path | None = None, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Settings:
    """The settings in force. Raises errors.SettingsError for the first thing that is wrong, with its place."""
    environ = os.environ if environ is None else environ
    cwd = Path.cwd() if cwd is None else cwd
    file = (cwd / config) if config is not None else _find(cwd)
    given = _read_settings(file) if file is not None else {}
    stores = {key: value for (key, *_), value in given.items() if key in ("store", "ledger_store")}
    folder = file.parent if file is not None else cwd
    for group, kinds in _GROUPS.items():
        for key, kind in kinds.items():
            _from_variable(given, environ, f"RECONCILER_{group.upper()}_{key.upper()}", (group, key), kind)
    for key, kind in _TOP.items():
        _from_variable(given, environ, f"RECONCILER_{key.upper()}", (key,), kind)
    allowed = hosts.allowed_hosts(environ)
    settings = _build(given, environ, folder, file, allowed)
    for url, name in hosts.urls(settings):
        hosts.check_url(url, name, allowed)
    for name, url in stores.items():
        if given[name,] == url:  # no variable outranks it
            hosts.check_store(url, name, allowed)
    return settings


def _find(cwd: Path) -> Path | None:
    for folder in (cwd, *cwd.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None


def _read_settings(file: Path) -> dict[tuple[str, ...], Any]:
    try:
        with file.open("rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise SettingsError(f"{file}: not a regular file")
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    if len(text) > MAX_BYTES:
        # Cut short it could mean something else.
        raise SettingsError(f"{file}: larger than {MAX_BYTES} bytes")
    try:
        document = yaml_mapping(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise SettingsError(f"{file}: not UTF-8") from None
    except ValueError as error:
        raise SettingsError(f"{file}:{error}") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{file}: not a mapping of settings")
    found: dict[tuple[str, ...], Any] = {}
    for key, value in document.items():
        if key in _VARIABLES_ONLY:
            raise SettingsError(
                f"{file}: `{key}` is not a setting of the file", hint=f"export RECONCILER_{key.upper()}=…"
            )
        if key in _GROUPS:
            if not isinstance(value, dict):
                raise SettingsError(f"{file}: `{key}` is a mapping")
            for inner, one in value.items():
                if inner in _SECRET_KEYS[key]:
                    variable = f"RECONCILER_{key.upper()}_{inner.upper()}"
                    raise SettingsError(f"{file}: `{key}.{inner}` is a secret", hint=f"export {variable}=…")
                kind = _GROUPS[key].get(inner)
                if kind is None:
                    raise _unknown(
                        file, f"{key}.{inner}", [f"{key}.{it}" for it in (*_GROUPS[key], *_SECRET_KEYS[key])]
                    )
                found[key, inner] = _typed(one, kind, f"{file}: `{key}.{inner}`")
        elif key in _TOP:
            found[key,] = _typed(value, _TOP[key], f"{file}: `{key}`")
            if key in ("store", "ledger_store") and hosts.holds_password(str(value)):
                raise SettingsError(
                    f"{file}: `{key}` holds a password", hint=f"export RECONCILER_{key.upper()}=…, or leave it to libpq"
                )
        else:
            raise _unknown(file, key, [*_GROUPS, *_TOP])
    return found


def _unknown(file: Path, key: str, known: list[str]) -> SettingsError:
    close = nearest(key, known)
    return SettingsError(f"{file}: unknown setting `{key}`", hint=f"did you mean `{close}`?" if close else None)


def _from_variable(
    given: dict[tuple[str, ...], Any], environ: Mapping[str, str], name: str, path: tuple[str, ...], kind: str
) -> None:
    text = environ.get(name)
    if text is None or not text.strip():
        return
    value: Any = text.strip()
    if kind in ("rate", "count", "number"):
        value = number(value)
    elif kind == "flag":
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.lower(), value)
    elif kind == "urls":
        value = value.split()
    given[path] = _typed(value, kind, name)


def _typed(value: Any, kind: str, where: str) -> Any:
    """The value, if it has the kind. Messages never repeat it."""
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "text": (lambda it: isinstance(it, str) and bool(it.strip()) and it.isprintable(), "text of one line"),
        "url": (lambda it: isinstance(it, str) and bool(it.strip()), "a URL"),
        "rate": (lambda it: isinstance(it, int | float) and not isinstance(it, bool) and it > 0, "a number above 0"),
        "count": (lambda it: isinstance(it, int) and not isinstance(it, bool) and it > 0, "a whole number from 1"),
        "number": (lambda it: isinstance(it, int) and not isinstance(it, bool) and it >= 0, "a whole number from 0"),
        "flag": (lambda it: isinstance(it, bool), "true or false"),
        "date": (_is_date, "a date such as 2026-11-20"),
        "path": (_is_path, "a path such as /v1/appointments/requests"),
        "path of externalId": (_is_path_of("{externalId}"), "a path that holds {externalId} once"),
        "path of requestId": (_is_path_of("{requestId}"), "a path that holds {requestId} once"),
        "urls": (lambda it: isinstance(it, list) and all(isinstance(one, str) for one in it), "a list of URLs"),
    }
    check, words = checks[kind]
    if not check(value):
        raise SettingsError(f"{where} must be {words}")
    if kind == "url":
        return str(value).rstrip("/")
    return tuple(value) if kind == "urls" else value


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", value) is not None and "/.." not in value


def _is_path_of(name: str) -> Callable[[Any], bool]:
    return lambda it: isinstance(it, str) and it.count(name) == 1 and _is_path(it.replace(name, "id"))


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _secret(environ: Mapping[str, str], name: str) -> Secret | None:
    text = environ.get(name, "")
    return Secret(text.strip()) if text.strip() else None


def _build(
    given: dict[tuple[str, ...], Any],
    environ: Mapping[str, str],
    folder: Path,
    file: Path | None,
    allowed: frozenset[str],
) -> Settings:
    def group(name: str) -> dict[str, Any]:
        return {path[1]: value for path, value in given.items() if len(path) == 2 and path[0] == name}

    nextech = group("nextech")
    nextech.setdefault("resource", nextech.get("url", NEXTECH_URL))
    root = environ.get("RECONCILER_SECRETS_ROOT", "").strip()
    ca_bundle = environ.get("RECONCILER_CA_BUNDLE", "").strip()
    store = _store_url(given.get(("store",)), folder)
    ledger = given.get(("ledger_store",))
    secrets_root = folder / root if root else None
    return Settings(
        folder=folder,
        file=file,
        declarations=folder / given.get(("declarations",), "integrations"),
        birdeye=Birdeye(**group("birdeye"), token=_secret(environ, "RECONCILER_BIRDEYE_TOKEN")),
        contacts=Contacts(**group("contacts"), api_key=_secret(environ, "RECONCILER_CONTACTS_API_KEY")),
        nextech=Nextech(
            **nextech,
            client_id=_secret(environ, "RECONCILER_NEXTECH_CLIENT_ID"),
            username=_secret(environ, "RECONCILER_NEXTECH_USERNAME"),
            password=_secret(environ, "RECONCILER_NEXTECH_PASSWORD"),
        ),
        practice_plus=PracticePlus(
            **group("practice_plus"),
            client_id=_secret(environ, "RECONCILER_PRACTICE_PLUS_CLIENT_ID"),
            client_secret=_secret(environ, "RECONCILER_PRACTICE_PLUS_CLIENT_SECRET"),
        ),
        store=store,
        ledger_store=_store_url(ledger, folder) if ledger is not None else store,
        receipt_key=_secret(environ, "RECONCILER_RECEIPT_KEY"),
        ledger_key=_secret(environ, "RECONCILER_LEDGER_KEY"),
        is_ci=environ.get("CI", "").lower() in ("true", "1"),
        allowed_hosts=allowed,
        secrets_root=secrets_root,
        proxy=environ.get("RECONCILER_PROXY", "").strip() or None,
        ca_bundle=folder / ca_bundle if ca_bundle else None,
        actor=_first(environ, "RECONCILER_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN", "USER", "LOGNAME") or "unknown",
        run_url=_run_url(environ),
        commit=_first(environ, "RECONCILER_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"),
        allow=tuple(environ.get("RECONCILER_ALLOW", "").replace(",", " ").split()),
        secrets=Secrets(environ, secrets_root),
        **{path[0]: value for path, value in given.items() if len(path) == 1 and path[0] in _PASSED_ON},
    )


_PASSED_ON = frozenset(_TOP) - {"declarations", "store", "ledger_store"}


def _first(environ: Mapping[str, str], *names: str) -> str | None:
    return next((environ[name].strip() for name in names if environ.get(name, "").strip()), None)


def _run_url(environ: Mapping[str, str]) -> str | None:
    if environ.get("GITHUB_RUN_ID") and environ.get("GITHUB_REPOSITORY"):
        server = environ.get("GITHUB_SERVER_URL", "https://github.com")
        return f"{server}/{environ['GITHUB_REPOSITORY']}/actions/runs/{environ['GITHUB_RUN_ID']}"
    return _first(environ, "CI_JOB_URL")


def _store_url(url: str | None, folder: Path) -> str:
    """A relative SQLite path starts at the settings' folder."""
    url = url or "sqlite:///.reconciler/store.db"
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(f"{prefix}/"):
        return f"{prefix}{folder.resolve() / url.removeprefix(prefix)}"
    return url

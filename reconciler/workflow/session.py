"""From settings to what a use case works with: declarations, client, store, keys, clock."""

from __future__ import annotations

import random
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler import declarations
from reconciler.apply.deps import Deps
from reconciler.clients.integrations import IntegrationsClient
from reconciler.clients.transport import RateLimiter, Transport
from reconciler.clock import Clock
from reconciler.declarations import Loaded
from reconciler.errors import SettingsError
from reconciler.settings.values import Settings
from reconciler.store import keys
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import Store, open_store
from reconciler.workflow.planning import Inputs, look


@dataclass
class Session:
    """Everything open. ``inputs`` plans; ``deps`` applies."""

    settings: Settings
    clock: Clock
    loaded: Loaded
    store: Store
    transport: Transport
    client: IntegrationsClient
    inputs: Inputs

    def deps(self, plan_id: str, *, allowed: tuple[str, ...] = ()) -> Deps:
        """What ``apply`` needs."""
        return Deps(
            client=self.client,
            look=look(self.client),
            store=self.store,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
            new_id=lambda: uuid.uuid4().hex,
            reveal=self.settings.secrets.reveal,
            plan_id=plan_id,
            commit=self.inputs.commit,
            who=self.settings.actor,
            run_url=self.settings.run_url,
            allowed=allowed,
            concurrency=self.settings.birdeye.concurrency,
        )


def load_declarations(
    settings: Settings, clock: Clock, paths: tuple[Path, ...] = (), *, cached: bool = False
) -> Loaded:
    """Every declaration; ``paths`` only says which are selected. ``cached`` keeps what was parsed in ``.reconciler``."""
    return declarations.load(
        settings.declarations,
        shown_from=settings.folder,
        today=clock.now().date(),
        paths=paths or None,
        cache_file=settings.folder / ".reconciler" / "declarations.jsonl" if cached else None,
    )


def new_limiter(settings: Settings, clock: Clock) -> RateLimiter:
    """As many requests a second as the settings allow."""
    return RateLimiter(settings.birdeye.requests_per_second, now=clock.monotonic, sleep=clock.sleep)


def open_transport(
    settings: Settings, clock: Clock, fence: Callable[[], None] | None = None, limiter: RateLimiter | None = None
) -> Transport:
    """The transport of the integration API."""
    return Transport(
        base_url=settings.birdeye.url,
        allowed_hosts=settings.allowed_hosts,
        headers=settings.birdeye.headers,
        limiter=limiter or new_limiter(settings, clock),
        concurrency=settings.birdeye.concurrency,
        now=clock.monotonic,
        wall=clock.now,
        sleep=clock.sleep,
        jitter=random.random,
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        fence=fence,
        hidden=settings.secrets.seen,
    )


def receipt_key(settings: Settings, store: Store) -> keys.GivenKey:
    """The key of every fingerprint: from its variable, else from the file beside an SQLite store, made where missing."""
    return _key(settings, store, "receipt", settings.receipt_key.reveal() if settings.receipt_key else None)


def ledger_key(settings: Settings, store: Store) -> keys.GivenKey:
    """The runner's key, likewise."""
    return _key(settings, store, "ledger", settings.ledger_key.reveal() if settings.ledger_key else None)


def _key(settings: Settings, store: Store, name: keys.KeyName, given: str | None) -> keys.GivenKey:
    variable = f"RECONCILER_{name.upper()}_KEY"
    if given is not None:
        return keys.parse_key(given, named=variable)
    path = sqlite_path(settings.store if name == "receipt" else settings.ledger_store)
    if path is None or settings.is_ci:
        why = "CI=true" if settings.is_ci else "the store is no SQLite file"
        raise SettingsError(
            f"{variable} is required where {why}", hint=f"export {variable}=$(openssl rand -hex 32), once"
        )
    file = keys.key_file(path, name)
    if store.writable and not store.empty:
        return keys.file_key(store, name, file)
    return keys.load_or_create_key(file)


def sqlite_path(url: str) -> Path | None:
    """The file of an SQLite store, or None."""
    prefix = "sqlite:///"
    return Path(url.removeprefix(prefix)) if url.startswith(prefix) else None


def commit_of(settings: Settings) -> str | None:
    """The commit that the declarations are at: from CI, else from git, else None."""
    if settings.commit:
        return settings.commit
    try:
        found = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(settings.folder), "rev-parse", "HEAD"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    text = found.stdout.strip()
    return text if found.returncode == 0 and text else None


@contextmanager
def open_session(
    settings: Settings,
    clock: Clock,
    *,
    write: bool,
    paths: tuple[Path, ...] = (),
    reassert: frozenset[str] = frozenset(),
    fence: Callable[[], None] | None = None,
    loaded: Loaded | None = None,
    on_read: Callable[[int], None] = lambda business: None,
) -> Iterator[Session]:
    """Open all that planning and applying need; ``write`` makes or migrates the store."""
    with ExitStack() as stack:
        loaded = load_declarations(settings, clock, paths) if loaded is None else loaded
        store = stack.enter_context(open_store(settings.store, now=clock.now, write=write))
        fingerprints = Fingerprints(keys.inner_key(store, "receipt", receipt_key(settings, store)))
        limiter = new_limiter(settings, clock)
        transport = stack.enter_context(open_transport(settings, clock, fence, limiter))
        client = IntegrationsClient(transport)

        def share() -> AbstractContextManager[Inputs]:
            limiter.slow_down(2)
            return _second(settings, clock, inputs)

        inputs = Inputs(
            loaded=loaded,
            client=client,
            list_names=_names(settings, client),
            store=store,
            fingerprint=fingerprints.full,
            reveal=settings.secrets.reveal,
            now=clock.now,
            birdeye_url=settings.birdeye.url,
            commit=commit_of(settings),
            concurrency=settings.birdeye.concurrency,
            reassert=reassert,
            on_read=on_read,
            share=share if fence is None else None,
        )
        yield Session(settings, clock, loaded, store, transport, client, inputs)


def _names(settings: Settings, client: IntegrationsClient) -> Callable[[str, bool], frozenset[str]]:
    def list_names(reference: str, practice_plus: bool) -> frozenset[str]:
        practice_id = settings.secrets.reveal(reference)
        return frozenset(it.name for it in client.locations(practice_id, new_version=practice_plus))

    return list_names


@contextmanager
def _second(settings: Settings, clock: Clock, inputs: Inputs) -> Iterator[Inputs]:
    """The same inputs for a second process: a store and connections of its own, half of what may be asked."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings.store, now=clock.now, write=False))
        limiter = new_limiter(settings, clock)
        limiter.slow_down(2)
        client = IntegrationsClient(stack.enter_context(open_transport(settings, clock, None, limiter)))
        yield replace(
            inputs,
            store=store,
            client=client,
            list_names=_names(settings, client),
            concurrency=max(1, inputs.concurrency // 2),
            on_read=lambda business: None,
            share=None,
        )

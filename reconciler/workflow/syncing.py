"""From settings to passes: clients, stores, keys, and what listens to a pass."""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal
from urllib.parse import urlsplit

from reconciler import errors, observe
from reconciler.clients.appointments import AppointmentsClient, Paths
from reconciler.clients.contacts import ContactsClient
from reconciler.clients.integrations import IntegrationsClient
from reconciler.clients.nextech import NextechClient
from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
from reconciler.clients.nextech_writes import NextechWrites
from reconciler.clients.notices import Notice, NoticesClient
from reconciler.clients.practice_plus import PracticePlusClient
from reconciler.clients.practice_plus import token_source as plus_tokens
from reconciler.clients.transport import RateLimiter, Transport
from reconciler.clock import Clock
from reconciler.core.live import LiveBusiness
from reconciler.settings.values import Settings
from reconciler.store import counts, keys, ledger_keys, receipts, sync_facts
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import Store, open_store
from reconciler.store.leases import Holder
from reconciler.sync.context import SELECT, Change, Deps, Limits
from reconciler.sync.opt_outs import OptOutFeeds
from reconciler.sync.places import Place
from reconciler.sync.pseudonyms import Pseudonyms
from reconciler.sync.quota import DailyCalls
from reconciler.sync.reminder_ports import Ports
from reconciler.workflow import session

LOG = logging.getLogger("reconciler.sync")
EXECUTOR_PAUSE_SECONDS = 600.0
"""How long the integration API is left alone after it could not be read."""


@dataclass
class Runner:
    """Everything open."""

    settings: Settings
    clock: Clock
    deps: Deps
    tokens: dict[bool, TokenSource] = field(default_factory=dict)
    """By product, of those used so far."""


@contextmanager
def open_runner(settings: Settings, clock: Clock, *, write: bool, parallel: int = 4) -> Iterator[Runner]:
    """Open stores, keys and clients. ``write=False`` reads only: for a dry run."""
    with ExitStack() as stack:
        store = stack.enter_context(open_store(settings.store, now=clock.now, write=write))
        if settings.ledger_store == settings.store:
            ledger = store
        else:
            ledger = stack.enter_context(open_store(settings.ledger_store, now=clock.now, write=write))
        fingerprints = Fingerprints(keys.inner_key(store, "receipt", session.receipt_key(settings, store)))
        own_keys = ledger_keys.load(ledger, session.ledger_key(settings, ledger))
        fences = threading.local()

        def fence() -> None:
            current = getattr(fences, "current", None)
            if current is not None:
                current()

        quotas: dict[str, DailyCalls] = {}
        if settings.nextech.daily_calls is not None:
            quota = DailyCalls(ledger, SELECT, settings.nextech.daily_calls, now=clock.now)
            stack.callback(quota.close)
            quotas[SELECT] = quota
        clients = _Clients(settings, clock, fence, stack, quotas.get(SELECT))
        contacts, appointments = clients.contacts()
        on_decision: Callable[[Mapping[str, Any]], None] | None = None
        if LOG.isEnabledFor(logging.INFO):
            on_decision = _log_decision
        deps = Deps(
            store=store,
            ledger=ledger,
            keys=own_keys,
            pseudonyms=Pseudonyms(own_keys.inner),
            reads=clients.nextech,
            contacts=contacts,
            feeds=OptOutFeeds(contacts, now=clock.now),
            reveal=settings.secrets.reveal,
            fingerprint=fingerprints.full,
            default_key=settings.contacts.api_key.reveal() if settings.contacts.api_key else None,
            now=clock.now,
            sleep=clock.sleep,
            new_id=lambda: uuid.uuid4().hex,
            holder=Holder("sync", settings.actor, settings.run_url),
            stop=clock.event,
            limits=limits(settings),
            second_executor=SecondExecutor(settings, clock, ledger, stack).look,
            known_before=_known_before(store),
            on_decision=on_decision,
            on_change=Notifier(settings, clock).tell,
            log=_log,
            parallel=parallel,
            appointments=appointments,
            ports=clients.ports,
            fences=fences,
            quotas=quotas,
        )
        yield Runner(settings, clock, deps, clients.tokens)


def limits(settings: Settings) -> Limits:
    """What of the settings every pass obeys."""
    return Limits(
        contact_start=date.fromisoformat(settings.contact_start) if settings.contact_start else None,
        max_contacts_per_run=settings.max_contacts_per_run,
        max_catch_up_days=settings.max_catch_up_days,
        overlap_days=settings.overlap_days,
        unknown_settle_seconds=float(settings.unknown_settle_seconds),
        concurrency=settings.contacts.concurrency,
        pause_all=settings.pause_all,
    )


def _log(event: str, fields: Mapping[str, Any]) -> None:
    LOG.log(logging.INFO if event in ("pass", "reminders") else logging.WARNING, event, extra={"fields": dict(fields)})


def _log_decision(fields: Mapping[str, Any]) -> None:
    LOG.info("decision", extra={"fields": dict(fields)})


def _known_before(store: Store) -> Callable[[int], bool]:
    """Locations that the store knows from earlier passes, or that were live before this tool wrote to them."""
    with store.read() as connection:
        passed = frozenset(counts.counts(connection))
        adopted = frozenset(
            it.business for it in receipts.objects(connection) if it.kind == "mapping" and not it.created
        )
    return lambda business: business in passed or business in adopted


class _Clients:
    """Makes each client when it is first used, so that missing credentials concern only who needs them."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        fence: Callable[[], None],
        stack: ExitStack,
        quota: DailyCalls | None,
    ) -> None:
        """``quota``: of Nextech Select, where there is a limit."""
        self._settings = settings
        self._clock = clock
        self._fence = fence
        self._stack = stack
        self._quota = quota
        self._lock = threading.Lock()
        self._nextech: dict[bool, NextechClient] = {}
        self.tokens: dict[bool, TokenSource] = {}

    def contacts(self) -> tuple[ContactsClient, AppointmentsClient]:
        """Birdeye's contacts API and the appointments beside it: one transport, one quota."""
        wanted = self._settings.contacts
        limiter = RateLimiter(wanted.requests_per_second, now=self._clock.monotonic, sleep=self._clock.sleep)
        version: Literal[1, 2] = 1 if wanted.version == 1 else 2
        transport = self._transport(wanted.url, limiter=limiter, concurrency=wanted.concurrency)
        paths = Paths(wanted.appointment_path, wanted.requests_path, wanted.result_path)
        return ContactsClient(transport, version), AppointmentsClient(transport, paths)

    def ports(self, practice_plus: bool) -> Ports:
        """Nextech's side of the reminders. Raises like ``nextech``."""
        client = self.nextech(practice_plus)
        return Ports(client, NextechWrites(client, practice_plus=practice_plus))

    def nextech(self, practice_plus: bool) -> NextechClient:
        """The client of a product. Raises ``SettingsError`` where its credentials are not set."""
        with self._lock:
            found = self._nextech.get(practice_plus)
            if found is None:
                found = self._nextech[practice_plus] = self._plus() if practice_plus else self._select()
            return found

    def _select(self) -> NextechClient:
        wanted = self._settings.nextech
        secrets = (wanted.client_id, wanted.username, wanted.password)
        if any(it is None for it in secrets):
            raise errors.SettingsError(
                "the credentials of Nextech Select are not set",
                hint="export RECONCILER_NEXTECH_CLIENT_ID, RECONCILER_NEXTECH_USERNAME and RECONCILER_NEXTECH_PASSWORD",
            )
        client_id, username, password = (it.reveal() for it in secrets if it is not None)
        base, path = _split(wanted.token_url)
        grant = PasswordGrant(client_id, username, password, wanted.resource)
        tokens = TokenSource(self._transport(base), grant, path=path, now=self._clock.monotonic)
        self.tokens[False] = tokens
        return NextechClient(
            self._transport(wanted.url, concurrency=16, quota=self._quota),
            tokens,
            base_url=wanted.url,
            now=self._clock.monotonic,
            new_limiter=self._limiter,
        )

    def _plus(self) -> NextechClient:
        wanted = self._settings.practice_plus
        if wanted.client_id is None or wanted.client_secret is None:
            raise errors.SettingsError(
                "the credentials of Nextech Practice+ are not set",
                hint="export RECONCILER_PRACTICE_PLUS_CLIENT_ID and RECONCILER_PRACTICE_PLUS_CLIENT_SECRET",
            )
        base, path = _split(wanted.token_url)
        tokens = plus_tokens(
            self._transport(base),
            path=path,
            now=self._clock.monotonic,
            client_id=wanted.client_id.reveal(),
            client_secret=wanted.client_secret.reveal(),
            resource=wanted.resource or "",
        )
        self.tokens[True] = tokens
        return PracticePlusClient(
            self._transport(wanted.url, concurrency=16),
            tokens,
            base_url=wanted.url,
            now=self._clock.monotonic,
            new_limiter=self._limiter,
        )

    def _limiter(self) -> RateLimiter:
        rate = self._settings.nextech.requests_per_second
        return RateLimiter(rate, now=self._clock.monotonic, sleep=self._clock.sleep)

    def _transport(
        self,
        url: str,
        *,
        limiter: RateLimiter | None = None,
        concurrency: int = 4,
        quota: DailyCalls | None = None,
    ) -> Transport:
        fence = self._fence if quota is None else quota.behind(self._fence)
        return self._stack.enter_context(
            open_transport(self._settings, self._clock, url, fence=fence, limiter=limiter, concurrency=concurrency)
        )


def open_transport(
    settings: Settings,
    clock: Clock,
    url: str,
    *,
    fence: Callable[[], None] | None = None,
    limiter: RateLimiter | None = None,
    concurrency: int = 4,
) -> Transport:
    """A transport to one base URL under the settings' rules for hosts, proxies and certificates."""
    return Transport(
        base_url=url,
        allowed_hosts=settings.allowed_hosts,
        limiter=limiter,
        concurrency=concurrency,
        now=clock.monotonic,
        wall=clock.now,
        sleep=clock.sleep,
        jitter=random.random,
        ca_bundle=settings.ca_bundle,
        proxy=settings.proxy,
        fence=fence,
        hidden=settings.secrets.seen,
    )


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path or "/"


class Notifier:
    """Tells webhooks of changes of state, and the log too."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._now = clock.now
        self._client = NoticesClient(settings.notices, lambda base: open_transport(settings, clock, base))

    def tell(self, change: Change) -> None:
        """Never raises: a notice that cannot be delivered is logged."""
        fields: dict[str, Any] = {"kind": change.kind, "subject": change.subject, "detail": change.text}
        LOG.warning("change of state", extra={"fields": fields})
        notice = Notice(change.kind, change.subject, change.text, self._now().isoformat(timespec="seconds"))
        for host in self._client.send(notice):
            LOG.error("a notice was not delivered", extra={"fields": {"host": host, "kind": change.kind}})


class SecondExecutor:
    """Looks whether somebody else runs the syncs of a location, too: Birdeye's own scheduler."""

    def __init__(self, settings: Settings, clock: Clock, ledger: Store, stack: ExitStack) -> None:
        self._settings = settings
        self._clock = clock
        self._ledger = ledger
        self._stack = stack
        self._lock = threading.Lock()
        self._client: IntegrationsClient | None = None
        self._reads: observe.MappingReads | None = None
        self._resting_until = 0.0

    def look(self, places: Sequence[Place], dry_run: bool) -> dict[int, str]:
        """Why a location must not be run by us, by business. What cannot be seen stops nothing."""
        with self._lock:
            if self._clock.monotonic() < self._resting_until:
                return {}
            if self._client is None or self._reads is None:
                self._client = IntegrationsClient(
                    self._stack.enter_context(session.open_transport(self._settings, self._clock))
                )
                self._reads = observe.MappingReads(self._client)
            client, reads = self._client, self._reads
        by_parent: dict[int, list[int]] = {}
        for it in places:
            by_parent.setdefault(it.parent, []).append(it.business)
        targets = [observe.Target(parent, tuple(sorted(mine))) for parent, mine in sorted(by_parent.items())]
        found = observe.observe(client, targets, concurrency=1, mapping_reads=reads)
        if any(it.error for it in found.values()):
            LOG.warning("whether Birdeye runs these locations too cannot be seen", extra={"fields": {}})
            with self._lock:
                self._resting_until = self._clock.monotonic() + EXECUTOR_PAUSE_SECONDS
        seen = {it.business: _next_run(found.get(it.parent), it.business) for it in places}
        return self._judge(seen, dry_run)

    def _judge(self, seen: Mapping[int, str | None], dry_run: bool) -> dict[int, str]:
        """A next run that moves without a pass of ours was moved by somebody who runs it. One that stands still says
        nothing: Birdeye shows it for jobs that are off, too. A finding stands until a person resumes the location.
        """
        with self._ledger.read() as connection:
            before = {it: sync_facts.get(connection, executor_fact(it)) or {} for it in seen}
        after: dict[int, dict[str, str]] = {}
        for business, text in seen.items():
            old = before[business]
            fact = dict(old)
            if text is not None:
                fact["seen"] = text
                if old.get("seen") not in (None, text) and "moved" not in old:
                    fact["moved"] = f"its next run moved from {old['seen']} to {text} without a pass of ours"
            if fact != old:
                after[business] = fact
        if after and not dry_run:
            with self._ledger.begin() as connection:
                for business, fact in after.items():
                    sync_facts.put(connection, executor_fact(business), fact)
        found = {business: after.get(business, before[business]).get("moved") for business in seen}
        return {business: _why(business, what) for business, what in found.items() if what}


def executor_fact(business: int) -> str:
    """Under which name it is kept what was seen of a location's next run."""
    return f"executor:{business}"


def _why(business: int, what: str) -> str:
    return (
        f"Birdeye's own scheduler seems to run this location as well: {what}; every patient would be contacted twice. "
        f"Have its job switched off and `reconciler resume {business}`, or declare runner: platform"
    )


def _next_run(found: LiveBusiness | None, business: int) -> str | None:
    if found is None or found.error:
        return None
    mappings = [it for group in found.groups for it in group.mappings or () if it.business == business]
    sight = found.mappings.get(business)
    mappings += list(sight.mappings) if sight is not None else []
    return next((it.next_run_time for it in mappings if it.next_run_time and it.active is not False), None)

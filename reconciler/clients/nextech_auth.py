"""Tokens for both Nextech products: who asks for one, when it is renewed, and whose fault a refusal is.

Facts from ``nextech-api.md`` 1.2 (Azure AD v1: form in, JSON out, numbers as strings). Deciding is pure
(``read_token``, ``read_refusal``, the grants); ``TokenSource`` asks and shares one renewal among all threads.
"""

from __future__ import annotations

import json
import math
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from reconciler import errors
from reconciler.clients.transport import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.clients.transport import Transport

DEFAULT_LIFETIME_SECONDS = 3600.0
LONGEST_LIFETIME_SECONDS = 86_400.0
"""A longer one is not believed: a token that lives for ever is never renewed."""
RENEW_BEFORE_SECONDS = 300.0
"""How long before expiry a token is renewed; a quarter of the lifetime where that is less."""
REFRESH_TOKEN_SECONDS = 14 * 86_400.0
REFUSAL_HOLD_SECONDS = 300.0
"""How long a refusal answers for further requests: repeated wrong passwords lock the account (AADSTS50053)."""
TRANSIENT_HOLD_SECONDS = 30.0
"""How long a token that is due but still valid is used on after the token service failed."""
DEADLINE_SECONDS = 20.0

_RESET = "a person signs in at portal.azure.com as the API user, sets a new password, and puts it into the secrets"
REFUSALS: Mapping[int, tuple[str, str, str]] = {
    50126: ("wrong_password", "the user name or password is wrong", "check the user name and password variables"),
    50055: ("expired_password", "the password has expired", _RESET),
    50053: ("locked", "the account is locked", "wait for the lock to end, then check the password before trying again"),
    50034: ("unknown_user", "the user does not exist", "check the user name variable"),
    50076: ("second_factor", "a second factor is demanded", "ask Nextech to exempt the API user from it"),
    50079: ("second_factor", "a second factor is demanded", "ask Nextech to exempt the API user from it"),
    50173: ("password_changed", "the password was changed", "put the new password into the secrets"),
    70008: ("expired_refresh", "the refresh token has expired", "check the password variable"),
    700082: ("expired_refresh", "the refresh token has expired", "check the password variable"),
    700016: ("unknown_client", "the client id is unknown", "check the client id variable"),
    7000215: ("wrong_secret", "the client secret is wrong", "check the client secret variable"),
    7000218: ("secret_missing", "a client secret is demanded", "ask Nextech which kind of client this id is"),
    90002: ("unknown_tenant", "the tenant does not exist", "check the token URL"),
}
"""AADSTS number -> reason, what it means, what to do (``nextech-api.md`` 1.2.5). Only words: Microsoft warns against
depending on the numbers, so none of them decides whether an answer is a refusal."""

_NOT_A_REFUSAL = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_REFUSING_STATUSES = frozenset({400, 401, 403})


class Grant(Protocol):
    """What a product asks a token with."""

    @property
    def product(self) -> str:
        """How messages name the product."""

    @property
    def client_id(self) -> str:
        """The application id, which a refresh repeats."""

    def form(self) -> dict[str, str]:
        """The form fields of a first request."""

    def secrets(self) -> tuple[str, ...]:
        """The values that no message may repeat."""


@dataclass(frozen=True, slots=True)
class PasswordGrant:
    """Select: resource owner's name and password. No client secret is sent (``nextech-api.md`` 1.2.1)."""

    client_id: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    resource: str
    product: str = "Nextech Select"

    def form(self) -> dict[str, str]:
        """The form fields of a first request."""
        return {
            "grant_type": "password",
            "client_id": self.client_id,
            "username": self.username,
            "password": self.password,
            "resource": self.resource,
        }

    def secrets(self) -> tuple[str, ...]:
        """The values that no message may repeat."""
        return (self.username, self.password)


@dataclass(frozen=True, slots=True)
class ClientGrant:
    """Practice+: partner id and partner secret; there is no refresh token (``nextech-api.md`` 1.2.3)."""

    client_id: str
    client_secret: str = field(repr=False)
    resource: str
    product: str = "Nextech Practice+"

    def form(self) -> dict[str, str]:
        """The form fields of a first request."""
        return {
            "grant_type": "client_credentials",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "resource": self.resource,
        }

    def secrets(self) -> tuple[str, ...]:
        """The values that no message may repeat."""
        return (self.client_secret,)


@dataclass(frozen=True, slots=True)
class Token:
    """One access token. Times are those of the caller's monotonic clock, so that a skewed wall clock changes nothing."""

    value: str = field(repr=False)
    due_at: float
    expires_at: float
    refresh_value: str | None = field(default=None, repr=False)
    refresh_until: float = 0.0

    @property
    def header(self) -> str:
        """The value of ``Authorization``."""
        return f"Bearer {self.value}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """The token service said no. ``error`` is OAuth's word, ``code`` the AADSTS number where there was one."""

    error: str
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Renewal:
    """The outcome of a renewal. ``own`` where this caller's call led to it, not another thread's before it."""

    token: Token
    own: bool


def read_token(value: object, *, asked_at: float) -> Token | None:
    """The token of an answer, or None where the answer is not one.

    ``expires_in`` may be a number or a string; absent is an hour. A token that has expired on arrival, or that no
    header can carry, is none.
    """
    if not isinstance(value, dict):
        return None
    access = value.get("access_token")
    kind = value.get("token_type", "Bearer")
    if not isinstance(access, str) or not _fits_header(access) or str(kind).casefold() != "bearer":
        return None
    lifetime = _seconds(value.get("expires_in", DEFAULT_LIFETIME_SECONDS))
    if lifetime is None or lifetime <= 0:
        return None
    lifetime = min(lifetime, LONGEST_LIFETIME_SECONDS)
    refresh = value.get("refresh_token")
    return Token(
        value=access,
        due_at=asked_at + lifetime - min(RENEW_BEFORE_SECONDS, lifetime / 4),
        expires_at=asked_at + lifetime,
        refresh_value=refresh if isinstance(refresh, str) and refresh else None,
        refresh_until=asked_at + REFRESH_TOKEN_SECONDS,
    )


def read_refusal(status: int, body: bytes) -> Refusal | None:
    """The refusal in an answer of the token service, or None where a fault of the service (or of a gateway) is all."""
    if status not in _REFUSING_STATUSES:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(value.get("error"), str):
        return None
    if value["error"].casefold() in _NOT_A_REFUSAL:
        return None
    codes = value.get("error_codes")
    numbers = [it for it in codes if isinstance(it, int) and it in REFUSALS] if isinstance(codes, list) else []
    if not numbers:
        numbers = _codes_in_text(value.get("error_description"))
    return Refusal(value["error"], numbers[0] if numbers else None)


def refused(refusal: Refusal, *, product: str, path: str) -> errors.CredentialsRefused:
    """The error that a refusal becomes; it repeats nothing of what the service wrote."""
    reason, meaning, hint = REFUSALS.get(
        refusal.code or 0, ("refused", "they are not accepted", "check the credentials of this product")
    )
    number = f" (AADSTS{refusal.code})" if refusal.code is not None else ""
    return errors.CredentialsRefused(
        f"{product}: the token service refused our credentials: {meaning}{number}; nothing of this product was read",
        method="POST",
        path=path,
        reason=reason,
        code=refusal.code,
        hint=hint,
    )


class TokenSource:
    """Gives a valid token to any number of threads; one renewal at a time, whose outcome all waiting threads share."""

    def __init__(
        self,
        transport: Transport,
        grant: Grant,
        *,
        path: str,
        now: Callable[[], float],
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> None:
        """``path`` is the token endpoint below the transport's base URL; ``now`` is monotonic seconds."""
        self._transport = transport
        self._grant = grant
        self._path = path
        self._now = now
        self._deadline_seconds = deadline_seconds
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._flight: Future[Token] | None = None
        self._refusal: Refusal | None = None
        self._refusal_until = 0.0
        self._retry_at = 0.0
        self._requests = 0

    @property
    def product(self) -> str:
        """How messages name the product."""
        return self._grant.product

    @property
    def requests(self) -> int:
        """How many token requests were made so far."""
        return self._requests

    def current(self) -> Token:
        """A token that is not due for renewal.

        Raises errors.CredentialsRefused, or another errors.RemoteError where the token service cannot be used and the
        token at hand has expired.
        """
        with self._lock:
            held, now = self._token, self._now()
            if held is not None and (now < held.due_at or (now < held.expires_at and now < self._retry_at)):
                return held
        try:
            return self.renew(held).token
        except errors.CredentialsRefused:
            raise
        except errors.RemoteError:
            if held is None or self._now() >= held.expires_at:
                raise
            with self._lock:
                self._retry_at = self._now() + TRANSIENT_HOLD_SECONDS
            return held

    def renew(self, stale: Token | None) -> Renewal:
        """A token other than ``stale``, which was rejected or is due: the one that another thread fetched, or a new one.

        Raises errors.CredentialsRefused (a refusal is remembered for a while, see REFUSAL_HOLD_SECONDS) or what the
        transport raised.
        """
        with self._lock:
            held = self._token
            if held is not None and held is not stale:
                return Renewal(held, own=False)
            if self._refusal is not None and self._now() < self._refusal_until:
                raise refused(self._refusal, product=self.product, path=self._path)
            flight, leads = self._flight, self._flight is None
            if flight is None:
                flight = self._flight = Future()
        if not leads:
            return Renewal(self._joined(flight), own=False)
        try:
            token = self._fetch(held)
        except BaseException as error:
            with self._lock:
                self._flight = None
            failure = errors.NotSent("the token renewal was stopped", method="POST", path=self._path)
            flight.set_exception(error if isinstance(error, Exception) else failure)
            raise
        with self._lock:
            self._token, self._flight, self._refusal = token, None, None
        flight.set_result(token)
        return Renewal(token, own=True)

    def forget_refusal(self) -> None:
        """Ask again at the next request, although the credentials were refused a moment ago."""
        with self._lock:
            self._refusal = None

    def _joined(self, flight: Future[Token]) -> Token:
        try:
            # Two requests (refresh, then password) within their deadlines, and some room.
            return flight.result(timeout=3 * self._deadline_seconds)
        except TimeoutError:
            msg = f"{self.product}: no token came in time from the renewal under way"
            raise errors.NotSent(msg, method="POST", path=self._path) from None

    def _fetch(self, held: Token | None) -> Token:
        if held is not None and held.refresh_value is not None and self._now() < held.refresh_until:
            form = {
                "grant_type": "refresh_token",
                "client_id": self._grant.client_id,
                "refresh_token": held.refresh_value,
            }
            answer = self._ask(form, held=held)
            if isinstance(answer, Token):
                return answer
        answer = self._ask(self._grant.form(), held=None)
        if isinstance(answer, Token):
            return answer
        with self._lock:
            self._refusal, self._refusal_until = answer, self._now() + REFUSAL_HOLD_SECONDS
        raise refused(answer, product=self.product, path=self._path)

    def _ask(self, form: Mapping[str, str], *, held: Token | None) -> Token | Refusal:
        asked_at = self._now()
        self._requests += 1
        reply = self._transport.send(
            "POST",
            self._path,
            form=form,
            headers={"Accept": "application/json"},
            # A lost answer costs one unused token.
            retry=Retry.SAFE_WRITE,
            deadline_seconds=self._deadline_seconds,
            accept_statuses=_REFUSING_STATUSES,
            endpoint="token",
            secrets=(*self._grant.secrets(), *((held.refresh_value,) if held and held.refresh_value else ())),
            remote_text=False,
        )
        if reply.status in _REFUSING_STATUSES:
            refusal = read_refusal(reply.status, reply.body)
            if refusal is not None:
                return refusal
            msg = f"{self.product}: the token service answered {reply.status} without a reason; nothing was read"
            raise errors.Answered(msg, method="POST", path=self._path, status=reply.status)
        token = read_token(reply.json(), asked_at=asked_at)
        if token is None:
            msg = f"{self.product}: the token service's answer {reply.status} holds no usable token; nothing was read"
            raise errors.Garbage(msg, method="POST", path=self._path)
        if token.refresh_value is None and held is not None:
            return Token(token.value, token.due_at, token.expires_at, held.refresh_value, held.refresh_until)
        return token


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None


def _codes_in_text(text: object) -> list[int]:
    if not isinstance(text, str) or not text.startswith("AADSTS"):
        return []
    digits = text.removeprefix("AADSTS").split(":", 1)[0]
    return [int(digits)] if digits.isdecimal() and len(digits) < 12 else []


def _fits_header(value: str) -> bool:
    return bool(value) and value.isascii() and value.isprintable() and " " not in value

"""The exception tree, and the exit code that each branch ends in.

    ReconcilerError                     1   failed before anything was changed
      UsageError                       64   wrong usage of a command
      DeclarationError                  1   problems in declarations (theirs to mend)
      SettingsError                     1   settings or variables are wrong or missing
      SecretError                       1   a secret reference does not resolve
      StoreError                        1   the store cannot be used (locked, full, corrupt, newer, wrong key)
      LockHeld                          6   somebody else holds the lock
      RemoteError                       7   a remote system answered badly, or not at all
        NotSent                         7   the request never left
        Unknown                         7   bytes went out and no answer came back: done or not, nobody knows
        Answered                        7   an HTTP status that is not success
        Garbage                         7   a success status with a body that is not what the endpoint gives
        CredentialsRefused              7   the token service refuses our own credentials: everything of that product waits
        PracticeUnauthorised            7   one practice does not let us in, with a token that is fresh
        QuotaUsedUp                     7   the day's calls of a product are used up: everything of that product waits
      Stale                             4   the plan is not current any more
      Refused                           3   objections that nobody allowed
      Partial                           5   done in part, or an outcome is unknown
      Stopped                    130, 143   a signal ended it, everything in flight recorded
      InternalError                     1   a broken promise of our own

A message says what was being done, to what, what happened, what did not happen. ``hint`` says what to do next.
Neither ever holds a secret, a query string, a body or anything of a patient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ReconcilerError(Exception):
    """Anything that ends a command with a message instead of a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ReconcilerError):
    """The command was called in a way that cannot work."""

    exit_code = 64


class DeclarationError(ReconcilerError):
    """Declarations have problems; ``problems`` holds every one of them (``core.problems.Problem``)."""

    def __init__(
        self,
        problems: Sequence[object],
        *,
        message: str = "declarations have problems",
        sources: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.problems = tuple(problems)
        self.sources = dict(sources or {})
        """The text of the files, for excerpts; never a part of the message."""


class SettingsError(ReconcilerError):
    """A setting or variable is missing or malformed."""


class SecretError(ReconcilerError):
    """A secret reference does not resolve. The message names the reference, never a value."""


class StoreError(ReconcilerError):
    """The store cannot be opened, read or written."""


class LockHeld(ReconcilerError):
    """The lock is held by a living holder, whom the message names."""

    exit_code = 6


class RemoteError(ReconcilerError):
    """A remote system could not be read or written. ``method`` and ``path`` name the request (never its query)."""

    exit_code = 7

    def __init__(self, message: str, *, method: str, path: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.path = path


class NotSent(RemoteError):
    """The request never left this machine: refused connection, name not found, TLS failure, host not allowed."""


class Unknown(RemoteError):
    """Bytes went out and no usable answer came back; the other side may have acted."""


class Answered(RemoteError):
    """An HTTP status that is not success. ``code`` and ``remote_message`` come from a JSON body where there was one."""

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int,
        code: int | str | None = None,
        remote_message: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(message, method=method, path=path, hint=hint)
        self.status = status
        self.code = code
        self.remote_message = remote_message


class Garbage(RemoteError):
    """A success status with a body that is not what the endpoint gives (HTML, truncated JSON, an error object)."""


class CredentialsRefused(RemoteError):
    """The token service refuses *our* credentials: wrong or expired password, locked account, unknown client.

    Every practice of that product waits until a person has acted. ``reason`` is a fixed word (``expired_password``),
    ``code`` the service's number where it gave one.
    """

    def __init__(
        self, message: str, *, method: str, path: str, reason: str, code: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, method=method, path=path, hint=hint)
        self.reason = reason
        self.code = code


class PracticeUnauthorised(RemoteError):
    """One practice refuses a token that was renewed just now: it must be authorised again. Other practices go on."""

    def __init__(self, message: str, *, method: str, path: str, status: int, hint: str | None = None) -> None:
        super().__init__(message, method=method, path=path, hint=hint)
        self.status = status


class QuotaUsedUp(RemoteError):
    """The day's calls of a product (``nextech.daily_calls``) are used up; the request was not made."""


class Stale(ReconcilerError):
    """A saved plan is not current: what it looked at has changed."""

    exit_code = 4


class Refused(ReconcilerError):
    """Objections stand that nobody allowed; nothing was written."""

    exit_code = 3


class Partial(ReconcilerError):
    """Some changes were made and others were not, or an outcome is unknown."""

    exit_code = 5


class Stopped(ReconcilerError):
    """A signal ended the command; what was in flight is recorded. ``exit_code`` is 130 (SIGINT) or 143 (SIGTERM)."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class InternalError(ReconcilerError):
    """Something that cannot happen did. A defect of this program."""

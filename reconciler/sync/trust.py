"""May a product be asked at all? Not while it refuses our own credentials, and not once the day's calls are used up."""

from __future__ import annotations

from datetime import datetime

from reconciler.clients.nextech import NOBODY_LET_IN
from reconciler.errors import Answered, CredentialsRefused, QuotaUsedUp, ReconcilerError
from reconciler.sync.context import Change, Deps, product


def check(deps: Deps, *, practice_plus: bool, is_dry: bool) -> None:
    """Raise errors.CredentialsRefused or errors.QuotaUsedUp; tell people once where there are calls again."""
    name = product(practice_plus)
    refused = deps.refused.get(name)
    if refused is not None:
        raise refused
    quota = deps.quotas.get(name)
    if quota is None:
        return
    quota.check()
    if not is_dry and quota.tell(is_used_up=False):
        deps.on_change(Change("recovered", name, f"there are calls to {name} again"))


def refuse(deps: Deps, error: CredentialsRefused, *, practice_plus: bool) -> None:
    """Our credentials are refused: every practice of the product waits, people are told once."""
    name = product(practice_plus)
    if name not in deps.refused:
        deps.refused[name] = error
        deps.on_change(Change("credentials", name, error.message))


def note_shut_out(deps: Deps, error: ReconcilerError, practice: str) -> None:
    """Note a practice whose 403 may be ours: it is asked again where another one of the sweep lets us in."""
    if isinstance(error, Answered) and error.code == NOBODY_LET_IN:
        deps.shut_out.add(practice)


def use_up(deps: Deps, error: QuotaUsedUp, *, practice_plus: bool, is_dry: bool) -> datetime:
    """The day's calls are gone: people are told once. When what waits is due again."""
    name = product(practice_plus)
    quota = deps.quotas[name]
    deps.exhausted[name] = error.message
    if not is_dry and quota.tell(is_used_up=True):
        deps.on_change(Change("quota", name, error.message))
    return quota.renewed_at()

"""What a sandbox is started with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of ``reconciler sandbox``, which tests use as well."""

    port: int = 0
    """0 takes a free one."""
    seed: int = 1
    practices: int = 0
    """How many accounts to invent beside the samples."""
    visits_per_day: int = 12
    """Appointments of each practice and day in the emulated EMR."""
    dialect: str = "documented"
    settings: tuple[str, ...] = ()
    """``name=value`` for single options of the dialect (``--set``)."""
    faults: tuple[str, ...] = ()
    """In the grammar of ``faults`` (``--fault``)."""
    state: Path | None = None
    """Where to keep the state; in memory only without it."""
    token: str | None = None
    """A bearer token that may read and write; without any token nothing is checked."""
    read_only_token: str | None = None
    """A bearer token that gets 403 for anything but GET."""
    token_header: str | None = None
    """The header that holds the bare token, instead of ``Authorization: Bearer``."""

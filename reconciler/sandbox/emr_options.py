"""How the emulated EMR behaves where its documentation is silent, or where it is known to be odd."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.sandbox.emr import Shares

# The order of ``Bundle.link`` oddities a page can have; "" is the documented behaviour.
LINK_FAULTS = ("", "self", "foreign", "http", "endless", "backwards", "loop")


@dataclass(slots=True)
class EmrOptions:
    """Switches of the EMR half of the sandbox. The defaults are the documented behaviour. Admin calls change them."""

    visits_per_day: int = 12
    days_back: int = 60
    days_ahead: int = 30
    visits_by_practice: dict[str, int] = field(default_factory=dict)
    shares: Shares = field(default_factory=Shares)

    token_seconds: int = 3599
    token_calls: int | None = None  # a token is good for so many calls, then 401
    refresh_seconds: int = 14 * 86_400
    expired_status: int = 401  # a public client saw 403

    unknown_practice_status: int = 403
    requests_per_second: int | None = None  # per user and endpoint; the real one is 20
    retry_after: bool = False  # not documented for rate limiting

    empty_search: str = "empty"  # "empty": total 0 without entry; "list": entry []; "404": the older route table
    newest_first: bool = False  # the direction of "entered date" is not documented
    last_overlaps: bool = True  # last = total - count, as in the documented sample
    own_next: bool = False  # on the last page ``next`` is the page itself, as in the withdrawn R4 samples
    link_fault: str = ""
    foreign_host: str = "elsewhere.example.com"
    total: str = "right"  # "right", "absent", "wrong"
    oversize: bool = False  # five entries more than asked for
    short: bool = False  # nine of ten entries of each page are missing although ``total`` counts them
    delete_while_paging: int = 0  # rows deleted from the front after each page, until ``moves`` are used up
    insert_while_paging: int = 0
    moves: int = 10
    practitioner_without_id: bool = False
    npi_in_use: bool = True  # the documented sample's slip: the NPI system stands in ``use``
    title_case: bool = False  # "Patient Prospect" instead of "patientprospect"
    merged: str = "survivor"  # a search for a merged patient gives the survivor, or ("absent") nobody
    foreign_data: dict[str, str] = field(default_factory=dict)  # practice id -> whose data it shows instead
    cancellation_reason_required: bool = False
    codes_required: bool = True  # a booking needs type and purpose: up to 16.2 always, later by preference

    # Answers instead of the real one: path suffix -> kind, for the n-th call on (see ``emr_world.upset``).
    upsets: list[Upset] = field(default_factory=list)

    @property
    def refresh_lifetime(self) -> timedelta:
        """How long a refresh token lives."""
        return timedelta(seconds=self.refresh_seconds)


@dataclass(slots=True)
class Upset:
    """A wrong answer to calls whose path contains ``path``: from call ``first`` (1 is the next), ``times`` times.

    Kinds: ``html``, ``truncate``, ``outcome`` (an OperationOutcome in a 200), ``empty`` (no body), ``null``, ``nothing``
    (an empty Bundle), or a status such as ``503``.
    """

    path: str
    kind: str
    first: int = 1
    times: int = 1
    seen: int = 0

"""Nextech Practice+: the same reads as Select with other credentials, another host and fewer code lists.

Facts from ``nextech-api.md`` section 8. Extension names are bare on most resources (``appointment-type`` instead of a
URL); ``core.fhir`` compares the last part of a name, so both products are read alike. Practice+ returns social security
numbers in clear: they are dropped here, before anything else sees the resource. Behind the flag ``practice_plus``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler import errors
from reconciler.clients.nextech import NextechClient, drop_ssn
from reconciler.clients.nextech_auth import ClientGrant, TokenSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from reconciler.clients.nextech_paging import Page
    from reconciler.clients.transport import Transport

DEFAULT_URL = "https://api.pm.nextech.com/api"


class PracticePlusClient(NextechClient):
    """Reads of Practice+. There is no list of appointment statuses."""

    def appointment_statuses(self, practice_id: str) -> Iterator[Page]:
        """Practice+ has none (8.1). Raises errors.InternalError: nobody should ask."""
        raise errors.InternalError("Practice+ has no list of appointment statuses")

    def _clean(self, resource: Any) -> Any:
        cleaned = drop_ssn(resource)
        if isinstance(cleaned, dict) and isinstance(cleaned.get("contact"), list):
            # An employer stands in ``contact.organization.identifier``; no sync needs contacts of a patient.
            return {key: value for key, value in cleaned.items() if key != "contact"}
        return cleaned


def token_source(
    transport: Transport, *, path: str, now: Callable[[], float], client_id: str, client_secret: str, resource: str
) -> TokenSource:
    """Tokens by client credentials; ``transport`` is the token service's."""
    grant = ClientGrant(client_id=client_id, client_secret=client_secret, resource=resource)
    return TokenSource(transport, grant, path=path, now=now)

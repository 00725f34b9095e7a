"""What is set, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reconciler.settings.secrets import Secret, Secrets

BIRDEYE_URL = "https://common-services.birdeye.com"
CONTACTS_URL = "https://api.birdeye.com/resources"
NEXTECH_URL = "https://select.nextech-api.com/api"
NEXTECH_TOKEN_URL = "https://login.microsoftonline.com/nextech-api.com/oauth2/token"  # noqa: S105 - a URL
PRACTICE_PLUS_URL = "https://api.pm.nextech.com/api"


@dataclass(frozen=True)
class Birdeye:
    """The integration API."""

    url: str = BIRDEYE_URL
    token: Secret | None = None
    token_header: str = "Authorization: Bearer"  # noqa: S105 - a header's name
    """``NAME: SCHEME`` or a bare header name."""
    requests_per_second: float = 50
    concurrency: int = 8

    @property
    def headers(self) -> dict[str, str]:
        """The header that carries the token."""
        if self.token is None:
            return {}
        name, _, scheme = self.token_header.partition(":")
        value = f"{scheme.strip()} {self.token.reveal()}" if scheme.strip() else self.token.reveal()
        return {name.strip(): value}


@dataclass(frozen=True)
class Contacts:
    """Birdeye's contacts API."""

    url: str = CONTACTS_URL
    version: int = 2
    api_key: Secret | None = None
    """Used where a business declares none."""
    requests_per_second: float = 20
    concurrency: int = 8
    appointment_path: str = "/v1/appointments/{externalId}"
    """This and the next two: of the provisional contract for reminders (``clients.appointments``)."""
    requests_path: str = "/v1/appointments/requests"
    result_path: str = "/v1/appointments/requests/{requestId}/result"


@dataclass(frozen=True)
class Nextech:
    """Nextech Select."""

    url: str = NEXTECH_URL
    token_url: str = NEXTECH_TOKEN_URL
    client_id: Secret | None = None
    username: Secret | None = None
    password: Secret | None = None
    resource: str = NEXTECH_URL
    """The same as ``url`` unless given."""
    requests_per_second: float = 18
    """Per endpoint."""
    daily_calls: int | None = None


@dataclass(frozen=True)
class PracticePlus:
    """Nextech Practice+."""

    url: str = PRACTICE_PLUS_URL
    token_url: str = NEXTECH_TOKEN_URL
    client_id: Secret | None = None
    client_secret: Secret | None = None
    resource: str | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that is set, merged and checked."""

    folder: Path
    """Where relative paths start: the folder of ``reconciler.yaml``, else the working directory."""
    file: Path | None
    declarations: Path
    birdeye: Birdeye = Birdeye()
    contacts: Contacts = Contacts()
    nextech: Nextech = Nextech()
    practice_plus: PracticePlus = PracticePlus()
    store: str = ""
    ledger_store: str = ""
    receipt_key: Secret | None = None
    ledger_key: Secret | None = None
    is_ci: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    secrets_root: Path | None = None
    proxy: str | None = None
    ca_bundle: Path | None = None
    contact_start: str | None = None
    """ISO date."""
    max_contacts_per_run: int = 5000
    """Per location."""
    max_catch_up_days: int = 14
    overlap_days: int = 3
    unknown_settle_seconds: int = 30
    notices: tuple[str, ...] = ()
    """Webhook URLs."""
    retention_days: int = 400
    pause_all: bool = False
    actor: str = "unknown"
    """Who runs this, for audit records."""
    run_url: str | None = None
    """Of the CI run."""
    commit: str | None = None
    """From the CI's variables; the checkout is asked where there is none."""
    allow: tuple[str, ...] = ()
    """``RECONCILER_ALLOW``: ``CODE:SLUG``, separated by commas or white space."""
    secrets: Secrets = field(default_factory=lambda: Secrets({}, None))

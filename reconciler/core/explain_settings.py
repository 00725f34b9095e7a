"""What every setting is, in one place, for ``explain`` and the reference. A test compares the names with the reader's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SettingHelp:
    """One setting. ``key`` is empty where the file may not hold it; ``variable`` outranks the file."""

    key: str
    variable: str
    text: str
    default: str = "none"
    secret: bool = False

    @property
    def name(self) -> str:
        """By which it is asked for: the key, else the variable."""
        return self.key or self.variable


def _in_file(key: str, text: str, default: str = "none") -> SettingHelp:
    return SettingHelp(key, f"RECONCILER_{key.replace('.', '_').upper()}", text, default)


def _secret(name: str, text: str, default: str = "none") -> SettingHelp:
    return SettingHelp("", f"RECONCILER_{name}", text, default, secret=True)


def _variable(name: str, text: str, default: str = "none") -> SettingHelp:
    return SettingHelp("", f"RECONCILER_{name}", text, default)


SETTINGS: tuple[SettingHelp, ...] = (
    _in_file("declarations", "The folder of the declarations.", "integrations"),
    _in_file("birdeye.url", "Birdeye's integration API.", "https://common-services.birdeye.com"),
    _secret("BIRDEYE_TOKEN", "The token of the integration API."),
    _in_file("birdeye.token_header", "The header that carries it, as `NAME: SCHEME`.", "Authorization: Bearer"),
    _in_file("birdeye.requests_per_second", "Most requests to it in a second.", "50"),
    _in_file("birdeye.concurrency", "Most requests to it at a time.", "8"),
    _in_file("contacts.url", "Birdeye's contacts API.", "https://api.birdeye.com/resources"),
    _in_file("contacts.version", "Its version.", "2"),
    _secret("CONTACTS_API_KEY", "Its key, used where a business declares none."),
    _in_file("contacts.requests_per_second", "Most requests to it in a second.", "20"),
    _in_file("contacts.concurrency", "Most requests to it at a time.", "8"),
    _in_file(
        "contacts.appointment_path",
        "Where Birdeye is told of an appointment. Of a provisional contract: Birdeye publishes no such endpoint.",
        "/v1/appointments/{externalId}",
    ),
    _in_file(
        "contacts.requests_path", "Where Birdeye says what patients asked for; likewise.", "/v1/appointments/requests"
    ),
    _in_file(
        "contacts.result_path",
        "Where Birdeye is told what became of it; likewise.",
        "/v1/appointments/requests/{requestId}/result",
    ),
    _in_file("nextech.url", "Nextech Select's API.", "https://select.nextech-api.com/api"),
    _in_file(
        "nextech.token_url",
        "Where its tokens come from.",
        "https://login.microsoftonline.com/nextech-api.com/oauth2/token",
    ),
    _secret("NEXTECH_CLIENT_ID", "The client id of Nextech Select."),
    _secret("NEXTECH_USERNAME", "Its user name."),
    _secret("NEXTECH_PASSWORD", "Its password."),
    _in_file("nextech.resource", "The resource that tokens are asked for.", "`nextech.url`"),
    _in_file("nextech.requests_per_second", "Most requests to each endpoint in a second.", "18"),
    _in_file(
        "nextech.daily_calls",
        "Most requests to it in a day (midnight to midnight UTC), of all processes that share the ledger; then practices "
        "wait for the next day, and nothing is lost. Requests for tokens do not count.",
    ),
    _in_file("practice_plus.url", "Nextech Practice+'s API.", "https://api.pm.nextech.com/api"),
    _in_file(
        "practice_plus.token_url",
        "Where its tokens come from.",
        "https://login.microsoftonline.com/nextech-api.com/oauth2/token",
    ),
    _secret("PRACTICE_PLUS_CLIENT_ID", "The client id of Practice+."),
    _secret("PRACTICE_PLUS_CLIENT_SECRET", "Its secret."),
    _in_file("practice_plus.resource", "The resource that tokens are asked for."),
    _in_file(
        "store",
        "Where journal, receipts, configurations in force, audit and locks are kept; `postgresql://…` for CI and for more "
        "than one machine. A password in the file is refused.",
        "sqlite:///.reconciler/store.db",
    ),
    _in_file("ledger_store", "Where contacts and marks are kept, apart from what plan jobs may read.", "the store"),
    _secret(
        "RECEIPT_KEY", "Keys every fingerprint.", "made beside an SQLite file; required with any other store and in CI"
    ),
    _secret("LEDGER_KEY", "Keys pseudonyms and kept payloads.", "made likewise"),
    _variable(
        "ALLOWED_HOSTS", "Further hosts that credentials may be sent to.", "the hosts of the default URLs, loopback"
    ),
    _variable("SECRETS_ROOT", "The folder that `file:` references start at."),
    _variable("PROXY", "An HTTP proxy."),
    _variable("CA_BUNDLE", "Certificates to trust instead of the system's.", "the system's"),
    _variable("ALLOW", "Objections allowed for a job started by hand, as `CODE:SLUG`."),
    _in_file(
        "contact_start", "Nobody whose visit was before this day is contacted.", "see `locations[].contact_start`"
    ),
    _in_file("max_contacts_per_run", "Most contacts of one location in one pass.", "5000"),
    _in_file("max_catch_up_days", "How many missed days are caught up.", "14"),
    _in_file("overlap_days", "Days that each pass reads again, since visits are completed late.", "3"),
    _in_file("unknown_settle_seconds", "How long to wait before an unknown outcome is looked at.", "30"),
    _in_file("notices", "Webhooks that are told of what needs a person."),
    _in_file(
        "retention_days",
        "How long what was decided is kept, in days. What prevents a second contact is kept twice as long, and no visit "
        "from before that is ever contacted. `run` and `sync` see to it once a day.",
        "400",
    ),
    _in_file("pause_all", "Stops all sending at once.", "false"),
)

"""``reconciler.yaml``: what it sets, and what it must not."""

from pathlib import Path

import pytest

from reconciler.errors import SettingsError
from reconciler.settings.load import load_settings


def write(folder: Path, text: str) -> Path:
    file = folder / "reconciler.yaml"
    file.write_text(text)
    return file


def test_numbers_flags_texts_and_lists_of_the_file_are_in_force(tmp_path: Path) -> None:
    write(
        tmp_path,
        """\
declarations: practices
birdeye: {url: "https://common-services.birdeye.com/", requests_per_second: 12.5, concurrency: 3}
contacts:
  version: 3
nextech:
  daily_calls: 9000
store: sqlite:///here.db
contact_start: 2026-11-20
max_contacts_per_run: 10
overlap_days: 0
notices: ["https://api.birdeye.com/hook"]
retention_days: 30
pause_all: true
""",
    )
    it = load_settings(environ={}, cwd=tmp_path)
    assert it.declarations == tmp_path / "practices"
    assert (it.birdeye.url, it.birdeye.requests_per_second, it.birdeye.concurrency) == (
        "https://common-services.birdeye.com",
        12.5,
        3,
    )
    assert (it.contacts.version, it.nextech.daily_calls) == (3, 9000)
    assert it.store == it.ledger_store == f"sqlite:///{tmp_path}/here.db"
    assert it.contact_start == "2026-11-20"
    assert (it.max_contacts_per_run, it.overlap_days, it.retention_days, it.pause_all) == (10, 0, 30, True)
    assert it.notices == ("https://api.birdeye.com/hook",)


def test_the_file_is_found_upwards_and_paths_start_at_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "{}\n")
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    it = load_settings(environ={}, cwd=below)
    assert (it.folder, it.declarations) == (tmp_path, tmp_path / "integrations")
    assert it.store == f"sqlite:///{tmp_path}/.reconciler/store.db"


def test_a_variable_outranks_the_file_and_an_empty_one_counts_as_not_set(tmp_path: Path) -> None:
    write(tmp_path, "pause_all: false\noverlap_days: 5\n")
    it = load_settings(environ={"RECONCILER_PAUSE_ALL": "true", "RECONCILER_OVERLAP_DAYS": " "}, cwd=tmp_path)
    assert (it.pause_all, it.overlap_days) == (True, 5)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("pause_al: true", ": unknown setting `pause_al`", "did you mean `pause_all`?"),
        ("birdeye: {tokn: x}", ": unknown setting `birdeye.tokn`", "did you mean `birdeye.token`?"),
        ("birdeye: {token: CANARY}", ": `birdeye.token` is a secret", "export RECONCILER_BIRDEYE_TOKEN=…"),
        ("nextech: {password: CANARY}", ": `nextech.password` is a secret", "export RECONCILER_NEXTECH_PASSWORD=…"),
        (
            "allowed_hosts: [CANARY]",
            ": `allowed_hosts` is not a setting of the file",
            "export RECONCILER_ALLOWED_HOSTS=…",
        ),
        ("secrets_root: /", ": `secrets_root` is not a setting of the file", "export RECONCILER_SECRETS_ROOT=…"),
        ("receipt_key: CANARY", ": `receipt_key` is not a setting of the file", "export RECONCILER_RECEIPT_KEY=…"),
        (
            "store: postgresql://u:CANARY@db.example.com/x",
            ": `store` holds a password",
            "export RECONCILER_STORE=…, or leave it to libpq",
        ),
        (
            "ledger_store: postgresql://db.example.com/x?password=CANARY",
            ": `ledger_store` holds a password",
            "export RECONCILER_LEDGER_STORE=…, or leave it to libpq",
        ),
        ("pause_all: yes", ": `pause_all` must be true or false", None),
        ("pause_all: 'true'", ": `pause_all` must be true or false", None),
        ("retention_days: 1_000", ": `retention_days` must be a whole number from 1", None),
        ("retention_days: true", ": `retention_days` must be a whole number from 1", None),
        ("retention_days: null", ": `retention_days` must be a whole number from 1", None),
        ("contact_start: 2026-13-01", ": `contact_start` must be a date such as 2026-11-20", None),
        ('birdeye: {token_header: "X-A: b\\r\\nX-B"}', ": `birdeye.token_header` must be text of one line", None),
        ("store: a\nstore: b", ":2:1: a key is given twice", None),
        ("a: &x 1\nb: *x", ":1:4: anchors and aliases are not accepted", None),
        ("store: !!str CANARY", ":1:8: tags are not accepted", None),
        ("declarations:\n  " + "- " * 30_000 + "a", ":2:33: nested more than 16 deep", None),
        ("declarations: " + "[" * 30_000, ":1:30: nested more than 16 deep", None),
        ("store: [CANARY", ":1:15: not YAML", None),
        ("- CANARY", ": not a mapping of settings", None),
    ],
)
def test_what_the_file_must_not_hold_is_refused_without_repeating_it(
    tmp_path: Path, text: str, said: str, hint: str | None
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={}, cwd=tmp_path)
    assert (caught.value.message, caught.value.hint) == (f"{file}{said}", hint)
    assert "CANARY" not in f"{caught.value.message}{caught.value.hint}{caught.value.__context__!r}" or (
        caught.value.__suppress_context__
    )


def test_a_file_above_the_limit_is_refused_not_cut(tmp_path: Path) -> None:
    file = write(tmp_path, "pause_all: false\n#" + "x" * 1024 * 1024 + "\n")
    with pytest.raises(SettingsError, match="larger than 1048576 bytes"):
        load_settings(config=file, environ={}, cwd=tmp_path)


def test_a_rate_without_end_is_refused() -> None:
    for text in ("inf", "nan", "1e9", "-1", "0", "1_000"):
        with pytest.raises(SettingsError, match=r"^RECONCILER_BIRDEYE_REQUESTS_PER_SECOND must be a number above 0$"):
            load_settings(environ={"RECONCILER_BIRDEYE_REQUESTS_PER_SECOND": text}, cwd=Path("/"))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://common-services.birdeye.com", "`birdeye.url` is http; that is accepted for loopback only"),
        ("https://api.example.com", "`birdeye.url` leads to the host api.example.com, which is not allowed"),
        ("https://u:CANARY@api.birdeye.com", "`birdeye.url` holds a user name or password"),
        ("ftp://api.birdeye.com", "`birdeye.url` is not an https URL"),
        ("https://api.birdeye.com:port", "`birdeye.url` is not a URL"),
    ],
)
def test_a_url_must_be_https_to_an_allowed_host(tmp_path: Path, url: str, said: str) -> None:
    write(tmp_path, f"birdeye: {{url: '{url}'}}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={}, cwd=tmp_path)
    assert caught.value.message == said


def test_loopback_needs_no_permission_and_other_hosts_a_variable() -> None:
    it = load_settings(
        environ={
            "RECONCILER_BIRDEYE_URL": "http://127.0.0.1:8080",
            "RECONCILER_CONTACTS_URL": "https://Mirror.example.com/x",
            "RECONCILER_ALLOWED_HOSTS": "mirror.example.com",
        },
        cwd=Path("/"),
    )
    assert (it.birdeye.url, it.contacts.url) == ("http://127.0.0.1:8080", "https://Mirror.example.com/x")


def test_a_file_may_not_send_the_databases_credentials_to_another_host(tmp_path: Path) -> None:
    file = tmp_path / "reconciler.yaml"
    for url in ("postgresql://app@db.example.com/r", "postgresql:///r?host=db.example.com"):
        file.write_text(f"store: {url}\n")
        with pytest.raises(SettingsError, match=r"leads to the host db\.example\.com"):
            load_settings(cwd=tmp_path, environ={})
        allowed = load_settings(cwd=tmp_path, environ={"RECONCILER_ALLOWED_HOSTS": "db.example.com"})
        assert allowed.store == url
        assert load_settings(cwd=tmp_path, environ={"RECONCILER_STORE": "postgresql://x@elsewhere.example.com/r"}).store

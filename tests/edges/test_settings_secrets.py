"""A secret reference leads to one value, to nothing else, and is never shown."""

import os
from pathlib import Path

import pytest

from reconciler.errors import SecretError
from reconciler.settings.load import load_settings
from reconciler.settings.secrets import Secret, Secrets


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.yaml").write_text('north:\n  key: CANARY-1\n  "n": "0123"\nempty: ""\nnumber: 12\n')
    (folder / "deep" / "b.json").write_text('{"key": "CANARY-2"}')
    (tmp_path / "outside.yaml").write_text("key: CANARY-3\n")
    return folder


def test_references_to_variables_yaml_and_json_resolve(root: Path) -> None:
    secrets = Secrets({"RECONCILER_SECRET_X": " CANARY-0\n"}, root)
    found = [
        secrets.reveal(it)
        for it in ("env:RECONCILER_SECRET_X", "file:a.yaml#north.key", "file:a.yaml#north.n", "file:deep/b.json#key")
    ]
    assert found == ["CANARY-0", "CANARY-1", "0123", "CANARY-2"]


@pytest.mark.parametrize(
    "reference",
    [
        "CANARY-literal",
        "env:PATH",
        "env:RECONCILER_BIRDEYE_TOKEN",
        "env:RECONCILER_SECRET_MISSING",
        "env:RECONCILER_SECRET_EMPTY",
        "file:a.yaml#north",
        "file:a.yaml#none",
        "file:a.yaml#empty",
        "file:a.yaml#number",
        "file:a.yaml",
        "file:#key",
        "file:none.yaml#key",
        "file:../outside.yaml#key",
        "file:deep/../../outside.yaml#key",
        "file:link.yaml#key",
        "file:linked/outside.yaml#key",
        "file:pipe#key",
        "file:deep#key",
        "file:twice.json#key",
        "file:twice.yaml#key",
        "file:bomb.yaml#key",
        "file:broken.yaml#key",
        "file:big.yaml#key",
    ],
)
def test_what_does_not_resolve_is_refused_without_any_value(root: Path, reference: str) -> None:
    (root / "link.yaml").symlink_to("../outside.yaml")
    (root / "linked").symlink_to("..")
    os.mkfifo(root / "pipe")
    (root / "twice.json").write_text('{"key": "CANARY-4", "key": "CANARY-5"}')
    (root / "twice.yaml").write_text("key: CANARY-4\nkey: CANARY-5\n")
    (root / "bomb.yaml").write_text(
        "a0: &a0 x\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        + "key: CANARY\n"
    )
    (root / "broken.yaml").write_text("key: [CANARY-6\n")
    (root / "big.yaml").write_text("key: CANARY-7\n#" + "x" * 1024 * 1024)
    secrets = Secrets({"PATH": "CANARY", "RECONCILER_BIRDEYE_TOKEN": "CANARY", "RECONCILER_SECRET_EMPTY": "\t"}, root)
    with pytest.raises(SecretError) as caught:
        secrets.resolve(reference)
    assert "CANARY" not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.__cause__ is None


def test_an_absolute_path_is_outside_the_root(root: Path) -> None:
    with pytest.raises(SecretError, match="outside the secrets root"):
        Secrets({}, root).resolve(f"file:{root}/a.yaml#north.key")


def test_a_file_reference_without_a_root_names_the_variable() -> None:
    with pytest.raises(SecretError) as caught:
        Secrets({}, None).resolve("file:a.yaml#key")
    assert (caught.value.message, caught.value.hint) == (
        "the secret file:a.yaml#key needs a secrets root",
        "export RECONCILER_SECRETS_ROOT=FOLDER",
    )


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    names = [
        "BIRDEYE_TOKEN",
        "CONTACTS_API_KEY",
        "NEXTECH_CLIENT_ID",
        "NEXTECH_USERNAME",
        "NEXTECH_PASSWORD",
        "PRACTICE_PLUS_CLIENT_ID",
        "PRACTICE_PLUS_CLIENT_SECRET",
        "RECEIPT_KEY",
        "LEDGER_KEY",
        "SECRET_X",
    ]
    environ = {f"RECONCILER_{name}": f"CANARY-{name}" for name in names}
    it = load_settings(environ=environ, cwd=tmp_path)
    assert it.birdeye.token == Secret("CANARY-BIRDEYE_TOKEN")
    assert it.ledger_key is not None
    assert it.ledger_key.reveal() == "CANARY-LEDGER_KEY"
    for shown in (repr(it), str(it), f"{it.birdeye.token}", f"{it.birdeye.token!r:>40}", repr(it.secrets)):
        assert "CANARY" not in shown
    assert sorted(it.secrets.known()) == sorted(environ.values())

"""The cache of parsed declarations saves time and never changes a result."""

from __future__ import annotations

import shutil
import stat
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler import declarations
from reconciler.core import codes
from reconciler.declarations import Loaded, cache, yaml_events

TODAY = date(2026, 11, 24)
SAMPLES = Path(__file__).parents[3] / "integrations"
TEXTS = sorted({text for it in codes.registry().values() for text in (it.bad, it.good) if text})


def load(folder: Path, file: Path | None = None) -> Loaded:
    return declarations.load(folder, shown_from=folder, today=TODAY, cache_file=file)


def facts(loaded: Loaded) -> tuple[object, ...]:
    placed = [(it, dict(it.positions)) for it in loaded.declared]
    shown = [(it.slug, it.declaration, it.declaration.declared, positions) for it, positions in placed]
    return loaded.problems, loaded.digest, loaded.files, loaded.selected, dict(loaded.sources), shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "FEW", 0)
    shutil.copytree(SAMPLES, tmp_path / "d")
    return tmp_path / "d"


def test_a_second_load_reads_no_yaml_and_gives_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "cache.jsonl"
    plain = facts(load(folder))
    assert facts(load(folder, file)) == plain
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def refuse(*_: object) -> None:
        raise AssertionError("YAML was read")

    monkeypatch.setattr(yaml_events, "read_quickly", refuse)
    monkeypatch.setattr(yaml_events, "read", refuse)
    warm = load(folder, file)
    monkeypatch.undo()
    assert facts(warm) == plain


@given(st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_and_without_a_cache_every_result_is_equal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("w")
    file = folder.parent / f"{folder.name}.jsonl"
    for _ in range(3):
        for name in data.draw(st.lists(st.sampled_from("abcd"), max_size=4, unique=True)):
            (folder / f"{name}.yaml").write_text(data.draw(st.sampled_from(TEXTS)))
        for name in data.draw(st.lists(st.sampled_from("abcd"), max_size=1)):
            (folder / f"{name}.yaml").unlink(missing_ok=True)
        keep = cache.FEW
        cache.FEW = 0
        try:
            with_cache = load(folder, file)
        finally:
            cache.FEW = keep
        assert facts(with_cache) == facts(load(folder))
        if file.exists() and data.draw(st.booleans()):
            content = bytearray(file.read_bytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.sampled_from([1, 2, 32, 128]))
            file.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\x00" * 5000, b'{"format_version": "0.1"}\n["x"]\n', b"[" * 100_000]
)
def test_a_cache_of_another_version_or_a_broken_one_is_ignored_and_replaced(
    folder: Path, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "cache.jsonl"
    file.write_bytes(content)
    assert facts(load(folder, file)) == facts(load(folder))
    assert file.read_bytes().startswith(b'{"format_version": "1.0"')


def test_a_cache_that_others_may_write_a_link_or_a_folder_is_not_read(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "cache.jsonl"
    load(folder, file)
    good = file.read_bytes()
    file.chmod(0o666)
    assert cache.Cache(file)._known == {}
    file.unlink()
    (tmp_path / "real").write_bytes(good)
    file.symlink_to(tmp_path / "real")
    assert cache.Cache(file)._known == {}
    file.unlink()
    file.mkdir()
    assert facts(load(folder, file)) == facts(load(folder))


def test_a_folder_that_cannot_be_written_is_no_matter(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert facts(load(folder, tmp_path / "file" / "cache.jsonl")) == facts(load(folder))

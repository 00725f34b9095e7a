"""Reading the folder: nothing outside it is ever opened, everything inside it is told of in one reading."""

import hashlib
import os
import random
import socket
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.core.codes_examples import ENTERPRISE, SMB
from reconciler.core.problems import Position
from reconciler.declarations import Loaded, shape
from reconciler.report import problems as report
from tests import reviewing

TODAY = date(2026, 11, 24)
CANARY = "canary-5f1d"


def load(root: Path, *, paths: list[Path] | None = None) -> Loaded:
    return declarations.load(root, shown_from=root.parent, today=TODAY, paths=paths)


def errors(loaded: Loaded) -> list[tuple[str, str]]:
    return [(it.code, str(it.position)) for it in loaded.problems if it.code.startswith("E")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "integrations"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text(f"name: {CANARY}\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "inner.yaml").write_text(f"name: {CANARY}\n")
    return folder


def test_a_folder_is_read_in_any_depth_and_sorted_by_slug(folder: Path) -> None:
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "b" / "c" / "a-first.yml").write_text(SMB)
    (folder / "z-last.yaml").write_text(ENTERPRISE)
    (folder / "README.md").write_text("not a declaration")
    (folder / ".hidden.yaml").write_text("not: read")
    loaded = load(folder)
    assert errors(loaded) == []
    assert [(it.slug, it.file) for it in loaded.declared] == [
        ("a-first", "integrations/b/c/a-first.yml"),
        ("z-last", "integrations/z-last.yaml"),
    ]
    hashes = [hashlib.sha256(it.encode()).hexdigest() for it in (SMB, ENTERPRISE)]
    assert loaded.files == (
        declarations.File("integrations/b/c/a-first.yml", "a-first", 100000000000001, hashes[0]),
        declarations.File("integrations/z-last.yaml", "z-last", 100000000000100, hashes[1]),
    )
    whole = f"b/c/a-first.yml\0{hashes[0]}\nz-last.yaml\0{hashes[1]}\n"
    assert loaded.digest == hashlib.sha256(whole.encode()).hexdigest()
    assert loaded.selected == {"a-first", "z-last"}


def test_every_change_of_a_file_or_name_changes_the_digest(folder: Path) -> None:
    file = folder / "example.yaml"
    file.write_text(SMB)
    digests = {load(folder).digest}
    file.write_text(SMB + "#")
    digests.add(load(folder).digest)
    file.rename(folder / "other.yaml")
    digests.add(load(folder).digest)
    assert len(digests) == 3


def test_a_declared_value_knows_its_place_and_a_list_that_of_its_key(folder: Path) -> None:
    (folder / "example.yaml").write_text(ENTERPRISE)
    (one,) = load(folder).declared
    name = "integrations/example.yaml"
    assert one.position("locations", 1, "business") == Position(name, 11, 15)
    assert one.position("locations", 1, "location_names") == Position(name, 13, 5)
    assert one.position("locations", 1, "location_names", 0) == Position(name, 13, 22)
    assert one.position("locations", 1, "state") == Position(name, 11, 5)
    assert one.position("group") == Position(name, 4, 1)
    assert one.position("name") == Position(name)


def test_paths_select_and_rules_still_look_at_everything(folder: Path) -> None:
    (folder / "one").mkdir()
    (folder / "one" / "a.yaml").write_text(SMB)
    (folder / "b.yaml").write_text(SMB)
    loaded = load(folder, paths=[folder / "one"])
    assert loaded.selected == {"a"}
    assert ("E310", "integrations/b.yaml:2:11") in errors(loaded)
    assert load(folder, paths=[folder / "b.yaml", folder / "one" / "a.yaml"]).selected == {"a", "b"}
    assert load(folder, paths=[folder]).selected == {"a", "b"}
    assert load(folder, paths=[]).selected == set()


def test_a_path_that_names_nothing_is_a_problem_with_a_suggestion(folder: Path) -> None:
    (folder / "example-north.yaml").write_text(SMB)
    (problem,) = [it for it in load(folder, paths=[folder / "exmple-north.yaml"]).problems if it.code == "E121"]
    assert problem.hint == "did you mean: `integrations/example-north.yaml`"
    for outside in (folder / ".." / "secret.yaml", Path("/etc/passwd"), folder.parent):
        loaded = load(folder, paths=[outside])
        assert loaded.selected == set()
        assert [it.code for it in loaded.problems if it.code.startswith("E")] == ["E121"]
        assert CANARY not in everything_printed(loaded)


@pytest.mark.parametrize("make", ["missing", "empty", "file", "link", "only text"])
def test_no_declarations_is_a_problem_and_not_an_empty_wish(tmp_path: Path, make: str) -> None:
    root = tmp_path / "integrations"
    if make == "file":
        root.write_text(SMB)
    elif make == "link":
        (tmp_path / "real").mkdir()
        (tmp_path / "real" / "example.yaml").write_text(SMB)
        root.symlink_to("real")
    elif make != "missing":
        root.mkdir()
        if make == "only text":
            (root / "README.md").write_text("x")
    loaded = load(root)
    assert ([it.code for it in loaded.problems], loaded.declared) == (["E118"], ())


def everything_printed(loaded: Loaded) -> str:
    told = loaded.problems
    forms = report.render_text(told, loaded.sources), report.render_json(told), reviewing.annotated(told)
    return "\n".join(forms) + repr(loaded)


LINKS = (
    "/proc/self/environ",
    "/etc/passwd",
    "/dev/zero",
    "/dev/stdin",
    "/nowhere/at/all",
    "../secret.yaml",
    "./../secret.yaml",
    "../outside",
    "../outside/inner.yaml",
    "../../../../../../../../etc/passwd",
    ".",
    "..",
    "/",
    "/proc/self/fd/0",
    "/proc/self/root/etc/passwd",
    "good.yaml",
    "self.yaml",
    "../integrations/good.yaml",
)
NAMES = ("self.yaml", "self.yml", "self")


@pytest.mark.parametrize("target", LINKS)
@pytest.mark.parametrize("name", NAMES)
def test_a_link_is_never_followed(folder: Path, target: str, name: str) -> None:
    (folder / "good.yaml").write_text(SMB)
    (folder / name).symlink_to(target)
    begun = time.perf_counter()
    loaded = load(folder)
    assert time.perf_counter() - begun < 1
    assert errors(loaded) == [("E102", f"integrations/{name}:1:1")]
    assert [it.slug for it in loaded.declared] == ["good"]
    printed = everything_printed(loaded)
    assert CANARY not in printed
    assert "PATH=" not in printed
    assert "root:" not in printed


def test_a_link_in_a_deeper_folder_is_refused_and_so_is_a_hard_place(folder: Path) -> None:
    deep = folder / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "x.yaml").symlink_to(folder.parent / "secret.yaml")
    assert errors(load(folder)) == [("E102", "integrations/a/b/x.yaml:1:1")]


def test_a_folder_reached_through_a_link_is_refused(tmp_path: Path) -> None:
    real = tmp_path / "real" / "integrations"
    real.mkdir(parents=True)
    (real / "example.yaml").write_text(SMB)
    (tmp_path / "link").symlink_to("real")
    loaded = declarations.load(tmp_path / "link" / "integrations", shown_from=tmp_path, today=TODAY)
    assert errors(loaded) == [("E118", "link/integrations:1:1")]


def test_pipes_sockets_and_folders_with_a_declarations_name_are_not_opened(folder: Path) -> None:
    os.mkfifo(folder / "pipe.yaml")
    (folder / "folder.yaml").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "socket.yaml"))
        begun = time.perf_counter()
        loaded = load(folder)
    assert time.perf_counter() - begun < 1
    assert errors(loaded) == [("E101", "integrations/pipe.yaml:1:1"), ("E101", "integrations/socket.yaml:1:1")]


def test_a_huge_file_is_refused_before_it_is_read(folder: Path) -> None:
    with (folder / "huge.yaml").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    begun = time.perf_counter()
    assert errors(load(folder)) == [("E103", "integrations/huge.yaml:1:1")]
    assert time.perf_counter() - begun < 0.5


def test_a_name_that_is_not_utf8_or_holds_control_characters_is_told_and_printable(folder: Path) -> None:
    (folder / os.fsdecode(b"a\xff.yaml")).write_text(SMB)
    (folder / "b\x1b[31m\n::error::.yaml").write_text(SMB)
    loaded = load(folder)
    assert [code for code, _ in errors(loaded)].count("E120") == 2
    for printed in (report.render_text(loaded.problems, loaded.sources), report.render_json(loaded.problems)):
        assert "\x1b" not in printed
        printed.encode()
    assert all(it.startswith("::") for it in reviewing.annotated(loaded.problems).splitlines())


@pytest.mark.parametrize("name", ["Example", "example_", "run", "ex ample", "exämple", "-a", "a--b", "a.b", "x" * 101])
def test_a_name_that_cannot_be_a_slug_is_refused(folder: Path, name: str) -> None:
    (folder / f"{name}.yaml").write_text(SMB)
    assert "E120" in {code for code, _ in errors(load(folder))}


SECRETS = (
    f"practice_id: {CANARY}",
    f'practice_id: "{CANARY}"',
    f"practice_id: [{CANARY}, {CANARY}]",
    f"practice_id:\n    - {CANARY}\n    - {CANARY}",
    f"practice_id:\n    {CANARY}: {CANARY}",
    f"practice_id: |\n    {CANARY}\n    {CANARY}",
    f"practice_id:\n    {CANARY}",
    f"practice_id: env:RECONCILER_SECRET_X {CANARY}",
    f"practice_id: env:{CANARY}",
    f"practice_id: file:/etc/{CANARY}#a",
    f"practice_id: file:../{CANARY}#a",
    f"practise_id: {CANARY}",
    f"api_key: {CANARY}",
    f"practice_id: {CANARY}\n  practice_id: {CANARY}",
    f"practice_id: !!str {CANARY}",
    f"practice_id: &x {CANARY}",
    f'practice_id: "{CANARY}\n{CANARY}"\n  unknown: 1',
    f"practice_id: '{CANARY}\n\n\n{CANARY}",
    f"{{practice_id: {CANARY}, unknown: 1}}",
    f"practice_id: {CANARY}: {CANARY}",
    f"practice_id: {CANARY}\n\tx: y",
)


@pytest.mark.parametrize("written", SECRETS)
def test_nothing_of_a_secret_field_is_ever_repeated(folder: Path, written: str) -> None:
    flow = written.startswith("{")
    group = f"group: {written}\n" if flow else f"group:\n  {written}\n  appointment_types: [Procedure]\n"
    start, end = SMB.index("group:"), SMB.index("locations:")
    (folder / "example.yaml").write_text(SMB[:start] + group + SMB[end:])
    loaded = load(folder)
    assert loaded.has_errors
    told = loaded.problems
    forms = report.render_text(told, loaded.sources), report.render_json(told), reviewing.annotated(told)
    assert CANARY not in "".join(forms)


def test_a_number_in_a_secret_field_is_refused_without_repeating_it(folder: Path) -> None:
    (folder / "example.yaml").write_text(SMB + "contacts_api_key: 8675309867\n")
    loaded = load(folder)
    assert errors(loaded) == [("E212", "integrations/example.yaml:12:1")]
    assert "8675309867" not in report.render_text(loaded.problems, loaded.sources) + report.render_json(loaded.problems)


FIELDS = sorted({name for place in ((), ("group",), ("locations", 0)) for name in shape.fields_at(place)})


def test_a_one_letter_slip_in_a_key_is_found_at_its_place_with_the_right_word(folder: Path) -> None:
    chance = random.Random(7)
    full = (
        SMB.replace("    time_zone", "    location_names: [North]\n    frequency: 1d\n    time_zone")
        + "country: US\nbeta: false\n"
    )
    right = 0
    lines = full.splitlines()
    keys = [(i, line.split(":")[0].lstrip(" -")) for i, line in enumerate(lines)]
    for turn in range(2_000):
        i, key = keys[turn % len(keys)]
        at = chance.randrange(len(key))
        slip = chance.choice(
            (key[:at] + key[at + 1 :], key[:at] + chance.choice("abcxyz_") + key[at:], key[:at] + "q" + key[at + 1 :])
        )
        if slip in FIELDS or not slip or slip[0] == "_":
            right += 1
            continue
        text = "\n".join([*lines[:i], lines[i].replace(key, slip, 1), *lines[i + 1 :]]) + "\n"
        told = declarations.directory._why_not(text, "x.yaml")[1]
        column = lines[i].index(key) + 1
        unknown = [it for it in told if it.code == "E201"]
        assert [(it.position.line, it.position.column) for it in unknown] == [(i + 1, column)], (slip, told)
        right += unknown[0].hint == f"did you mean: `{key}`"
    assert right >= 0.95 * 2_000


FAULTS = (
    ("version: 1", "version: one", "E220", 1, 10),
    ("\nbusiness: 100000000000001", "\nbusiness: 1.5", "E205", 2, 11),
    ("source: nextech", "source: nextgen", "E209", 4, 9),
    ("[nextechFulfilledAppointmentTrigger]", "nextechFulfilledAppointmentTrigger", "E207", 5, 11),
    ("[Procedure, Surgery]", "[Procedure, 7]", "E206", 8, 34),
    ("[Procedure, Surgery]", "[Procedure, 'a ']", "E218", 8, 34),
    ("[Procedure, Surgery]", "[Procedure, ~]", "E203", 8, 34),
    ("[Procedure, Surgery]", "[Procedure, 'a|b']", "E301", 8, 34),
    ("[Procedure, Surgery]", "[Procedure, Procedure]", "E302", 8, 34),
    ("America/New_York", "America/Nowhere", "E214", 11, 16),
    ("    time_zone: America/New_York", "    show_by: purposes", "E209", 11, 14),
    ("    time_zone: America/New_York", "    past_months: 121", "E210", 11, 18),
    ("    time_zone: America/New_York", "    practitioner_ids: [417]", "E206", 11, 24),
)


@pytest.mark.parametrize(("old", "new", "code", "line", "column"), FAULTS)
def test_one_fault_is_one_problem_at_its_place(
    folder: Path, old: str, new: str, code: str, line: int, column: int
) -> None:
    (folder / "example.yaml").write_text(SMB.replace(old, new))
    assert errors(load(folder)) == [(code, f"integrations/example.yaml:{line}:{column}")]


@pytest.mark.parametrize(
    ("before", "after", "hint"),
    [
        ("[Procedure, Surgery]", "null", "appointment_types: []` (all types)"),
        ("triggers: [nextechFulfilledAppointmentTrigger]", "triggers: ~", "once applied: reset), or list at least one"),
        ("name: Example", "name: ~ # Example", "delete the key, or give it a value"),
        ("source: nextech", "source: ~", "give it a value"),
    ],
)
def test_a_null_is_answered_with_the_choices_that_the_field_has(
    folder: Path, before: str, after: str, hint: str
) -> None:
    assert before in SMB
    (folder / "example.yaml").write_text(SMB.replace(before, after, 1))
    assert [it.hint[-len(hint) :] for it in load(folder).problems if it.code == "E203" and it.hint] == [hint]


def test_all_faults_of_all_files_come_in_one_reading(folder: Path) -> None:
    text = SMB
    for old, new, *_ in (FAULTS[0], FAULTS[2], FAULTS[4], FAULTS[9]):
        text = text.replace(old, new)
    (folder / "a.yaml").write_text(text)
    (folder / "b.yaml").write_text(text)
    (folder / "c.yaml").write_text("a: [")
    places = [("E220", "1:10"), ("E209", "4:9"), ("E206", "8:34"), ("E214", "11:16")]
    assert errors(load(folder)) == [
        *[(code, f"integrations/a.yaml:{place}") for code, place in places],
        *[(code, f"integrations/b.yaml:{place}") for code, place in places],
        ("E107", "integrations/c.yaml:1:5"),
    ]


def test_values_beside_ones_of_the_wrong_shape_are_judged_in_the_same_reading(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        "version: 1\nbusiness: 100000000000001\nname: X\nsource: nextech\ncolour: red\n"
        "triggers: [nextechFulfilledAppointmentTrigger, nextechFulfilledAppointmentTrigger]\n"
        "group:\n  practice_id: env:RECONCILER_SECRET_X\n  appointment_types: ['A|B']\n"
        "  appointment_statuses: ['x ']\n  customer_fetch_delay_days: minus\n"
        "locations:\n  - business: 100000000000001\n    time_zone: Mars/Base\n    location_names: [A, A]\n"
        "    practitioner_ids: ['1', '1']\n  - business: -4\n    location_names: [B, B]\n"
    )
    loaded = load(folder)
    assert errors(loaded) == [
        ("E201", "integrations/a.yaml:5:1"),
        ("E305", "integrations/a.yaml:6:48"),
        ("E301", "integrations/a.yaml:9:23"),
        ("E218", "integrations/a.yaml:10:26"),
        ("E205", "integrations/a.yaml:11:30"),
        ("E214", "integrations/a.yaml:14:16"),
        ("E302", "integrations/a.yaml:15:25"),
        ("E302", "integrations/a.yaml:16:29"),
        ("E213", "integrations/a.yaml:17:15"),
        ("E302", "integrations/a.yaml:18:25"),
    ]
    assert loaded.declared == ()


def test_no_message_names_a_type_of_python(folder: Path) -> None:
    values = ("x", "7", "1.5", "true", "[x]", "{x: y}", "~", "''")
    for i, value in enumerate(values):
        lines = [f"{key}: {value}" for key in shape.fields_at(())]
        (folder / f"top{i}.yaml").write_text("\n".join(lines) + "\n")
        group = "\n".join(f"  {key}: {value}" for key in shape.fields_at(("group",)))
        location = "\n".join(f"    {key}: {value}" for key in shape.fields_at(("locations", 0)))
        (folder / f"inner{i}.yaml").write_text(f"group:\n{group}\nlocations:\n  -\n{location}\n")
        (folder / f"bare{i}.yaml").write_text(value)
    loaded = load(folder)
    words = reviewing.annotated(loaded.problems).casefold()
    for word in ("pydantic", "tuple", "dict", "nonetype", "valid ", "input", "str ", "decimal", "instance", "e200"):
        assert word not in words, word


def test_a_few_thousand_mutants_of_whole_folders_end_in_problems(folder: Path) -> None:
    chance = random.Random(3)
    pieces = [
        "[",
        "]",
        "{",
        ":",
        "- ",
        "'",
        "~",
        "7",
        "true",
        "\n",
        "  ",
        "x",
        "|",
        "#",
        "locations:",
        "null",
        "\t",
        "1.5",
        "é",
    ]
    for i in range(3_000):
        text = chance.choice((SMB, ENTERPRISE))
        for _ in range(chance.choice((1, 2, 4))):
            at = chance.randrange(len(text))
            text = text[:at] + chance.choice(pieces) + text[at + chance.choice((0, 1, 5)) :]
        (folder / f"m{i}.yaml").write_text(text)
    loaded = load(folder)
    assert len(loaded.files) == 3_000
    report.render_text(loaded.problems, loaded.sources, most=10_000)
    bad = {it.position.file for it in loaded.problems if it.code.startswith("E")}
    assert {it.file for it in loaded.declared} | bad == {it.file for it in loaded.files}


def test_a_file_swapped_for_a_link_while_the_folder_is_read_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "example.yaml").write_text(SMB)
    really_open = os.open

    def swap_then_open(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "example.yaml":
            (folder / "example.yaml").unlink()
            (folder / "example.yaml").symlink_to("../secret.yaml")
        return really_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swap_then_open)
    loaded = load(folder)
    assert errors(loaded) == [("E104", "integrations/example.yaml:1:1")]
    assert CANARY not in everything_printed(loaded)


def test_validating_loads_neither_network_nor_database_nor_comparison() -> None:
    program = "import sys, reconciler.declarations, reconciler.report.problems; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout.split()
    assert {"httpx", "sqlalchemy", "rich", "deepdiff", "click"} & set(loaded) == set()


def test_two_thousand_files_are_read_in_a_second(folder: Path) -> None:
    for i in range(2_000):
        text = SMB.replace("100000000000001", str(100000000000001 + i)).replace("EXAMPLE_NORTH", f"P{i}")
        (folder / f"p{i}.yaml").write_text(text)
    begun = time.perf_counter()
    loaded = load(folder)
    assert time.perf_counter() - begun < 3  # 0.3 s when nothing else runs
    assert (len(loaded.declared), errors(loaded)) == (2_000, [])


def test_tens_of_thousands_of_unknown_keys_cost_little(folder: Path) -> None:
    (folder / "example.yaml").write_text("{" + ", ".join(f"é{i}: 1" for i in range(60_000)) + "}")
    begun = time.perf_counter()
    loaded = load(folder)
    report.render_text(loaded.problems, loaded.sources)
    assert time.perf_counter() - begun < 10
    assert len(loaded.problems) == 1_001


def test_of_the_problems_those_count_that_a_selected_file_has_or_takes_part_in(folder: Path) -> None:
    (folder / "broken.yaml").write_text("version: 2\n")
    (folder / "fine.yaml").write_text(ENTERPRISE)
    (folder / "one.yaml").write_text(SMB)
    (folder / "two.yaml").write_text(SMB.replace("NORTH", "SOUTH"))

    def of(*names: str) -> list[tuple[str, str]]:
        loaded = load(folder, paths=[folder / it for it in names])
        return [
            (it.code, str(it.position)) for it in declarations.problems_of_selected(loaded) if it.code.startswith("E")
        ]

    clash = [("E310", "integrations/two.yaml:2:11")]
    assert of("fine.yaml") == []
    assert of("one.yaml") == of("two.yaml") == of("one.yaml", "fine.yaml") == clash
    assert of("nope.yaml") == [("E121", str(folder / "nope.yaml") + ":1:1")]
    assert {place for _, place in of("broken.yaml")} == {
        "integrations/broken.yaml:1:1",
        "integrations/broken.yaml:1:10",
    }
    assert of(".") == errors(load(folder))

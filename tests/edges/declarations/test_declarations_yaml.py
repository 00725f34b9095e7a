"""The YAML front door: exact values, exact places, and no crash for any bytes."""

import json
import random
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.codes_examples import ENTERPRISE, SMB
from reconciler.core.problems import Problem
from reconciler.declarations import yaml_events

SCALARS: tuple[tuple[str, Any], ...] = (
    ("true", True),
    ("false", False),
    ("True", "True"),
    ("TRUE", "TRUE"),
    ("yes", "yes"),
    ("no", "no"),
    ("NO", "NO"),
    ("on", "on"),
    ("off", "off"),
    ("y", "y"),
    ("n", "n"),
    ("null", None),
    ("~", None),
    ("Null", "Null"),
    ("NULL", "NULL"),
    ("0", 0),
    ("-0", 0),
    ("7", 7),
    ("-7", -7),
    ("+7", "+7"),
    ("007", "007"),
    ("02134", "02134"),
    ("08901", "08901"),
    ("1_000", "1_000"),
    ("1,000", "1,000"),
    ("100000000000001", 100000000000001),
    ("999999999999999999", 999999999999999999),
    ("1000000000000000000", "1000000000000000000"),
    ("0x1F", "0x1F"),
    ("0o7", "0o7"),
    ("0b1", "0b1"),
    ("1e3", "1e3"),
    ("1.0e3", "1.0e3"),
    ("1.5", Decimal("1.5")),
    ("-1.50", Decimal("-1.50")),
    (".5", ".5"),
    ("5.", "5."),
    ("01.5", "01.5"),
    ("1.5.2", "1.5.2"),
    (".inf", ".inf"),
    ("-.inf", "-.inf"),
    (".nan", ".nan"),
    ("12:30", "12:30"),
    ("12:30:00", "12:30:00"),
    ("22:22", "22:22"),
    ("1:60", "1:60"),
    ("2026-11-24", "2026-11-24"),
    ("2026-11-24T06:00:00Z", "2026-11-24T06:00:00Z"),
    ("2026-13-45", "2026-13-45"),
    ("+12025550123", "+12025550123"),
    ("202-555-0123", "202-555-0123"),
    ("=", "="),
    ("-", "-"),
    ("1d", "1d"),
    ("a#b", "a#b"),
    ("a:b", "a:b"),
    ("'true'", "true"),
    ('"7"', "7"),
    ("'null'", "null"),
    ('""', ""),
    ("''", ""),
    ("'02134'", "02134"),
    ('"\\u00e9"', "é"),
    ("日本", "日本"),
    ("9" * 100_000, "9" * 100_000),
)


@pytest.mark.parametrize(("written", "value"), [it for it in SCALARS if it[0] != "-"], ids=lambda it: str(it)[:24])
def test_a_scalar_means_one_thing(written: str, value: object) -> None:
    read = yaml_events.read(f"a: {written}\n", "x.yaml")
    assert (read.value, read.problems) == ({"a": value}, ())
    assert type(read.value["a"]) is type(value)


def found(content: str | bytes) -> list[tuple[str, int, int]]:
    text = yaml_events.decode(content.encode() if isinstance(content, str) else content, "x.yaml")
    problems = (text,) if isinstance(text, Problem) else yaml_events.read(text, "x.yaml").problems
    return [(it.code, it.position.line, it.position.column) for it in problems]


REFUSED: tuple[tuple[str | bytes, list[tuple[str, int, int]]], ...] = (
    (b"a: caf\xe9\n", [("E105", 1, 7)]),
    (b"\xff\xfea\x00", [("E105", 1, 1)]),
    (b"a: \xed\xa0\x80", [("E105", 1, 4)]),
    ("a: b\x00c", [("E106", 1, 5)]),
    ("a: 1\r\nb: \x1b[31m", [("E106", 2, 4)]),
    ("a: x\u202ey", [("E106", 1, 5)]),
    ("a: x\u2028y", [("E106", 1, 5)]),
    ("a: x\u200by", [("E106", 1, 5)]),
    ("a: x\u00ady", [("E106", 1, 5)]),
    ("a: x\U000e0041y", [("E106", 1, 5)]),
    ("a: \ufeffb", [("E106", 1, 4)]),
    ('a: "\\e[1m"', [("E106", 1, 4)]),
    ('a: "\\u202e"', [("E106", 1, 4)]),
    ('a: "\\ud800"', [("E107", 1, 7)]),
    ("a: b: c", [("E107", 1, 5)]),
    ("\ta: b", [("E107", 1, 1)]),
    ("a: 'x", [("E107", 1, 4)]),
    ("a: 1\n---\nb: 2\n", [("E110", 2, 1)]),
    ("a: !!python/object/apply:os.system [x]", [("E111", 1, 4)]),
    ("a: ! x", [("E111", 1, 4)]),
    ("!x a: b", [("E111", 1, 1)]),
    ("%YAML 1.2\n---\na: b", [("E112", 1, 1)]),
    ("%TAG ! tag:example.com,2026:\n---\na: b", [("E112", 1, 1)]),
    ("a: &x 1\nb: *x", [("E113", 1, 4), ("E113", 2, 4)]),
    ("&x a: 1", [("E113", 1, 1)]),
    ("a: *x", [("E113", 1, 4)]),
    ("a: &x [1]\n*x : 2", [("E113", 1, 4), ("E113", 2, 1)]),
    ("a: {}\nb:\n  <<: {c: 1}", [("E114", 3, 3)]),
    ("a: 1\nb: 2\na: 3", [("E115", 3, 1)]),
    ("a: {b: 1, 'b': 2}", [("E115", 1, 11)]),
    ("7: a", [("E116", 1, 1)]),
    ("null: a", [("E116", 1, 1)]),
    ("true: a", [("E116", 1, 1)]),
    ("? [a]\n: b", [("E116", 1, 3)]),
    ("", [("E117", 1, 1)]),
    ("# only a comment\n", [("E117", 1, 1)]),
)


@pytest.mark.parametrize(("content", "problems"), REFUSED, ids=lambda it: repr(it)[:30])
def test_what_is_refused_is_refused_at_its_place(content: str | bytes, problems: list[tuple[str, int, int]]) -> None:
    assert found(content) == problems


def test_a_byte_order_mark_and_carriage_returns_change_nothing() -> None:
    text = yaml_events.decode(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "x.yaml")
    assert isinstance(text, str)
    read = yaml_events.read(text, "x.yaml")
    assert read.value == {"a": 1, "b": 2}
    assert read.places.values == {("a",): (1, 4, 1), ("b",): (2, 4, 1)}


def test_a_duplicate_names_both_places() -> None:
    (problem,) = yaml_events.read("a: 1\nb:\n  c: 2\n  c: 3\n", "x.yaml").problems
    assert [(str(place), why) for place, why in problem.also] == [("x.yaml:3:3", "first given here")]


def test_a_duplicate_is_found_at_each_of_a_thousand_places() -> None:
    lines = [f"key{i}: {i}" for i in range(1_000)]
    for i in range(0, 1_000, 7):
        text = "\n".join([*lines, f"key{i}: again"])
        (problem,) = yaml_events.read(text, "x.yaml").problems
        assert (problem.code, problem.position.line, problem.also[0][0].line) == ("E115", 1_001, i + 1)


def test_every_value_and_key_has_its_place() -> None:
    read = yaml_events.read('a:\n  - b: "x y"\n    c: [7, {d: e}]\n', "x.yaml")
    assert read.places.keys == {
        ("a",): (1, 1, 1),
        ("a", 0, "b"): (2, 5, 1),
        ("a", 0, "c"): (3, 5, 1),
        ("a", 0, "c", 1, "d"): (3, 13, 1),
    }
    assert read.places.values == {
        ("a",): (2, 3, 1),
        ("a", 0): (2, 5, 1),
        ("a", 0, "b"): (2, 8, 5),
        ("a", 0, "c"): (3, 8, 1),
        ("a", 0, "c", 0): (3, 9, 1),
        ("a", 0, "c", 1): (3, 12, 1),
        ("a", 0, "c", 1, "d"): (3, 16, 1),
    }


BOMBS = {
    "thirty thousand brackets": "[" * 30_000,
    "a million brackets": "[" * 1_000_000,
    "a million braces": "{" * 1_000_000,
    "half a million list marks": "- " * 500_000,
    "half a million question marks": "? " * 500_000,
    "thirty-three levels": "a: " + "[" * 33,
    "brackets on lines of their own": "[\n" * 400_000,
    "laughs": "a: &a [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 60)),
    "merges": "".join(f"a{i}: &a{i}\n  <<: [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60)),
    "a long hex number": "a: 0x" + "f" * 1_000_000,
    "many values": "a: [" + "1," * 500_000 + "]",
    "many keys": "".join(f"k{i}: 1\n" for i in range(110_000)),
    "one key many times": "a: 1\n" * 200_000,
    "a long quoted text": '"' + "\\u00e9" * 170_000 + '"',
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little(name: str) -> None:
    text = yaml_events.decode(BOMBS[name].encode(), "x.yaml")
    begun = time.process_time()
    if isinstance(text, str):
        yaml_events.read_quickly(text)
        yaml_events.read(text, "x.yaml")
    assert time.process_time() - begun < 2


def test_nesting_is_refused_as_nesting() -> None:
    assert [it[0] for it in found("[" * 30_000)] == ["E108"]
    assert found("a: " + "[" * 33 + "]" * 33) == [("E108", 1, 35)]
    assert found("a: " + "[" * 31 + "]" * 31) == []


def test_a_hundred_thousand_mutants_end_in_values_or_problems() -> None:
    chance = random.Random(20261124)
    seeds = [
        it.encode()
        for it in (SMB, ENTERPRISE, 'a: &b [*b, !t "\\x41"]\n? x\n: - |\n  y\n', "%YAML 1.2\n---\n<<: {a: 'é'}\n...\n")
    ]
    pieces = [b"[", b"{", b"]", b"}", b": ", b"- ", b"? ", b"&a ", b"*a ", b"!x ", b"<<: ", b"'", b'"', b"|\n", b">-\n"]
    pieces += [
        b"\t",
        b"\r",
        b"\n",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\\ud800",
        b"---\n",
        b"...\n",
        b"%",
        b"#",
        b"~",
    ]
    slowest = 0.0
    codes: set[str] = set()
    for _ in range(100_000):
        content = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(content) + 1)
            action = chance.randrange(4)
            if action == 0:
                content[at:at] = chance.choice(pieces)
            elif action == 1:
                del content[at : at + chance.choice((1, 3, 40))]
            elif action == 2:
                content[at : at + 1] = bytes((chance.randrange(256),))
            else:
                content[at:at] = content[: chance.randrange(60)]
        begun = time.perf_counter()
        text = yaml_events.decode(bytes(content), "x.yaml")
        if isinstance(text, Problem):
            codes.add(text.code)
        else:
            quick, _value = yaml_events.read_quickly(text)
            if not quick:
                read = yaml_events.read(text, "x.yaml")
                codes |= {it.code for it in read.problems}
                assert read.problems or read.places.nulls or read.value is None
        slowest = max(slowest, time.perf_counter() - begun)
    assert slowest < 1  # tens of milliseconds at most; the rest is for a busy machine
    assert {"E105", "E106", "E107", "E110", "E111", "E112", "E113", "E115", "E116"} <= codes


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_end_in_values_or_problems(content: bytes) -> None:
    text = yaml_events.decode(content, "x.yaml")
    if isinstance(text, str):
        quick, value = yaml_events.read_quickly(text)
        read = yaml_events.read(text, "x.yaml")
        assert not quick or (value, read.problems) == (read.value, ())


KEYS = st.text("abcdefgh_", min_size=1, max_size=6)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=12)
    | st.integers(-(10**17), 10**17)
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=5))
@settings(max_examples=200, deadline=None)
def test_json_text_is_read_as_itself_quickly_or_not(document: dict[str, Any]) -> None:
    text = json.dumps(document, ensure_ascii=False)
    quick, value = yaml_events.read_quickly(text)
    assert quick
    assert value == as_tuples(document)
    assert yaml_events.read(text, "x.yaml").value == value


def as_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_tuples(it) for key, it in value.items()}
    return tuple(as_tuples(it) for it in value) if isinstance(value, list) else value


SHAPED = st.recursive(
    st.one_of(st.integers(0, 9), st.sampled_from(["text", "a: b", "#"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["names", "statuses", "other", "group"]), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["names", "statuses", "other", "group"]), SHAPED, max_size=4))
@settings(max_examples=300, deadline=None)
def test_the_first_list_under_a_key_is_at_the_same_place_in_both_readings(value: dict[str, Any]) -> None:
    text = json.dumps(value, indent=1)
    first: yaml_events.Lists = {}
    quick, found = yaml_events.read_quickly(text, frozenset({"names", "statuses"}), first)
    read = yaml_events.read(text, "")
    assert (quick, found) == (True, read.value)
    lists = [path for path in read.places.keys if path in read.places.containers and path[-1] in ("names", "statuses")]
    expected: yaml_events.Lists = {}
    for path in lists:  # in the order in which they are read
        expected.setdefault(str(path[-1]), (path, *read.places.keys[path][:2]))
    assert first == expected

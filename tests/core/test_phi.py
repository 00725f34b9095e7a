"""A wrapped value of a person cannot be written anywhere without ``reveal``."""

import copy
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass

import pytest

from reconciler.core.phi import Phi, PhiLeak, wrap
from reconciler.errors import InternalError

CANARY = "Canary Q. Example"

WAYS_OUT: dict[str, Callable[[Phi[str]], object]] = {
    "str": str,
    "f-string": lambda it: f"{it}",
    "f-string with a width": lambda it: f"{it:>10}",
    "format": lambda it: "{}".format(it),  # noqa: UP032
    "percent": lambda it: "%s" % it,  # noqa: UP031
    "bytes": bytes,
    "list": list,
    "join": lambda it: "".join(it),
    "json": json.dumps,
    "json with a default": lambda it: json.dumps(it, default=str),
    "pickle": pickle.dumps,
    "getstate": lambda it: it.__getstate__(),
    "add": lambda it: "x" + it,  # type: ignore[operator]
    "print": lambda it: print(it, file=io.StringIO()),
    "setattr": lambda it: setattr(it, "_Phi__value", "other"),
    "delattr": lambda it: delattr(it, "_Phi__value"),
    "vars": vars,
    "order": lambda it: it < it,  # type: ignore[operator]
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_every_way_out_is_refused_and_the_error_does_not_hold_the_value(way: str) -> None:
    with pytest.raises(TypeError) as caught:
        WAYS_OUT[way](Phi(CANARY))
    text = "".join(traceback.format_exception(caught.value))
    assert CANARY not in text


def test_repr_shows_that_something_is_there_and_nothing_of_it() -> None:
    assert repr(Phi(CANARY)) == "<phi>"
    assert f"{Phi(CANARY)!r}" == "<phi>"
    assert repr([Phi(1), {"a": Phi(2)}]) == "[<phi>, {'a': <phi>}]"


def test_a_leak_is_a_defect_of_ours() -> None:
    with pytest.raises(InternalError, match="nothing was written"):
        str(Phi(CANARY))
    assert issubclass(PhiLeak, TypeError)


def test_logging_writes_no_value(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    logger = logging.Logger("phi-test")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("patient %s", Phi(CANARY))
    logger.warning("patient %r", Phi(CANARY))
    assert stream.getvalue() == "patient <phi>\n"
    assert CANARY not in capsys.readouterr().err


def test_reveal_gives_the_value_and_map_keeps_it_wrapped() -> None:
    assert Phi(CANARY).reveal() == CANARY
    assert Phi("ab").map(len) == Phi(2)
    assert wrap(None) is None
    assert wrap("a") == Phi("a")


def test_wrapped_values_are_equal_by_value_and_never_equal_a_plain_one() -> None:
    assert Phi("a") == Phi("a")
    assert Phi("a") != Phi("b")
    assert Phi("a") != "a"
    assert len({Phi("a"), Phi("a"), Phi("b")}) == 2


def test_a_failed_comparison_does_not_show_the_value() -> None:
    left, right = Phi(CANARY), Phi("other")
    with pytest.raises(AssertionError) as caught:
        assert left == right
    assert CANARY not in str(caught.value)


def test_copies_and_asdict_keep_the_wrapper() -> None:
    @dataclass(frozen=True)
    class Holder:
        name: Phi[str]

    holder = Holder(Phi(CANARY))
    assert asdict(holder) == {"name": Phi(CANARY)}
    assert repr(asdict(holder)) == "{'name': <phi>}"
    assert copy.deepcopy(holder) == holder
    assert copy.copy(holder.name) is holder.name

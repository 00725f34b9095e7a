"""Allowed moves of a ledger row, and what each answer to a check-in means."""

from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import ledger_rules as rules
from reconciler.core.ledger_rules import CheckinOutcome, State
from reconciler.errors import InternalError

STATES: tuple[State, ...] = get_args(State)


def error(code: object) -> dict[str, object]:
    return {"code": code, "message": "text"}


ANSWERS: tuple[tuple[int, Any, CheckinOutcome], ...] = (
    (200, {"customerId": 904410277}, CheckinOutcome("confirmed", None, "904410277")),
    (200, {"customerId": "904410277", "checkinUrl": "x"}, CheckinOutcome("confirmed", None, "904410277")),
    (201, {"id": 7}, CheckinOutcome("confirmed", None, "7")),
    (200, {"customerId": 7, **error(1087)}, CheckinOutcome("confirmed", None, "7")),
    (200, error(1087), CheckinOutcome("failed", 1087)),
    (200, error(99999), CheckinOutcome("failed", 99999)),
    (200, error(1161), CheckinOutcome("stop_account", 1161)),
    (200, error(1175), CheckinOutcome("stop_location", 1175)),
    (200, {}, CheckinOutcome("unknown")),
    (200, None, CheckinOutcome("unknown")),
    (200, {"customerId": 0}, CheckinOutcome("unknown")),
    (200, {"customerId": None}, CheckinOutcome("unknown")),
    (200, [{"customerId": 7}], CheckinOutcome("unknown")),
    (204, None, CheckinOutcome("unknown")),
    (302, None, CheckinOutcome("unknown")),
    (400, error(1142), CheckinOutcome("failed", 1142)),
    (400, error("1086"), CheckinOutcome("failed", 1086)),
    (400, {"errorCode": 1088, "errorMessage": "text"}, CheckinOutcome("failed", 1088)),
    (400, error(1055), CheckinOutcome("failed", 1055)),
    (400, error(1167), CheckinOutcome("stop_account", 1167)),
    (400, error(20099), CheckinOutcome("without_flags", 20099)),
    (400, error(77), CheckinOutcome("failed", 77)),
    (400, None, CheckinOutcome("failed")),
    (401, error(1161), CheckinOutcome("stop_account", 1161)),
    (401, error(1033), CheckinOutcome("stop_account", 1033)),
    (401, error(1175), CheckinOutcome("stop_location", 1175)),
    (404, error(1175), CheckinOutcome("stop_location", 1175)),
    (404, error(1011), CheckinOutcome("stop_location", 1011)),
    (401, None, CheckinOutcome("stop_account")),
    (403, "<html>", CheckinOutcome("stop_account")),
    (404, None, CheckinOutcome("stop_account")),
    (408, None, CheckinOutcome("unknown")),
    (429, error(89), CheckinOutcome("retry", 89)),
    (429, None, CheckinOutcome("retry")),
    (500, None, CheckinOutcome("unknown")),
    (500, error(1142), CheckinOutcome("failed", 1142)),
    (503, error(4242), CheckinOutcome("unknown", 4242)),
    (502, "<html>bad gateway</html>", CheckinOutcome("unknown")),
)


@pytest.mark.parametrize(("status", "body", "outcome"), ANSWERS, ids=str)
def test_an_answer_means_what_its_code_says(status: int, body: Any, outcome: CheckinOutcome) -> None:
    assert rules.classify(status, body) == outcome


@given(
    st.integers(100, 599),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["code", "customerId", "id", "x"]), inner),
        max_leaves=6,
    ),
)
def test_no_answer_raises_and_only_a_success_with_an_id_confirms(status: int, body: Any) -> None:
    outcome = rules.classify(status, body)
    assert outcome.state in STATES
    if outcome.kind == "confirmed":
        assert 200 <= status < 300
        assert outcome.customer_id


def test_a_server_error_is_never_sent_again_by_itself() -> None:
    assert rules.classify(503, None).state == "unknown"
    assert rules.TIMED_OUT.state == "unknown"
    assert rules.NOT_SENT.state == "planned"


def test_moves_are_those_of_the_table_and_no_others() -> None:
    for old, new in product(STATES, STATES):
        for by in ("runner", "person"):
            if rules.MOVES.get((old, new)) == by:
                rules.check_move(old, new, by=by)
            else:
                with pytest.raises(InternalError):
                    rules.check_move(old, new, by=by)


def test_nothing_leaves_a_final_state_and_only_planned_is_sent() -> None:
    assert {old for old, _ in rules.MOVES}.isdisjoint(rules.FINAL)
    assert {old for old, new in rules.MOVES if new == "intent"} == rules.SENDABLE


def test_the_runner_takes_nothing_out_of_held_or_failed() -> None:
    assert {by for (old, _), by in rules.MOVES.items() if old in {"held", "failed"}} == {"person"}


@pytest.mark.parametrize(
    ("times", "found", "activity", "replans", "state"),
    [
        (0, True, True, 0, "confirmed"),
        (0, True, False, 0, "held"),
        (1, True, True, 0, "confirmed"),
        (1, False, False, 0, None),
        (2, False, False, 0, "planned"),
        (2, False, False, 1, "held"),
        (0, False, False, 0, "held"),
    ],
)
def test_an_unknown_row_goes_where_the_look_up_says(
    times: int, found: bool, activity: bool, replans: int, state: State | None
) -> None:
    got = rules.resolve_unknown(
        not_found_times=times, is_found=found, has_activity_after_intent=activity, replans=replans
    )
    assert got == state

"""A nested value changes leaf by leaf."""

from __future__ import annotations

from reconciler.core.nested import leaves
from reconciler.core.plan import FieldChange


def test_only_the_leaves_that_differ_are_told_in_the_order_of_paths() -> None:
    before = {
        "ordered_by": "A",
        "steps": [{"step": "one", "by": None}, {"step": "two", "by": None}],
        "expected_by": None,
    }
    after = {"ordered_by": "B", "steps": [{"step": "one", "by": "C"}], "expected_by": None}
    assert leaves("onboarding", before, after) == [
        FieldChange("onboarding.ordered_by", "A", "B"),
        FieldChange("onboarding.steps[0].by", None, "C"),
        FieldChange("onboarding.steps[1]", {"step": "two", "by": None}, None),
    ]


def test_a_value_that_was_not_there_is_told_whole() -> None:
    assert leaves("onboarding", None, {"ordered_by": "A"}) == [FieldChange("onboarding", None, {"ordered_by": "A"})]

"""Did you mean: the word a person most likely wanted, and none where nothing is near."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.suggest import distance, listed, nearest, quoted

FIELDS = ("business", "locations", "location_names", "practice_id", "practice_plus", "state", "id", "time_zone")


@pytest.mark.parametrize(
    ("word", "choice"),
    [
        ("locatons", "locations"),
        ("lcoations", "locations"),
        ("Location_Names", "location_names"),
        ("location-names", "location_names"),
        ("location names", "location_names"),
        ("practise_id", "practice_id"),
        ("timezone", "time_zone"),
        ("stat", "state"),
        ("ID", "id"),
        ("zz", None),
        ("entirely different", None),
        ("", None),
    ],
)
def test_the_nearest_word(word: str, choice: str | None) -> None:
    assert nearest(word, FIELDS) == choice


@given(st.text("abc", max_size=8), st.text("abc", max_size=8))
def test_distance_is_symmetric_and_none_only_from_itself(one: str, other: str) -> None:
    assert distance(one, other, 3) == distance(other, one, 3)
    assert (distance(one, other, 3) == 0) == (one == other)


def test_words_are_repeated_cut_and_without_ids() -> None:
    assert quoted("x") == "`x`"
    assert quoted("x" * 61) == f"`{'x' * 59}…`"
    assert quoted("id 00000000-0000-4000-8000-000000000001") == f"`id {'*' * 36}`"
    assert listed(("a", "b", "c")) == "`a`, `b` or `c`"
    assert listed(("a",)) == "`a`"

"""``E33x``: what only the live systems can tell (``validate --online``). No text alone brings these about."""

from __future__ import annotations

from reconciler.core.codes_examples import Explanation

ENTRIES = (
    Explanation(
        "E331",
        "the practice id is not known",
        "Nextech refuses the practice id, or lists no location for it: wrong, mistyped, or not enabled for this product.",
        "Compare with Nextech's case for the practice, and store the right value behind the reference.",
    ),
    Explanation(
        "E332",
        "Nextech has no location of this name",
        "Names are compared exactly, letter by letter. A name that Nextech does not list matches no appointment, so that "
        "nobody is contacted.",
        "Take the name suggested, or one that `reconciler lookup locations SLUG` lists.",
    ),
    Explanation(
        "E333",
        "Nextech has no practitioner with this id",
        "An id that Nextech does not list matches no appointment, so that nobody of that practitioner is contacted.",
        "Take an id that `reconciler lookup practitioners SLUG` lists.",
    ),
)

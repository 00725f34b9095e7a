"""Objections: dangers in a plan that must be allowed by name before anything is written."""

from __future__ import annotations

from reconciler.core.codes_examples import Explanation

_IN_FILE = "If it is meant: `--allow {0}:SLUG`, or an entry under `allow` in the declaration."
_BY_HAND = "If it is meant: `--allow {0}:SLUG` on the command line; no file can allow it."


def _objection(code: str, title: str, cause: str, remedy: str = "", *, in_file: bool = True) -> Explanation:
    out = (_IN_FILE if in_file else _BY_HAND).format(code)
    return Explanation(code, title, cause, f"{remedy} {out}".strip())


ENTRIES = (
    _objection(
        "many-deactivations",
        "many locations would be switched off",
        "Of one business more than the larger of one and a fifth of its active locations, or of the whole run more than the"
        " larger of three and a tenth. A wrong branch or a search-and-replace looks like this.",
        "For the limit of the run: `--allow many-deactivations:run`.",
    ),
    _objection(
        "last-location",
        "a business would be left without an active location",
        "After the plan none of its locations is active, so that nobody is contacted for it any more.",
    ),
    _objection(
        "undeclared",
        "an applied file or location has disappeared",
        "What was applied stays live and in force, and is never switched off because its text is gone. An empty or wrong"
        " declarations folder looks like this too.",
        "Ways out: put it back with `state: inactive` or `state: released`, or use `reconciler forget`.",
        in_file=False,
    ),
    _objection(
        "filter-widened",
        "more patients would be contacted",
        "Types, statuses, names, practitioners or the delay change so that visits pass which did not before; or a filter of an"
        " object that existed before us is neither declared nor shown.",
        "Declare the filter (`[]` for all) where it is unknown.",
    ),
    _objection(
        "goes-live",
        "a location starts to contact patients",
        "Beta ends, or a location that has been active before is switched on again.",
    ),
    _objection(
        "practice-changed",
        "the practice id of a live location changes",
        "From then on patients of another practice database are read for this location.",
    ),
    _objection(
        "group-changed",
        "a live location changes its group",
        "It takes over the other group's properties and triggers.",
    ),
    _objection(
        "adopt",
        "a live group that is not ours",
        "A group of the same source exists, and neither journal, receipt nor `group.id` names it: somebody made it by hand.",
        "Compare it first with `reconciler import`.",
        in_file=False,
    ),
    _objection(
        "ambiguous-group",
        "several live groups could be meant",
        "More than one group of the source belongs to the business.",
        "Pin one with `group.id`.",
        in_file=False,
    ),
    _objection(
        "group-vanished",
        "a group that was there is not listed any more",
        "A receipt or `group.id` names a group that the API does not list. It is never created again by itself.",
        "Ask Birdeye; `reconciler forget` if it is really gone.",
        in_file=False,
    ),
    _objection(
        "trigger-wide",
        "a trigger for many locations at once",
        "A trigger is added to a group with more than 20 active locations.",
    ),
    _objection(
        "contacts-backlog",
        "visits of long ago would be contacted",
        "`contact_start` lies more than 14 days before the location first comes into force, or moves to an earlier date.",
        "Choose a later `contact_start`.",
    ),
)

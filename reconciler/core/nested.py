"""What differs inside a nested value (the onboarding block), leaf by leaf. The only user of deepdiff, imported late."""

from __future__ import annotations

from typing import Any

from reconciler.core.plan import FieldChange


def leaves(path: str, before: Any, after: Any) -> list[FieldChange]:
    """One field change per differing leaf of two JSON values, sorted by path; of the whole where one side is none."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return [FieldChange(path, before, after)]
    from deepdiff import DeepDiff

    # Threshold 0: without it, mappings with little in common are one change of the whole.
    tree = DeepDiff(before, after, view="tree", threshold_to_diff_deeper=0, verbose_level=2)
    found: list[FieldChange] = []
    for kind, items in tree.items():
        for it in items:
            gone = kind.endswith("_removed")
            new = kind.endswith("_added")
            where = path + "".join(
                f"[{step}]" if isinstance(step, int) else f".{step}" for step in it.path(output_format="list")
            )
            found.append(FieldChange(where, None if new else it.t1, None if gone else it.t2))
    return sorted(found, key=lambda it: it.path)

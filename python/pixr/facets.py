"""Disjunctive facets: each passes over the filter of its own column, so that the other choices stay to be seen.

With `tags: ["diy"]` chosen, the facet `tags` counts what every tag would give under all the other filters. Only what
every video must satisfy is passed over (fields of the filter, and of its `and`); `or` and `not` stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["without_own_filter"]

# The column's name in a filter, where it is another than the facet's.
_FILTERED = {"durations": "duration"}
_METADATA = "metadata."


def without_own_filter(facet: str, filters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The filter without what it says of the facet's column; None where it says nothing of it.

    Example:
        >>> without_own_filter("tags", {"tags": ["diy"], "quality": ["hd"]})
        {'quality': ['hd']}
    """
    left, passed_over = _without(facet, filters)
    return left if passed_over else None


def _without(facet: str, filters: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    left, found = dict(filters), False
    if facet.startswith(_METADATA):
        given, key = left.get("metadata"), facet.removeprefix(_METADATA)
        if isinstance(given, Mapping) and key in given:
            found = True
            left["metadata"] = {name: value for name, value in given.items() if name != key}
            if not left["metadata"]:
                del left["metadata"]
    elif left.pop(_FILTERED.get(facet, facet), None) is not None:
        found = True
    if isinstance(left.get("and"), list | tuple):  # JSON writes both alike
        parts = [_without(facet, part) if isinstance(part, Mapping) else (part, False) for part in left["and"]]
        found |= any(one for _, one in parts)
        left["and"] = [part for part, _ in parts if part]
        if not left["and"]:
            del left["and"]
    return left, found

"""Two edits of one document brought together: what both changed differently is named, never lost silently."""

from __future__ import annotations

from typing import Any

IDENTITIES = {"subscriptions": "strategyId", "members": "strategyId"}
OWNED = ("_id", "removed", "closeOnRemovalMode", "platformCommissionRate")
_ABSENT = object()


def writable(document: dict[str, Any]) -> dict[str, Any]:
    """The document without its id and what only a backend sets, as it is compared and sent."""
    return {name: value for name, value in document.items() if name not in OWNED}


def merged(base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`theirs` with what `mine` changed since `base`; and the paths that both changed, where mine stands."""
    conflicts: list[str] = []
    return _merge_objects(base, mine, theirs, "", conflicts), conflicts


def _merge_objects(base: dict, mine: dict, theirs: dict, path: str, conflicts: list[str]) -> dict[str, Any]:
    result = {}
    for name in [*theirs, *(name for name in mine if name not in theirs)]:
        inner = f"{path}.{name}" if path else name
        before, ours, now = (document.get(name, _ABSENT) for document in (base, mine, theirs))
        value = _merge(before, ours, now, name, inner, conflicts)
        if value is not _ABSENT:
            result[name] = value
    return result


def _merge(base: Any, mine: Any, theirs: Any, name: str, path: str, conflicts: list[str]) -> Any:
    if mine in (base, theirs):
        return theirs
    if theirs == base:
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return _merge_objects(base if isinstance(base, dict) else {}, mine, theirs, path, conflicts)
    key = IDENTITIES.get(name)
    if key and isinstance(mine, list) and isinstance(theirs, list):
        before, ours, now = (
            {element.get(key): element for element in elements if isinstance(element, dict)}
            for elements in (base if isinstance(base, list) else [], mine, theirs)
        )
        return list(_merge_objects(before, ours, now, path, conflicts).values())
    conflicts.append(path)
    return mine

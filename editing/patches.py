"""An edit that names only what it changes, as programs and bulk work send it, laid over the settings of now.

A setting that is null is taken out; objects are merged, lists replaced as a whole. What the contract does not know is
refused, unless the backend's own document has it already.
"""

from __future__ import annotations

from copying.contract import wire
from copying.contract.names import unknown_names
from editing.merging import OWNED, writable
from editing.problems import problems_of
from editing.scopes import EditScope
from editing.targets import Document

Problem = dict[str, str]  # parameter: dotted path in the settings of the scope; message


def patched(settings: Document, patch: Document) -> Document:
    """The settings with the edit laid over them; an object whose last setting was taken out goes with it."""
    edited = wire.overlay(settings, patch)
    for name, value in patch.items():
        if isinstance(value, dict) and edited.get(name) == {} and settings.get(name) != {}:
            edited.pop(name)
    return edited


def problems_of_names(scope: EditScope, settings: Document, patch: Document) -> list[Problem]:
    """Names in the edit that are no settings of this level."""
    parts = scope.target.parts if scope.part else None
    fixed = {"strategyId"} if parts else set()
    problems = [
        {"parameter": name, "message": "is set by the backend alone."} for name in patch if name in {*OWNED, *fixed}
    ]
    whole = {parts.name: [patch]} if parts else patch
    prefix = f"{parts.name}.0." if parts else ""
    for path in unknown_names(scope.kind, whole):
        name = path.removeprefix(prefix)
        if name.split(".")[0] not in OWNED and name.split(".")[0] not in settings:
            problems.append({"parameter": name, "message": "is no setting here."})
    return problems


def problems_of_settings(scope: EditScope, before: Document, after: Document) -> list[Problem]:
    """What the contract says against the whole document after the edit that it did not say before it."""
    known = {(entry["parameter"], entry["message"]) for entry in problems_of(scope.kind, writable(before))}
    path = scope.path_in(after)
    return [
        {
            "parameter": str(entry["parameter"]).removeprefix(path).lstrip(".") if path else entry["parameter"],
            "message": f"{entry['message']}.",
        }
        for entry in problems_of(scope.kind, writable(after))
        if (entry["parameter"], entry["message"]) not in known
    ]

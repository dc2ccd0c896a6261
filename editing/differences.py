"""What differs between two documents, setting by setting, in the words of the table; secrets stay unsaid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from copying.engine.model import Level
from editing.fields import Field, fields_of, value_at
from editing.merging import OWNED
from editing.secrets import is_secret_name
from editing.targets import target_of
from editing.widgets import Secret

NOT_SET = "not set"


@dataclass(frozen=True)
class Difference:
    """One setting before and after. where: "" for the object itself, else the part it belongs to."""

    where: str
    label: str
    before: str
    after: str

    @property
    def sentence(self) -> str:
        place = f"{self.where}: " if self.where else ""
        before, after = self.before.replace("\n", " | "), self.after.replace("\n", " | ")
        return f"{place}{self.label} {before} → {after}"


def differences(
    kind: str, before: dict[str, Any], after: dict[str, Any], names: Mapping[str, str] | None = None
) -> list[Difference]:
    """Everything that differs. names: of strategies by id, for members and subscriptions."""
    target = target_of(kind)
    parts = target.parts
    if parts is None:
        return _of_level(target.level, "", before, after, ())
    rows = _of_level(target.level, "", before, after, (parts.name,))
    old, new = (_by_strategy(document.get(parts.name)) for document in (before, after))
    for strategy_id in [*old, *(added for added in new if added not in old)]:
        where = f"{parts.word} {(names or {}).get(strategy_id) or strategy_id}"
        if strategy_id not in new:
            rows.append(Difference(where, parts.word, "there", "taken away"))
            continue
        if strategy_id not in old:
            rows.append(Difference(where, parts.word, "not there", "added"))
        rows += _of_level(parts.level, where, old.get(strategy_id, {}), new[strategy_id], ("strategyId",))
    return rows


def _by_strategy(elements: Any) -> dict[str, dict[str, Any]]:
    elements = elements if isinstance(elements, list) else []
    return {str(element.get("strategyId")): element for element in elements if isinstance(element, dict)}


def _of_level(level: Level, where: str, before: dict, after: dict, skipped: tuple[str, ...]) -> list[Difference]:
    fields = fields_of(level)
    rows = []
    for field in fields:
        old, new = value_at(before, field.key), value_at(after, field.key)
        if _is_empty(old) and _is_empty(new):
            continue
        texts = field.words(old) or NOT_SET, field.words(new) or NOT_SET
        if texts[0] != texts[1] or old != new:
            rows.append(Difference(where, field.label, *_distinguish(field, old, new, texts)))
    return rows + _unknown(fields, where, before, after, skipped)


def _is_empty(value: Any) -> bool:
    return value is None or value == [] or value == {}


def _distinguish(field: Field, old: Any, new: Any, texts: tuple[str, str]) -> tuple[str, str]:
    """Two values that read the same: a secret that changed, or something inside that the table does not know."""
    if texts[0] != texts[1]:
        return texts
    is_secret = any(isinstance(part.widget, Secret) for part in field.parts)
    return (texts[0], f"{texts[1]} (a new secret)") if is_secret else (_raw(old), _raw(new))


def _unknown(fields: list[Field], where: str, before: dict, after: dict, skipped: tuple[str, ...]) -> list[Difference]:
    """Fields of the backend's that the table does not know, as they stand."""
    known = {field.key.split(".")[0] for field in fields} | {*OWNED, *skipped}
    names = [name for name in [*before, *(name for name in after if name not in before)] if name not in known]
    return [
        Difference(where, name, _raw(before.get(name), name), _raw(after.get(name), name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _raw(value: Any, name: str = "") -> str:
    if value is None:
        return NOT_SET
    if is_secret_name(name):
        return "····"
    text = msgspec.json.encode(_masked(value)).decode()
    return text if len(text) <= 300 else f"{text[:300]}…"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: "····" if is_secret_name(str(key)) else _masked(inner) for key, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value

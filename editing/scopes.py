"""Where an edit stands: an object at a backend, or one member or subscription in its document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from copying.engine.model import Level
from editing.targets import Document, Target, parts_in, target_of
from users.models import Connection


class Editable(Protocol):
    """A row of an object that can be edited, or of a change of one."""

    connection: Any
    backend_id: Any
    name: Any

    @property
    def document_kind(self) -> str:
        """Its kind, as registered."""


@dataclass(frozen=True)
class EditScope:
    """An object at the backend; part: the strategy id of the member or subscription that is edited, "" for itself."""

    connection: Connection
    kind: str
    backend_id: str
    name: str
    part: str = ""

    @property
    def target(self) -> Target:
        return target_of(self.kind)

    @property
    def level(self) -> Level:
        """Which settings there are."""
        parts = self.target.parts
        return parts.level if self.part and parts else self.target.level

    def settings_in(self, document: Document) -> Document | None:
        """The settings of this level; None when the part is not there."""
        if not self.part:
            return document
        parts = parts_in(self.kind, document)
        return next((element for element in parts if element.get("strategyId") == self.part), None)

    def replace_part(self, document: Document, settings: Document) -> Document:
        """The document with other settings at this level; a new part comes last."""
        parts = self.target.parts
        if not self.part or parts is None:
            return settings
        elements = parts_in(self.kind, document)
        if self.settings_in(document) is None:
            return document | {parts.name: [*elements, settings]}
        return document | {
            parts.name: [settings if element.get("strategyId") == self.part else element for element in elements]
        }

    def without_part(self, document: Document) -> Document:
        """The document without the part."""
        parts = self.target.parts
        if not self.part or parts is None:
            return {}
        rest = [element for element in parts_in(self.kind, document) if element.get("strategyId") != self.part]
        return document | {parts.name: rest}

    def path_in(self, document: Document) -> str:
        """The path of this level in the document, such as members.2; "" for the object itself."""
        parts = self.target.parts
        if not self.part or parts is None:
            return ""
        elements = parts_in(self.kind, document)
        indices = (index for index, element in enumerate(elements) if element.get("strategyId") == self.part)
        index = next(indices, None)
        return "" if index is None else f"{parts.name}.{index}"


def scope_of(row: Editable, part: str = "") -> EditScope:
    """Where an edit of a row, or of one part of it, stands."""
    return EditScope(row.connection, row.document_kind, row.backend_id, row.name, part)

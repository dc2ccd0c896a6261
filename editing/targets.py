"""What can be edited: each app registers its kinds of objects, so that an edit works for all of them in the same way.

A target answers what an edit of one kind of object reads, writes and mirrors, what the object is called, which page
it leads back to, who may save it and whom it reaches. Editing stands below the apps that know these things, so they
come to it at start-up (`register` in each app's targets.py); an object is named here by its kind and its backend id.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol

from copying.client import Client, NotFound
from copying.contract.settings import RemovalMode
from copying.engine.model import Level
from editing.models import Change
from users.models import Connection, Membership
from users.permissions import can_manage

Document = dict[str, Any]
# the contract's own kinds, which a backend's answers speak of; others may be registered besides
STRATEGY, PORTFOLIO, SUBSCRIBER = "strategy", "portfolio", "subscriber"


@dataclass(frozen=True)
class Link:
    """What an object is called, and its page; "" where there is none."""

    name: str
    href: str = ""


@dataclass(frozen=True)
class Parts:
    """The list of a document whose elements have settings of their own. word: what one of them is called."""

    name: str
    level: Level
    word: str


@dataclass(frozen=True)
class RemovalInstructions:
    """What a removal says of open positions; until: the moment at the latest, None: the backend's own."""

    mode: RemovalMode | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Reach:
    """Which accounts a change reaches. direct: without those through portfolios; ids, accounts: of the first of them.

    through: (portfolio, number of its accounts).
    """

    count: int
    direct: int
    ids: list[str] = field(default_factory=list)
    accounts: list[Link] = field(default_factory=list)
    through: list[tuple[Link, int]] = field(default_factory=list)


class KnownAccounts(Protocol):
    """What the app of the copying accounts knows of other apps' objects: it stands above them, and registers here."""

    def reach(self, change: Change, *, most: int) -> Reach:
        """The accounts that copy what a change is about, at most `most` of them by name."""

    def mirrored(self, connection: Connection) -> None:
        """Objects of the connection were mirrored a moment ago: join the rows that refer to them."""


class Target(ABC):
    """A kind of object that is edited through a review.

    kind: kept in changes and audit entries; level: of its own settings; parts: elements with settings of their own;
    collection: what simulations call a set of such documents; menu: the entry of the menu that its pages belong to.
    """

    kind: ClassVar[str]
    level: ClassVar[Level]
    parts: ClassVar[Parts | None] = None
    collection: ClassVar[str]
    menu: ClassVar[str]
    list_title: ClassVar[str]

    # --- at the backend -------------------------------------------------------------------------------------------
    @abstractmethod
    def read(self, client: Client, backend_id: str) -> Document:
        """The document of now. Raises the client's errors, as the next three do."""

    @abstractmethod
    def put(self, client: Client, backend_id: str, document: Document) -> None:
        """Write the whole document."""

    @abstractmethod
    def remove(self, client: Client, backend_id: str, instructions: RemovalInstructions) -> None:
        """Remove the object."""

    def remove_part(self, client: Client, backend_id: str, part: str, instructions: RemovalInstructions) -> None:
        """Remove one element of `parts`, by its strategy's id. Raises LookupError where a kind has none."""
        raise LookupError(f"A {self.kind} has no parts.")

    # --- in the portal --------------------------------------------------------------------------------------------
    @abstractmethod
    def mirror(self, connection: Connection, backend_id: str, document: Document | None, *, now: datetime) -> None:
        """Take over what the backend has now; None: it is gone."""

    @abstractmethod
    def documents(self, connection_id: int, ids: Iterable[str]) -> dict[str, Document]:
        """The documents of those with these ids as they are mirrored, by id; without those that are gone."""

    @abstractmethod
    def links(self, connection_id: int, ids: Iterable[str]) -> dict[str, Link]:
        """Names and pages of those with these ids that are mirrored, by id."""

    @abstractmethod
    def list_address(self) -> str:
        """The page of all such objects."""

    @abstractmethod
    def settings_address(self, connection_id: int, backend_id: str) -> str:
        """The page of its settings; "" where it is not mirrored."""

    @abstractmethod
    def removal_address(self, connection_id: int, backend_id: str) -> str:
        """The page on which it can be removed; "" where it is not mirrored."""

    def address(self, connection_id: int, backend_id: str) -> str:
        """Where an edit of the object leads back to: its settings, or the list where it is not mirrored (yet)."""
        return self.settings_address(connection_id, backend_id) or self.list_address()

    def may_save(self, membership: Membership) -> bool:
        """Whether a member may propose and save changes of it."""
        return can_manage(membership)

    # --- what clients change themselves ------------------------------------------------------------------------------
    def is_own(self, membership: Membership, change: Change) -> bool:
        """Whether a client may still look at a change that they made: the object is theirs."""
        return False

    def why_not(self, change: Change) -> str:
        """Why a client may not save a change that they made, a sentence; "": they may."""
        return "Your account manager changes this."

    def own_address(self, connection_id: int, backend_id: str) -> str:
        """The client's own page of the object."""
        return ""

    # --- what it means for copying --------------------------------------------------------------------------------
    @abstractmethod
    def simulated(self, change: Change) -> dict[str, str]:
        """What a simulation of the change decides again: fields of its request (docs/copying.md); {}: everything."""

    @abstractmethod
    def copied_strategies(self, change: Change) -> set[str] | None:
        """Ids of the strategies whose copies a removal would end; None: all of the account."""

    def reach(self, change: Change, *, most: int) -> Reach:
        """The accounts that the change reaches."""
        return accounts().reach(change, most=most)


# --- The registry ---------------------------------------------------------------------------------------------------
_targets: dict[str, Target] = {}
_accounts: list[KnownAccounts] = []


def register(target: Target) -> None:
    """Let objects of this kind be edited; a kind is registered by one app."""
    if type(_targets.get(target.kind, target)) is not type(target):
        raise ValueError(f"“{target.kind}” is registered already, as {type(_targets[target.kind]).__name__}.")
    _targets[target.kind] = target


def register_accounts(known: KnownAccounts) -> None:
    """Say who knows the accounts that copy."""
    _accounts[:] = [known]


def target_of(kind: str) -> Target:
    """The target of a kind. Raises LookupError where no app has registered it."""
    try:
        return _targets[kind]
    except KeyError:
        raise LookupError(f"Nothing of the kind “{kind}” can be edited: known are {sorted(_targets)}.") from None


def kinds() -> tuple[str, ...]:
    """Every registered kind."""
    return tuple(_targets)


def accounts() -> KnownAccounts:
    """Who knows the accounts. Raises LookupError where no app has registered."""
    if not _accounts:
        raise LookupError("No app has registered what it knows of accounts.")
    return _accounts[0]


# --- Used by every edit ---------------------------------------------------------------------------------------------
def current_document(client: Client, change: Change) -> Document | None:
    """What the backend has of the object; None when it has none. Raises the client's other errors."""
    try:
        return target_of(change.kind).read(client, change.backend_id)
    except NotFound:
        return None


def parts_in(kind: str, document: Document) -> list[Document]:
    """The members or subscriptions of a document; [] for a kind without parts."""
    parts = target_of(kind).parts
    elements = document.get(parts.name) if parts else None
    return [element for element in elements if isinstance(element, dict)] if isinstance(elements, list) else []


def names_of(connection_id: int, ids: Iterable[str]) -> dict[str, str]:
    """Names of strategies and portfolios by their ids, as members and subscriptions refer to them."""
    return {backend_id: link.name for backend_id, link in target_of(STRATEGY).links(connection_id, ids).items()}

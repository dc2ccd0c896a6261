"""What an edit of a strategy or portfolio reads, writes and mirrors, and where it leads back to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse

from copying.client import Client
from copying.engine.model import Level
from editing import targets
from editing.models import Change
from editing.targets import PORTFOLIO, STRATEGY, Document, Link, Parts, RemovalInstructions
from strategies.chains import leaf_ids, portfolios_with, strategies_of
from strategies.mirror import described, keep_strategies
from strategies.models import Kind, Strategy
from strategies.versions import end_versions
from users.models import Connection


class StrategyTarget(targets.Target):
    """A strategy that follows an account or external signals."""

    kind = STRATEGY
    level = Level.STRATEGY
    collection = "strategies"
    menu = "strategies"
    list_title = "Strategies"
    row_kind = Kind.SINGLE

    def read(self, client: Client, backend_id: str) -> Document:
        return client.strategy(backend_id)

    def put(self, client: Client, backend_id: str, document: Document) -> None:
        client.put_strategy(backend_id, document)

    def remove(self, client: Client, backend_id: str, instructions: RemovalInstructions) -> None:
        client.remove_strategy(backend_id, mode=instructions.mode, remove_after=instructions.until)

    def mirror(self, connection: Connection, backend_id: str, document: Document | None, *, now: datetime) -> None:
        if document is None:
            Strategy.objects.filter(connection=connection, backend_id=backend_id).update(is_removed=True)
            end_versions(connection, described(self.row_kind), [backend_id], now=now)
            return
        keep_strategies(connection, [document], kind=self.row_kind, now=now)
        targets.accounts().mirrored(connection)

    def documents(self, connection_id: int, ids: Iterable[str]) -> dict[str, Document]:
        mirrored = Strategy.objects.filter(connection_id=connection_id, backend_id__in=ids, is_removed=False)
        return dict(mirrored.values_list("backend_id", "document"))

    def links(self, connection_id: int, ids: Iterable[str]) -> dict[str, Link]:
        mirrored = Strategy.objects.filter(connection_id=connection_id, backend_id__in=ids)
        rows = mirrored.values_list("backend_id", "name", "pk")
        return {backend_id: Link(name, reverse("strategies:detail", args=[pk])) for backend_id, name, pk in rows}

    def list_address(self) -> str:
        return reverse("strategies:list")

    def settings_address(self, connection_id: int, backend_id: str) -> str:
        return address_of("strategies:settings", connection_id, backend_id)

    def removal_address(self, connection_id: int, backend_id: str) -> str:
        return address_of("strategies:remove", connection_id, backend_id)

    def simulated(self, change: Change) -> dict[str, str]:
        return {"strategyId": change.backend_id}

    def copied_strategies(self, change: Change) -> set[str] | None:
        return leaf_ids(change.part or change.backend_id, strategies_of(change.connection_id))


def address_of(page: str, connection_id: int, backend_id: str) -> str:
    """A page of a mirrored strategy; "" where it is not mirrored."""
    pk = Strategy.objects.filter(connection_id=connection_id, backend_id=backend_id).values_list("pk").first()
    return reverse(page, args=pk) if pk else ""


class PortfolioTarget(StrategyTarget):
    """A portfolio of strategies."""

    kind = PORTFOLIO
    level = Level.PORTFOLIO
    parts = Parts("members", Level.MEMBER, "Member")
    collection = "portfolios"
    row_kind = Kind.PORTFOLIO

    def read(self, client: Client, backend_id: str) -> Document:
        return client.portfolio(backend_id)

    def put(self, client: Client, backend_id: str, document: Document) -> None:
        client.put_portfolio(backend_id, document)

    def remove(self, client: Client, backend_id: str, instructions: RemovalInstructions) -> None:
        client.remove_portfolio(backend_id, mode=instructions.mode, remove_after=instructions.until)

    def remove_part(self, client: Client, backend_id: str, part: str, instructions: RemovalInstructions) -> None:
        client.remove_portfolio_member(backend_id, part, mode=instructions.mode, remove_after=instructions.until)

    def simulated(self, change: Change) -> dict[str, str]:
        # a portfolio inside another one is no end of a route: everything is decided again
        is_inside = portfolios_with(change.backend_id, strategies_of(change.connection_id))
        return {} if is_inside else super().simulated(change)


def register() -> None:
    """Called when Django starts."""
    targets.register(StrategyTarget())
    targets.register(PortfolioTarget())

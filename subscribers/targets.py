"""What an edit of an account and its subscriptions reads, writes and mirrors; and which accounts any edit reaches."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse

from copying.client import Client
from copying.engine.model import Level
from editing import targets
from editing.models import Change
from editing.targets import SUBSCRIBER, Document, Link, Parts, Reach, RemovalInstructions
from strategies.chains import leaf_ids, portfolios_with, strategies_of
from strategies.models import Strategy
from strategies.versions import Described, end_versions
from subscribers.mirror import keep_subscribers, link_subscriptions
from subscribers.models import Subscriber, Subscription
from subscribers.own import why_not_saved
from subscribers.pages import own_page
from users.models import Connection, Membership


class SubscriberTarget(targets.Target):
    """An account that copies."""

    kind = SUBSCRIBER
    level = Level.SUBSCRIBER
    parts = Parts("subscriptions", Level.SUBSCRIPTION, "Subscription")
    collection = "subscribers"
    menu = "subscribers"
    list_title = "Subscribers"

    def read(self, client: Client, backend_id: str) -> Document:
        return client.subscriber(backend_id)

    def put(self, client: Client, backend_id: str, document: Document) -> None:
        client.put_subscriber(backend_id, document)

    def remove(self, client: Client, backend_id: str, instructions: RemovalInstructions) -> None:
        client.remove_subscriber(backend_id, mode=instructions.mode, remove_after=instructions.until)

    def remove_part(self, client: Client, backend_id: str, part: str, instructions: RemovalInstructions) -> None:
        client.remove_subscription(backend_id, part, mode=instructions.mode)

    def mirror(self, connection: Connection, backend_id: str, document: Document | None, *, now: datetime) -> None:
        if document is None:
            Subscriber.objects.filter(connection=connection, backend_id=backend_id).update(is_removed=True)
            end_versions(connection, Described.SUBSCRIBER, [backend_id], now=now)
            return
        keep_subscribers(connection, [document], now=now)
        link_subscriptions(connection)

    def documents(self, connection_id: int, ids: Iterable[str]) -> dict[str, Document]:
        mirrored = Subscriber.objects.filter(connection_id=connection_id, backend_id__in=ids, is_removed=False)
        return dict(mirrored.values_list("backend_id", "document"))

    def links(self, connection_id: int, ids: Iterable[str]) -> dict[str, Link]:
        mirrored = Subscriber.objects.filter(connection_id=connection_id, backend_id__in=ids)
        rows = mirrored.values_list("backend_id", "name", "pk")
        return {backend_id: Link(name, reverse("subscribers:detail", args=[pk])) for backend_id, name, pk in rows}

    def list_address(self) -> str:
        return reverse("subscribers:list")

    def settings_address(self, connection_id: int, backend_id: str) -> str:
        return address_of("subscribers:subscriptions", connection_id, backend_id)

    def removal_address(self, connection_id: int, backend_id: str) -> str:
        return address_of("subscribers:remove", connection_id, backend_id)

    def simulated(self, change: Change) -> dict[str, str]:
        return {"subscriberId": change.backend_id}

    def copied_strategies(self, change: Change) -> set[str] | None:
        return leaf_ids(change.part, strategies_of(change.connection_id)) if change.part else None

    def is_own(self, membership: Membership, change: Change) -> bool:
        own = Subscriber.objects.visible_to(membership)
        return own.filter(connection_id=change.connection_id, backend_id=change.backend_id).exists()

    def why_not(self, change: Change) -> str:
        return why_not_saved(change)

    def own_address(self, connection_id: int, backend_id: str) -> str:
        own = Subscriber.objects.filter(connection_id=connection_id, backend_id=backend_id)
        return own_page(own.values_list("pk", flat=True).get())

    def reach(self, change: Change, *, most: int) -> Reach:
        return Reach(1, 1, [change.backend_id], list(self.links(change.connection_id, [change.backend_id]).values()))


def address_of(page: str, connection_id: int, backend_id: str) -> str:
    """A page of a mirrored account; "" where it is not mirrored."""
    pk = Subscriber.objects.filter(connection_id=connection_id, backend_id=backend_id).values_list("pk").first()
    return reverse(page, args=pk) if pk else ""


class CopyingAccounts:
    """Accounts that copy strategies and portfolios, directly or through others (editing.targets.KnownAccounts)."""

    def reach(self, change: Change, *, most: int) -> Reach:
        strategies = strategies_of(change.connection_id)
        holders = portfolios_with(change.backend_id, strategies)
        copied = Subscription.objects.filter(
            subscriber__connection_id=change.connection_id, subscriber__is_removed=False, is_removed=False
        )
        count = {
            strategy_id: copied.filter(strategy_backend_id=strategy_id).values("subscriber_id").distinct().count()
            for strategy_id in (change.backend_id, *holders)
        }
        reached = Subscriber.objects.filter(
            pk__in=copied.filter(strategy_backend_id__in=list(count)).values("subscriber_id")
        )
        first = list(reached.order_by("name", "id").values_list("backend_id", "name", "pk")[:most])
        return Reach(
            reached.count(),
            count[change.backend_id],
            [backend_id for backend_id, _, _ in first],
            [Link(name, reverse("subscribers:detail", args=[pk])) for _, name, pk in first],
            [
                (
                    Link(strategies[holder].name, reverse("strategies:detail", args=[strategies[holder].pk])),
                    count[holder],
                )
                for holder in holders
                if count[holder]
            ],
        )

    def mirrored(self, connection: Connection) -> None:
        link_subscriptions(connection)


def portfolio_link(portfolio: Strategy) -> Link:
    """Its name and page."""
    return Link(portfolio.name, reverse("strategies:detail", args=[portfolio.pk]))


def register() -> None:
    """Called when Django starts."""
    targets.register(SubscriberTarget())
    targets.register_accounts(CopyingAccounts())

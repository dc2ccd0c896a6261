"""The REST contract served: one table of addresses over the core. All state is the core's or the tables'."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import psycopg_pool
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from copying.backend.core.writer import Core
from copying.backend.http.account_addresses import ACCOUNT_TABLE
from copying.backend.http.auth import MEASURED, Gate
from copying.backend.http.connections import Room
from copying.backend.http.depths import Depths
from copying.backend.http.errors import HANDLERS
from copying.backend.http.hosts import Hosts
from copying.backend.http.once import Handler, once
from copying.backend.http.options import ServerOptions, Service
from copying.backend.http.pages import Database, Positions
from copying.backend.http.rate_limits import TokenBuckets
from copying.backend.http.terminal_access import TooManyCredits, on_too_many_credits
from copying.backend.http.token_list import TokenList, keep_list, read_list
from copying.backend.http.wakeups import Wakeups

from . import (
    accounts,
    configuration,
    decisions,
    discovery,
    history,
    measuring,
    news,
    open_trades,
    proposed,
    provisioning,
    signals,
    simulations,
    streams,
    symbols,
    trading,
)

logger = logging.getLogger(__name__)
STRATEGIES = "/users/current/configuration/strategies"
PORTFOLIOS = "/users/current/configuration/portfolio-strategies"
SUBSCRIBERS = "/users/current/configuration/subscribers"
STRATEGY = "/users/current/strategies/{strategy_id}"
SUBSCRIBER = "/users/current/subscribers/{subscriber_id}"
CALENDAR = "/users/current/news-calendar"
ACCOUNT = "/users/current/accounts/{account_id}"

# The fast paths first: addresses are tried in this order.
TABLE = (
    ("PUT", STRATEGY + "/external-signals/{signal_id}", signals.put_signal),  # S3
    ("POST", STRATEGY + "/external-signals/{signal_id}/remove", signals.remove_signal),  # S4
    ("POST", "/webhooks/{webhook_id}", signals.post_webhook),  # S5
    ("POST", ACCOUNT + "/trade", accounts.trade),  # E4
    ("GET", "/users/current/provided-transactions", history.provided_transactions),  # H1
    ("GET", "/users/current/subscription-transactions", history.subscription_transactions),  # H2
    ("GET", STRATEGY + "/transactions/stream", streams.strategy_transactions),  # H3
    ("GET", SUBSCRIBER + "/transactions/stream", streams.subscriber_transactions),  # H4
    ("GET", "/users/current/stopouts/stream", streams.stopouts),  # T5
    ("GET", SUBSCRIBER + "/user-log/stream", streams.subscriber_log),  # T8
    ("GET", STRATEGY + "/user-log/stream", streams.strategy_log),  # T9
    ("GET", "/users/current/account-snapshots/stream", streams.account_snapshots),  # E2
    ("GET", "/users/current/account-information", accounts.list_accounts),  # E1
    ("GET", "/users/current/risk-limits", accounts.list_risk_limits),  # E10
    ("GET", "/users/current/positions", open_trades.list_positions),  # E13
    ("GET", "/users/current/open-signals", open_trades.list_signals),  # E14
    ("GET", SUBSCRIBER + "/signals", signals.trading_signals),  # S1
    ("GET", STRATEGY + "/external-signals", signals.external_signals),  # S2
    ("POST", SUBSCRIBER + "/resynchronize", trading.resynchronise),  # T1
    ("GET", SUBSCRIBER + "/stopouts", trading.list_stopouts),  # T2
    (
        "POST",
        SUBSCRIBER + "/subscription-strategies/{strategy_id}/stopouts/{reason}/reset",
        trading.reset_subscription_stopouts,
    ),  # T3
    ("POST", SUBSCRIBER + "/stopouts/{reason}/reset", trading.reset_subscriber_stopouts),  # T4
    ("GET", SUBSCRIBER + "/user-log", history.subscriber_log),  # T6
    ("GET", STRATEGY + "/user-log", history.strategy_log),  # T7
    ("GET", "/users/current/configuration/unused-strategy-id", configuration.unused_strategy_id),  # C1
    ("GET", "/users/current/offered-strategies", configuration.list_offered),  # E12
    ("GET", STRATEGIES, configuration.list_strategies),  # C2
    ("GET", STRATEGIES + "/{strategy_id}", configuration.get_strategy),  # C3
    ("PUT", STRATEGIES + "/{strategy_id}", configuration.put_strategy),  # C4
    ("DELETE", STRATEGIES + "/{strategy_id}", configuration.remove_strategy),  # C5
    ("GET", PORTFOLIOS, configuration.list_portfolios),  # C6
    ("GET", PORTFOLIOS + "/{strategy_id}", configuration.get_portfolio),  # C7
    ("PUT", PORTFOLIOS + "/{strategy_id}", configuration.put_portfolio),  # C8
    ("DELETE", PORTFOLIOS + "/{strategy_id}", configuration.remove_portfolio),  # C9
    ("DELETE", PORTFOLIOS + "/{strategy_id}/members/{member_id}", configuration.remove_member),  # C10
    ("GET", SUBSCRIBERS, configuration.list_subscribers),  # C11
    ("GET", SUBSCRIBERS + "/{subscriber_id}", configuration.get_subscriber),  # C12
    ("PUT", SUBSCRIBERS + "/{subscriber_id}", configuration.put_subscriber),  # C13
    ("DELETE", SUBSCRIBERS + "/{subscriber_id}", configuration.remove_subscriber),  # C14
    ("DELETE", SUBSCRIBERS + "/{subscriber_id}/subscriptions/{strategy_id}", configuration.remove_subscription),  # C15
    ("GET", STRATEGIES + "/{strategy_id}/webhooks", configuration.list_webhooks),  # C16
    ("POST", STRATEGIES + "/{strategy_id}/webhooks", configuration.create_webhook),  # C17
    ("PATCH", STRATEGIES + "/{strategy_id}/webhooks/{webhook_id}", configuration.update_webhook),  # C18
    ("DELETE", STRATEGIES + "/{strategy_id}/webhooks/{webhook_id}", configuration.remove_webhook),  # C19
    ("GET", "/users/current/regions", discovery.regions),
    ("GET", "/users/current/servers/mt-client-api", discovery.client_api),
    ("GET", ACCOUNT, provisioning.get_account),
    ("PUT", ACCOUNT, accounts.put_account),  # E6
    ("POST", ACCOUNT + "/deposit", accounts.deposit),  # E6
    ("GET", ACCOUNT + "/account-information", accounts.account_information),  # E5
    ("GET", ACCOUNT + "/positions", accounts.account_positions),  # E5
    ("GET", ACCOUNT + "/orders", accounts.account_orders),  # E5
    ("GET", ACCOUNT + "/symbols", symbols.list_symbols),  # A7
    ("GET", ACCOUNT + "/symbols/{symbol}/specification", symbols.symbol_specification),  # A8
    ("GET", ACCOUNT + "/symbols/{symbol}/current-price", symbols.current_price),  # A9
    ("GET", "/users/current/decisions", decisions.list_decisions),  # E3
    ("POST", "/users/current/simulations", simulations.simulate_changes),  # E8
    ("POST", "/users/current/immediate-effects", proposed.list_immediate_effects),  # E11
    ("GET", CALENDAR, news.get_calendar),  # E9
    ("PUT", CALENDAR, news.put_calendar),  # E9
    ("POST", CALENDAR, news.add_to_calendar),  # E9
    ("DELETE", CALENDAR, news.delete_calendar),  # E9
    ("GET", "/healthz", discovery.health),  # E7
    ("GET", MEASURED, measuring.metrics),
    *ACCOUNT_TABLE,
)


def _route(method: str, path: str, endpoint: Handler | streams.Stream) -> Route:
    """A write may be sent again with its key; reads need none."""
    if method == "GET" or isinstance(endpoint, streams.Stream):
        return Route(path, endpoint, methods=[method])
    return Route(path, once(endpoint), methods=[method])


def create_app(core: Core, options: ServerOptions | None = None, room: Room | None = None) -> Starlette:
    """The API of a started core. `app.state.service.wakeups.close()` ends all waiting streams at once."""
    options = options or ServerOptions.from_settings()
    database = Database(options.database_url)
    wakeups, depths, token_list = Wakeups(core, database), Depths(database), TokenList()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm(depths))
        await read_list(options.database_url, token_list)  # before the first request: a revoked token opens nothing
        keeping = asyncio.create_task(keep_list(options.database_url, token_list))
        yield
        warming.cancel()
        keeping.cancel()
        wakeups.close()
        await database.close()

    app = Starlette(
        routes=[_route(*row) for row in TABLE],
        middleware=[
            Middleware(
                Gate,
                buckets=TokenBuckets(options.requests_per_minute),
                room=room,
                metrics_token=options.metrics_token,
                token_list=token_list,
            ),
            Middleware(Hosts, region=options.region),
        ],
        exception_handlers={**HANDLERS, TooManyCredits: on_too_many_credits},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # clients do not follow redirects (contract, 1.4)
    app.state.measured = measuring.Measured(core) if options.metrics_token else None
    app.state.service = Service(core, options, database, Positions(), depths, wakeups)
    return app


async def _warm(depths: Depths) -> None:
    try:
        await depths.warm()
    except (psycopg.Error, psycopg_pool.PoolTimeout) as error:  # counted at the first jump instead
        logger.warning("counting the history ahead: %s", error)

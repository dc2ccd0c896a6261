"""A client of any backend that speaks the CopyFactory REST contract: MetaApi's cloud, or the embedded backend.

One `Client` is one reused connection pool; make it where work begins and close it, or use it as a context manager:

    with Client(token, base_url="http://localhost:7270") as client:
        for strategy in client.strategies():
            ...

sending.py sends, exchange.py waits and repeats; regions.py finds the hosts; the other modules are the calls, by section
of the contract. Configuration objects travel as plain dictionaries, so that fields we do not know survive an edit
(contract.wire.overlay); everything else is typed. Errors: errors.py.
"""

from .accounts import AccountCalls
from .addresses import Params
from .configuration import ConfigurationCalls
from .errors import (
    AccountRefused,
    BackendFailed,
    ClientError,
    Forbidden,
    NotConnected,
    NotFound,
    NotReady,
    RateLimited,
    Rejected,
    Unauthorised,
    Unreachable,
    Unreadable,
)
from .history import HistoryCalls
from .provisioning import ProvisioningCalls, new_transaction_id
from .reach import PrivateReach, host_and_port, parse_reach
from .regions import DEFAULT_DOMAIN, shared_discovery
from .signals import SignalCalls
from .statistics import StatisticsCalls
from .trading import TradingCalls

__all__ = [
    "DEFAULT_DOMAIN",
    "AccountRefused",
    "BackendFailed",
    "Client",
    "ClientError",
    "Forbidden",
    "NotConnected",
    "NotFound",
    "NotReady",
    "PrivateReach",
    "RateLimited",
    "Rejected",
    "Unauthorised",
    "Unreachable",
    "Unreadable",
    "host_and_port",
    "new_transaction_id",
    "parse_reach",
    "shared_discovery",
]


class Client(
    ConfigurationCalls,
    HistoryCalls,
    TradingCalls,
    SignalCalls,
    AccountCalls,
    ProvisioningCalls,
    StatisticsCalls,
):
    """Every call of the contract (2.1 to 2.4), of the account APIs and of our additions. Options: exchange.Exchange."""

    def get_bytes(self, path: str, params: Params | None = None, *, timeout_s: float | None = None) -> bytes:
        """The body that GET answers, as it came, for whoever reads it by other means than the calls above."""
        return self._call("GET", path, type=bytes, params=params, extended=True, timeout_s=timeout_s)

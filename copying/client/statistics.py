"""Statistics of an account (M1 to M4), its equity in the past and alarms (R1, R2, R8): account APIs, 4 and 5.

`forget_statistics` has the address that deletes a trading account at the provisioning host: it goes to MetaStats only.
Times in paths and queries are the broker's own clock, `YYYY-MM-DD HH:mm:ss.SSS`.
"""

from __future__ import annotations

from typing import TypeVar, Unpack

from ..contract.documents import NewId, RawDocument
from ..contract.equity_chart import EquityChartItem
from ..contract.hosts import METASTATS, RISK_MANAGEMENT
from ..contract.metastats import AccountMetrics, AccountTrade, MetricsAnswer, OpenTradesAnswer, TradesAnswer
from .addresses import Params
from .exchange import PAGE_LIMIT, path_of
from .terminal import TerminalCalls, Where

T = TypeVar("T")
_API_VERSION = {"api-version": "1"}  # of risk management: the default is to become another


class StatisticsCalls(TerminalCalls):
    """MetaStats and risk management."""

    def metrics(
        self, account_id: str, *, include_open_positions: bool = False, **where: Unpack[Where]
    ) -> AccountMetrics:
        """M1. Billed. Raises NotReady while they are calculated, Forbidden while the feature is off."""
        params = {"includeOpenPositions": include_open_positions}
        answer = self._account_call(
            METASTATS, "GET", account_id, "/metrics", type=MetricsAnswer, params=params, is_polled=True, **where
        )
        return answer.metrics

    def trades_page(
        self,
        account_id: str,
        start: str,
        end: str,
        *,
        offset: int = 0,
        limit: int = PAGE_LIMIT,
        update: bool = False,
        **where: Unpack[Where],
    ) -> list[AccountTrade]:
        """M2. One page of round trips, by broker time. update: reads the newest first, which is billed."""
        path = path_of("/historical-trades/{start}/{end}", start=start, end=end)
        params = {"offset": offset, "limit": limit, "updateHistory": update}
        answer = self._account_call(
            METASTATS,
            "GET",
            account_id,
            path,
            type=TradesAnswer,
            params=params,
            is_polled=True,
            extended=True,
            **where,
        )
        return answer.trades

    def open_trades(self, account_id: str, **where: Unpack[Where]) -> list[AccountTrade]:
        """M3. Open positions without credits and not billed, of unknown delay."""
        answer = self._account_call(METASTATS, "GET", account_id, "/open-trades", type=OpenTradesAnswer, **where)
        return answer.open_trades

    def forget_statistics(self, account_id: str, **where: Unpack[Where]) -> None:
        """M4. The account stays; its history is read anew when metrics are asked for."""
        self._account_call(METASTATS, "DELETE", account_id, "", **where)

    def equity_chart(
        self, account_id: str, *, start: str | None = None, end: str | None = None, real_time: bool = False
    ) -> list[EquityChartItem]:
        """R1. Hours of balance and equity since the feature was enabled, by broker time."""
        path = path_of("/users/current/accounts/{account_id}/equity-chart", account_id=account_id)
        params = {"startTime": start, "endTime": end, "realTime": real_time}
        return self._risk("GET", path, list[EquityChartItem], params=params)

    def create_tracker(self, account_id: str, tracker: RawDocument) -> str:
        """R2. Watches drawdown or profit of a period (5.3); returns its id. Not repeated: its name is its only key."""
        path = path_of("/users/current/accounts/{account_id}/trackers", account_id=account_id)
        answer = self._risk("POST", path, NewId, body=tracker)
        return answer.id

    def tracker_events(
        self, *, previous_sequence_number: int | None = None, limit: int = PAGE_LIMIT, hold_s: float | None = None
    ) -> list[RawDocument]:
        """R8. One poll of all accounts' alarms (5.5): ascending sequence numbers; without one: what comes next."""
        params: Params = {"previousSequenceNumber": previous_sequence_number, "limit": limit}
        path, host = "/users/current/tracker-events/stream", self._regions.of_api(RISK_MANAGEMENT)
        return self._stream(path, list[RawDocument], params, hold_s, host=host, headers=_API_VERSION)

    def _risk(
        self, method: str, path: str, of: type[T], *, params: Params | None = None, body: RawDocument | None = None
    ) -> T:
        host = self._regions.of_api(RISK_MANAGEMENT)
        return self._call(
            method, path, type=of, params=params, body=body, host=host, headers=_API_VERSION, extended=True
        )

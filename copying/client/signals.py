"""Signal calls (contract, 2.4): sent to every region of the account at once, the first success counts."""

from __future__ import annotations

from datetime import datetime

from ..contract.documents import (
    ExternalSignal,
    ExternalSignalUpdate,
    RawDocument,
    SignalRemoval,
    TradingSignal,
    WebhookSignal,
    WebhookSignalId,
)
from .errors import NotFound
from .exchange import Exchange, path_of

_ACCOUNT = "/users/current/accounts/{account_id}"
_SIGNALS = "/users/current/strategies/{strategy_id}/external-signals"
_SIGNAL = _SIGNALS + "/{signal_id}"


class SignalCalls(Exchange):
    """S1 to S5. Repeating S3 and S4 is safe: they name the signal."""

    def trading_signals(self, subscriber_id: str) -> list[TradingSignal]:
        """S1: what the subscriber is told to trade."""
        path = path_of("/users/current/subscribers/{subscriber_id}/signals", subscriber_id=subscriber_id)
        return self._call_all(self._hosts_of_account(subscriber_id), "GET", path, type=list[TradingSignal])

    def external_signals(self, strategy_id: str) -> list[ExternalSignal]:
        """S2: the active ones."""
        path = path_of(_SIGNALS, strategy_id=strategy_id)
        return self._call_all(self._hosts_of_strategy(strategy_id), "GET", path, type=list[ExternalSignal])

    def put_external_signal(self, strategy_id: str, signal_id: str, signal: ExternalSignalUpdate | RawDocument) -> None:
        """S3: create, or change prices and volume."""
        path = path_of(_SIGNAL, strategy_id=strategy_id, signal_id=signal_id)
        self._call_all(self._hosts_of_strategy(strategy_id), "PUT", path, body=signal)

    def remove_external_signal(self, strategy_id: str, signal_id: str, *, time: datetime) -> None:
        """S4: close what the signal opened. Raises NotFound when it was closed before."""
        path = path_of(_SIGNAL + "/remove", strategy_id=strategy_id, signal_id=signal_id)
        body = SignalRemoval(time=time)
        self._call_all(self._hosts_of_strategy(strategy_id), "POST", path, body=body, repeatable=True)

    def post_webhook_signal(
        self, webhook_id: str, signal: WebhookSignal | RawDocument, *, key: str | None = None
    ) -> str:
        """S5, public, without the token: the id of the new signal. Sent again only with a key: each opens another."""
        path = path_of("/webhooks/{webhook_id}", webhook_id=webhook_id)
        no_token = {"auth-token": ""}
        answer = self._call("POST", path, type=WebhookSignalId, body=signal, headers=no_token, key=key)
        return answer.signal_id

    def _hosts_of_account(self, account_id: str) -> list[str]:
        return self._regions.of_account(account_id, path_of(_ACCOUNT, account_id=account_id))

    def _hosts_of_strategy(self, strategy_id: str) -> list[str]:
        if self._regions.base_url:
            return [self._regions.base_url]
        account_id = self._regions.account_of_strategy(strategy_id, self._account_of_strategy)
        return self._hosts_of_account(account_id)

    def _account_of_strategy(self, strategy_id: str) -> str:
        path = path_of("/users/current/configuration/strategies/{strategy_id}", strategy_id=strategy_id)
        account_id: str | None = self._call("GET", path, type=RawDocument).get("accountId")
        if not account_id:
            raise NotFound(f"The strategy {strategy_id} names no account to which signals could be sent.")
        return account_id

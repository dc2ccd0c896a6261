"""Trading accounts: made, started, changed, removed (account APIs, 2; P3 to P23).

Every call goes to the provisioning host and to no other: at MetaStats the address that deletes an account here forgets
its statistics (statistics.py). What starts or stops something may be repeated, as the APIs say; a new account is known
by its transaction id, which whoever waits for it keeps and sends again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, Unpack, overload

from ..contract.documents import RawDocument
from ..contract.hosts import PROVISIONING
from ..contract.provisioning import (
    AccountFeatures,
    ConfigurationLink,
    CopyFactoryApi,
    CreatedAccount,
    NewTradingAccount,
    Role,
    TradingAccount,
    TradingAccountUpdate,
)
from .addresses import Options
from .errors import Unreadable
from .exchange import PAGE_LIMIT, Exchange, distinct_pages, path_of

T = TypeVar("T")

_ACCOUNTS = "/users/current/accounts"
_ACCOUNT = _ACCOUNTS + "/{account_id}"
_REPLICA = _ACCOUNT + "/replicas/{replica_id}"


def new_transaction_id() -> str:
    """32 random characters: one for each new account, the same for every repetition of its request."""
    return uuid.uuid4().hex


class ProvisioningCalls(Exchange):
    """Accounts as the provisioning API has them."""

    @overload
    def _provision(self, method: str, path: str, *, type: None = None, **options: Unpack[Options]) -> None: ...
    @overload
    def _provision(self, method: str, path: str, *, type: type[T], **options: Unpack[Options]) -> T: ...
    def _provision(self, method: str, path: str, *, type: Any = None, **options: Any) -> Any:
        """A call at the provisioning host. A POST has a key, so it is repeated: none of them does anything twice."""
        host = self._regions.of_api(PROVISIONING)
        if method == "POST":
            options.setdefault("key", new_transaction_id())
        return self._call(method, path, type=type, host=host, **options)

    # ------------------------------------------------------------------------------------------------------- reading

    def trading_accounts_page(self, *, offset: int = 0, limit: int = PAGE_LIMIT, **filters: Any) -> list[RawDocument]:
        """P3. One page, as documents: contract.provisioning.TradingAccount. filters: as the reference names them."""
        params = {**filters, "offset": offset, "limit": limit}
        headers = {"api-version": "1"}
        return self._provision("GET", _ACCOUNTS, type=list[RawDocument], params=params, headers=headers, extended=True)

    def trading_accounts(self, *, page_size: int = PAGE_LIMIT, **filters: Any) -> Iterator[list[RawDocument]]:
        """P3. All accounts, page by page, each account once: the order of the list is not promised."""
        page_size = min(page_size, PAGE_LIMIT)
        return distinct_pages(
            lambda offset: self.trading_accounts_page(offset=offset, limit=page_size, **filters),
            lambda account: account.get("_id"),
            page_size,
        )

    def trading_account(self, account_id: str) -> TradingAccount:
        """P4."""
        return self._provision("GET", path_of(_ACCOUNT, account_id=account_id), type=TradingAccount)

    def trading_account_document(self, account_id: str) -> RawDocument:
        """P4, as the list has it: whoever keeps documents compares the same with the same."""
        return self._provision("GET", path_of(_ACCOUNT, account_id=account_id), type=RawDocument)

    def servers_like(self, version: int, query: str) -> dict[str, list[str]]:
        """P23. Names of broker servers by broker; version: 4 or 5."""
        path = path_of("/known-mt-servers/{version}/search", version=str(version))
        return self._provision("GET", path, type=dict[str, list[str]], params={"query": query})

    # ------------------------------------------------------------------------------------------ making and changing

    def create_trading_account(self, account: NewTradingAccount, *, transaction_id: str) -> CreatedAccount:
        """P5. Raises NotReady while the login is checked: send the same again, with the same transaction id."""
        secrets = (account.password,) if account.password else ()
        return self._create(_ACCOUNTS, account, transaction_id, secrets)

    def _create(self, path: str, body: Any, transaction_id: str, secrets: tuple[str, ...] = ()) -> CreatedAccount:
        return self._provision(
            "POST",
            path,
            type=CreatedAccount,
            body=body,
            headers={"transaction-id": transaction_id},
            key=transaction_id,
            is_polled=True,
            extended=True,
            secrets=secrets,
        )

    def update_trading_account(self, account_id: str, account: TradingAccountUpdate) -> None:
        """P6. Takes effect when the account is started again."""
        secrets = (account.password,) if account.password else ()
        self._provision("PUT", path_of(_ACCOUNT, account_id=account_id), body=account, secrets=secrets)

    def remove_trading_account(self, account_id: str) -> None:
        """P7. Removes the account and its replicas for good."""
        self._provision("DELETE", path_of(_ACCOUNT, account_id=account_id))

    def configuration_link(self, account_id: str, *, ttl_days: int = 7) -> ConfigurationLink:
        """P16. Whoever has the link can set the login."""
        path = path_of(_ACCOUNT + "/configuration-link", account_id=account_id)
        try:
            return self._provision("PUT", path, type=ConfigurationLink, params={"ttlInDays": ttl_days})
        except Unreadable as error:
            error.start = ""  # it may hold the link
            raise

    # -------------------------------------------------------------------------------------------- starting, features

    def deploy(self, account_id: str) -> None:
        """P8. Scheduled, not done: see the account's state."""
        self._start(account_id, "deploy")

    def undeploy(self, account_id: str) -> None:
        """P9."""
        self._start(account_id, "undeploy")

    def redeploy(self, account_id: str) -> None:
        """P10."""
        self._start(account_id, "redeploy")

    def _start(self, account_id: str, action: str) -> None:
        path = path_of(_ACCOUNT + "/{action}", account_id=account_id, action=action)
        self._provision("POST", path, params={"executeForAllReplicas": True})

    def increase_reliability(self, account_id: str) -> None:
        """P11. Costs twice as much."""
        self._enable(account_id, "increase-reliability")

    def enable_risk_management(self, account_id: str) -> None:
        """P12. A paid option, like the next."""
        self._enable(account_id, "enable-risk-management-api")

    def enable_metastats(self, account_id: str) -> None:
        """P13."""
        self._enable(account_id, "enable-metastats-api")

    def set_roles(self, account_id: str, roles: Sequence[Role], *, slots: int = 1) -> None:
        """P14. All roles that the account has from now on."""
        body = CopyFactoryApi(copy_factory_roles=list(roles), copy_factory_resource_slots=slots)
        self._enable(account_id, "enable-copy-factory-api", body)

    def enable_features(self, account_id: str, features: AccountFeatures) -> None:
        """P15. Several at once, with one interruption."""
        self._enable(account_id, "enable-account-features", features)

    def _enable(self, account_id: str, feature: str, body: Any = None) -> None:
        path = path_of(_ACCOUNT + "/{feature}", account_id=account_id, feature=feature)
        self._provision("POST", path, body=body)

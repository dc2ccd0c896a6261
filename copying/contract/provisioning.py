"""Trading accounts as the provisioning API makes, shows and changes them (account APIs, 2).

Money, currency and leverage of an account are no part of it: they are asked of its terminal (terminal.py). `balance`,
`currency` and `leverage` of a new account are our own addition, for paper accounts. Passwords are only ever sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from msgspec import field

from .settings import Document

Role = Literal["PROVIDER", "SUBSCRIBER"]
Platform = Literal["mt4", "mt5"]
Reliability = Literal["high", "regular"]
AccountType = Literal["cloud-g1", "cloud-g2", "cloud"]
State = Literal[
    "DRAFT",
    "CREATED",
    "DEPLOYING",
    "DEPLOYED",
    "DEPLOY_FAILED",
    "UNDEPLOYING",
    "UNDEPLOYED",
    "UNDEPLOY_FAILED",
    "REDEPLOY_FAILED",
    "DELETING",
    "DELETE_FAILED",
]
ConnectionStatus = Literal["CONNECTED", "DISCONNECTED_FROM_BROKER", "DISCONNECTED"]

AUTHENTICATION_FAILED = "E_AUTH"
SERVER_NOT_FOUND = "E_SRV_NOT_FOUND"
SERVER_TIMEZONE = "E_SERVER_TIMEZONE"
RESOURCE_SLOTS = "E_RESOURCE_SLOTS"


class ClientApiServer(Document, kw_only=True):
    """P2: where the terminal API is. Both are needed: clients fall into an endless loop without `hostname`."""

    domain: str
    hostname: str


class AccountConnection(Document, kw_only=True):
    """An application that is connected to an account."""

    region: str = ""
    zone: str = ""
    application: str = ""


class AccountReplica(Document, kw_only=True):
    """The same broker account, run in another region."""

    id: str = ""
    state: str = ""
    connection_status: str = ""
    region: str = ""
    magic: int = 0
    reliability: str = ""
    tags: list[str] = []


class TradingAccount(Document, kw_only=True):
    """P3, P4. `state` and `connection_status` are texts: a client must live with ones that it does not know.

    login: absent in DRAFT. primary_account_id: of replicas only. base_currency: not the currency of the account.
    """

    id: str = field(name="_id")
    name: str = ""
    login: str | None = None
    server: str = ""
    version: int | None = None
    type: str = ""
    state: str = ""
    connection_status: str = ""
    region: str = ""
    reliability: str = ""
    copy_factory_roles: list[str] = []
    copy_factory_resource_slots: int | None = None
    resource_slots: int | None = None
    base_currency: str | None = None
    magic: int = 0
    manual_trades: bool = False
    slippage: float | None = None
    quote_streaming_interval_in_seconds: float | None = None
    tags: list[str] = []
    metadata: dict[str, Any] | None = None
    risk_management_api_enabled: bool = False
    metastats_api_enabled: bool = False
    connections: list[AccountConnection] = []
    primary_replica: bool = True
    primary_account_id: str | None = None
    account_replicas: list[dict[str, Any]] = []
    user_id: str = ""
    created_at: datetime | None = None


class _Secretive(Document, kw_only=True):
    """Documents with a password or a secret link: printing one tells only its kind."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class AccountUpdateBase(_Secretive, kw_only=True):
    """What a new account and an update have in common."""

    name: str
    server: str
    password: str | None = None
    magic: int | None = None
    manual_trades: bool | None = None
    slippage: float | None = None
    quote_streaming_interval_in_seconds: float | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    resource_slots: int | None = None
    copy_factory_resource_slots: int | None = None
    copy_factory_roles: list[Role] | None = None
    allocate_dedicated_ip: Literal["ipv4", "none"] | None = None


class TradingAccountUpdate(AccountUpdateBase, kw_only=True):
    """P6. Without a password the present one stays."""


class NewTradingAccount(AccountUpdateBase, kw_only=True):
    """P5. Without login and password the account is a DRAFT that waits for them (2.11).

    balance, currency, leverage: of a paper account, with which it needs no login: the broker gives it.
    """

    magic: int  # unlike in an update, it must be said
    login: str | None = None
    platform: Platform | None = None
    provisioning_profile_id: str | None = None
    keywords: list[str] | None = None
    type: AccountType | None = None
    region: str | None = None
    reliability: Reliability | None = None
    risk_management_api_enabled: bool | None = None
    metastats_api_enabled: bool | None = None
    base_currency: str | None = None
    symbol: str | None = None
    balance: float | None = None
    currency: str | None = None
    leverage: float | None = None


class CreatedAccount(Document, kw_only=True):
    """What P5 and P19 answer."""

    id: str
    state: str = ""


class CopyFactoryApi(Document, kw_only=True):
    """P14: all roles that the account has from now on; a role that is left out is taken from it."""

    copy_factory_roles: list[Role]
    copy_factory_resource_slots: int


class AccountFeatures(Document, kw_only=True):
    """P15: any of them, with one interruption."""

    copy_factory_api: CopyFactoryApi | None = None
    risk_management_api_enabled: bool | None = None
    metastats_api_enabled: bool | None = None
    reliability_increased: bool | None = None
    allocate_dedicated_ip: Literal["ipv4", "none"] | None = None


class ConfigurationLink(_Secretive, kw_only=True):
    """P16. Whoever has it can set the credentials: shown once, and to nobody but the client."""

    configuration_link: str


class ConfigurationInformation(Document, kw_only=True):
    """What the page behind a configuration link shows (2.11)."""

    configured: bool
    login: str | None = None
    server: str
    platform: str


class TradingAccountCredentials(_Secretive, kw_only=True):
    """What is typed on the page behind a configuration link. login: needed while the account is a DRAFT."""

    login: str | None = None
    password: str

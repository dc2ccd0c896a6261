"""The addresses of the account APIs, each under the prefix of its host (hosts.py). No two hosts share one."""

from __future__ import annotations

from copying.contract.hosts import PROVISIONING, TERMINAL, prefix_of

from . import configuration_page, discovery, provisioning, symbols

ACCOUNTS = prefix_of(PROVISIONING) + "/users/current/accounts"
ACCOUNT = ACCOUNTS + "/{account_id}"
REPLICA = ACCOUNT + "/replicas/{replica_id}"
LINK = "/configure-trading-account-credentials/{account_id}/{secret}"

PROVISIONING_TABLE = (
    ("GET", prefix_of(PROVISIONING) + "/users/current/regions", discovery.regions),  # P1
    ("GET", prefix_of(PROVISIONING) + "/users/current/servers/mt-client-api", discovery.client_api),  # P2
    ("GET", ACCOUNTS, provisioning.list_accounts),  # P3
    ("GET", ACCOUNT, provisioning.get_account),  # P4
    ("POST", ACCOUNTS, provisioning.create_account),  # P5
    ("PUT", ACCOUNT, provisioning.update_account),  # P6
    ("DELETE", ACCOUNT, provisioning.delete_account),  # P7
    ("POST", ACCOUNT + "/deploy", provisioning.deploy),  # P8
    ("POST", ACCOUNT + "/undeploy", provisioning.undeploy),  # P9
    ("POST", ACCOUNT + "/redeploy", provisioning.redeploy),  # P10
    ("POST", ACCOUNT + "/increase-reliability", provisioning.increase_reliability),  # P11
    ("POST", ACCOUNT + "/enable-risk-management-api", provisioning.enable_risk_management),  # P12
    ("POST", ACCOUNT + "/enable-metastats-api", provisioning.enable_metastats),  # P13
    ("POST", ACCOUNT + "/enable-copy-factory-api", provisioning.enable_copy_factory),  # P14
    ("POST", ACCOUNT + "/enable-account-features", provisioning.enable_features),  # P15
    ("PUT", ACCOUNT + "/configuration-link", provisioning.configuration_link),  # P16
    ("GET", ACCOUNT + "/replicas", provisioning.list_replicas),  # P17
    ("GET", REPLICA, provisioning.no_replica),  # P18
    ("POST", ACCOUNT + "/replicas", provisioning.create_replica),  # P19
    ("PUT", REPLICA, provisioning.no_replica),  # P20
    ("DELETE", REPLICA, provisioning.no_replica),  # P21
    ("POST", REPLICA + "/deploy", provisioning.no_replica),  # P22
    ("POST", REPLICA + "/undeploy", provisioning.no_replica),
    ("POST", REPLICA + "/redeploy", provisioning.no_replica),
    ("GET", prefix_of(PROVISIONING) + "/known-mt-servers/{version}/search", provisioning.search_servers),  # P23
    ("GET", LINK, configuration_page.show),
    ("PUT", LINK, configuration_page.put_credentials),
    ("POST", LINK, configuration_page.post_credentials),
)
SYMBOLS = prefix_of(TERMINAL) + "/users/current/accounts/{account_id}/symbols"
TERMINAL_TABLE = (
    ("GET", SYMBOLS, symbols.list_symbols),  # A7
    ("GET", SYMBOLS + "/{symbol}/specification", symbols.symbol_specification),  # A8
    ("GET", SYMBOLS + "/{symbol}/current-price", symbols.current_price),  # A9
)
ACCOUNT_TABLE = (*PROVISIONING_TABLE, *TERMINAL_TABLE)

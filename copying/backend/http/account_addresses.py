"""The addresses of the account APIs, each under the prefix of its host (hosts.py). No two hosts share one."""

from __future__ import annotations

from copying.contract.hosts import METASTATS, PROVISIONING, RISK_MANAGEMENT, TERMINAL, prefix_of

from . import configuration_page, discovery, equity_chart, metastats, provisioning, symbols, terminal

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
TERMINAL_ACCOUNT = prefix_of(TERMINAL) + "/users/current/accounts/{account_id}"
ORDERS, DEALS = TERMINAL_ACCOUNT + "/history-orders", TERMINAL_ACCOUNT + "/history-deals"
SYMBOLS = TERMINAL_ACCOUNT + "/symbols"

TERMINAL_TABLE = (
    ("GET", TERMINAL_ACCOUNT + "/account-information", terminal.account_information),  # A1
    ("GET", TERMINAL_ACCOUNT + "/positions", terminal.list_positions),  # A2
    ("GET", TERMINAL_ACCOUNT + "/positions/{position_id}", terminal.get_position),  # A3
    ("GET", TERMINAL_ACCOUNT + "/orders", terminal.list_orders),  # A4
    ("GET", TERMINAL_ACCOUNT + "/orders/{order_id}", terminal.get_order),
    ("GET", ORDERS + "/ticket/{ticket}", terminal.order_of_ticket),  # A5
    ("GET", ORDERS + "/position/{position_id}", terminal.orders_of_position),
    ("GET", ORDERS + "/time/{start}/{end}", terminal.orders_by_time),
    ("GET", DEALS + "/ticket/{ticket}", terminal.deals_of_ticket),  # A6
    ("GET", DEALS + "/position/{position_id}", terminal.deals_of_position),
    ("GET", DEALS + "/time/{start}/{end}", terminal.deals_by_time),
    ("GET", SYMBOLS, symbols.list_symbols),  # A7
    ("GET", SYMBOLS + "/{symbol}/specification", symbols.symbol_specification),  # A8
    ("GET", SYMBOLS + "/{symbol}/current-price", symbols.current_price),  # A9
    ("POST", TERMINAL_ACCOUNT + "/trade", terminal.trade),  # A11
    ("POST", TERMINAL_ACCOUNT + "/calculate-margin", terminal.calculate_margin),  # A12
    ("GET", TERMINAL_ACCOUNT + "/server-time", terminal.server_time),  # A13
    ("GET", TERMINAL_ACCOUNT + "/credits", terminal.get_credits),  # A14
)
STATISTICS = prefix_of(METASTATS) + "/users/current/accounts/{account_id}"
STATISTICS_TABLE = (
    ("GET", STATISTICS + "/metrics", metastats.get_metrics),  # M1
    ("GET", STATISTICS + "/historical-trades/{start}/{end}", metastats.list_trades),  # M2
    ("GET", STATISTICS + "/open-trades", metastats.list_open_trades),  # M3
    ("DELETE", STATISTICS, metastats.reset_metrics),  # M4
    (
        "GET",
        prefix_of(RISK_MANAGEMENT) + "/users/current/accounts/{account_id}/equity-chart",
        equity_chart.get_equity_chart,
    ),  # R1
)
ACCOUNT_TABLE = (*PROVISIONING_TABLE, *TERMINAL_TABLE, *STATISTICS_TABLE)

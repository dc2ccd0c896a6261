"""Addresses of what happened and what it cost, also where they continue those of strategies and subscribers."""

from django.urls import path

from reporting.views import commissions, decisions, history, me, overview, search, strategies, subscribers, syncing

app_name = "reporting"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("overview/equity.json", overview.equity, name="overview-equity"),
    path("transactions/", history.transactions, name="transactions"),
    path("transactions/totals/", history.transaction_totals, name="transaction-totals"),
    path("decisions/", decisions.decisions, name="decisions"),
    path("decisions/<int:pk>/", decisions.decision, name="decision"),
    path("strategies/<int:pk>/quality/", decisions.strategy_quality, name="strategy-quality"),
    path("subscribers/<int:pk>/quality/", decisions.subscriber_quality, name="subscriber-quality"),
    path("me/decisions/", decisions.own_decisions, name="own-decisions"),
    path("log/", history.log, name="log"),
    path("sync/", syncing.sync, name="sync"),
    path("sync/freshness/", syncing.freshness, name="freshness"),
    path("search/", search.search, name="search"),
    path("strategies/results/", strategies.results, name="strategy-results"),
    path("strategies/<int:pk>/performance/", strategies.strategy_performance, name="strategy-performance"),
    path("strategies/<int:pk>/equity.json", strategies.equity, name="strategy-equity"),
    path("strategies/<int:pk>/transactions/", strategies.transactions, name="strategy-transactions"),
    path("strategies/<int:pk>/commission/", commissions.strategy_commission, name="strategy-commission"),
    path("strategies/<int:pk>/log/", strategies.log, name="strategy-log"),
    path("subscribers/results/", subscribers.results, name="subscriber-results"),
    path("subscribers/<int:pk>/performance/", subscribers.subscriber_performance, name="subscriber-performance"),
    path("subscribers/<int:pk>/equity.json", subscribers.equity, name="subscriber-equity"),
    path("subscribers/<int:pk>/transactions/", subscribers.transactions, name="subscriber-transactions"),
    path("subscribers/<int:pk>/commission/", subscribers.commission, name="subscriber-commission"),
    path("subscribers/<int:pk>/log/", subscribers.log, name="subscriber-log"),
    path("subscribers/<int:pk>/log/fetch/", subscribers.fetch_log, name="subscriber-log-fetch"),
    path("commissions/", commissions.commissions, name="commissions"),
    path("commissions/<int:strategy_pk>/<int:subscriber_pk>/", commissions.lines, name="commission-lines"),
    path("me/", me.me, name="me"),
]

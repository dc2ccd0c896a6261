"""Addresses of the overview, the history, the log and the state of the mirror."""

from django.urls import path

from reporting.views import history, overview, search, syncing

app_name = "reporting"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("overview/equity.json", overview.equity, name="overview-equity"),
    path("transactions/", history.transactions, name="transactions"),
    path("transactions/totals/", history.transaction_totals, name="transaction-totals"),
    path("log/", history.log, name="log"),
    path("sync/", syncing.sync, name="sync"),
    path("sync/freshness/", syncing.freshness, name="freshness"),
    path("search/", search.search, name="search"),
]

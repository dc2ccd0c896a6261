"""Addresses of the REST API."""

from django.urls import path

from api import open_views
from api.resources import acts, books, bulk, changes, history, operation, settings, strategies, subscribers, workspaces

app_name = "api"
urlpatterns = [
    path("", open_views.Index.as_view(), name="index"),
    path("schema/", open_views.Description.as_view(), name="schema"),
    path("problems/<slug:code>/", open_views.ProblemPage.as_view(), name="problem"),
    path("workspaces/", workspaces.Workspaces.as_view(), name="workspaces"),
    path("workspaces/<int:pk>/", workspaces.WorkspaceDetail.as_view(), name="workspace"),
    path("token/", workspaces.TokenDetail.as_view(), name="token"),
    path("strategies/", strategies.Strategies.as_view(), name="strategies"),
    path("strategies/<int:pk>/", strategies.StrategyDetail.as_view(), name="strategy"),
    path("strategies/<int:pk>/signals/<str:signal_id>/close/", acts.SignalClose.as_view(), name="close-signal"),
    path("strategies/<int:pk>/settings/", settings.StrategySettings.as_view(), name="strategy-settings"),
    path(
        "strategies/<int:pk>/members/<str:strategy_id>/settings/",
        settings.MemberSettings.as_view(),
        name="member-settings",
    ),
    path("subscribers/bulk/", bulk.SubscribersBulk.as_view(), name="subscribers-bulk"),
    path("bulk/<int:pk>/", bulk.BulkDetail.as_view(), name="bulk"),
    path("bulk/<int:pk>/rows/", bulk.BulkRows.as_view(), name="bulk-rows"),
    path("bulk/<int:pk>/cancel/", bulk.BulkCancel.as_view(), name="cancel-bulk"),
    path("bulk/<int:pk>/undo/", bulk.BulkUndo.as_view(), name="undo-bulk"),
    path("subscribers/", subscribers.Subscribers.as_view(), name="subscribers"),
    path("subscribers/<int:pk>/", subscribers.SubscriberDetail.as_view(), name="subscriber"),
    path("subscribers/<int:pk>/subscriptions/", subscribers.Subscriptions.as_view(), name="subscriptions"),
    path("subscribers/<int:pk>/settings/", settings.SubscriberSettings.as_view(), name="subscriber-settings"),
    path("subscribers/<int:pk>/close-only/", settings.CloseOnlyAct.as_view(), name="close-only"),
    path(
        "subscribers/<int:pk>/subscriptions/<str:strategy_id>/settings/",
        settings.SubscriptionSettings.as_view(),
        name="subscription-settings",
    ),
    path("subscribers/<int:pk>/equity/", subscribers.Equity.as_view(), name="equity"),
    path("subscribers/<int:pk>/commission-lines/", books.CommissionLines.as_view(), name="commission-lines"),
    path("changes/<int:pk>/", changes.ChangeDetail.as_view(), name="change"),
    path("changes/<int:pk>/undo/", changes.ChangeUndo.as_view(), name="undo-change"),
    path("stopouts/", subscribers.Stopouts.as_view(), name="stopouts"),
    path("stopouts/<int:pk>/", subscribers.StopoutDetail.as_view(), name="stopout"),
    path("stopouts/<int:pk>/reset/", acts.StopoutReset.as_view(), name="reset-stopout"),
    path("transactions/", history.Transactions.as_view(), name="transactions"),
    path("transactions/<int:pk>/", history.TransactionDetail.as_view(), name="transaction"),
    path("decisions/", history.DecisionList.as_view(), name="decisions"),
    path("decisions/<int:pk>/", history.DecisionDetail.as_view(), name="decision"),
    path("me/decisions/", history.OwnDecisions.as_view(), name="own-decisions"),
    path("log/", history.LogLines.as_view(), name="log"),
    path("commissions/", books.Commissions.as_view(), name="commissions"),
    path("statements/", books.Statements.as_view(), name="statements"),
    path("statements/<int:pk>/", books.StatementDetail.as_view(), name="statement"),
    path("statements/<int:pk>/lines/", books.StatementLines.as_view(), name="statement-lines"),
    path("payments/", acts.PaymentList.as_view(), name="payments"),
    path("payments/<int:pk>/", books.PaymentDetail.as_view(), name="payment"),
    path("periods/", books.Periods.as_view(), name="periods"),
    path("periods/<int:pk>/", books.PeriodDetail.as_view(), name="period"),
    path("connections/", operation.Connections.as_view(), name="connections"),
    path("connections/<int:pk>/", operation.ConnectionDetail.as_view(), name="connection"),
    path("attention/", operation.AttentionView.as_view(), name="attention"),
    # not Django's redirect to an address with a slash: it would turn a write into a read
    path("<path:rest>", open_views.Nothing.as_view(), name="nothing"),
]

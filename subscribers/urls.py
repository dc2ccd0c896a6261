"""Addresses of subscribers, their subscriptions and stopouts; what they brought has its addresses in reporting."""

from django.urls import path

from subscribers import agreement_views, bulk_views, edit_views, own_views, resync, views
from subscribers.agreements import AgreementKind

app_name = "subscribers"
urlpatterns = [
    path("subscribers/", views.subscribers, name="list"),
    path("subscribers/bulk/", bulk_views.choose, name="choose"),
    path("subscribers/bulk/<int:pk>/", bulk_views.choose_act, name="choose-act"),
    path("subscribers/new/", edit_views.new, name="new"),
    path("subscribers/<int:pk>/", views.detail, name="detail"),
    path("subscribers/<int:pk>/limits/", views.limits, name="limits"),
    path("subscribers/<int:pk>/subscriptions/", views.subscriptions, name="subscriptions"),
    path("subscribers/<int:pk>/stopouts/", views.subscriber_stopouts, name="subscriber-stopouts"),
    path("strategies/<int:pk>/subscribers/", views.strategy_subscribers, name="of-strategy"),
    path("settings/agreements/", agreement_views.agreements, name="agreements"),
    path("settings/agreements/accepted/", agreement_views.acceptances, name="acceptances"),
    path("settings/agreements/versions/<int:pk>/", agreement_views.agreement_version, name="agreement-version"),
    *(
        path(f"settings/agreements/{kind}/", agreement_views.agreement, {"kind": kind}, name=f"agreement-{kind}")
        for kind in AgreementKind.values
    ),
    path("strategies/<int:pk>/clients/", own_views.client_bounds, name="client-bounds"),
    path("strategies/<int:pk>/clients/save/", own_views.set_client_bounds, name="set-client-bounds"),
    path("me/accounts/<int:pk>/close-only/", own_views.own_close_only, name="own-close-only"),
    path("me/accounts/<int:pk>/changes/", own_views.own_changes, name="own-changes"),
    path("me/accounts/<int:pk>/leave/", own_views.own_leave, name="own-leave"),
    path("me/accounts/<int:pk>/subscriptions/<str:strategy_id>/", own_views.own_terms, name="own-terms"),
    path("me/accounts/<int:pk>/subscriptions/<str:strategy_id>/leave/", own_views.own_leave, name="own-leave-one"),
    path("stopouts/", views.stopouts, name="stopouts"),
    path("stopouts/<int:pk>/reset/", views.reset, name="reset-stopout"),
    path("subscribers/<int:pk>/changes/", views.changes, name="changes"),
    path("subscribers/<int:pk>/edit/", edit_views.edit, name="edit"),
    path("subscribers/<int:pk>/subscribe/", edit_views.subscribe, name="subscribe"),
    path(
        "subscribers/<int:pk>/subscriptions/<str:strategy_id>/edit/",
        edit_views.edit_subscription,
        name="edit-subscription",
    ),
    path("subscribers/<int:pk>/subscriptions/<str:strategy_id>/remove/", edit_views.unsubscribe, name="unsubscribe"),
    path("subscribers/<int:pk>/close-only/", edit_views.set_close_only, name="close-only"),
    path("subscribers/<int:pk>/resynchronise/", resync.resynchronise_page, name="resynchronise"),
    path("subscribers/<int:pk>/remove/", edit_views.remove, name="remove"),
]

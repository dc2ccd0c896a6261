"""Addresses of what is offered for copying; its results have theirs in the reporting app."""

from django.urls import path

from strategies import edit_views, signal_views, views

app_name = "strategies"
urlpatterns = [
    path("", views.strategies, name="list"),
    path("new/", edit_views.new, name="new"),
    path("new-portfolio/", edit_views.new_portfolio, name="new-portfolio"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/settings/", views.settings, name="settings"),
    path("<int:pk>/changes/", views.changes, name="changes"),
    path("<int:pk>/edit/", edit_views.edit, name="edit"),
    path("<int:pk>/members/<str:strategy_id>/edit/", edit_views.edit_member, name="edit-member"),
    path("<int:pk>/members/add/", edit_views.add_member, name="add-member"),
    path("<int:pk>/members/<str:strategy_id>/remove/", edit_views.remove_member, name="remove-member"),
    path("<int:pk>/remove/", edit_views.remove, name="remove"),
    path("<int:pk>/signals/", signal_views.list_signals, name="signals"),
    path("<int:pk>/signals/send/", signal_views.send, name="send-signal"),
    path("<int:pk>/signals/<str:signal_id>/change/", signal_views.change, name="change-signal"),
    path("<int:pk>/signals/<str:signal_id>/close/", signal_views.close, name="close-signal"),
    path("<int:pk>/webhooks/create/", signal_views.create_webhook, name="create-webhook"),
    path("<int:pk>/webhooks/remove/", signal_views.remove_webhook, name="remove-webhook"),
]

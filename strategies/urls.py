"""Addresses of what is offered for copying; its results have theirs in the reporting app."""

from django.urls import path

from strategies import edit_views, views

app_name = "strategies"
urlpatterns = [
    path("", views.strategies, name="list"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/settings/", views.settings, name="settings"),
    path("<int:pk>/edit/", edit_views.edit, name="edit"),
    path("<int:pk>/members/<str:strategy_id>/edit/", edit_views.edit_member, name="edit-member"),
]

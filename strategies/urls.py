"""Addresses of what is offered for copying; its results have theirs in the reporting app."""

from django.urls import path

from strategies import views

app_name = "strategies"
urlpatterns = [
    path("", views.strategies, name="list"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/settings/", views.settings, name="settings"),
]

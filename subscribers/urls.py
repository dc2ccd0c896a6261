"""Addresses of subscribers, their subscriptions and stopouts; what they brought has its addresses in reporting."""

from django.urls import path

from subscribers import views

app_name = "subscribers"
urlpatterns = [
    path("subscribers/", views.subscribers, name="list"),
    path("subscribers/<int:pk>/", views.detail, name="detail"),
    path("subscribers/<int:pk>/limits/", views.limits, name="limits"),
    path("subscribers/<int:pk>/subscriptions/", views.subscriptions, name="subscriptions"),
    path("subscribers/<int:pk>/stopouts/", views.subscriber_stopouts, name="subscriber-stopouts"),
    path("strategies/<int:pk>/subscribers/", views.strategy_subscribers, name="of-strategy"),
    path("stopouts/", views.stopouts, name="stopouts"),
    path("stopouts/<int:pk>/reset/", views.reset, name="reset-stopout"),
]

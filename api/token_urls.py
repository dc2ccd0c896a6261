"""Addresses of the pages of access tokens."""

from django.urls import path

from api import token_views

app_name = "tokens"
urlpatterns = [
    path("", token_views.token_list, name="list"),
    path("reference/", token_views.reference, name="reference"),
    path("new/", token_views.new_token, name="new"),
    path("<int:pk>/revoke/", token_views.revoke, name="revoke"),
]

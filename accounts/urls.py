"""Addresses of trading accounts; /accounts/ are the pages of people's own sign-in."""

from django.urls import path

from accounts import act_views, add_views, views

app_name = "accounts"
urlpatterns = [
    path("", views.accounts, name="list"),
    path("new/", add_views.new, name="new"),
    path("servers/", add_views.servers, name="servers"),
    path("choices/", add_views.choices, name="choices"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/deploy/", act_views.deploy, name="deploy"),
    path("<int:pk>/undeploy/", act_views.undeploy, name="undeploy"),
    path("<int:pk>/redeploy/", act_views.redeploy, name="redeploy"),
    path("<int:pk>/remove/", act_views.remove, name="remove"),
    path("<int:pk>/link/", act_views.link, name="link"),
    path("<int:pk>/roles/", act_views.roles, name="roles"),
]

"""Addresses of people, workspaces and settings."""

from django.urls import path

from users import factor_views, views

app_name = "users"
urlpatterns = [
    path("setup/", views.setup, name="setup"),
    path("accounts/login/", views.sign_in, name="sign-in"),
    path("theme/", views.set_theme, name="theme"),
    path("switch/<int:pk>/", views.switch, name="switch"),
    path("settings/", views.workspace_settings, name="settings"),
    path("settings/security/", factor_views.security, name="security"),
    path("settings/connections/", views.connections, name="connections"),
    path("settings/connections/new/", views.new_connection, name="connection-new"),
    path("settings/connections/<int:pk>/", views.edit_connection, name="connection"),
    path("settings/connections/<int:pk>/token/", views.replace_connection_token, name="connection-token"),
    path("settings/connections/<int:pk>/test/", views.test_connection, name="connection-test"),
]

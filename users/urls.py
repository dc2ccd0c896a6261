"""Addresses of people, workspaces and settings."""

from django.urls import path

from users import brand_views, event_views, factor_views, notice_views, views

app_name = "users"
urlpatterns = [
    path("setup/", views.setup, name="setup"),
    path("accounts/login/", views.sign_in, name="sign-in"),
    path("theme/", views.set_theme, name="theme"),
    path("brand/<str:colour>.css", brand_views.style_sheet, name="brand"),
    path("brand/logo/<str:digest>.png", brand_views.logo, name="logo"),
    path("settings/logo/", brand_views.choose_logo, name="choose-logo"),
    path("settings/logo/remove/", brand_views.remove_logo, name="remove-logo"),
    path("switch/<int:pk>/", views.switch, name="switch"),
    path("settings/", views.workspace_settings, name="settings"),
    path("settings/security/", factor_views.security, name="security"),
    path("settings/events/", event_views.endpoints, name="event-endpoints"),
    path("settings/events/new/", event_views.new_endpoint, name="event-endpoint-new"),
    path("settings/events/<int:pk>/", event_views.endpoint_page, name="event-endpoint"),
    path("settings/events/<int:pk>/edit/", event_views.edit_endpoint, name="event-endpoint-edit"),
    path("settings/events/<int:pk>/secret/", event_views.replace_secret, name="event-endpoint-secret"),
    path("settings/events/<int:pk>/test/", event_views.test_endpoint, name="event-endpoint-test"),
    path("settings/events/<int:pk>/remove/", event_views.remove_endpoint, name="event-endpoint-remove"),
    path("settings/events/deliveries/<int:pk>/", event_views.delivery_page, name="event-delivery"),
    path("settings/events/deliveries/<int:pk>/again/", event_views.repeat_delivery, name="event-delivery-again"),
    path("notifications/", notice_views.notices, name="notices"),
    path("notifications/sent/", notice_views.sent, name="notices-sent"),
    path("notifications/email/test/", notice_views.test_notice, {"channel": "email"}, name="test-email"),
    path("notifications/telegram/", notice_views.telegram, name="notices-telegram"),
    path("notifications/telegram/check/", notice_views.check_telegram, name="check-telegram"),
    path("notifications/telegram/test/", notice_views.test_notice, {"channel": "telegram"}, name="test-telegram"),
    path("notifications/telegram/remove/", notice_views.remove_target, {"channel": "telegram"}, name="remove-telegram"),
    path("notifications/webhook/", notice_views.webhook, name="notices-webhook"),
    path("notifications/webhook/test/", notice_views.test_notice, {"channel": "webhook"}, name="test-webhook"),
    path("notifications/webhook/remove/", notice_views.remove_target, {"channel": "webhook"}, name="remove-webhook"),
    path("settings/notifications/", notice_views.all_notices, name="all-notices"),
    path("settings/notifications/bot/", notice_views.set_bot, name="telegram-bot"),
    path("settings/notifications/bot/remove/", notice_views.remove_bot, name="remove-telegram-bot"),
    path("settings/connections/", views.connections, name="connections"),
    path("settings/connections/new/", views.new_connection, name="connection-new"),
    path("settings/connections/<int:pk>/", views.edit_connection, name="connection"),
    path("settings/connections/<int:pk>/token/", views.replace_connection_token, name="connection-token"),
    path("settings/connections/<int:pk>/test/", views.test_connection, name="connection-test"),
]

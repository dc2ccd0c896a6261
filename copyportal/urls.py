"""Addresses of the portal."""

from django.urls import include, path

from copyportal import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("", include("users.urls")),
    path("accounts/", include("users.account_urls")),
    path("", include("jobs.urls")),
    path("", include("reporting.urls")),
    path("changes/", include("editing.urls")),
    path("trading-accounts/", include("accounts.urls")),
    path("strategies/", include("strategies.urls")),
    path("", include("subscribers.urls")),
    path("", include("subscribers.people_urls")),
    path("api/v1/", include("api.urls")),
    path("settings/tokens/", include("api.token_urls")),
]
handler400 = "copyportal.errors.bad_request"
handler403 = "copyportal.errors.forbidden"
handler404 = "copyportal.errors.not_found"
handler500 = "copyportal.errors.server_error"

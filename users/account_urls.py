"""Addresses under /accounts/, one by one: allauth's whole list would serve pages that nobody meant or styled.

The names are allauth's, which it uses itself.
"""

from allauth.account import views as allauth_views
from django.urls import path, re_path

from users import account_views, factor_views, passkey_views, views

urlpatterns = [
    path("login/", views.sign_in, name="account_login"),
    path("logout/", account_views.sign_out, name="account_logout"),
    path("confirm/", factor_views.confirm_identity, name="account_confirm_identity"),
    path("second-factor/", factor_views.overview, name="mfa_index"),
    path("second-factor/code/", factor_views.authenticate, name="mfa_authenticate"),
    path("second-factor/set-up/", factor_views.activate, name="mfa_activate_totp"),
    path("second-factor/passkeys/add/", passkey_views.add_passkey, name="mfa_add_webauthn"),
    path("second-factor/passkeys/<int:pk>/remove/", passkey_views.remove_passkey, name="mfa_remove_webauthn"),
    path("passkey/", passkey_views.sign_in_with_passkey, name="mfa_login_webauthn"),
    path("second-factor/remove/", factor_views.deactivate, name="mfa_deactivate_totp"),
    path("second-factor/keep/", factor_views.keep_factor, name="mfa_keep"),
    path("second-factor/recovery-codes/", factor_views.recovery_codes, name="mfa_view_recovery_codes"),
    path("second-factor/recovery-codes/new/", factor_views.new_recovery_codes, name="mfa_generate_recovery_codes"),
    path("sessions/", account_views.session_list, name="account_sessions"),
    path("sessions/end/", account_views.end_other_sessions, name="account_end_other_sessions"),
    path("sessions/<str:digest>/end/", account_views.end_one_session, name="account_end_session"),
    path("inactive/", allauth_views.account_inactive, name="account_inactive"),
    path("signup/", account_views.registration_closed, name="account_signup"),
    path("email/", account_views.email, name="account_email"),
    path("email/withdraw/", account_views.withdraw_email_change, name="account_withdraw_email_change"),
    path("confirm-email/<str:key>/", account_views.confirm_email, name="account_confirm_email"),
    path("password/change/", account_views.change_password, name="account_change_password"),
    path("password/reset/", account_views.reset_password, name="account_reset_password"),
    path("password/reset/done/", allauth_views.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]{1,13})-(?P<key>[-0-9A-Za-z]{1,80})/\Z",
        account_views.reset_password_from_key,
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        allauth_views.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
    ),
]

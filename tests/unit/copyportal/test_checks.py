"""Settings that would run, but not safely, are refused with a sentence."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from copyportal.checks import mail_is_set_up, safe_settings

SAFE = {
    "DEBUG": False,
    "SECRET_KEY": "k3Vq8-sT0zWm5xYb2Nc7Rd1Fg6Hj4Kl9Pp_AaEeIiOoUuQqXxZz99",
    "FIELD_KEYS": [Fernet.generate_key().decode()],
    "ALLOWED_HOSTS": ["portal.example.com"],
    "CSRF_TRUSTED_ORIGINS": ["https://portal.example.com"],
    "HTTPS": True,
    "PORTAL_URL": "https://portal.example.com",
    "SENTRY_DSN": "https://key@sentry.example.com/1",
}


def test_safe_settings_pass(settings):
    for name, value in SAFE.items():
        setattr(settings, name, value)
    assert safe_settings(None) == []


@pytest.mark.parametrize(
    ("change", "number"),
    [
        ({"SECRET_KEY": ""}, "E001"),
        ({"SECRET_KEY": "short"}, "E001"),
        ({"SECRET_KEY": "a" * 60}, "E001"),
        ({"FIELD_KEYS": []}, "E002"),
        ({"FIELD_KEYS": [SAFE["FIELD_KEYS"][0], "nonsense"]}, "E003"),
        ({"ALLOWED_HOSTS": ["*"]}, "E004"),
        ({"ALLOWED_HOSTS": ["portal.example.com"], "HTTPS": False}, "E005"),
        ({"DEBUG": True}, "E009"),
        ({"CSRF_TRUSTED_ORIGINS": ["http://portal.example.com"]}, "E006"),
        ({"PORTAL_URL": "portal.example.com"}, "E011"),
        ({"PORTAL_URL": "http://portal.example.com"}, "E011"),
        ({"PORTAL_URL": "https://portal.example.com/x"}, "E011"),
        ({"PORTAL_URL": "https://portal.example.com:port"}, "E011"),
        ({"PORTAL_URL": "javascript:alert(1)"}, "E011"),
        ({"SENTRY_DSN": "sentry.example.com"}, "E012"),
        ({"SENTRY_DSN": "https://sentry.example.com/1"}, "E012"),
        ({"SENTRY_DSN": "https://key@sentry.example.com"}, "E012"),
    ],
)
def test_unsafe_settings_are_refused(settings, change, number):
    for name, value in {**SAFE, **change}.items():
        setattr(settings, name, value)
    assert [error.id for error in safe_settings(None)] == [f"copyportal.{number}"]


def test_debug_excuses_nothing(settings):
    for name, value in {**SAFE, "DEBUG": True, "SECRET_KEY": "x", "ALLOWED_HOSTS": ["*"], "HTTPS": False}.items():
        setattr(settings, name, value)
    assert {error.id for error in safe_settings(None)} == {f"copyportal.E00{number}" for number in (1, 4, 5, 9)}


def test_a_command_before_the_first_start_says_so(settings):
    for name, value in {**SAFE, "SECRET_KEY": ""}.items():
        setattr(settings, name, value)
    assert "Start it first (make up)" in safe_settings(None)[0].msg


@pytest.mark.parametrize("is_set_up", [True, False])
def test_a_missing_mail_server_is_a_warning_of_the_deployment_check(settings, is_set_up):
    settings.MAIL_IS_SET_UP = is_set_up
    assert [warning.id for warning in mail_is_set_up(None)] == ([] if is_set_up else ["copyportal.W001"])


def test_this_machine_alone_needs_no_https(settings):
    for name, value in {**SAFE, "ALLOWED_HOSTS": ["localhost", "127.0.0.1"], "HTTPS": False}.items():
        setattr(settings, name, value)
    assert safe_settings(None) == []


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (31_536_000, False, False)),
        ({"HSTS_SECONDS": "300", "HSTS_SUBDOMAINS": "1"}, (300, True, False)),
        ({"HSTS_PRELOAD": "1"}, (31_536_000, False, True)),
        ({"HTTPS": "0", "HSTS_SUBDOMAINS": "1", "HSTS_PRELOAD": "1"}, (0, False, False)),
    ],
)
def test_browsers_are_bound_for_other_names_only_when_asked(asked, expected):
    program = (
        "from copyportal import settings as s;"
        "print((s.SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS, s.SECURE_HSTS_PRELOAD))"
    )
    environment = {**os.environ, "HTTPS": "1", **asked}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(expected)

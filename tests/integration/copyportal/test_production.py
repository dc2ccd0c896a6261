"""The settings that docs/operations.md tells people to use pass every check; unsafe ones stop each process."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from cryptography.fernet import Fernet

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str, **changes: str) -> subprocess.CompletedProcess:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": os.environ["DATABASE_URL"],
        "REDIS_URL": os.environ["REDIS_URL"],
        "SECRET_KEY": secrets.token_urlsafe(50),
        "TRUSTED_PROXIES": "1",
        "FIELD_KEYS": Fernet.generate_key().decode(),
        "ALLOWED_HOSTS": "portal.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://portal.example.com",
        "HTTPS": "1",
        "BEHIND_PROXY": "1",
        "EMAIL_URL": "smtp+tls://portal:word@mail.example.com:587",
        "LOG_FORMAT": "json",
    }
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env={**environment, **changes}, capture_output=True, text=True)


def test_the_deployment_check_is_clean():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert checked.returncode == 0, checked.stderr
    assert "no issues" in checked.stdout


def test_unsafe_settings_stop_commands_and_pages_without_a_traceback():
    for words in (["manage.py", "migrate", "--check"], ["-c", "import copyportal.wsgi"]):
        stopped = run(*words, ALLOWED_HOSTS="*", FIELD_KEYS="")
        assert stopped.returncode != 0
        assert "ALLOWED_HOSTS allows every host" in stopped.stderr
        assert "FIELD_KEYS is empty" in stopped.stderr
        assert "Traceback" not in stopped.stderr


def test_logs_are_one_json_object_a_line():
    script = "import django; django.setup(); import logging, structlog;"
    script += "logging.getLogger('a.b').warning('free %s', 'text', extra={'n': 1});"
    script += "structlog.get_logger('c').error('e', k=2)"
    logged = run("-c", script, DJANGO_SETTINGS_MODULE="copyportal.settings")
    first, second = (json.loads(line) for line in logged.stderr.splitlines())
    assert (first["event"], first["level"], first["logger"], first["n"]) == ("free text", "warning", "a.b", 1)
    assert (second["event"], second["level"], second["k"]) == ("e", "error", 2)
    assert first["timestamp"].endswith("Z")

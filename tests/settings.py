"""The portal's settings as tests use them: cheap password hashes, own Redis database per worker, no collected files."""

import os
import re

# servers of the tests, for processes that they start too; what is refused is tried with an empty list
os.environ.setdefault("PRIVATE_BACKENDS", "127.0.0.0/8")
os.environ.pop("MIGRATE_DATABASE_URL", None)  # of another database than the tests'

from copyportal.settings import *
from copyportal.settings import CACHES, DATABASES, REDIS_URL

_worker = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or 0)
_address, _, _database = REDIS_URL.rpartition("/")
if _address.count("/") == 2 and _database.isdigit() and "PYTEST_XDIST_WORKER" in os.environ:
    REDIS_URL = f"{_address}/{(int(_database) + 1 + _worker) % 16}"
CACHES["default"]["LOCATION"] = CELERY_BROKER_URL = CELERY_RESULT_BACKEND = REDIS_URL
CACHES["default"]["KEY_PREFIX"] = f"tests-{_worker}"

# tests with transactions of their own empty every table afterwards; the audit log's refuse that
_options = DATABASES["default"].setdefault("OPTIONS", {})
_options["options"] = f"{_options.get('options', '')} -c copyportal.may_empty_audit=on".strip()

# tests move the clock by months; what ends with time is tried by setting it
SESSION_COOKIE_AGE = SESSION_REMEMBERED_IDLE_SECONDS = 10 * 365 * 24 * 3600
SESSION_IDLE_SECONDS = 5 * 365 * 24 * 3600
CONFIRMED_FOR_SECONDS = 10 * 365 * 24 * 3600  # the same

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = True
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
MAIL_IS_SET_UP = True
PORTAL_URL = ""  # links are tried by setting it

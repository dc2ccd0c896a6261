"""All settings of the portal, read from the environment once.

`make up` sets what is needed for a private installation; in production the operator sets it (docs/operations.md).
Nothing outside this module reads the environment for configuration.
"""

import os
from pathlib import Path

import django_htmx
import environ
import structlog

from copyportal.logs import FORMATTERS, PROCESSORS

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
# Run-time data; while `make up` runs it leaves the addresses of its servers there for commands typed meanwhile
VAR = BASE_DIR / env.str("VAR", default="var")
if (
    not {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "FIELD_KEYS"} <= os.environ.keys()
    and (VAR / "environment").exists()
):
    is_own_database = "DATABASE_URL" in os.environ and "MIGRATE_DATABASE_URL" not in os.environ
    env.read_env(VAR / "environment")
    if is_own_database:  # the owner that stands there owns another one
        os.environ.pop("MIGRATE_DATABASE_URL", None)

# --- Security -------------------------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
# Fernet keys, newest first: the first encrypts, all decrypt (docs/operations.md, "Rotating keys")
FIELD_KEYS = env.list("FIELD_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = env.bool("HTTPS_REDIRECT", default=HTTPS)
SECURE_REDIRECT_EXEMPT = [r"^healthz\Z", r"^readyz\Z"]
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=31_536_000) if HTTPS else 0
# Browsers remember both for a year, for every other site of the firm below the same name: only when asked for
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS and env.bool("HSTS_SUBDOMAINS", default=False)
SECURE_HSTS_PRELOAD = HTTPS and env.bool("HSTS_PRELOAD", default=False)
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # Django asks for both
# Where people reach the portal, for links in mails and messages; unset: the one origin that is named, else no links
PORTAL_URL = env.str("PORTAL_URL", default=next(iter([url for url in CSRF_TRUSTED_ORIGINS if "*" not in url]), ""))
# How many proxies stand before the web process, each adding to X-Forwarded-For whom it saw. 0: the header is ignored.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "users.unsent.csrf_failure"
SESSION_ENGINE = "users.session_store"
# with HTTPS no other host of the domain, and no page without it, can set these
SESSION_COOKIE_NAME = "__Host-sessionid" if HTTPS else "sessionid"
CSRF_COOKIE_NAME = "__Host-csrftoken" if HTTPS else "csrftoken"
# a session ends so long after the sign-in at the latest, and after so long without use (users/sessions.py)
SESSION_COOKIE_AGE = env.int("SESSION_SECONDS", default=14 * 24 * 3600)
SESSION_IDLE_SECONDS = env.int("SESSION_IDLE_SECONDS", default=12 * 3600)
CONFIRMED_FOR_SECONDS = env.int("CONFIRMED_FOR_SECONDS", default=1800)  # users/confirming.py
SESSION_REMEMBERED_IDLE_SECONDS = env.int("SESSION_REMEMBERED_IDLE_SECONDS", default=7 * 24 * 3600)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
    }
}

# --- Application ----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "django_structlog",
    "copying",
    "users",
    "jobs",
    "editing",
    "accounts",
    "strategies",
    "subscribers",
    "reporting",
    "api",
    "copyportal",
]
MIDDLEWARE = [
    "copyportal.health.HealthMiddleware",
    "copyportal.metrics.MetricsMiddleware",
    "users.middleware.FeatureMiddleware",
    "users.middleware.OriginMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "users.middleware.SessionLimitMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "users.middleware.PartialMiddleware",
    "users.middleware.WorkspaceMiddleware",
    "users.middleware.PrivateMiddleware",
    "users.middleware.ReadableMiddleware",
    "users.middleware.LeadingMiddleware",
    "copyportal.errors.MethodMiddleware",
    "users.time_limit.PageTimeMiddleware",
    "users.middleware.PatienceMiddleware",
    "users.middleware.DownloadMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "users.middleware.LogMiddleware",
]
ROOT_URLCONF = "copyportal.urls"
WSGI_APPLICATION = "copyportal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.jinja2.Jinja2",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "environment": "copyportal.templates.environment",
            "context_processors": [
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "copyportal.frame.frame",
            ],
        },
    },
    {
        # only for templates that packages bring along and we do not replace
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    },
]

# --- Data -----------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgresql://localhost/copyportal")}
# Who owns the tables: migrations, backups and restores are done as this role; unset: as the application's
OWNER_DATABASE = {"OPTIONS": {}, **env.db_url("MIGRATE_DATABASE_URL")} if env.str("MIGRATE_DATABASE_URL", "") else None
APPLICATION_ROLE = DATABASES["default"]["USER"]
APPLICATION_PASSWORD = DATABASES["default"]["PASSWORD"]
DATABASES["default"]["CONN_MAX_AGE"] = 0
DATABASES["default"].setdefault("OPTIONS", {})["pool"] = {
    "min_size": 1,
    "max_size": env.int("DATABASE_POOL", default=8),
    "timeout": 10,
}
# a pooled connection is asked for a sign of life before it is used: after a restart of PostgreSQL all of them are dead
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["ATOMIC_REQUESTS"] = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": env.str("CACHE_PREFIX", default="copyportal"),
    }
}

# --- Background work (schedules: copyportal/celery.py) --------------------------------------------------------------
CELERY_BROKER_URL = CELERY_RESULT_BACKEND = REDIS_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_TIME_LIMIT = 120
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
    "global_keyprefix": env.str("CELERY_PREFIX", default=""),
}
# Where the ECB's reference rates are fetched from; empty: nothing is called unless somebody asks for it in Settings
ECB_RATES_URL = env.str("ECB_RATES_URL", default="")
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "copyportal.beat:OneBeat"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

# --- People ---------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "users.User"
AUTHENTICATION_BACKENDS = ["users.adapter.EmailBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "users.passwords.DisguisedCommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_ADAPTER = "users.adapter.AccountAdapter"
ACCOUNT_FORMS = {
    "reset_password": "users.account_forms.ResetPasswordForm",
    "reset_password_from_key": "users.account_forms.NewPasswordForm",
    "change_password": "users.account_forms.ChangePasswordForm",
}
MFA_ADAPTER = "users.factor_adapter.FactorAdapter"
MFA_FORMS = {
    "authenticate": "users.factor_forms.CodeForm",
    "activate_totp": "users.factor_forms.FirstCodeForm",
    "authenticate_webauthn": "users.passkey_forms.SecondStepForm",
    "login_webauthn": "users.passkey_forms.PasskeySignInForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # the code before and the next one: clocks differ; users/factor_forms.py takes each once
MFA_RATE_LIMITS = False
# allauth's limits can be held by anybody on somebody else, or on everybody behind a proxy: users/throttle.py instead
ACCOUNT_RATE_LIMITS = False
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"
PASSWORD_RESET_TIMEOUT = 3600
LOGIN_REDIRECT_URL = "/"
LOGIN_URL = "account_login"

# a form of settings has an input per symbol of its lists; a document has at most a megabyte
DATA_UPLOAD_MAX_NUMBER_FIELDS = 30_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # the web process takes no longer body of any kind, files included

# --- The REST API (api/) --------------------------------------------------------------------------------------------
API_REQUESTS_PER_MINUTE = env.int("API_REQUESTS_PER_MINUTE", default=600)  # of one token
API_WRITES_PER_MINUTE = env.int("API_WRITES_PER_MINUTE", default=120)  # of one token, counted among its requests
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["api.authentication.BearerAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["api.authentication.TokenScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.parsing.StrictJson"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.negotiation.JsonOnly",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "api.schema.Schema",
    "EXCEPTION_HANDLER": "api.problems.answer",
    "URL_FORMAT_OVERRIDE": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "copyportal",
    "DESCRIPTION": "What the pages of the portal show and do, for programs. Times are UTC, money is decimal text.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_NO_READ_ONLY_REQUIRED": True,  # a caller may ask for a few fields only
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [],  # the lists of values stay where they are used
}

# --- The web process (copyportal/asgi.py) ----------------------------------------------------------------------------
# Pages are computed in the first, files in the second; /healthz and /readyz wait for neither.
WEB_THREADS = env.int("WEB_THREADS", default=4)
WEB_DOWNLOAD_THREADS = env.int("WEB_DOWNLOAD_THREADS", default=2)
# How long a request's body may take in all; how long a client may send or take nothing; how long it may read a file.
WEB_BODY_SECONDS = env.float("WEB_BODY_SECONDS", default=60.0)
WEB_IDLE_SECONDS = env.float("WEB_IDLE_SECONDS", default=15.0)
WEB_DOWNLOAD_SECONDS = env.float("WEB_DOWNLOAD_SECONDS", default=900.0)

# --- The copying backend --------------------------------------------------------------------------------------------
# What the first workspace connects to; `make up` points both at the embedded backend.
BACKEND_URL = env.str("BACKEND_URL", default="")
BACKEND_TOKEN = env.str("BACKEND_TOKEN", default="")
# Private addresses that connections may lead to besides BACKEND_URL: networks (10.0.0.0/8) and hosts with their port
PRIVATE_BACKENDS = env.list("PRIVATE_BACKENDS", default=[])
PRIVATE_EVENT_ADDRESSES = env.list("PRIVATE_EVENT_ADDRESSES", default=[])
# where bots of workspaces write to people (users/telegram.py)
TELEGRAM_URL = env.str("TELEGRAM_URL", default="https://api.telegram.org")
BACKEND_PORT = env.int("BACKEND_PORT", default=8001)
# How long one page waits for answers of backends in all, before it goes on with what it has
PAGE_BACKEND_SECONDS = env.float("PAGE_BACKEND_SECONDS", default=5.0)
# How others reach the embedded backend, for webhook addresses and discovery. Unset: its port on this machine.
BACKEND_PUBLIC_URL = env.str("BACKEND_PUBLIC_URL", default="")
BACKEND_REQUESTS_PER_MINUTE = env.int("BACKEND_REQUESTS_PER_MINUTE", default=6000)
BACKEND_HOLD_SECONDS = env.float("BACKEND_HOLD_SECONDS", default=55.0)
# The broker's clock, hours ahead of UTC: the days of risk limits of type equity-difference begin at its midnight.
BACKEND_BROKER_OFFSET_HOURS = env.float("BACKEND_BROKER_OFFSET_HOURS", default=0.0)
# How many days the embedded backend keeps decisions and log lines: decisions=90,log=90. 0, or not named: for ever.
BACKEND_KEEP_DAYS = env.dict("BACKEND_KEEP_DAYS", cast={"value": int}, default={})
# Where signals of strategies with Telegram settings are published: Telegram itself, or a stand-in on this machine.
BACKEND_TELEGRAM_URL = env.str("BACKEND_TELEGRAM_URL", default="https://api.telegram.org")

# --- Watching -------------------------------------------------------------------------------------------------------
# Who sends it as a bearer token may read /metrics; unset: there is no such address.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")

# --- Pages ----------------------------------------------------------------------------------------------------------
# How long one statement of the database may take for a page before the page says that it takes too long
PAGE_STATEMENT_SECONDS = env.float("PAGE_STATEMENT_SECONDS", default=5.0)
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = Path(env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles")))
# only what our pages use: collecting and compressing every package's files would take the first start 5 s longer
STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
STATICFILES_DIRS = [BASE_DIR / "static", ("django_htmx", Path(django_htmx.__file__).parent / "static/django_htmx")]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# Unset: no mail is sent, and pages say so. Printed mails (consolemail://) put links that open accounts into logs.
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="dummymail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
MAIL_IS_SET_UP = not EMAIL_CONFIG["EMAIL_BACKEND"].endswith(("console.EmailBackend", "dummy.EmailBackend"))
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="copyportal@localhost")

# --- Logs -----------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.str("LOG_LEVEL", default="INFO")
LOG_FORMAT = env.str("LOG_FORMAT", default="plain")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": FORMATTERS,
    "filters": {"refusals": {"()": "copyportal.logs.WithoutTracesOfRefusals"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["refusals"]}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # what happens every few seconds is not news: requests, calls of the backend, tasks sent and received
    # and what every scanner sends is no error of ours: the refusal is logged as a request with code 400
    "loggers": {
        **{
            name: {"level": "WARNING"}
            for name in ("django_structlog", "httpx", "celery.beat", "celery.worker.strategy")
        },
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
structlog.configure(
    processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
# Where faults are told, such as https://KEY@sentry.example.com/1; unset: nowhere
SENTRY_DSN = env.str("SENTRY_DSN", default="")
if SENTRY_DSN:
    from copyportal import error_reports  # late: who tells nobody does not load it

    error_reports.begin(SENTRY_DSN, environment=env.str("SENTRY_ENVIRONMENT", default="production"))

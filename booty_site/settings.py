"""All settings, read once from the environment. README.md explains each variable."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from booty_site.env import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(os.environ)

SENTRY_DSN = env.dsn("SENTRY_DSN")
SENTRY_ENVIRONMENT = env.text("SENTRY_ENVIRONMENT", "development")
SENTRY_RELEASE = env.text("SENTRY_RELEASE") or None
BOOTY_SENTRY_EVENT_URL = env.text("BOOTY_SENTRY_EVENT_URL")
SENTRY_SAMPLE_RATE = env.fraction("SENTRY_SAMPLE_RATE", 1.0)
PRODUCTION = SENTRY_ENVIRONMENT.lower() in ("production", "prod")

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.secret("SECRET_KEY")
if not SECRET_KEY and PRODUCTION:
    env.problems.append("SECRET_KEY is not set. Set it to a long random text and keep it; sessions depend on it.")
# Outside production a key of its own for each start: sign-ins end with it, and nothing has to be set.
SECRET_KEY = SECRET_KEY or secrets.token_urlsafe(50)
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS")) or ["localhost", "127.0.0.1", "[::1]"]

WEBHOOK_SECRET = env.secret("WEBHOOK_SECRET")
ALLOWED_REPOSITORIES = env.words("ALLOWED_REPOSITORIES")
TRIGGER_LABEL = env.text("TRIGGER_LABEL", "agent:builder")
TARGET_BRANCH = env.text("TARGET_BRANCH")
GITHUB_API_URL = env.web_address("GITHUB_API_URL", "https://api.github.com")
GITHUB_TOKEN = env.secret("GITHUB_TOKEN")
GITHUB_APP_ID = env.whole("GITHUB_APP_ID", 0)
GITHUB_APP_PRIVATE_KEY = env.secret("GITHUB_APP_PRIVATE_KEY").replace("\\n", "\n")
if bool(GITHUB_APP_ID) != bool(GITHUB_APP_PRIVATE_KEY):
    env.problems.append("GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY belong together. Set both or neither.")

# GitHub Enterprise serves its API below the site's own address.
GITHUB_WEB_URL = "https://github.com" if GITHUB_API_URL == "https://api.github.com" else GITHUB_API_URL.removesuffix("/api/v3")

BOOTY_STATE_DIR = Path(env.text("BOOTY_STATE_DIR", str(BASE_DIR / ".state"))).resolve()
# Outside of any project by default: tools look for their configuration in the folders above.
BOOTY_RUNS_DIR = Path(env.text("BOOTY_RUNS_DIR", tempfile.gettempdir())).resolve()
BOOTY_BASE_URL = env.web_address("BOOTY_BASE_URL", "http://127.0.0.1:8000")
BOOTY_ENGINE = env.choice("BOOTY_ENGINE", "command", ("command",))
BOOTY_ENGINE_COMMAND = env.argv("BOOTY_ENGINE_COMMAND")
BOOTY_ENGINE_TIMEOUT = env.seconds("BOOTY_ENGINE_TIMEOUT", 1800)
BOOTY_ENGINE_ENV = env.words("BOOTY_ENGINE_ENV")
BOOTY_COMMAND_ENV = env.words("BOOTY_COMMAND_ENV")
BOOTY_RUN_TIMEOUT = env.seconds("BOOTY_RUN_TIMEOUT", 3600)
BOOTY_LEASE_SECONDS = env.seconds("BOOTY_LEASE_SECONDS", 60)
BOOTY_HEARTBEAT_SECONDS = env.seconds("BOOTY_HEARTBEAT_SECONDS", 15)
BOOTY_RECONCILE_SECONDS = env.seconds("BOOTY_RECONCILE_SECONDS", 2)
BOOTY_MAX_ATTEMPTS = env.whole("BOOTY_MAX_ATTEMPTS", 3, least=1)
BOOTY_RETRY_SECONDS = env.seconds("BOOTY_RETRY_SECONDS", 5)
BOOTY_MAX_RUNNING = env.whole("BOOTY_MAX_RUNNING", 4, least=1)
BOOTY_GRACE_SECONDS = env.seconds("BOOTY_GRACE_SECONDS", 30)
BOOTY_DISPATCH_SECONDS = env.seconds("BOOTY_DISPATCH_SECONDS", 15)
BOOTY_NOTICE_SECONDS = env.seconds("BOOTY_NOTICE_SECONDS", 90)
BOOTY_GITHUB_SECONDS = env.whole("BOOTY_GITHUB_SECONDS", 15, least=1)
BOOTY_MISSED_SECONDS = env.seconds("BOOTY_MISSED_SECONDS", 300)
BOOTY_KEEP_DAYS = env.whole("BOOTY_KEEP_DAYS", 30, least=1)
# Read again in faults.py, before settings exist; here for the system check.
BOOTY_FAULTS_DIR = env.text("BOOTY_FAULTS_DIR")
BOOTY_AUTHOR_NAME = env.text("BOOTY_AUTHOR_NAME", "Booty")
BOOTY_AUTHOR_EMAIL = env.text("BOOTY_AUTHOR_EMAIL", "booty@users.noreply.github.com")
if BOOTY_HEARTBEAT_SECONDS * 2 > BOOTY_LEASE_SECONDS:
    env.problems.append(
        "BOOTY_LEASE_SECONDS must be at least twice BOOTY_HEARTBEAT_SECONDS, so that one missed beat does no harm."
    )

REDIS_URL = env.secret("REDIS_URL") or "redis://127.0.0.1:6379/0"
if not env.is_broker_address(REDIS_URL):
    # The value may hold a password, so it is not repeated here.
    env.problems.append("REDIS_URL is not an address such as redis://host:6379/0, rediss://… or unix://….")
    REDIS_URL = "redis://127.0.0.1:6379/0"
# `verifier` before `jobs`: a verdict is waited for by a person. RQ's own limit lies beyond ours,
# so that a run that takes too long ends with our code and our sentence.
RQ_TIMEOUT_SECONDS = int(BOOTY_RUN_TIMEOUT) + 3600
RQ_QUEUES = {name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": RQ_TIMEOUT_SECONDS} for name in ("verifier", "jobs")}
RQ = {"COMMIT_MODE": "auto", "DEFAULT_RESULT_TTL": 3600}

DATABASES = {"default": env.database("DATABASE_URL", f"sqlite:///{BOOTY_STATE_DIR / 'booty.sqlite3'}")}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    env.make_folder(Path(DATABASES["default"]["NAME"]).parent, "BOOTY_STATE_DIR or DATABASE_URL")
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
    }
    # Tests use a file too: threads and processes meet there as they do in service.
    DATABASES["default"]["TEST"] = {"NAME": BOOTY_STATE_DIR / "test.sqlite3"}
else:
    DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    DATABASES["default"].setdefault("OPTIONS", {})["server_side_binding"] = True

BOOTY_SECRETS = [
    secret
    for secret in (
        SECRET_KEY,
        WEBHOOK_SECRET,
        GITHUB_TOKEN,
        GITHUB_APP_PRIVATE_KEY,
        SENTRY_DSN,
        urlsplit(REDIS_URL).password or "",
        str(DATABASES["default"].get("PASSWORD") or ""),
    )
    if secret
]

INSTALLED_APPS = [
    # Before django_rq, so that our rqworker command is the one that runs.
    "booty_site",
    "jobs",
    "verifier",
    "django_rq",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "booty_site.urls"
WSGI_APPLICATION = "booty_site.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BOOTY_STATE_DIR / "static"
# GitHub's own limit for a webhook's body; Django's default of 2.5 MB would refuse real deliveries.
DATA_UPLOAD_MAX_MEMORY_SIZE = 25 * 1024 * 1024

if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    CSRF_TRUSTED_ORIGINS = [BOOTY_BASE_URL]
    # A probe on the machine itself speaks plain http.
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "booty_site.redaction.RedactingFormatter", "format": "%(asctime)s %(levelname)s %(name)s %(message)s"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {name: {"level": "INFO"} for name in ("booty_site", "jobs", "verifier")},
}

env.refuse_problems()

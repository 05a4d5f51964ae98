"""One file, all from the environment; the defaults run on a laptop."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import structlog
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from empathy_dash import env

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY", "insecure-laptop-key-set-SECRET_KEY-in-production-0123456789")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1,localhost,[::1],testserver")
PORT = env.integer("PORT", 8000)
PUBLIC_URL = env.text("PUBLIC_URL", f"http://127.0.0.1:{PORT}").rstrip("/")
# Streams of one media process: in all, and of one source, so that no source can take every place.
MEDIA_MAX_STREAMS = env.integer("MEDIA_MAX_STREAMS", 500)
MEDIA_MAX_STREAMS_PER_SOURCE = env.integer("MEDIA_MAX_STREAMS_PER_SOURCE", max(1, MEDIA_MAX_STREAMS * 4 // 5))
# Audio may come at this multiple of real time.
MEDIA_SPEED = env.decimal("MEDIA_SPEED", 2.0)
MEDIA_URL_BASE = env.text("MEDIA_PUBLIC_URL", f"ws://127.0.0.1:{PORT + 1}").rstrip("/")
AUDIOSOCKET = env.address("AUDIOSOCKET")
AUDIOSOCKET_PUBLIC = env.text("AUDIOSOCKET_PUBLIC", AUDIOSOCKET)
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL.startswith("http") else []
USE_HTTPS = PUBLIC_URL.startswith("https://")
if USE_HTTPS and SECRET_KEY.startswith("insecure-"):
    raise ImproperlyConfigured("PUBLIC_URL is https, so this is not a laptop: set SECRET_KEY.")

INSTALLED_APPS = [
    "whitenoise.runserver_nostatic",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "channels",
    "csp",
    "django_structlog",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "calls.apps.CallsConfig",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "calls.middleware.required_second_factor",
    "django_structlog.middlewares.RequestMiddleware",
]

ROOT_URLCONF = "empathy_dash.urls"
ASGI_APPLICATION = "empathy_dash.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- data ------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL") | {"CONN_HEALTH_CHECKS": True}}
DATABASES["default"]["OPTIONS"] = DATABASES["default"].get("OPTIONS", {}) | {
    "pool": {"min_size": 1, "max_size": 8, "timeout": 10},
}
REDIS_URL = env.text("REDIS_URL", "redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "empathy"},
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- people ----------------------------------------------------------------------------------
AUTH_USER_MODEL = "calls.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "calls.accounts.ClosedAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
PASSWORD_RESET_TIMEOUT = 3 * 86400  # log-in links of /people/
MFA_ADAPTER = "calls.accounts.SealedSecrets"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Empathy Dash"
MFA_TOTP_TOLERANCE = 1  # one step of 30 s early or late (RFC 6238, 5.2): clocks differ, and typing takes time
# How many proxies of ours stand in front and add to X-Forwarded-For; 0: it is not believed.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXIES", 0)
OIDC_ISSUER = env.text("OIDC_ISSUER").rstrip("/")
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET")
OIDC_NAME = env.text("OIDC_NAME", "single sign-on")
OIDC_ONLY = env.flag("OIDC_ONLY")
OIDC_TRUST_EMAIL = env.flag("OIDC_TRUST_EMAIL")
SOCIALACCOUNT_ADAPTER = "calls.sso.People"
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "OAUTH_PKCE_ENABLED": True,
        "APPS": [
            {
                "provider_id": "sso",
                "name": OIDC_NAME,
                "client_id": OIDC_CLIENT_ID,
                "secret": OIDC_CLIENT_SECRET,
                "settings": {"server_url": OIDC_ISSUER, "uid_field": "bound"},
            }
        ]
        if OIDC_ISSUER
        else [],
    }
}
EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.integer("EMAIL_PORT", 587)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", True)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "empathy-dash@localhost")
MAILER = "smtp" if EMAIL_HOST else "console"
EMAIL_BACKEND = env.text("EMAIL_BACKEND", f"django.core.mail.backends.{MAILER}.EmailBackend")

# --- work ------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
# A wake-up that cannot be sent at once is not worth waiting for: the ledger has the work.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.2,
    "interval_max": 0.5,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "housekeeping"
CELERY_TASK_ROUTES = {
    "calls.tasks.score_due": {"queue": "score"},
    "calls.tasks.try_firewall": {"queue": "score"},
    "calls.tasks.score_recordings": {"queue": "recordings"},
}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    "reconcile": {"task": "calls.tasks.reconcile", "schedule": 1.0, "options": {"expires": 5}},
    "close-stale": {"task": "calls.tasks.close_stale", "schedule": 10.0, "options": {"expires": 10}},
    "close-looks": {"task": "calls.tasks.close_looks", "schedule": 10.0, "options": {"expires": 10}},
    "learn-missing": {"task": "calls.tasks.learn_missing", "schedule": 60.0, "options": {"expires": 60}},
    "learn-all": {"task": "calls.tasks.learn_missing", "schedule": 86400.0, "args": (True,)},
    "finish-kept": {"task": "calls.tasks.finish_kept", "schedule": 5.0, "options": {"expires": 5}},
    "try-drafts": {"task": "calls.tasks.try_drafts", "schedule": 1.0, "options": {"expires": 2}},
    "publish-due": {"task": "calls.tasks.publish_due", "schedule": 30.0, "options": {"expires": 30}},
    "try-firewall": {"task": "calls.tasks.try_firewall", "schedule": 300.0, "options": {"expires": 300}},
    "purge-due": {"task": "calls.tasks.purge_due", "schedule": 3600.0, "options": {"expires": 600}},
    "deliver-webhooks": {
        "task": "calls.tasks.deliver_webhooks",
        "schedule": 2.0,
        "options": {"expires": 2},
    },
    "forget-deliveries": {"task": "calls.tasks.forget_deliveries", "schedule": 3600.0},
    "score-recordings": {"task": "calls.tasks.score_recordings", "schedule": 1.0, "options": {"expires": 2}},
    "tidy-uploads": {"task": "calls.tasks.tidy_uploads", "schedule": 3600.0, "options": {"expires": 600}},
    "forget-practice": {
        "task": "calls.tasks.forget_practice",
        "schedule": 3600.0,
        "options": {"expires": 60},
    },
    "forget-strays": {"task": "calls.tasks.forget_strays", "schedule": 3600.0, "options": {"expires": 60}},
}
SCORE_BATCH = env.integer("SCORE_BATCH", 32)
STALE_CALL_S = env.integer("STALE_CALL_S", 45)
APPEAL_DAYS = env.integer("APPEAL_DAYS", 14)
# A source must say so too; web, workers and housekeeping need the same folder.
KEEP_AUDIO = env.flag("KEEP_AUDIO")
STATE_HOME = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
AUDIO_DIR = Path(env.text("AUDIO_DIR", str(STATE_HOME / "empathy-dash" / "audio"))).expanduser()
# Uploaded recordings, until they are scored; web and the recordings worker need the same folder.
RECORDINGS_DIR = Path(
    env.text("RECORDINGS_DIR", str(STATE_HOME / "empathy-dash" / "recordings"))
).expanduser()
RECORDING_MAX_BYTES = env.integer("RECORDING_MAX_MB", 500) * 1_000_000
RECORDING_MAX_HOURS = env.integer("RECORDING_MAX_HOURS", 4)
RECORDINGS_AT_ONCE = env.integer("RECORDINGS_AT_ONCE", 1)

# --- programs ---------------------------------------------------------------------------------
API_RATE = env.text("API_RATE", "600/min")
# Networks, as CIDRs, that webhooks may reach though they are not public.
WEBHOOK_PRIVATE = env.networks("WEBHOOK_PRIVATE")
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "shared": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    },
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["calls.api.rights.TokenInHeader", "calls.api.rights.LoggedIn"],
    "DEFAULT_PERMISSION_CLASSES": ["calls.api.rights.InScope"],
    "DEFAULT_THROTTLE_CLASSES": ["calls.api.rights.ByToken"],
    "DEFAULT_PAGINATION_CLASS": "calls.api.pages.Pages",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "calls.api.schema.Described",
    "EXCEPTION_HANDLER": "calls.api.problems.handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
    "COERCE_DECIMAL_TO_STRING": False,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Empathy Dash",
    "DESCRIPTION": "Calls, their timelines, alerts, trends and rubrics. Times are UTC, ISO 8601.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["calls.api.rights.InScope"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "calls.api.schema.with_problems",
    ],
    "ENUM_NAME_OVERRIDES": {"RiskEnum": "calls.choices.RISKS"},
}

# --- models ----------------------------------------------------------------------------------
VOICE_MODEL = env.text("VOICE_MODEL")
SPEECH_MODEL = env.text("SPEECH_MODEL", "whisper-base")
DEVICE = env.text("DEVICE", "cpu")
STAND_IN_MODELS = env.flag("STAND_IN_MODELS")
SITE_WEIGHTS_DIR = Path(
    env.text("SITE_WEIGHTS_DIR", str(STATE_HOME / "empathy-dash" / "site-weights"))
).expanduser()
REFIT_MAX_GAP = float(env.text("REFIT_MAX_GAP", "0.05"))
os.environ["SITE_WEIGHTS_DIR"] = str(SITE_WEIGHTS_DIR)
# Scoring knows no Django and reads these two itself: what came as NAME_FILE is handed on as NAME.
VOICE_MODEL_DIGEST = env.text("VOICE_MODEL_DIGEST")
VOICE_MODEL_LABELS = env.text("VOICE_MODEL_LABELS")
os.environ |= {"VOICE_MODEL_DIGEST": VOICE_MODEL_DIGEST, "VOICE_MODEL_LABELS": VOICE_MODEL_LABELS}

# --- pages -----------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LOCALE_PATHS = [BASE_DIR / "calls" / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
STATIC_URL = "/static/"
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / ".static"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "empathy_dash.finders.PackageFinder",
]
# After `collectstatic`: names carry a hash, so browsers keep them for ever; and they are compressed.
if env.flag("HASHED_STATIC"):
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "empathy_dash.finders.HashedStorage"},
    }
else:
    WHITENOISE_USE_FINDERS = True
# The hash is that of the empty style element Plotly makes for itself.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF, MEDIA_URL_BASE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [NONE],
    },
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = USE_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if USE_HTTPS else None

if "pytest" in sys.modules:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # tests log in a lot
    del DATABASES["default"]["OPTIONS"]["pool"]  # its idle connections keep the test database from going
METRICS_TOKEN = env.text("METRICS_TOKEN")
LOG_LEVEL = env.text("LOG_LEVEL", "INFO")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django_structlog": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "speechbrain": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.filter_by_level,
        structlog.processors.format_exc_info,  # plain: a traceback with locals would show secrets
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)

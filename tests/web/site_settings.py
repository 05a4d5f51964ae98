"""The product's settings, with the made-up site's addresses and no database."""

from empathy_dash.settings import *  # noqa: F403

ROOT_URLCONF = "tests.web.site"
DEBUG = True
MIDDLEWARE = [
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
TEMPLATES[0]["OPTIONS"]["context_processors"] = ["django.template.context_processors.request"]  # noqa: F405

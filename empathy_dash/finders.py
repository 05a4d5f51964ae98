"""Front-end files that come inside Python packages, served as if they lay in static/vendor/."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage, Error
from django.core.files.storage import FileSystemStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage  # type: ignore[import-untyped]

PACKAGED = {
    "vendor/plotly.min.js": ("plotly", "package_data/plotly.min.js"),
}


def packaged_path(package: str, inside: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(spec.origin).parent / inside


class PackagedStorage(FileSystemStorage):
    """Read-only: each name leads to one file inside an installed package."""

    def path(self, name: str) -> str:
        return str(packaged_path(*PACKAGED[name]))


class PackageFinder(BaseFinder):
    storage = PackagedStorage()

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return [
            Error(f"{name} is missing.", hint=f"Install {package} as pinned.", id="empathy_dash.E001")
            for name, (package, inside) in PACKAGED.items()
            if find_spec(package) is None or not packaged_path(package, inside).is_file()
        ]

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = [str(packaged_path(*PACKAGED[path]))] if path in PACKAGED else []
        return found if find_all or kwargs.get("all") else (found[0] if found else None)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterable[tuple[str, PackagedStorage]]:
        return [(name, self.storage) for name in PACKAGED]


class HashedStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """For production (collectstatic): hashed names for immutable caching, also inside ES modules' imports."""

    support_js_module_import_aggregation = True
    manifest_strict = False

    def hashed_name(self, name: str, content: Any = None, filename: str | None = None) -> str:
        """A name that a packaged script mentions but does not ship stays as it is."""
        try:
            return str(super().hashed_name(name, content, filename))
        except ValueError:
            return name

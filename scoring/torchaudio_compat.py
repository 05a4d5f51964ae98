"""Let SpeechBrain import beside a CPU-only torch; knows nothing about models.

`import speechbrain` imports torchaudio, and torchaudio's wheel is a CUDA build whose compiled extension
does not load beside a CPU torch. Resampling, fbank and filters need no extension; forced alignment does
and stays unavailable. The module replaced here is private to torchaudio: its version is pinned, and
tests/scoring/test_voice_compat.py guards the pin.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn


def ensure_torchaudio() -> bool:
    """Import torchaudio; True when the stand-in for its compiled extension had to be used."""
    try:
        import torchaudio  # noqa: F401
    except OSError:
        for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _extension_stand_in()
        import torchaudio  # noqa: F401
    return bool(getattr(sys.modules["torchaudio._extension"], "is_stand_in", False))


def _extension_stand_in() -> ModuleType:
    module: Any = ModuleType("torchaudio._extension")
    module.is_stand_in = True
    module._IS_TORCHAUDIO_EXT_AVAILABLE = False
    module._IS_ALIGN_AVAILABLE = False
    module._check_cuda_version = lambda: None
    module.fail_if_no_align = _unavailable
    return module  # type: ignore[no-any-return]


def _unavailable(function: Callable[..., object]) -> Callable[..., NoReturn]:
    def refuse(*args: object, **kwargs: object) -> NoReturn:
        raise RuntimeError(
            f"{function.__name__} needs torchaudio's compiled extension, which this torch cannot load"
        )

    return refuse


def settle_lazy_modules() -> None:
    """Keep tools that walk sys.modules (Hypothesis, autoreload) from waking SpeechBrain's lazy modules.

    Each is a placeholder that imports an optional package on any missing attribute, and raises when that
    package is absent. `__file__` is what those tools ask for. Call it once SpeechBrain is imported.
    """
    for module in list(sys.modules.values()):
        if type(module).__module__ == "speechbrain.utils.importutils" and "__file__" not in vars(module):
            module.__file__ = None

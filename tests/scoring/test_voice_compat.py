"""SpeechBrain imports beside this torch, in a fresh process, whatever torchaudio's wheel was built for."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from scoring.torchaudio_compat import ensure_torchaudio
stand_in = ensure_torchaudio()
assert ensure_torchaudio() == stand_in  # again is harmless
import torch, torchaudio, speechbrain
from speechbrain.inference.interfaces import Pretrained
resampled = torchaudio.transforms.Resample(16000, 8000)(torch.randn(1, 16000))
assert resampled.shape == (1, 8000), resampled.shape
assert torchaudio.compliance.kaldi.fbank(torch.randn(1, 16000)).shape[1] == 23
if stand_in:
    try:
        torchaudio.functional.forced_align(torch.randn(1, 5, 3), torch.tensor([[1]]))
    except RuntimeError as error:
        assert "compiled extension" in str(error), error
    else:
        raise AssertionError("forced_align must say that it cannot work")
import scoring.voice_network
for module in list(sys.modules.values()):
    getattr(module, "__file__", None)  # what Hypothesis and Django's autoreloader do
print("ok")
"""


def test_speechbrain_imports_and_torchaudio_works() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout.strip() == "ok", done.stderr

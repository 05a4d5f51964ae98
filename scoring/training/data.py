"""What every task that reads labelled data shares: one error that tells the person what to do."""

from __future__ import annotations


class DataError(ValueError):
    """Labelled data that cannot be used; the message says what is wrong and what to do."""

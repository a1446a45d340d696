"""Why a message cannot be read."""

from __future__ import annotations


class ConversionError(ValueError):
    """A message whose content cannot be read; the text says why.

    :ivar reason: the same for every message that fails for the same cause, whatever its size: what is counted.
    :ivar detail: what was found in this one.
    """

    def __init__(self, reason: str, detail: str = '') -> None:
        """Keep both; the text is ``reason (detail)``."""
        super().__init__(f'{reason} ({detail})' if detail else reason)
        self.reason, self.detail = reason, detail


class UnknownEncodingError(ConversionError):
    """An encoding that is not known here."""

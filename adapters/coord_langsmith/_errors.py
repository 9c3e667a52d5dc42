"""How a delivery may fail, as far as it matters for what is done next."""

from __future__ import annotations


class NotYetError(Exception):
    """LangSmith does not know the run or its project yet."""


class UnavailableError(Exception):
    """LangSmith cannot take it now; whether it did is unknown.

    Attributes:
        is_final: Whether trying again at once is of no use (a wrong key, a call that hangs).
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        """Say why.

        Args:
            message: What LangSmith's client said.
            is_final: Whether trying again at once is of no use.
        """
        super().__init__(message)
        self.is_final = is_final


class RefusedError(Exception):
    """LangSmith will never take it."""

"""`PrivateParts`: what an adapter takes from its host that the host does not promise."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module, metadata
from typing import Any, NoReturn

from .errors import UnsupportedHostError


@lru_cache
def version(distribution: str) -> str:
    """An installed version; read once, since hosts may be attached per request."""
    return metadata.version(distribution)


class PrivateParts:
    """The private names of a host, and the versions in which they are known to be there.

    A name that is gone is noted when the adapter is imported and reported by `attach`, not by an
    `ImportError`.

    Attributes:
        tested: The host's versions that the adapter's tests pass on, oldest first.
        gone: The names that were not found.
    """

    def __init__(self, adapter: str, host: str, distribution: str, tested: tuple[str, ...]) -> None:
        """Begin with no name.

        Args:
            adapter: The adapter's package.
            host: The host as users write it, for example "LangGraph".
            distribution: Its distribution, whose version is asked.
            tested: The versions that the adapter's tests pass on, oldest first.
        """
        self.tested = tested
        self.gone: list[str] = []
        self._adapter = adapter
        self._host = host
        self._distribution = distribution

    @property
    def last_good(self) -> str:
        """The newest version that is known to work."""
        return self.tested[-1]

    def name(self, module: str, name: str) -> Any:
        """A private name, or None and a note for `check`."""
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError):
            self.gone.append(f"{module}.{name}")
            return None

    def check(self) -> None:
        """Check that every name was there.

        Raises:
            UnsupportedHostError: One is gone; names it and the last good version.
        """
        if self.gone:
            self.refuse(f"{', '.join(self.gone)} is gone")

    def refuse(self, what: str) -> NoReturn:
        """Raise the error of a host that has changed.

        Args:
            what: What is no longer as the adapter needs it.
        """
        raise UnsupportedHostError(
            f"{self._host} {version(self._distribution)} has changed a part that {self._adapter} "
            f"relies on ({what}); the last version that is known to work is {self.last_good}"
        )

    def finding(self) -> str | None:
        """One sentence where the installed version lies outside of the tested ones, else None.

        The releases between the first and the last tested minor version count as tested.
        """
        installed = version(self._distribution)
        first, last = (_numbers(v)[:2] for v in (self.tested[0], self.tested[-1]))
        if first <= _numbers(installed)[:2] <= last:
            return None
        tested = ", ".join(self.tested)
        return f"{self._host} {installed} is not among the tested versions ({tested})"


def _numbers(said: str) -> tuple[int, ...]:
    return tuple(int(part) for part in said.split(".")[:3] if part.isdigit())

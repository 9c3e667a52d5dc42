"""A server that does not do what it should, on demand."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field

KINDS = ("down", "hanging", "slow", "drop")


@dataclass
class Fault:
    """One order to misbehave: for which requests, how often, and how."""

    kind: str | int
    path: re.Pattern[str] | None = None
    left: int | None = None
    seconds: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: bool = False


class Faults:
    """The faults that are in force; the one named first applies first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    def add(self, fault: Fault) -> None:
        """Put a fault in force.

        Raises:
            ValueError: It cannot be: an unknown kind, no status, or no seconds to be slow.
        """
        is_status = isinstance(fault.kind, int) and 300 <= fault.kind <= 599
        if not is_status and fault.kind not in KINDS:
            raise ValueError(f"{fault.kind!r} is neither a status of 300 to 599 nor one of {KINDS}")
        if fault.kind == "down" and (fault.path or fault.left or fault.after):
            raise ValueError("a server that is down is so for every path: use 'drop' for some")
        if fault.kind == "slow" and fault.seconds is None:
            raise ValueError("how slow? say seconds=")
        with self._lock:
            self._faults.append(fault)

    def take(self, path: str) -> tuple[Fault | None, threading.Event]:
        """The fault for a request, used up by one, and the event that ends every waiting."""
        with self._lock:
            for fault in self._faults:
                if fault.left == 0 or (fault.path and not fault.path.search(path)):
                    continue
                if fault.left is not None:
                    fault.left -= 1
                return fault, self._over
            return None, self._over

    def clear(self) -> None:
        """No fault is in force, and nobody waits any more."""
        with self._lock:
            self._faults.clear()
            self._over.set()
            self._over = threading.Event()

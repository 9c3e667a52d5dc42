"""The line that shows how a question stands, while its trials run."""

from __future__ import annotations

import math
import time

import pytest

from coord_plugins import Gate

_EVERY = 0.1
"""Seconds between two updates."""


class Progress:
    """A line on the terminal; silent where there is none, under pytest-xdist and with -s."""

    def __init__(self, config: pytest.Config) -> None:
        """Find the terminal."""
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        worker = hasattr(config, "workerinput")
        shown = (
            terminal is not None
            and not worker
            and terminal.isatty
            and config.getoption("capture", "no") != "no"  # else the test writes there itself
            and config.get_verbosity() >= 0
        )
        self._terminal = terminal if shown else None
        self._shown_at = 0.0
        self._name = ""

    def show(self, name: str, gate: Gate, limit: int) -> None:
        """Show where it stands; at most ten times a second."""
        now = time.monotonic()
        if self._terminal is None or now - self._shown_at < _EVERY:
            return
        if not self._shown_at:
            self._terminal.ensure_newline()
        self._shown_at, self._name = now, name
        self._terminal.rewrite(line(name, gate, limit, self._terminal._tw.fullwidth), erase=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._terminal is not None and self._shown_at:
            self._terminal.rewrite("", erase=True)
            self._terminal.rewrite("")
            if self._terminal.showfspath:  # the dots of its file go on
                self._terminal.write_fspath_result(self._name, "")
            self._shown_at = 0.0


def line(name: str, gate: Gate, limit: int, width: int) -> str:
    """How it stands: trials, and the evidence on the way from 0 % to a verdict.

    Args:
        name: The test.
        gate: Its gate.
        limit: The most trials.
        width: Columns of the terminal.
    """
    towards = max(0.0, gate.log_evidence / -math.log(gate.alpha))
    against = max(0.0, gate.log_likelihood_ratio / math.log(gate.beta))
    said = (
        f"{gate.successes}/{gate.trials} passed, at most {limit}; "
        f"evidence {min(1.0, towards):.0%} to accept, {min(1.0, against):.0%} to reject"
    )
    room = width - len(said) - 4
    shown = name if len(name) <= room else f"…{name[len(name) - room + 1 :]}" if room > 8 else ""
    return f"{shown}  {said}"[: width - 1]

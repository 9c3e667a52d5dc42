"""One trial of a test: its set-up and its call, and how it ended."""

from __future__ import annotations

import bdb
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from ._private import call_and_report

Kind = Literal["passed", "failure", "error", "over"]
"""How a trial ended; over: it was skipped or interrupted, and the question ends with it."""


@dataclass
class Trial:
    """One trial."""

    setup: pytest.TestReport
    """How its fixtures were set up."""
    call: pytest.TestReport | None
    """What the test did; None: its fixtures failed."""
    kind: Kind
    """How it ended."""

    @property
    def told(self) -> pytest.TestReport:
        """The report that says how it ended."""
        return self.setup if self.call is None else self.call


def begin(item: Any, raised: dict[str, Any]) -> Trial:
    """Set up a test's fixtures and call it; nothing is logged.

    Args:
        item: The test.
        raised: Where the plug-in puts what each phase raised.
    """
    raised.clear()
    if hasattr(item, "_request") and not item._request:
        renew(item)
    setup = call_and_report(item, "setup", log=False)
    call = call_and_report(item, "call", log=False) if setup.passed else None
    if call is None:
        kind = _kind(raised.get("setup"), called=False)
    else:
        kind = _kind(raised.get("call"), called=True)
    return Trial(setup, call, kind)


def renew(item: Any) -> None:
    """Give a test that ran before what pytest gives a new one: fixtures, and its instance."""
    if isinstance(item.parent, pytest.Class):
        # a method belongs to an instance, which pytest makes once per test
        vars(item).pop("_instance", None)
        vars(item).pop("_obj", None)
    item._report_sections.clear()  # what the trial before it printed
    item._initrequest()


def end(item: Any, nextitem: pytest.Item | None, *, log: bool) -> pytest.TestReport:
    """Tear down what the next test does not need.

    Args:
        item: The test.
        nextitem: What runs next.
        log: Whether pytest is told.
    """
    try:
        report: pytest.TestReport = call_and_report(item, "teardown", log=log, nextitem=nextitem)
        return report
    finally:
        forget(item)


def forget(item: Any) -> None:
    """Drop a test's fixtures; as pytest does after each test."""
    if hasattr(item, "_request"):
        item._request = False
        item.funcargs = None


class Sibling(pytest.Item):
    """Stands for "the same test again": all but the test itself stays set up for it."""

    def runtest(self) -> None:
        """It never runs."""
        raise NotImplementedError


def _kind(excinfo: pytest.ExceptionInfo[BaseException] | None, *, called: bool) -> Kind:
    if excinfo is None:
        return "passed"
    error = excinfo.value
    over = (pytest.skip.Exception, pytest.xfail.Exception, KeyboardInterrupt, bdb.BdbQuit)
    if isinstance(error, over):
        return "over"
    return "failure" if called and _is_assertion(error) else "error"


def _is_assertion(error: BaseException) -> bool:
    """An assertion that does not hold, also in a group of nothing else."""
    parts = getattr(error, "exceptions", None)
    if isinstance(parts, tuple) and parts:
        return all(_is_assertion(part) for part in parts)
    return isinstance(error, (AssertionError, pytest.fail.Exception))

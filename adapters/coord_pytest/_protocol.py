"""The plug-in that repeats marked tests. Registered when the first of them is collected."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from coord_plugins import PolicyError, RunRecord, collect_runs
from coord_plugins.host import current_mode

from ._private import TerminalWriter
from ._progress import Progress
from ._question import Question, ask
from ._trials import Sibling, Trial, begin, end, forget

_SEEDED = (
    "pytest-randomly sets the same seed before every trial, which makes them alike: run with "
    "--randomly-dont-reset-seed"
)


class Trials:
    """Runs the tests that carry the mark, as often as their question needs."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the options.

        Args:
            config: pytest's configuration.
        """
        self._config = config
        self._raised: dict[str, Any] | None = None
        self._refused: dict[pytest.Item, str] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Take over from pytest for a marked test."""
        marker = item.get_closest_marker("reliability")
        if marker is None or self._config.getoption("setuponly", False):
            return None
        try:
            mode = current_mode()
            cap = self._config.getoption("reliability_trials")
            question = ask(marker, cap, observed=mode == "observe")
        except PolicyError as error:
            self._refused[item] = f"reliability: {error}"  # its set-up says so
            return None
        if mode == "off":
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        self._raised = {}
        try:
            with _in_memory(), collect_runs() as runs:
                _Repeated(item, nextitem, question, self._raised, runs).run()
        finally:
            self._raised = None
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """An error in the mark is an error of the test."""
        if item in self._refused:
            pytest.fail(self._refused.pop(item), pytrace=False)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        """See what a phase raised, after every other plug-in has seen it."""
        yield
        if self._raised is not None:
            self._raised[call.when] = call.excinfo


@contextmanager
def _in_memory() -> Iterator[None]:
    """Trials are recorded in memory, unless somebody says where."""
    before = os.environ.get("COORD_STORE")
    if not before:
        os.environ["COORD_STORE"] = "memory"
    try:
        yield
    finally:
        if not before and os.environ.get("COORD_STORE") == "memory":
            del os.environ["COORD_STORE"]  # "" says no more than nothing


def _made(item: pytest.Item, when: Any, act: Any) -> pytest.TestReport:
    """The report of a phase in which `act` is what happens."""
    call: pytest.CallInfo[None] = pytest.CallInfo.from_call(act, when)
    report: pytest.TestReport = item.ihook.pytest_runtest_makereport(item=item, call=call)
    return report


def _text(report: pytest.TestReport) -> str:
    """A report's traceback without colours, its first line as far to the right as the others."""
    stream = io.StringIO()
    writer = TerminalWriter(stream)
    writer.hasmarkup = False
    report.toterminal(writer)
    return stream.getvalue().strip("\n")


class _Repeated:
    """One marked test: its trials, and the one result that pytest is told."""

    def __init__(
        self,
        item: pytest.Item,
        nextitem: pytest.Item | None,
        question: Question,
        raised: dict[str, Any],
        runs: list[RunRecord],
    ) -> None:
        self.item = item
        self.nextitem = nextitem
        self.question = question
        self.raised = raised
        self.runs = runs
        self.own_properties = list(item.user_properties)
        self.good_setup: pytest.TestReport | None = None
        self.first_bad: tuple[int, str, pytest.TestReport] | None = None
        self.seconds = {"setup": 0.0, "call": 0.0, "teardown": 0.0}

    def run(self) -> None:
        """Repeat it until there is an answer, and tell pytest."""
        parent: Any = self.item.parent
        again = Sibling.from_parent(parent, name=f"{self.item.name} again")
        progress = Progress(self.item.config)
        session = self.item.session
        try:
            while True:
                trial = self._begin()
                if trial.kind == "over":
                    break
                if self.question.would_end(trial.kind) or session.shouldstop or session.shouldfail:
                    self._count(trial)
                    break
                teardown = end(self.item, again, log=False)
                self.seconds["teardown"] += teardown.duration
                if teardown.failed:
                    trial.kind = "error"
                self._count(trial, teardown if teardown.failed else None)
                progress.show(self.item.nodeid, self.question.gate, self.question.limit)
                if self.question.ended:  # the error of its teardown decided
                    progress.clear()
                    self._tell(trial)
                    self._tear_down_the_rest()
                    return
        finally:
            progress.clear()
        self._tell(trial)
        stopping = session.shouldfail or session.shouldstop  # as pytest does: nothing comes after
        self._end(None if stopping else self.nextitem)

    def _begin(self) -> Trial:
        self.item.user_properties[:] = self.own_properties
        trial = begin(self.item, self.raised)
        self.seconds["setup"] += trial.setup.duration
        if trial.call is not None:
            self.good_setup = trial.setup
            self.seconds["call"] += trial.call.duration
        return trial

    def _count(self, trial: Trial, teardown: pytest.TestReport | None = None) -> None:
        self.question.add(trial.kind)
        if trial.kind != "passed" and (self.first_bad is None or self._is_first_failure(trial)):
            told = teardown if teardown is not None and not trial.told.failed else trial.told
            self.first_bad = (self.question.gate.trials, trial.kind, told)

    def _is_first_failure(self, trial: Trial) -> bool:
        """A failed assertion says more than an error before it."""
        return trial.kind == "failure" and self.question.counts["failure"] == 1

    # --- telling pytest ------------------------------------------------------------------

    def _tell(self, trial: Trial) -> None:
        """Log one set-up and one call for all trials."""
        question = self.question
        if trial.kind == "over":
            question.stopped = f"trial {question.gate.trials + 1} was skipped or interrupted"
        elif not question.ended:
            question.stopped = "the session was stopped"
        if self.item.config.getoption("randomly_reset_seed", False):
            question.note = _SEEDED
        properties = question.properties(self.runs)
        if question.gate.trials:
            self.item.user_properties.extend(properties)
        if trial.kind == "over":
            self._log(trial.setup)
            if trial.call is not None:
                self._log(trial.call)
            return
        if self.good_setup is None:  # its fixtures never worked: that is what there is to say
            self._explain(trial.setup, question.message(properties))
            self._log(trial.setup)
            return
        self._log(self.good_setup)
        report = _made(self.item, "call", lambda: self._answer(properties))
        report.duration = self.seconds["call"]
        if report.skipped and not hasattr(report, "wasxfail"):
            path, line, _ = self.item.location
            reason = f"Skipped: {question.message(properties)}"
            report.longrepr = (path, (line or 0) + 1, reason)
        elif report.failed or hasattr(report, "wasxfail"):
            self._show_first_bad(report)
        self._log(report)

    def _answer(self, properties: list[tuple[str, object]]) -> None:
        """Pass, or raise what the verdict means; only an accepted test passes."""
        verdict = self.question.gate.verdict
        if verdict == "accept":
            return
        said = self.question.message(properties)
        how = self.item.config.getini("reliability_inconclusive")
        if self.question.observed:
            pytest.xfail(f"observed only: {said}")
            return  # with --runxfail
        if verdict == "inconclusive" and how == "skip":
            pytest.skip(said)
        if verdict == "inconclusive" and how == "xfail":
            pytest.xfail(said)
        pytest.fail(said, pytrace=False)

    def _show_first_bad(self, report: pytest.TestReport) -> None:
        if self.first_bad is None:
            return
        at, kind, first = self.first_bad
        self._explain(report, _text(first), f"first {kind}: trial {at}")
        report.sections = list(first.sections)

    def _explain(self, report: pytest.TestReport, text: str, title: str = "reliability") -> None:
        add = getattr(report.longrepr, "addsection", None)
        if add is not None:
            add(title, text)

    def _log(self, report: pytest.TestReport) -> None:
        if report.when in self.seconds:
            report.duration = self.seconds[report.when]
        report.user_properties = list(self.item.user_properties)
        self.item.ihook.pytest_runtest_logreport(report=report)

    # --- afterwards ----------------------------------------------------------------------

    def _end(self, nextitem: pytest.Item | None) -> None:
        end(self.item, nextitem, log=True)

    def _tear_down_the_rest(self) -> None:
        """The test itself is torn down; now what its module and class share."""
        session: Any = self.item.session
        forget(self.item)
        stopping = session.shouldfail or session.shouldstop
        nextitem = None if stopping else self.nextitem
        report = _made(self.item, "teardown", lambda: session._setupstate.teardown_exact(nextitem))
        self._log(report)

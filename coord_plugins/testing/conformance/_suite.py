"""What all parts of the suite share: the driver, parameters and a few validators."""

from __future__ import annotations

import unittest
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from ... import RunRecord, StepTally, ValidationEdge, check
from ..._retry import forget_circuits
from ...host import Host
from .._assert import assert_identities
from ._case import Case, Observed

BAD, WORSE, GOOD = "bad draft", "a worse bad draft", "good draft"
"""Outputs: the suite's validator `fine` rejects the first two."""


class Driver(Protocol):
    """How the suite reaches a host. Two methods and two attributes."""

    host: Host
    """What the host declares about itself."""

    def run(self, case: Case, *, is_async: bool) -> Observed:
        """Build the pipeline of `case`, attach its policy, and run it once per input.

        Each step calls `case.call(name, received, feedback)` (or awaits `case.acall`): `received`
        is the output of `case.before(name)` as the host hands it over, or the run's input;
        `feedback` is what the host delivers by the route of `case`. Errors of a run, also
        `BaseException`s, go into `Ran.error`.
        """

    def resume(self, case: Case, *, is_async: bool) -> Observed:
        """As `run`, with a checkpoint.

        When the run is killed (`Killed`) or pauses, attach anew as another process would, and
        resume, with `case.decision` as the person's answer. The last `Ran` is the finished run.
        Hosts without checkpoints excuse the rules that need it.
        """

    def pause(self) -> None:
        """Called inside a step: raise the host's own control-flow exception."""


class Suite:
    """Base of the suite's parts."""

    driver: ClassVar[Any]
    """The `Driver`."""
    excuses: ClassVar[Mapping[str, str]] = {}
    """Tests that this host cannot pass, by name, each with the reason."""
    async_only: ClassVar[bool] = False
    """Whether the host has no synchronous call at all."""

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Each test runs synchronously and on an event loop, where the host has both."""
        if "is_async" in metafunc.fixturenames:
            forms = {"async": True} if self.async_only else {"sync": False, "async": True}
            metafunc.parametrize("is_async", list(forms.values()), ids=list(forms))

    def setup_method(self, method: Any) -> None:
        """Skip what is excused; what an earlier test broke is whole again."""
        forget_circuits()
        reason = self.excuses.get(method.__name__)
        if reason:
            raise unittest.SkipTest(reason)

    def test_excuses_are_known(self) -> None:
        """An excuse names a test and gives a reason."""
        for name, reason in self.excuses.items():
            assert callable(getattr(self, name, None)), f"there is no test {name!r} to excuse"
            assert reason.strip(), f"the excuse of {name!r} gives no reason"

    def run(self, is_async: bool, **case: Any) -> Observed:
        """Run a case; every record's identities are asserted on the way."""
        return self._checked(self.driver.run(_unstored(case), is_async=is_async))

    def resume(self, is_async: bool, **case: Any) -> Observed:
        """Run a case that is killed or pauses, and resume it."""
        return self._checked(self.driver.resume(_unstored(case), is_async=is_async))

    @staticmethod
    def _checked(seen: Observed) -> Observed:
        for ran in seen.runs:
            if ran.record is not None:
                assert_identities(ran.record)
        return seen


def _unstored(case: dict[str, Any]) -> Case:
    """A case that writes to no store unless it asks for one."""
    return Case(**{**case, "settings": {"store": "off", **case.get("settings", {})}})


def is_fine(output: Any) -> bool:
    """Reject what is bad."""
    return "bad" not in str(output)


fine = check(is_fine, name="fine", feedback="do better")
"""Rejects BAD and WORSE."""


def edge(step: str, *validators: Any, **settings: Any) -> ValidationEdge:
    """An edge that looks at the step's own output on every host."""
    settings.setdefault("of", step)
    return ValidationEdge(step, *(validators or (fine,)), **settings)


def goal_is(wanted: Any) -> Any:
    """A goal that wants this output."""

    def wanted_output(output: Any) -> bool:
        return bool(output == wanted)

    return check(wanted_output, name="goal")


def text_of(value: Any, step: str) -> Any:
    """A step's output, also where the host keeps it under the step's name."""
    return value[step] if isinstance(value, Mapping) and step in value else value


def tally(record: RunRecord, step: str) -> StepTally:
    """A step's counts; zeros when it never ran."""
    return record.steps.get(step, StepTally())


def counts(record: RunRecord, step: str) -> tuple[int, int, int, int, int]:
    """Executions, passes, loops, exhausted, validator errors of a step."""
    t = tally(record, step)
    return t.executions, t.passes, t.loops, t.exhausted, t.validator_errors

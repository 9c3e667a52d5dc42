"""`track`: runs in plain Python, by `with`, `async with` and as a decorator."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from coord_plugins import (
    LATER,
    STOP,
    AsyncValidatorError,
    PolicyError,
    StopRun,
    collect_runs,
    configure,
    current_run,
    track,
    validated,
)
from coord_plugins.testing import assert_outcome

not_bad = lambda o: "bad" not in o


def test_with() -> None:
    here = track("p", goal=lambda o: o == 1, inputs={"q": 2}, store="off")
    with here as run:
        assert current_run() is run
        assert run.inputs == {"q": 2}
        run.output = 1
    assert here.coord.last is not None
    assert_outcome(here.coord.last, "success.first_pass", executions={})
    with pytest.raises(LookupError):
        current_run()


def test_async_with() -> None:
    async def goal(output: int) -> bool:
        await asyncio.sleep(0)
        return output == 1

    async def main() -> str:
        here = track("p", goal=goal, store="off")
        async with here as run:
            run.output = 1
        return here.coord.last.outcome  # type: ignore[union-attr]

    assert asyncio.run(main()) == "success.first_pass"


def test_an_async_goal_needs_async_with() -> None:
    async def goal(output: int) -> bool:
        return True

    with pytest.raises(AsyncValidatorError, match="async with track"), track("p", goal=goal):
        pass


def test_decorator_sync_async_and_overlapping() -> None:
    @track("p", goal=lambda o: o > 0, store="off")
    def plain(x: int, y: int = 0) -> int:
        """Doc."""
        return x + y

    @track("p", goal=lambda o: o > 0, store="off")
    async def awaited(x: int) -> int:
        await asyncio.sleep(0)
        return x

    async def main() -> list[int]:
        return await asyncio.gather(*(awaited(n) for n in range(10)))

    with collect_runs() as runs:
        assert (plain(1, y=1), plain(-1)) == (2, -1)
        assert asyncio.run(main()) == list(range(10))
    assert plain.__doc__ == "Doc."
    assert [r.outcome for r in runs[:2]] == ["success.first_pass", "silent_failure.first_pass"]
    assert (
        sorted(r.outcome for r in runs[2:])
        == ["silent_failure.first_pass"] + ["success.first_pass"] * 9
    )
    assert len({r.run_id for r in runs}) == 12


def test_inputs_of_a_decorated_call() -> None:
    seen: list[object] = []

    @track("p", goal=lambda output, inputs: seen.append(inputs) or True, store="off")
    def work(*args: object, **kwargs: object) -> int:
        return 1

    work("one")
    work("one", "two")
    work(key="word")
    assert seen == ["one", ("one", "two"), {"key": "word"}]


def test_errors_pass_through_and_are_recorded() -> None:
    here = track("p", goal=lambda o: True, store="off")
    with pytest.raises(KeyError), here:
        raise KeyError("x")
    assert here.coord.last is not None
    assert (here.coord.last.outcome, here.coord.last.error) == ("error.crash", "KeyError: 'x'")


def test_stop_ends_the_run_normally() -> None:
    @validated(not_bad, otherwise=STOP)
    def writer() -> str:
        return "bad"

    here = track("p", goal=lambda o: o is not None, store="off")
    reached = []
    with here:
        writer()
        reached.append(1)
    assert reached == []
    assert here.coord.last is not None
    assert_outcome(here.coord.last, "escalated.unjudged", executions={"writer": 2}, attempts=2)

    @track("p", store="off")
    def flow() -> str:
        return writer()

    assert flow() is None
    with pytest.raises(StopRun):
        writer()  # nothing around it that could take it


def test_off_records_nothing_and_judges_nothing() -> None:
    @validated(not_bad)
    def writer() -> str:
        return "bad"

    configure(mode="off")
    here = track("p", goal=lambda o: True, store="off")
    with collect_runs() as runs, here as run:
        run.output = writer()
    assert (run.output, runs, here.coord.last) == ("bad", [], None)


def test_later() -> None:
    here = track("p", goal=LATER, store="off")
    with here:
        pass
    assert here.coord.last is not None
    assert here.coord.last.outcome == "unlabelled"


def test_output_selects_what_the_goal_sees() -> None:
    here = track("p", goal=lambda o: o == "x", output="draft", store="off")
    with here as run:
        run.output = {"draft": "x"}
    assert here.coord.last is not None
    assert here.coord.last.outcome == "success.first_pass"


def test_one_track_may_be_entered_again_inside_itself() -> None:
    here = track("p", store="off")
    with collect_runs() as runs, here as outer, here as inner:
        assert current_run() is inner
        assert inner.parent is outer
    assert [r.parent_id for r in runs] == [outer.run_id, None]


def test_what_cannot_hold() -> None:
    with pytest.raises(PolicyError, match="give the pipeline a name"):
        track("")
    with pytest.raises(PolicyError, match="on_event"):
        track("p", listeners=[object()])
    with pytest.raises(PolicyError, match="label"):
        track("p", label="yes")
    with pytest.raises(PolicyError, match="wrong signature"):
        track("p", goal=lambda: True)
    with pytest.raises(TypeError):
        track("p", gaol=lambda o: True)


def test_a_generator_inside_keeps_its_run() -> None:
    def lines() -> Iterator[str]:
        for n in range(3):
            yield f"{current_run().run_id}:{n}"

    with track("p", store="off") as run:
        assert list(lines()) == [f"{run.run_id}:{n}" for n in range(3)]

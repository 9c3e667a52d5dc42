"""`track`: a run in plain Python, around decorated functions or any code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any

from ._budget import Budget
from ._call import is_async_callable
from ._context import activate
from ._context import current as running
from ._coord import Coord
from ._mode import Mode
from ._policy import PLAIN, make_policy
from ._run import Run


class StopRun(Exception):  # noqa: N818 - a signal, like StopIteration, not an error
    """Ends the run normally without the rejected output (`otherwise=STOP`); `track` takes it."""


class track:  # noqa: N801 - used like a function, as contextlib's own classes are
    """Make a run of the code inside: `with`, `async with`, or a decorator.

    Inside, decorated functions and `current_run()` belong to the run; set `run.output` to give
    the goal something to judge (as a decorator, the return value). Errors pass through.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        inputs: Any = None,
        goal: Any = None,
        budget: Budget | None = None,
        label: Callable[[Any, str], bool | None] | None = None,
        task: str | Callable[[Any], Any] | None = None,
        output: str | Callable[[Any], Any] | None = None,
        mode: Mode | None = None,
        store: Any = None,
        listeners: Iterable[Any] = (),
        prices: Any = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Prepare a run. One object serves any number of runs, also at the same time.

        Args:
            pipeline: The pipeline's name in records and reports.
            inputs: The run's input, for goals and validators that look at it; as a decorator,
                the call's arguments.
            goal: A validator of `run.output`, or LATER.
            budget: Limits of one run.
            label: `f(value, step) -> bool or None`: whether an output was right; recorded only.
            task: A key of the input, or `callable(input)`: what a run is to get done.
            output: A key of the output, or a callable: what the goal sees.
            mode: "enforce", "observe" or "off".
            store: Where records go; default see `configure`.
            listeners: Hear this pipeline's events.
            prices: US dollars per model call, see `configure`.
            tags: Labels of every run.
            metadata: Keys and values of every run.

        Raises:
            PolicyError: A setting that cannot hold.
        """
        self._inputs = inputs
        policy = make_policy(
            pipeline=pipeline,
            goal=goal,
            budget=budget,
            label=label,
            task=task,
            output=output,
            mode=mode,
            store=store,
            listeners=listeners,
            prices=prices,
            tags=tags,
            metadata=metadata,
        )
        self._coord = Coord(policy, PLAIN)

    @property
    def coord(self) -> Coord:
        """As on an attached object: `.last`, `.runs`, `.summary()`."""
        return self._coord

    def __enter__(self) -> Run:
        return self._begin(is_async=False)

    async def __aenter__(self) -> Run:
        return self._begin(is_async=True)

    def _begin(self, *, is_async: bool) -> Run:
        run = self._coord.start(self._inputs, is_async=is_async)
        if run is None:  # an unrecorded run, so that `run.output` works and decorators see "off"
            run = Run(self._coord, mode="off", inputs=self._inputs)
        # It lives with its run: entries of one `track` may overlap in threads and tasks.
        run.active = activate(run)
        run.active.__enter__()
        return run

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        run = self._end()
        if run is not None:
            stopped = isinstance(error, StopRun)
            self._coord.finish(run, run.output, None if stopped else error)
        return isinstance(error, StopRun)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        run = self._end()
        if run is not None:
            stopped = isinstance(error, StopRun)
            await self._coord.afinish(run, run.output, None if stopped else error)
        return isinstance(error, StopRun)

    def _end(self) -> Run | None:
        run = running.get()
        assert run is not None
        active, run.active = run.active, None  # a circle otherwise, for the garbage collector
        assert active is not None
        active.__exit__()
        return None if run.mode == "off" else run

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make each call of `fn` a run; its return value is the run's output.

        The function gets `.coord`, as an attached object has it.
        """
        if is_async_callable(fn):

            @functools.wraps(fn)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                async with self._again(args, kwargs) as run:
                    run.output = await fn(*args, **kwargs)
                return run.output

            awaited.coord = self._coord  # type: ignore[attr-defined]  # a function takes attributes
            return awaited

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._again(args, kwargs) as run:
                run.output = fn(*args, **kwargs)
            return run.output

        called.coord = self._coord  # type: ignore[attr-defined]  # a function takes attributes
        return called

    def _again(self, args: Any, kwargs: Any) -> track:
        """One entry of its own per call, so that calls may overlap."""
        entry = track.__new__(track)
        entry._coord = self._coord
        entry._inputs = kwargs or (args[0] if len(args) == 1 else args)
        return entry

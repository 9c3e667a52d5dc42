"""`track`: a run in plain Python, around decorated functions or any code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ._call import is_async_callable
from ._coord import Coord
from ._policy import PLAIN, make_policy
from ._run import Run
from ._run import current as running


class StopRun(Exception):  # noqa: N818 - a signal, like StopIteration, not an error
    """Ends the run normally without the rejected output (`otherwise=STOP`); `track` takes it."""


class track:  # noqa: N801 - used like a function, as contextlib's own classes are
    """Make a run of the code inside: `with`, `async with`, or a decorator.

    Inside, decorated functions and `current_run()` belong to the run; set `run.output` to give
    the goal something to judge (as a decorator, the return value). Errors pass through.
    """

    def __init__(self, pipeline: str, **settings: Any) -> None:
        """Prepare a run.

        Args:
            pipeline: The pipeline's name.
            **settings: `goal`, `budget`, `label`, `task`, `output`, `mode`, `store`,
                `listeners`, `prices`, `tags`, `metadata`, as for `attach`; `inputs`: the run's
                input.

        Raises:
            PolicyError: A setting that cannot hold.
        """
        self._inputs = settings.pop("inputs", None)
        self._coord = Coord(make_policy(pipeline=pipeline, **settings), PLAIN)
        self._open: list[tuple[Run, Any]] = []

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
        self._open.append((run, running.set(run)))
        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        run = self._end()
        if run is not None:
            stopped = isinstance(error, StopRun)
            self._coord.finish(run, run.output, None if stopped else error)
        return isinstance(error, StopRun)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        run = self._end()
        if run is not None:
            stopped = isinstance(error, StopRun)
            await self._coord.afinish(run, run.output, None if stopped else error)
        return isinstance(error, StopRun)

    def _end(self) -> Run | None:
        run, token = self._open.pop()
        running.reset(token)
        return None if run.mode == "off" else run

    def __call__(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """Make each call of `fn` a run; its return value is the run's output."""
        if is_async_callable(fn):

            @functools.wraps(fn)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                async with self._again(args, kwargs) as run:
                    run.output = await fn(*args, **kwargs)
                return run.output

            return awaited

        @functools.wraps(fn)
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._again(args, kwargs) as run:
                run.output = fn(*args, **kwargs)
            return run.output

        return called

    def _again(self, args: Any, kwargs: Any) -> track:
        """One entry of its own per call, so that calls may overlap."""
        entry = track.__new__(track)
        entry._coord, entry._open = self._coord, []
        entry._inputs = kwargs or (args[0] if len(args) == 1 else args)
        return entry


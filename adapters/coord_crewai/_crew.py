"""The attached crew: CrewAI's own class, with every way to kick it off made a run."""

from __future__ import annotations

import asyncio
import concurrent.futures
from typing import TYPE_CHECKING, Any

from crewai.crews.crew_output import CrewOutput
from crewai.tasks.conditional_task import ConditionalTask
from crewai.tasks.task_output import TaskOutput

from coord_plugins import START
from coord_plugins.host import Coord, coord_of, is_attached

from ._install import SPARE, adopt_tasks, install_crew, restored
from ._names import names_of, normal_order
from ._session import begin, current
from ._signals import GoBack, Stop


class AttachedCrew:
    """Mixed into the class of an attached crew. Its call sites stay as they are.

    `kickoff_async`, `kickoff_for_each` and its async forms all go through these.
    """

    if TYPE_CHECKING:  # pydantic would take them for fields
        __dict__: dict[str, Any]
        stream: Any
        tasks: Any

    @classmethod
    def from_checkpoint(cls, *args: Any, **kwargs: Any) -> Any:
        """As CrewAI's own; the crew is bare until it is attached."""
        return cls.__mro__[2].from_checkpoint(*args, **kwargs)  # type: ignore[attr-defined]  # a host's class

    @property
    def coord(self) -> Coord:
        """Results and settings of this pipeline."""
        return coord_of(self)

    def copy(self) -> Any:
        """A copy that is attached as well (`kickoff_for_each` makes one per input)."""
        new = super().copy()  # type: ignore[misc]  # the mixin's other base
        if is_attached(self):
            install_crew(new, self.coord)
        return new

    def kickoff(
        self,
        inputs: Any = None,
        input_files: Any = None,
        from_checkpoint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As CrewAI's own; each call is a run."""
        if from_checkpoint is not None and from_checkpoint.restore_from is not None:
            return restored(self, from_checkpoint).kickoff(inputs, input_files, **kwargs)
        # with `stream`, CrewAI calls this again from where the stream is consumed
        session = None if self.stream else begin(self, inputs, adopt_tasks(self), is_async=False)
        if session is None:
            return super().kickoff(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base
        with session:
            session.output = super().kickoff(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base
        return session.output

    async def akickoff(
        self,
        inputs: Any = None,
        input_files: Any = None,
        from_checkpoint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As CrewAI's own; each call is a run."""
        if from_checkpoint is not None and from_checkpoint.restore_from is not None:
            return await restored(self, from_checkpoint).akickoff(inputs, input_files, **kwargs)
        session = None if self.stream else begin(self, inputs, adopt_tasks(self), is_async=True)
        if session is None:
            return await super().akickoff(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base
        async with session:
            session.output = await super().akickoff(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base
        return session.output

    async def kickoff_async(
        self,
        inputs: Any = None,
        input_files: Any = None,
        from_checkpoint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As CrewAI's own: `kickoff` in a thread."""
        if from_checkpoint is not None and from_checkpoint.restore_from is not None:
            return await restored(self, from_checkpoint).kickoff_async(
                inputs, input_files, **kwargs
            )
        return await super().kickoff_async(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base

    def replay(self, task_id: str, inputs: Any = None) -> Any:
        """As CrewAI's own; a run that begins at a later task."""
        session = begin(self, inputs, adopt_tasks(self), is_async=False)
        if session is None:
            return super().replay(task_id, inputs)  # type: ignore[misc]  # the mixin's other base
        with session:
            session.output = super().replay(task_id, inputs)  # type: ignore[misc]  # the mixin's other base
        return session.output

    # ------------------------------------------------------------------ the loop over the tasks

    def _execute_tasks(
        self, tasks: Any, start_index: int | None = 0, was_replayed: bool = False
    ) -> Any:
        tasks, start = self._in_order(tasks, start_index)
        while True:
            try:
                return super()._execute_tasks(tasks, start, was_replayed)  # type: ignore[misc]  # the mixin's other base
            except GoBack as back:
                start = _rewind(tasks, back.target)
            except Stop as stop:
                return self._stopped(tasks, stop)

    async def _aexecute_tasks(
        self, tasks: Any, start_index: int | None = 0, was_replayed: bool = False
    ) -> Any:
        tasks, start = self._in_order(tasks, start_index)
        while True:
            try:
                return await super()._aexecute_tasks(tasks, start, was_replayed)  # type: ignore[misc]  # the mixin's other base
            except GoBack as back:
                start = _rewind(tasks, back.target)
            except Stop as stop:
                return self._stopped(tasks, stop)

    def _process_async_tasks(self, futures: Any, was_replayed: bool = False) -> Any:
        """All parallel tasks end before one of them may go back."""
        concurrent.futures.wait([future for _, future, _ in futures])
        return super()._process_async_tasks(futures, was_replayed)  # type: ignore[misc]  # the mixin's other base

    async def _aprocess_async_tasks(self, pending_tasks: Any, was_replayed: bool = False) -> Any:
        """All parallel tasks end before one of them may go back."""
        await asyncio.wait([task for _, task, _ in pending_tasks])
        return await super()._aprocess_async_tasks(pending_tasks, was_replayed)  # type: ignore[misc]  # the mixin's other base

    def _in_order(self, tasks: Any, start_index: int | None) -> tuple[list[Any], int | None]:
        """The tasks without those that only stand in, and where to start among them."""
        spare = self.__dict__.get(SPARE)
        if not spare:
            return tasks, start_index
        order = normal_order(tasks, names_of(tasks), spare)
        if start_index:
            start_index = len([t for t in tasks[:start_index] if any(t is o for o in order)])
        return order, start_index

    def _stopped(self, tasks: Any, stop: Stop) -> Any:
        """End the kickoff normally, with the outputs that were accepted and no final one.

        CrewAI's own events and hooks say why; the caller's `raw` is empty.
        """
        found = current.get()
        assert found is not None
        found.stopped = True
        done = [t for t in tasks if found.names[id(t)] in found.run.outputs]
        accepted = [t.output for t in done if t.output is not None]  # None: a loop-back forgot it
        why = f"stopped at {stop.step!r}: {stop}"
        mark = TaskOutput(name=stop.step, description=stop.step, raw=why, agent="")
        output = super()._create_crew_output([*accepted, mark])  # type: ignore[misc]  # the mixin's other base
        if isinstance(output, CrewOutput):  # a hook of the user's may have replaced it
            output.raw, output.tasks_output = "", accepted
        return output


def _rewind(tasks: Any, target: str) -> int:
    """Forget the outputs from the target on; returns where it stands."""
    found = current.get()
    assert found is not None
    names = [found.names[id(task)] for task in tasks]
    start = 0 if target == START else names.index(target)
    for task in tasks[:start]:
        # one that was skipped would be missing from the context, and from the crew's output
        if task.output is None and isinstance(task, ConditionalTask):
            task.output = task.get_skipped_task_output()
    for task in tasks[start:]:
        task.output = None
    return start

"""The attached flow: each kickoff is a run, and the attached crews inside are its children."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from crewai.flow.async_feedback.types import HumanFeedbackPending

from coord_plugins import PolicyError
from coord_plugins.host import Coord, Run, coord_of

from ._install import restored
from ._session import begin

MOST_PAUSED = 10_000
_paused: OrderedDict[str, dict[str, Any]] = OrderedDict()
"""The runs of flows that wait for a person, by flow id: CrewAI resumes a flow in a new object."""


class AttachedFlow:
    """Mixed into the class of an attached flow. All its kickoffs go through `kickoff_async`."""

    if TYPE_CHECKING:  # pydantic would take them for fields
        __dict__: dict[str, Any]
        flow_id: Any
        stream: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Refuse: an attached object changes its class, and is not made from it.

        CrewAI reads a flow's methods off the class that defines them.

        Raises:
            PolicyError: Always.
        """
        name = type(self).__name__
        raise PolicyError(f"make a {name} from {name} itself, not from an attached flow's class")

    @classmethod
    def from_pending(cls, *args: Any, **kwargs: Any) -> Any:
        """As CrewAI's own; the flow is bare until it is attached."""
        return cls.__mro__[2].from_pending(*args, **kwargs)  # type: ignore[attr-defined]  # a host's class

    @classmethod
    def from_checkpoint(cls, *args: Any, **kwargs: Any) -> Any:
        """As CrewAI's own; the flow is bare until it is attached."""
        return cls.__mro__[2].from_checkpoint(*args, **kwargs)  # type: ignore[attr-defined]  # a host's class

    @property
    def coord(self) -> Coord:
        """Results and settings of this pipeline."""
        return coord_of(self)

    def kickoff(
        self,
        inputs: Any = None,
        input_files: Any = None,
        from_checkpoint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As CrewAI's own; each call is a run."""
        if from_checkpoint is not None and from_checkpoint.restore_from is not None:
            return restored(self, from_checkpoint).kickoff(inputs, input_files)
        return super().kickoff(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base

    async def kickoff_async(
        self,
        inputs: Any = None,
        input_files: Any = None,
        from_checkpoint: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As CrewAI's own; each call is a run."""
        if from_checkpoint is not None and from_checkpoint.restore_from is not None:
            return await restored(self, from_checkpoint).kickoff_async(inputs, input_files)
        session = None if self.stream else begin(self, inputs, {}, is_async=True)
        if session is None:
            return await super().kickoff_async(inputs, input_files, from_checkpoint, **kwargs)  # type: ignore[misc]  # the mixin's other base
        async with session:
            session.output = await super().kickoff_async(  # type: ignore[misc]  # the mixin's other base
                inputs, input_files, from_checkpoint, **kwargs
            )
            session.paused = self._waits(session.output, session.run)
        return session.output

    async def resume_async(self, feedback: str = "") -> Any:
        """As CrewAI's own; it continues the run that paused in this process."""
        kept = _paused.pop(self.flow_id, None)
        session = begin(self, kept and kept["inputs"], {}, is_async=True, kept=kept)
        if session is None:
            return await super().resume_async(feedback)  # type: ignore[misc]  # the mixin's other base
        async with session:
            session.output = await super().resume_async(feedback)  # type: ignore[misc]  # the mixin's other base
            session.paused = self._waits(session.output, session.run)
        return session.output

    def _waits(self, output: Any, run: Run) -> bool:
        """Whether the flow waits for a person; then its run is kept for the resume."""
        if not isinstance(output, HumanFeedbackPending):
            return False
        tallies = {f"t:{name}": tally.to_dict() for name, tally in run.tallies.items()}
        identity = {**run.identity(), "elapsed": run.elapsed}
        _paused[self.flow_id] = {"inputs": run.inputs, "run": identity, **tallies}
        while len(_paused) > MOST_PAUSED:  # nobody came back for the oldest
            _paused.popitem(last=False)
        return True

"""Our own event on CrewAI's bus."""

from __future__ import annotations

from typing import Literal

from crewai.events.base_events import BaseEvent


class CoordRejectedEvent(BaseEvent):
    """A candidate of an edge with `stream="live"` was rejected: what was streamed does not count.

    It goes over CrewAI's event bus, and so also to `Flow.stream_events`.
    """

    type: Literal["coord_rejected"] = "coord_rejected"
    step: str
    """The task whose output was rejected."""
    execution: int
    """Which execution of the task in this run, from 1."""

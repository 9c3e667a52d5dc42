"""What the adapter raises to get through CrewAI's own frames; no user ever catches these."""

from __future__ import annotations

from crewai.hooks.dispatch import HookAborted


class Rejected(Exception):  # noqa: N818 - a signal; CrewAI shows its text in TaskFailedEvent
    """Leaves CrewAI's execution of a task whose candidate was not accepted."""


class GoBack(Exception):  # noqa: N818 - a signal
    """Leaves CrewAI's loop over the tasks, which begins again at `target`."""

    def __init__(self, target: str) -> None:
        super().__init__(f"back to {target!r}")
        self.target = target


class Stop(Exception):  # noqa: N818 - a signal
    """Leaves CrewAI's loop over the tasks: the run ends normally, without the rejected output."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(why)
        self.step = step


class Aborted(HookAborted):
    """Leaves a hook of ours: CrewAI swallows any exception but this kind."""

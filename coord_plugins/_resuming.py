"""What a run keeps beyond its process, and how another process continues it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._budget import Usage
from ._spending import Spending
from ._step import EdgeState
from ._tally import StepTally


class Resuming(Spending):
    """The part of `Run` that a host's checkpoints keep."""

    run_id: str
    task: str | None
    started_at: float
    resumed: bool
    edges: dict[str, EdgeState]
    outputs: dict[str, Any]
    blamed: str | None
    _counters: dict[str, Iterator[int]]

    def restore(self, durable: Mapping[str, Any]) -> None:
        """Continue the run that a host's checkpoint remembers.

        Args:
            durable: What the host kept of `identity()` and of the steps' `commit()`.
        """
        identity = durable.get("run") or {}
        if identity.get("id"):
            self.resumed = True
            self.run_id = identity["id"]
            self.started_at = identity.get("at", self.started_at)
            self.task = identity.get("task") or self.task
            self.elapsed_before = identity.get("elapsed", 0.0)
        for key, value in durable.items():
            kind, _, name = key.partition(":")
            if kind == "e":
                self.edges[name] = EdgeState(value[0], value[1], tuple(value[2]))
            elif kind == "t":
                earlier = StepTally.from_dict(value)
                earlier.merge(self.tallies.get(name, StepTally()))
                self.tallies[name] = earlier
            elif kind == "o":
                self.outputs.setdefault(name, value)
        self._counters.clear()
        for name, tally in self.tallies.items():  # a budget is the whole run's, resumes included
            self.started += tally.executions
            if tally.escalations:
                self.blamed = name
            self.spent.add(
                Usage(
                    input_tokens=tally.input_tokens,
                    output_tokens=tally.output_tokens,
                    cost_usd=tally.cost,
                )
            )

    def durable(self) -> dict[str, Any]:
        """All that `restore` needs, for a host that saves a whole run at once."""
        kept: dict[str, Any] = {"run": self.identity() | {"elapsed": self.elapsed}}
        kept |= {f"e:{name}": [*state] for name, state in self.edges.items()}
        kept |= {f"t:{name}": tally.to_dict() for name, tally in self.tallies.items()}
        if self.policy.wants_outputs():
            kept |= {f"o:{name}": value for name, value in self.outputs.items()}
        return kept

    def identity(self) -> dict[str, Any]:
        """What a host with checkpoints keeps under the key "run"."""
        return {"id": self.run_id, "at": self.started_at, "task": self.task}

"""Projects with known numbers, written as pipelines would: traces, then feedback on the roots."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple

import langsmith

from coord_plugins.testing import LangSmithServer

_known = inspect.signature(langsmith.Client.create_example).parameters
REFERENCE = "reference_outputs" if "reference_outputs" in _known else "outputs"
"""What this LangSmith calls the outputs of an example that is made; 0.14.9 has the older name."""


class Row(NamedTuple):
    """One run and what is recorded of it; None is not recorded."""

    value: str | None = "success.first_pass"
    first: int | None = 1
    attempts: int | None = 3
    cost: float | None = 0.01
    failed_nodes: int = 0
    score: float | None = None

    @property
    def feedback(self) -> dict[str, tuple[Any, str | None]]:
        """Score and value by key."""
        given = {"outcome.first_try": self.first, "attempts": self.attempts, "cost_usd": self.cost}
        found: dict[str, tuple[Any, str | None]] = {k: (v, None) for k, v in given.items()}
        if self.value is not None:
            score = int(self.value.startswith("success.")) if self.score is None else self.score
            found["outcome"] = (score, self.value)
        return {k: pair for k, pair in found.items() if pair[0] is not None}


UNLABELLED = Row(value=None, first=None, attempts=None, cost=None)
DESK = (
    *[Row()] * 7,
    *[Row("success.rescued", 0, 5, 0.03)] * 3,
    *[Row("silent_failure.first_pass", 0)] * 1,
    *[Row("error.crash", 0, 1, 0.004, failed_nodes=1)] * 1,
)
"""12 runs: 10 successes, 7 of them at once; 48 runs below the roots, 1 of them with an error."""
NODES = 4


def seed(server: LangSmithServer, project: str, rows: Iterable[Row]) -> list[str]:
    """Write the runs; their ids."""
    client = server.client()
    traced = [(_trace(client, project, row), row) for row in rows]
    client.flush()
    session = client.read_project(project_name=project).id
    for root, row in traced:
        for key, (score, value) in row.feedback.items():
            client.create_feedback(
                run_id=root.id,
                key=key,
                score=score,
                value=value,
                session_id=session,
                extend_trace_retention=False,
            )
    client.flush()
    return [str(root.id) for root, _ in traced]


def _trace(client: Any, project: str, row: Row) -> Any:
    """A root and `NODES` runs below; where the run crashed, the root has the error too."""
    with (
        langsmith.tracing_context(enabled=True, client=client),
        langsmith.trace("desk", project_name=project, client=client) as root,
    ):
        for i in range(NODES):
            with langsmith.trace(f"node{i}", client=client) as node:
                node.error = "boom" if i < row.failed_nodes else None
        root.error = "boom" if (row.value or "").startswith("error.") else None
    return root

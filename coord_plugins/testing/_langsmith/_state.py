"""What the server has been sent: runs, feedback, projects, datasets, examples."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

Json = dict[str, Any]
Operation = Literal["post", "patch"]
TENANT = "11111111-1111-4111-8111-111111111111"
"""The one workspace of the server."""


class RefusedError(Exception):
    """A request is answered with an error, and has had no effect."""

    def __init__(self, status: int, detail: str, problem: bool = False) -> None:
        super().__init__(detail)
        self.status, self.detail, self.problem = status, detail, problem


def now() -> str:
    """The time, as the API writes it."""
    return datetime.now(timezone.utc).isoformat()


def moment(text: str) -> datetime:
    """Read a time of the API; one without a zone is UTC."""
    # Python 3.10 does not read the "Z"
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return read if read.tzinfo else read.replace(tzinfo=timezone.utc)


@dataclass
class Entry:
    """One run as it arrived: in any order, in parts, perhaps twice."""

    id: str
    posted: Json = field(default_factory=dict)
    patched: Json = field(default_factory=dict)
    posts: int = 0
    project: str | None = None
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)

    def add(self, operation: Operation, run: Json) -> None:
        """Merge one arrival; what a patch says wins, whichever came first."""
        into = self.posted if operation == "post" else self.patched
        into.update({k: v for k, v in run.items() if v is not None})
        self.posts += operation == "post"

    def merged(self) -> Json:
        """The run, with `session_id` (its project's id) and its attachments added."""
        run = {"id": self.id, **self.posted, **self.patched, "session_id": self.project}
        return {**run, "attachments": dict(self.files)} if self.files else run


@dataclass
class State:
    """Everything the server knows; its lock is held while a request has its effect."""

    duplicate_feedback: Literal["update", "conflict"] = "update"
    lock: threading.RLock = field(default_factory=threading.RLock)
    entries: dict[str, Entry] = field(default_factory=dict)
    feedback: dict[str, Json] = field(default_factory=dict)
    repeated_feedback: int = 0
    projects: dict[str, Json] = field(default_factory=dict)
    datasets: dict[str, Json] = field(default_factory=dict)
    examples: dict[str, Json] = field(default_factory=dict)
    example_files: dict[str, dict[str, tuple[str, bytes]]] = field(default_factory=dict)
    configs: dict[str, Json] = field(default_factory=dict)
    tokens: dict[str, Json] = field(default_factory=dict)
    otel: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def runs(self) -> list[Json]:
        """All runs, merged, in order of arrival."""
        return [entry.merged() for entry in self.entries.values()]

    def store_run(self, operation: Operation, run: Json) -> Entry:
        """Take in one arrival of a run; its project is made when it is the first there."""
        run_id = str(run["id"])
        project = self._project_of(operation, run)
        entry = self.entries.setdefault(run_id, Entry(run_id))
        entry.add(operation, run)
        entry.project = project or entry.project
        return entry

    def _project_of(self, operation: Operation, run: Json) -> str | None:
        if session_id := run.get("session_id"):
            return str(self.project(str(session_id))["id"])
        if name := run.get("session_name") or run.get("address"):
            found = self.project_named(name)
            return str((found or self.make_project(name, address=run.get("address")))["id"])
        parent = self.entries.get(str(run.get("parent_run_id")))
        if parent and parent.project:
            return parent.project
        if operation == "patch":
            return None
        return str((self.project_named("default") or self.make_project("default"))["id"])

    def project(self, project_id: str) -> Json:
        """The project of an id; one that nobody made is refused."""
        try:
            return self.projects[project_id]
        except KeyError:
            raise RefusedError(404, f"Project {project_id} not found") from None

    def project_named(self, name: str) -> Json | None:
        """The project of a name, or None."""
        return next((p for p in self.projects.values() if p["name"] == name), None)

    def make_project(self, name: str, **fields: Any) -> Json:
        """A new project."""
        project_id = str(fields.pop("id", None) or uuid.uuid4())
        self.projects[project_id] = {
            "id": project_id,
            "name": name,
            "tenant_id": TENANT,
            "start_time": now(),
            "end_time": None,
            "reference_dataset_id": None,
            **fields,
        }
        return self.projects[project_id]

    def store_feedback(self, record: Json) -> Json:
        """Take in a feedback record; one whose id is known updates it, or is refused."""
        feedback_id = str(record.get("id") or uuid.uuid4())
        known = self.feedback.get(feedback_id)
        if known is not None:
            self.repeated_feedback += 1
            if self.duplicate_feedback == "conflict":
                raise RefusedError(409, f"Feedback {feedback_id} exists already")
        fresh = {k: v for k, v in record.items() if v is not None}
        times = {"created_at": now(), "modified_at": now()} if known is None else {}
        self.feedback[feedback_id] = {**times, **(known or {}), **fresh, "id": feedback_id}
        if record.get("feedback_config"):
            self.configs.setdefault(
                record["key"], make_config(record["key"], record["feedback_config"])
            )
        return self.feedback[feedback_id]

    def feedback_on(self, run_id: str) -> Iterator[Json]:
        """The feedback of one run."""
        return (f for f in self.feedback.values() if str(f.get("run_id")) == run_id)

    def dataset(self, dataset_id: str) -> Json:
        """The dataset of an id, or 404."""
        try:
            return self.datasets[dataset_id]
        except KeyError:
            raise RefusedError(404, f"Dataset {dataset_id} not found") from None


def make_config(key: str, config: Json, **fields: Any) -> Json:
    """What the API keeps per feedback key."""
    return {
        "id": str(uuid.uuid4()),
        "feedback_key": key,
        "feedback_config": config,
        "tenant_id": TENANT,
        "modified_at": now(),
        **fields,
    }

"""Projects through the real client, by its older and its newer methods."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from typing import Any

import langsmith
import pytest
from langsmith import utils as ls_utils

from coord_plugins.testing import LangSmithServer

# Python 3.10 gets no newer langsmith than 0.14, whose client lacks what these tests use
newer = pytest.mark.skipif(
    langsmith.__version__.startswith("0.14."), reason="langsmith 0.15 and later"
)


def trace(client: langsmith.Client, project: str, *, error: str | None = None) -> Any:
    with langsmith.tracing_context(enabled=True, client=client):
        with langsmith.trace("r", client=client, project_name=project) as run:
            with langsmith.trace("child"):
                pass
            run.end(error=error)
    client.flush()
    return run


def test_a_project_is_made_by_its_first_run(server: LangSmithServer) -> None:
    client = server.client()
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_project(project_name="p")
    assert not client.has_project("p")
    trace(client, "p", error="boom")
    trace(client, "p")
    read = client.read_project(project_name="p", include_stats=True)
    # the children are no runs of the project here
    assert (read.run_count, read.error_rate, read.feedback_stats) == (2, 0.5, {})
    assert client.read_project(project_id=str(read.id)).run_count is None
    assert [p["name"] for p in server.projects] == ["p"]


def test_make_change_delete(server: LangSmithServer) -> None:
    client = server.client()
    made = client.create_project("p", description="d", metadata={"a": 1})
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_project("p")
    again = client.create_project("p", upsert=True, metadata={"b": 2})
    assert again.id == made.id
    ends = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    changed = client.update_project(made.id, description="e", end_time=ends)
    assert (changed.description, changed.end_time) == ("e", ends)
    trace(client, "p")
    client.delete_project(project_name="p")
    assert (server.projects, server.runs) == ([], [])
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_project(project_id=str(made.id))


def test_list(server: LangSmithServer) -> None:
    client = server.client()
    dataset = client.create_dataset("d")
    first = client.create_project("one", metadata={"a": 1})
    client.create_project("two", reference_dataset_id=dataset.id)

    def names(**options: Any) -> list[str]:
        return [str(p.name) for p in client.list_projects(**options)]

    assert names() == ["one", "two"]
    assert names(name_contains="w") == ["two"]
    assert names(name="one") == ["one"]
    assert names(project_ids=[first.id]) == ["one"]
    assert names(reference_dataset_name="d") == ["two"]
    assert names(reference_free=True) == ["one"]
    assert names(metadata={"a": 1}) == ["one"]
    assert names(limit=1) == ["one"]
    assert [p.run_count for p in client.list_projects(include_stats=True)] == [0, 0]


@newer
def test_the_typed_accessors(server: LangSmithServer) -> None:
    client = server.client()
    run = trace(client, "p")
    session_id = client.read_project(project_name="p").id
    client.create_feedback(trace_id=run.id, key="outcome", score=1, session_id=session_id)
    client.flush()
    dataset = client.create_dataset("d")
    client.create_project("x", reference_dataset_id=dataset.id)

    async def read() -> None:
        sessions = client.sessions
        found = [s async for s in sessions.list_v2(include_stats=True, page_size=1)]
        assert [(s.name, s.type, s.run_count) for s in found] == [
            ("p", "PROJECT", 1),
            ("x", "EXPERIMENT", 0),
        ]
        one = await sessions.retrieve_v2(str(session_id), include_stats=True)
        assert one.feedback_stats is not None
        outcome = one.feedback_stats["outcome"]
        assert (outcome.n, outcome.avg, outcome.type) == (1, 1.0, "PRIMARY")
        changed = await sessions.update_v2(str(session_id), description="d")
        assert changed.description == "d"
        mine = sessions.list_v2(reference_dataset_id=[str(dataset.id)])
        assert [s.name async for s in mine] == ["x"]
        experiment = await sessions.resolve(kind="EXPERIMENT", id=found[1].id)
        assert experiment.session_id == found[1].id
        with pytest.raises(Exception, match="404"):
            await sessions.resolve(kind="EVALUATOR")
        await client._get_langsmith_api().close()

    asyncio.run(read())


def test_a_project_that_nobody_made(server: LangSmithServer) -> None:
    client = server.client(auto_batch_tracing=False)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.create_run("r", {}, "chain", id=uuid.uuid4(), session_id=uuid.uuid4())
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.create_feedback(None, "k", score=1, project_id=uuid.uuid4(), stop_after_attempt=1)
    assert (server.runs, server.feedback) == ([], [])

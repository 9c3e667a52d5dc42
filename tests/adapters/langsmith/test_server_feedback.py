"""Feedback by every way, its configurations and tokens, through the real client."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

import langsmith
import pytest
from langsmith import schemas
from langsmith import utils as ls_utils

from coord_plugins.testing import LangSmithServer, langsmith_server

# Python 3.10 gets no newer langsmith than 0.14, whose client lacks what these tests use
newer = pytest.mark.skipif(
    langsmith.__version__.startswith("0.14."), reason="langsmith 0.15 and later"
)


def root(client: langsmith.Client) -> Any:
    with langsmith.tracing_context(enabled=True, client=client):
        with langsmith.trace("r", client=client) as run:
            pass
    client.flush()
    return run


def project(client: langsmith.Client) -> uuid.UUID:
    return client.read_project(project_name="default").id


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({}, "/runs/multipart"),
        ({"compression": False}, "/runs/multipart"),
        ({"smithdb": True}, "/runs/multipart"),
        ({"version": "0.8.9"}, "/feedback"),
        ({"multipart": False}, "/feedback"),
        ({"info": False}, "/feedback"),
    ],
    ids=str,
)
def test_every_way_of_giving_it(options: Any, path: str) -> None:
    with langsmith_server(**options) as server:
        client = server.client()
        run = root(client)
        client.create_feedback(
            trace_id=run.id,
            key="outcome",
            score=1,
            value="recovered",
            comment="second try",
            session_id=project(client),
            source_info={"coord": {"v": 1}},
        )
        client.flush()
        assert [r.path for r in server.requests if r.method == "POST"][-1] == path
        [record] = server.feedback_on(run.id, "outcome")
        assert (record["score"], record["value"], record["comment"]) == (
            1,
            "recovered",
            "second try",
        )
        assert record["feedback_source"]["metadata"] == {"coord": {"v": 1}}
        assert server.feedback_on(run.id, "other") == []
        [read] = client.list_feedback(run_ids=[run.id])
        assert isinstance(read, schemas.Feedback)
        assert (read.key, read.trace_id) == ("outcome", run.id)


def test_without_a_session_the_newer_store_refuses() -> None:
    with langsmith_server(smithdb=True) as server:
        client = server.client()
        with pytest.raises(ValueError, match="session_id must be provided"):
            client.create_feedback(trace_id=root(client).id, key="k", score=1)


def test_before_its_run_it_is_not_found(server: LangSmithServer) -> None:
    client = server.client()
    client.create_project("default")
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.create_feedback(
            uuid.uuid4(), "k", score=1, session_id=project(client), stop_after_attempt=1
        )
    assert server.feedback == []


def test_read_change_list_delete(server: LangSmithServer) -> None:
    client = server.client()
    run = root(client)
    about = {"run_id": run.id, "session_id": project(client), "stop_after_attempt": 1}
    first = client.create_feedback(key="a", score=0.5, comment="x", **about)
    client.create_feedback(key="b", value="good", feedback_source_type="model", **about)
    client.update_feedback(first.id, score=0.75, comment="y")
    read = client.read_feedback(first.id)
    assert (read.score, read.comment, read.run_id) == (0.75, "y", run.id)
    assert [f.key for f in client.list_feedback(run_ids=[run.id], feedback_key=["b"])] == ["b"]
    kinds = [schemas.FeedbackSourceType.MODEL]
    assert [f.key for f in client.list_feedback(feedback_source_type=kinds)] == ["b"]
    assert len(list(client.list_feedback(limit=1))) == 1
    client.delete_feedback(first.id)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.read_feedback(first.id)
    assert [f["key"] for f in server.feedback] == ["b"]


def test_more_than_a_page(server: LangSmithServer) -> None:
    client = server.client()
    run = root(client)
    session = project(client)
    for number in range(101):
        client.create_feedback(trace_id=run.id, key=f"k{number}", score=1, session_id=session)
    client.flush()
    assert len(list(client.list_feedback(run_ids=[run.id]))) == 101


@newer
def test_a_null_clears(server: LangSmithServer) -> None:
    client = server.client()
    run = root(client)
    given = client.create_feedback(
        run.id, "k", score=1, comment="x", session_id=project(client), stop_after_attempt=1
    )
    client.update_feedback(given.id, comment=None)
    read = client.read_feedback(given.id)
    assert (read.score, read.comment) == (1, None)


@pytest.mark.parametrize("path", ["alone", "batch"])
def test_a_known_id_updates(server: LangSmithServer, path: str) -> None:
    client = server.client()
    run = root(client)
    given: Any = {"trace_id" if path == "batch" else "run_id": run.id, "feedback_id": uuid.uuid4()}
    for score in (0, 1):
        client.create_feedback(key="outcome", score=score, session_id=project(client), **given)
        client.flush()
    assert [f["score"] for f in server.feedback_on(run.id)] == [1]
    assert server.repeated_feedback == 1


def test_a_known_id_conflicts() -> None:
    with langsmith_server(duplicate_feedback="conflict") as server:
        client = server.client()
        run = root(client)
        given: Any = {"feedback_id": uuid.uuid4(), "session_id": project(client), "key": "k"}
        client.create_feedback(run.id, score=0, **given)
        with pytest.raises(ls_utils.LangSmithConflictError):
            client.create_feedback(run.id, score=1, **given)
        # in a batch the rest is taken, and the record stays as it was
        client.create_feedback(trace_id=run.id, score=1, **given)
        root(client)
        assert ([f["score"] for f in server.feedback], server.repeated_feedback) == ([0], 2)
        assert (len(server.runs), server.requests[-1].status) == (2, 202)


def test_statistics(server: LangSmithServer) -> None:
    client = server.client()
    session = None
    for score, value in ((1, "success"), (0, "failure"), (1, "recovered"), (None, "unknown")):
        run = root(client)
        session = session or project(client)
        about = {"trace_id": run.id, "session_id": session}
        client.create_feedback(key="outcome", score=score, value=value, **about)
    client.create_feedback(key="crash", error=True, **about)
    client.create_feedback(key="grade", score=0.5, project_id=session)
    client.flush()
    read = client.read_project(project_name="default", include_stats=True)
    outcome = read.feedback_stats["outcome"]
    assert (outcome["n"], outcome["avg"], outcome["min"], outcome["max"]) == (4, 2 / 3, 0, 1)
    assert (outcome["median"], round(outcome["stdev"], 4)) == (1, 0.5774)
    assert outcome["values"] == {"success": 1, "failure": 1, "recovered": 1, "unknown": 1}
    assert (read.feedback_stats["crash"]["errors"], read.feedback_stats["crash"]["avg"]) == (
        1,
        None,
    )
    assert read.session_feedback_stats["grade"]["avg"] == 0.5
    assert (read.run_count, read.error_rate) == (4, 0)
    stats = client.get_run_stats(
        project_names=["default"], is_root=True, filter='and(eq(feedback_key,"outcome"),'
        "eq(feedback_score,0))",
    )  # fmt: skip
    assert (stats["run_count"], stats["feedback_stats"]["outcome"]["avg"]) == (1, 0)
    assert client.get_run_stats(project_ids=[session], error=True)["run_count"] == 0


@newer
def test_configurations(server: LangSmithServer) -> None:
    client = server.client()
    wanted: Any = {"type": "continuous", "min": 0, "max": 1}
    made = client.create_feedback_config("outcome", feedback_config=wanted)
    again = client.create_feedback_config("outcome", feedback_config=wanted)
    assert made.id == again.id
    with pytest.raises(ls_utils.LangSmithError, match="400"):
        client.create_feedback_config("outcome", feedback_config={"type": "freeform"})
    changed = client.update_feedback_config("outcome", is_lower_score_better=True)
    assert changed.is_lower_score_better
    # the first feedback of a key may bring its configuration
    run = root(client)
    client.create_feedback(
        run.id, "other", score=1, session_id=project(client), feedback_config=wanted
    )
    assert [c.feedback_key for c in client.list_feedback_configs()] == ["outcome", "other"]
    assert [c.feedback_key for c in client.list_feedback_configs(feedback_key=["other"])] == [
        "other"
    ]
    client.delete_feedback_config("outcome")
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.delete_feedback_config("outcome")


def test_tokens(server: LangSmithServer) -> None:
    client = server.client()
    run = root(client)
    token = client.create_presigned_feedback_token(run.id, "user")
    client.create_feedback_from_token(token.url, score=1, comment="fine", metadata={"by": "me"})
    [record] = server.feedback_on(run.id)
    assert (record["key"], record["score"], record["comment"]) == ("user", 1, "fine")
    two = client.create_presigned_feedback_tokens(
        run.id, ["a", "b"], expiration=dt.timedelta(minutes=5)
    )
    assert len(list(two)) == 2
    assert len(list(client.list_presigned_feedback_tokens(run.id))) == 3
    # a link that a person clicks carries no key
    import urllib.request

    with urllib.request.urlopen(f"{two[0].url}?score=0.5", timeout=5) as answer:
        assert answer.status == 200
    assert {f["key"]: f["score"] for f in server.feedback}.items() >= {("user", 1)}
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.create_feedback_from_token(uuid.uuid4(), score=1)
    with pytest.raises(ls_utils.LangSmithNotFoundError):
        client.create_presigned_feedback_token(uuid.uuid4(), "user")

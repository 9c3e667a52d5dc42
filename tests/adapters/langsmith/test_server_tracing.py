"""Runs come in by every way that the client has, and can be read back."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import subprocess
import sys
import time
import uuid
from typing import Any

import langsmith
import pytest
from langsmith import schemas

from coord_plugins.testing import LangSmithServer, langsmith_server

UTC = dt.timezone.utc
# Python 3.10 gets no newer langsmith than 0.14, whose client lacks what these tests use
newer = pytest.mark.skipif(
    langsmith.__version__.startswith("0.14."), reason="langsmith 0.15 and later"
)


def trace(client: langsmith.Client, *, fail: bool = False, **root: Any) -> Any:
    """A root with two children, one of them in the other."""
    with langsmith.tracing_context(enabled=True, client=client):
        with langsmith.trace("root", inputs={"q": 1}, client=client, **root) as run:
            with langsmith.trace("a", "tool", tags=["x"]), langsmith.trace("b", "llm"):
                pass
            run.end(outputs={"a": 2}, error="boom" if fail else None)
    client.flush()
    return run


TREE = "root [chain] success\n  a [tool] success #x\n    b [llm] success #x"


@pytest.mark.parametrize(
    ("options", "path", "encoding"),
    [
        ({}, "/runs/multipart", "zstd"),
        ({"compression": False}, "/runs/multipart", None),
        ({"multipart": False}, "/runs/batch", None),
        ({"info": False}, "/runs/multipart", None),
        ({"smithdb": True}, "/runs/multipart", "zstd"),
    ],
    ids=str,
)
def test_every_way_of_sending(options: Any, path: str, encoding: str | None) -> None:
    with langsmith_server(**options) as server:
        client = server.client()
        # the client's thread turns compression on when it has read /info
        while encoding and client.compressed_traces is None:
            time.sleep(0.005)
        root = trace(client)
        sent = [r for r in server.requests if r.method == "POST"]
        assert {(r.path, r.status, r.headers.get("content-encoding")) for r in sent} == {
            (path, 202, encoding)
        }
        assert server.tree() == server.tree(root.id) == TREE
        [run] = server.roots()
        assert (run["inputs"], run["outputs"], run["name"]) == ({"q": 1}, {"a": 2}, "root")
        assert [c["name"] for c in server.children(root.id)] == ["a"]
        assert (len(server.runs), server.duplicates, server.problems) == (3, 0, [])
        assert server.tree(uuid.uuid4()) == ""


def test_a_multipart_endpoint_that_is_not_there() -> None:
    """/info says yes; the client in plain mode finds the other way."""
    with langsmith_server(multipart="broken", compression=False) as server:
        trace(server.client())
        paths = [(r.path, r.status) for r in server.requests if r.method == "POST"]
        assert paths[0] == ("/runs/multipart", 404)
        assert {("/runs/batch", 202)} == set(paths[1:])
        assert server.tree() == TREE


def test_without_batches(server: LangSmithServer) -> None:
    client = server.client(auto_batch_tracing=False)
    trace(client)
    assert server.tree() == TREE
    assert {(r.method, r.path.split("/")[1]) for r in server.requests if r.method != "GET"} == {
        ("POST", "runs"),
        ("PATCH", "runs"),
    }


def test_runs_without_a_place_get_one(server: LangSmithServer) -> None:
    client = server.client()
    root, child = uuid.uuid4(), uuid.uuid4()
    began = dt.datetime.now(UTC)
    client.create_run("root", {"q": 1}, "chain", id=root, start_time=began, project_name="p")
    client.create_run(
        "child", {}, "tool", id=child, parent_run_id=root, start_time=began, project_name="p"
    )
    for run in (child, root):
        client.update_run(run, outputs={"a": 1}, end_time=dt.datetime.now(UTC))
    assert server.tree() == "root [chain] success\n  child [tool] success"
    assert [r["id"] for r in server.roots("p")] == [str(root)]
    assert server.roots("other") == []
    assert {r["session_id"] for r in server.runs} == {server.projects[0]["id"]}


def test_the_environment(traced: LangSmithServer) -> None:
    @langsmith.traceable
    def work(x: int) -> int:
        return x + 1

    assert work(1) == 2
    langsmith.run_trees.get_cached_client().flush()
    [run] = traced.runs
    assert (run["name"], run["outputs"]) == ("work", {"output": 2})
    assert [p["name"] for p in traced.projects] == ["default"]
    assert traced.environment("x")["LANGSMITH_PROJECT"] == "x"


def test_errors_and_the_tree(server: LangSmithServer) -> None:
    client = server.client()
    root = trace(client, fail=True, tags=["one", "two"], project_name="p")
    session_id = client.read_project(project_name="p").id
    options = {"trace_id": root.id, "session_id": session_id}
    client.create_feedback(key="outcome", score=0, value="failure", **options)
    client.create_feedback(key="cost", score=0.25, **options)
    client.create_feedback(key="crash", error=True, **options)
    client.create_feedback(key="label", value="good", **options)
    client.flush()
    assert server.tree().splitlines()[0] == (
        "root [chain] error #one #two cost=0.25 crash=! label=(good) outcome=0(failure)"
    )


def test_attachments(server: LangSmithServer) -> None:
    client = server.client()
    data = b"\r\n--" + b"x" * 10 + b"\r\n"
    with langsmith.tracing_context(enabled=True, client=client):
        with langsmith.trace("r", client=client, attachments={"pic": ("image/png", data)}) as run:
            pass
    client.flush()
    assert server.runs[0]["attachments"] == {"pic": ("image/png", data)}
    with pytest.deprecated_call():
        read = client.read_run(run.id)
    assert read.attachments["pic"]["reader"].read() == data


def test_reading_runs_v2(server: LangSmithServer) -> None:
    client = server.client()
    root = trace(client, metadata={"thread_id": "t1"})
    trace(client, fail=True)
    project = str(client.read_project(project_name="default").id)
    fields = ["ID", "NAME", "RUN_TYPE", "STATUS", "IS_ROOT", "METADATA", "THREAD_ID", "TRACE_ID"]

    async def read() -> None:
        runs = client.runs
        one = await runs.retrieve(
            str(root.id), project_id=project, selects=[*fields, "PARENT_RUN_IDS"]
        )
        assert (one.name, one.run_type, one.status, one.is_root) == (
            "root",
            "CHAIN",
            "SUCCESS",
            True,
        )
        assert (one.thread_id, one.parent_run_ids) == ("t1", [])
        found = [r async for r in runs.query(project_ids=[project], page_size=2, selects=["NAME"])]
        assert sorted(r.name for r in found) == ["a", "a", "b", "b", "root", "root"]
        assert found[0].id is None
        failed = [r async for r in runs.query(project_ids=[project], has_error=True)]
        assert len(failed) == 1
        tools = [r async for r in runs.query(project_ids=[project], run_type="TOOL")]
        assert len(tools) == 2
        mine = runs.query(project_ids=[project], trace_id=str(root.id), is_root=True)
        assert [r.id async for r in mine] == [str(root.id)]
        later = dt.datetime.now(UTC) + dt.timedelta(hours=1)
        assert [r async for r in runs.query(project_ids=[project], min_start_time=later)] == []
        link = await runs.get_url(str(root.id), project_id=project, trace_id=str(root.id))
        assert link.url.endswith(str(root.id))
        with pytest.raises(Exception, match="404"):
            await runs.retrieve(str(root.id), project_id=str(uuid.uuid4()))
        await client._get_langsmith_api().close()

    asyncio.run(read())


def test_reading_runs_by_the_deprecated_methods(server: LangSmithServer) -> None:
    client = server.client()
    root = trace(client)
    with pytest.deprecated_call():
        runs = list(client.list_runs(project_name="default", is_root=True))
    assert [(r.id, r.status, r.inputs) for r in runs] == [(root.id, "success", {"q": 1})]
    with pytest.deprecated_call():
        read = client.read_run(root.id, load_child_runs=True)
    assert isinstance(read, schemas.Run)
    assert [c.name for c in read.child_runs or []] == ["a"]
    with pytest.deprecated_call():
        assert len(list(client.list_runs(project_name="default", filter='eq(name, "a")'))) == 1
    with pytest.deprecated_call(), pytest.raises(langsmith.utils.LangSmithNotFoundError):
        client.read_run(uuid.uuid4())


@newer
def test_an_address_names_a_project(server: LangSmithServer) -> None:
    client = server.client()
    trace(client, address=langsmith.agent_address("desk", "production"))

    async def read() -> str:
        found = await client.sessions.resolve(kind="AGENT", id="desk", environment="PRODUCTION")
        session = await client.sessions.retrieve_v2(found.session_id)
        await client._get_langsmith_api().close()
        return session.type

    assert asyncio.run(read()) == "AGENT"
    assert len(server.projects) == 1


def test_a_run_sent_twice_is_counted(server: LangSmithServer) -> None:
    client = server.client()
    trace(client)
    body = client.request_with_retries  # the client's own request, once more
    run = {k: v for k, v in server.roots()[0].items() if k not in ("session_id", "end_time")}
    body("POST", "/runs/batch", json={"post": [{**run, "outputs": None}]})
    assert (server.duplicates, len(server.runs)) == (1, 3)
    assert server.roots()[0]["outputs"] == {"a": 2}


def test_otel_is_kept_as_it_came(server: LangSmithServer) -> None:
    client = server.client()
    client.request_with_retries("POST", "/otel/v1/traces", data=b"\x0a\x00")
    assert [body for _, body in server.otel] == [b"\x0a\x00"]
    assert server.runs == []


def test_endpoints_with_a_prefix(server: LangSmithServer) -> None:
    client = server.client(api_url=f"{server.url}/api/v1")
    trace(client)
    dataset = client.create_dataset("d")
    client.create_example({"a": 1}, dataset_id=dataset.id)
    assert server.tree() == TREE


def test_settings_and_tenant(server: LangSmithServer) -> None:
    client = server.client()
    assert client._get_settings().display_name == "local"
    client.create_project("p")
    assert client.read_project(project_name="p").url


def test_importing_the_helpers_loads_no_server() -> None:
    code = (
        "import sys, coord_plugins.testing as t; "
        "heavy = {'http.server', 'langsmith', 'zstandard', 'socketserver'}; "
        "print(sorted(heavy & set(sys.modules)), 'langsmith_server' in dir(t)); "
        "t.langsmith_server; print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.splitlines() == ["[] True", "['http.server', 'socketserver']"]


def test_an_unknown_name_of_the_package() -> None:
    import coord_plugins.testing

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        coord_plugins.testing.nothing  # noqa: B018

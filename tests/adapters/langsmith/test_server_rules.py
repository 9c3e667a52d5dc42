"""Each rule is broken once, and noticed."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from coord_plugins.testing import LangSmithServer, langsmith_server

STAMP = "20260101T000000000000Z"
KEY = {"x-api-key": "k"}


@pytest.fixture
def loose() -> Iterator[LangSmithServer]:
    with langsmith_server(strict=False) as server:
        yield server


def ask(
    server: LangSmithServer, method: str, path: str, body: Any = None, headers: Any = KEY
) -> tuple[int, Any]:
    host = server.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    try:
        data = body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read else None
    finally:
        connection.close()


def run(parent: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    made = str(uuid.uuid4())
    above = f"{parent['dotted_order']}." if parent else ""
    return {
        "id": made,
        "name": "r",
        "run_type": "chain",
        "start_time": "2026-01-01T00:00:00+00:00",
        "end_time": "2026-01-01T00:00:01+00:00",
        "trace_id": parent["trace_id"] if parent else made,
        "parent_run_id": parent["id"] if parent else None,
        "dotted_order": f"{above}{STAMP}{made}",
        "session_name": "p",
        **changes,
    }


def send(server: LangSmithServer, *post: Any, patch: Any = ()) -> int:
    return ask(server, "POST", "/runs/batch", {"post": post, "patch": list(patch)})[0]


def feedback(server: LangSmithServer, run_id: str, key: str = "k", **more: Any) -> int:
    record = {"id": str(uuid.uuid4()), "run_id": run_id, "key": key, "score": 1, **more}
    return ask(server, "POST", "/feedback", record)[0]


def multipart(server: LangSmithServer, *parts: tuple[str, Any]) -> int:
    rows = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n'
        f"Content-Type: application/json\r\n\r\n{json.dumps(value)}\r\n"
        for name, value in parts
    ]
    headers = {**KEY, "Content-Type": "multipart/form-data; boundary=b"}
    return ask(server, "POST", "/runs/multipart", ("".join(rows) + "--b--\r\n").encode(), headers)[
        0
    ]


def test_what_is_right_is_no_problem(loose: LangSmithServer) -> None:
    root = run()
    child = run(root)
    # children may come first, and a patch before its post
    assert send(loose, child, patch=[{**root, "outputs": {"a": 1}}]) == 202
    assert send(loose, {**root, "outputs": {"late": 1}}) == 202
    assert feedback(loose, root["id"]) == 200
    loose.check()
    assert loose.roots("p")[0]["outputs"] == {"a": 1}


OTHER = "22222222-2222-4222-8222-222222222222"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trace_id": OTHER}, "a root whose trace_id"),
        ({"dotted_order": "today"}, "bad dotted_order 'today'"),
        ({"dotted_order": f"{STAMP}{OTHER}"}, "bad dotted_order, it ends with"),
        ({"dotted_order": None}, "without trace_id and dotted_order"),
        ({"trace_id": None}, "without trace_id and dotted_order"),
        ({"parent_run_id": OTHER}, f"its parent is {OTHER} and not None"),
    ],
)
def test_a_root_that_is_refused(loose: LangSmithServer, changes: Any, says: str) -> None:
    assert send(loose, run(), run(**changes)) == 400
    # nothing of the batch has arrived
    assert loose.runs == []
    assert len(loose.problems) == 1
    assert says in loose.problems[0]
    with pytest.raises(AssertionError, match="1 problem"):
        loose.check()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"trace_id": OTHER}, "is not the root's in its dotted_order"),
        ({"parent_run_id": OTHER}, "bad dotted_order, its parent is"),
        ({"parent_run_id": None}, "bad dotted_order, its parent is None"),
    ],
)
def test_a_child_that_is_refused(loose: LangSmithServer, changes: Any, says: str) -> None:
    root = run()
    assert send(loose, root, run(root, **changes)) == 400
    assert says in loose.problems[0]


def late(server: LangSmithServer, **options: Any) -> str:
    assert server.problems == []
    with pytest.raises(AssertionError) as failed:
        server.check(**options)
    return str(failed.value)


def test_a_parent_that_never_arrived(loose: LangSmithServer) -> None:
    root = run()
    assert send(loose, run(root)) == 202
    assert f"its parent {root['id']} never arrived" in late(loose)


def test_a_dotted_order_that_does_not_extend_the_parents(loose: LangSmithServer) -> None:
    root = run()
    moved = {**root, "dotted_order": f"20270101T000000000000Z{root['id']}"}
    assert send(loose, root, run(moved)) == 202
    assert "does not extend that of its parent run r" in late(loose)


def test_a_child_in_another_trace_than_its_parent(loose: LangSmithServer) -> None:
    top, root = run(), run()
    parent = run(top)
    elsewhere = {
        **parent,
        "trace_id": root["id"],
        "dotted_order": f"{root['dotted_order']}.{STAMP}{parent['id']}",
    }
    assert send(loose, top, root, parent, run(elsewhere)) == 202
    assert "not in the trace of its parent" in late(loose)


def test_a_run_that_never_ended(loose: LangSmithServer) -> None:
    assert send(loose, run(end_time=None)) == 202
    assert "never ended" in late(loose)
    loose.check(pending=False)
    assert loose.tree() == "r [chain] pending"
    with langsmith_server(allow_pending=True) as tolerant:
        assert send(tolerant, run(end_time=None)) == 202


def test_a_patch_without_its_post(loose: LangSmithServer) -> None:
    assert send(loose, patch=[run()]) == 202
    assert "patched, but never posted" in late(loose)


def test_feedback_on_an_unknown_run(loose: LangSmithServer) -> None:
    """By itself it is an answer; in a batch it is a problem unless the run arrives."""
    root = run()
    assert feedback(loose, root["id"]) == 404
    loose.check()
    record = {"id": str(uuid.uuid4()), "run_id": root["id"], "trace_id": root["id"], "key": "k"}
    assert multipart(loose, (f"feedback.{record['id']}", record)) == 202
    assert f"feedback 'k' on run {root['id']}, which never arrived" in late(loose)
    assert send(loose, root) == 202
    loose.check()


def test_two_feedback_records_of_one_key(loose: LangSmithServer) -> None:
    root = run()
    send(loose, root)
    assert [feedback(loose, root["id"]), feedback(loose, root["id"], "other")] == [200, 200]
    loose.check()
    feedback(loose, root["id"])
    assert "2 feedback records with the key 'k'" in late(loose)
    with langsmith_server(allow_repeated_keys=True) as tolerant:
        send(tolerant, root)
        feedback(tolerant, root["id"])
        feedback(tolerant, root["id"])


def test_no_key(loose: LangSmithServer) -> None:
    assert ask(loose, "GET", "/sessions", headers={})[0] == 401
    assert loose.problems == ["GET /sessions: no x-api-key header"]
    assert ask(loose, "GET", "/info", headers={})[0] == 200


def test_an_unknown_path(loose: LangSmithServer) -> None:
    assert ask(loose, "GET", "/nothing")[0] == 404
    assert ask(loose, "PUT", "/runs")[0] == 404
    assert loose.problems == ["unknown path: GET /nothing", "unknown path: PUT /runs"]


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/runs/batch", b"{", {}),
        ("/runs/batch", b"[]", {}),
        ("/runs", b'{"name": "no id"}', {}),
        ("/runs/multipart", b"x", {}),
        ("/runs/multipart", b"x", {"Content-Type": "multipart/form-data; boundary=b"}),
        ("/runs/multipart", b"x", {"Content-Encoding": "zstd"}),
        ("/runs/query", b'{"tree_filter": "eq(name, \'x\')"}', {}),
        ("/runs/query", b'{"filter": "search(\'x\')"}', {}),
        ("/runs/query", b'{"filter": "eq(cost, 1)"}', {}),
        ("/runs/query", b'{"filter": "eq(name, \'x\'"}', {}),
        ("/runs/query", b'{"filter": "eq(name, x)"}', {}),
        ("/runs/query", b'{"filter": "eq(name, \'x\') and"}', {}),
        ("/runs/query", b'{"filter": "%"}', {}),
    ],
)
def test_what_cannot_be_read(loose: LangSmithServer, path: str, body: bytes, headers: Any) -> None:
    status, answer = ask(loose, "POST", path, body, {**KEY, **headers})
    assert status in (400, 422)
    assert loose.problems == [answer["detail"]]


def test_parts_that_nobody_knows(loose: LangSmithServer) -> None:
    assert multipart(loose, ("stranger.x", {})) == 422
    assert multipart(loose, (f"attachment.{OTHER}.pic", {})) == 422
    assert "unknown part stranger.x" in loose.problems[0]
    assert f"attachment 'pic' of the unknown run {OTHER}" in loose.problems[1]


def test_a_strict_server_checks_at_its_end() -> None:
    with pytest.raises(AssertionError, match="never ended"), langsmith_server() as server:
        send(server, run(end_time=None))
    # an error of the test itself is not hidden
    with pytest.raises(ZeroDivisionError), langsmith_server() as server:
        1 / send(server, run(end_time=None)) / 0


def test_a_body_in_chunks(loose: LangSmithServer) -> None:
    host = loose.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=5)
    body = json.dumps({"post": [run()]}).encode()
    connection.request(
        "POST", "/runs/batch", iter([body[:10], body[10:]]), KEY, encode_chunked=True
    )
    assert connection.getresponse().read()
    connection.close()
    assert len(loose.runs) == 1


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('eq(feedback_key, "k")', ["a"]),
        ('and(eq(feedback_key, "k"), eq(feedback_score, 1))', ["a"]),
        # the conditions are about one record: "k" has no score 0
        ('and(eq(feedback_key, "k"), eq(feedback_score, 0))', []),
        ("or(eq(name, 'b'), gt(feedback_score, 0.5))", ["a", "b"]),
        ('has(tags, "t")', ["b"]),
        ("has(metadata, '{\"m\": 1}')", ["b"]),
        ('and(eq(status, "success"), eq(is_root, true), lt(latency, 2))', ["a", "b"]),
        ("neq(run_type, 'chain')", []),
        ("lte(feedback_score, 0)", ["a"]),
        ("gte(feedback_score, 1)", ["a"]),
    ],
)
def test_filters(loose: LangSmithServer, text: str, names: list[str]) -> None:
    first, second = run(name="a"), run(name="b", tags=["t"], extra={"metadata": {"m": 1}})
    send(loose, first, second)
    feedback(loose, first["id"])
    feedback(loose, first["id"], "other", score=0)
    found = ask(loose, "POST", "/runs/query", {"filter": text})[1]["runs"]
    assert sorted(r["name"] for r in found) == names
    assert loose.problems == []

"""The server fails in the ways that a service fails, on demand and quickly."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from typing import Any

import langsmith
import pytest
from langsmith import utils as ls_utils
from urllib3 import Retry

from coord_plugins.testing import LangSmithServer, langsmith_server


@pytest.fixture
def client(server: LangSmithServer) -> langsmith.Client:
    """Sends in the caller, and tries once."""
    client = server.client(auto_batch_tracing=False, retry_config=Retry(total=0), timeout_ms=300)
    assert client.info.version == "0.18.0"
    return client


def names(client: langsmith.Client) -> list[Any]:
    return [p.name for p in client.list_projects()]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, ls_utils.LangSmithAuthError),
        (404, ls_utils.LangSmithNotFoundError),
        (409, ls_utils.LangSmithConflictError),
        (429, ls_utils.LangSmithRateLimitError),
        (500, ls_utils.LangSmithAPIError),
        (503, ls_utils.LangSmithError),
    ],
)
def test_a_status(
    server: LangSmithServer, client: langsmith.Client, status: int, error: type[Exception]
) -> None:
    server.fail(status)
    with pytest.raises(error):
        client.create_project("p")
    assert (server.projects, server.requests[-1].status) == ([], status)
    server.recover()
    client.create_project("p")


def test_for_a_path_and_for_some_requests(
    server: LangSmithServer, client: langsmith.Client
) -> None:
    server.fail(500, path="^/sessions", times=1)
    assert not client.has_dataset(dataset_name="d")
    with pytest.raises(ls_utils.LangSmithAPIError):
        names(client)
    assert names(client) == []


def test_faults_follow_each_other(server: LangSmithServer, client: langsmith.Client) -> None:
    server.fail(500, path="/datasets", times=1)
    server.fail(404, path="/datasets", times=1)
    for error in (ls_utils.LangSmithAPIError, ls_utils.LangSmithNotFoundError):
        with pytest.raises(error):
            client.create_dataset("d")
    client.create_dataset("d")


def test_when_to_come_again(
    server: LangSmithServer, client: langsmith.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("langsmith.client.time.sleep", slept.append)
    server.fail(429, times=1, headers={"Retry-After": "7"})
    answer = client.request_with_retries("GET", "/sessions", stop_after_attempt=2)
    assert answer.json() == []
    assert [int(s) for s in slept] in ([7], [8])


def test_down_and_up_again(server: LangSmithServer, client: langsmith.Client) -> None:
    names(client)
    server.fail("down")
    with pytest.raises(ls_utils.LangSmithConnectionError):
        names(client)
    host, port = server.url.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=1)
    server.recover()
    assert names(client) == []


def test_hanging_until_it_recovers(server: LangSmithServer, client: langsmith.Client) -> None:
    server.fail("hanging")
    patient = server.client(auto_batch_tracing=False, retry_config=Retry(total=0))
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            patient.create_project("p")
        except ls_utils.LangSmithConnectionError as e:
            failed.append(e)

    thread = threading.Thread(target=ask)
    thread.start()
    with pytest.raises(ls_utils.LangSmithError, match="timed out"):
        names(client)
    assert thread.is_alive()
    server.recover()
    thread.join(5.0)
    assert len(failed) == 1
    assert server.projects == []
    assert {r.status for r in server.requests[-2:]} == {None}


def test_hanging_does_not_delay_the_end() -> None:
    with langsmith_server() as server:
        server.fail("hanging")
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
            while not server.requests:
                time.sleep(0.001)
            began = time.monotonic()
            server.close()
            assert time.monotonic() - began < 1.0
            assert connection.recv(1) == b""


def test_hanging_for_a_while_and_dropping(
    server: LangSmithServer, client: langsmith.Client
) -> None:
    server.fail("hanging", seconds=0.01, times=1)
    server.fail("drop", times=1)
    for _ in range(2):
        with pytest.raises(ls_utils.LangSmithConnectionError):
            names(client)
    assert names(client) == []


def test_slow(server: LangSmithServer, client: langsmith.Client) -> None:
    server.fail("slow", seconds=0.05, times=1)
    began = time.monotonic()
    client.create_project("p")
    assert time.monotonic() - began >= 0.05
    assert names(client) == ["p"]


@pytest.mark.parametrize("kind", [500, "drop", "hanging"])
def test_the_effect_without_the_answer(
    server: LangSmithServer, client: langsmith.Client, kind: Any
) -> None:
    """The ambiguous case: the client cannot know, and sends again."""
    server.fail(kind, after=True, times=1, seconds=0.01)
    with pytest.raises(ls_utils.LangSmithError):
        client.create_project("p")
    assert [p["name"] for p in server.projects] == ["p"]
    with pytest.raises(ls_utils.LangSmithConflictError):
        client.create_project("p")


def test_a_client_that_sends_twice_is_counted(server: LangSmithServer) -> None:
    client = server.client(retry_config=Retry(total=0))
    server.fail(500, path="/runs/multipart", after=True, times=1)
    with langsmith.tracing_context(enabled=True, client=client):
        with langsmith.trace("r", client=client):
            pass
    client.flush()
    assert (len(server.runs), server.duplicates) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("tired", {}, "neither a status"),
        (200, {}, "neither a status"),
        ("down", {"times": 1}, "use 'drop'"),
        ("slow", {}, "seconds="),
    ],
)
def test_faults_that_cannot_be(server: LangSmithServer, kind: Any, options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        server.fail(kind, **options)
    assert server.requests == []


def test_a_client_that_hangs_up_in_the_middle(server: LangSmithServer) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    names(server.client())
    assert [r.method for r in server.requests].count("POST") == 0


def test_the_port_can_be_chosen() -> None:
    with langsmith_server() as first:
        port = int(first.url.rpartition(":")[2])
    with langsmith_server(port=port) as second:
        assert second.url == first.url
        assert second.client().info.version == "0.18.0"


def test_a_server_that_nobody_closes_does_not_keep_the_process() -> None:
    code = (
        "import langsmith\n"
        "from coord_plugins.testing import langsmith_server\n"
        "held = langsmith_server()\n"
        "server = held.__enter__()\n"
        "client = server.client()\n"
        "print(client.info.version)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "0.18.0\n"

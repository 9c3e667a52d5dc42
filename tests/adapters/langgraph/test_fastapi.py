"""A web service on an attached graph: examples/fastapi_service.py under load."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import logging
import os
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from coord_plugins import flush, iter_runs, report

from .graphs import compare_with_bare

EXAMPLE = Path(__file__).parents[3] / "examples" / "fastapi_service.py"
TENANTS = ["acme", "globex", "initech"]
REQUESTS = 50


@pytest.fixture
def service() -> Any:
    """The example's module."""
    spec = importlib.util.spec_from_file_location("fastapi_service", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(app: Any, *requests: tuple[str, dict[str, Any]]) -> list[httpx.Response]:
    """All requests at once."""

    async def main() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await asyncio.gather(*(client.post(url, **kw) for url, kw in requests))

    return asyncio.run(main())


def request(n: int, kind: str = "ask") -> tuple[str, dict[str, Any]]:
    """The n-th request; every third question needs no second attempt."""
    question = "which line?" if n % 3 == 0 else "why so much?"
    headers = {"X-Tenant": TENANTS[n % 3]}
    return f"/threads/t{n}/{kind}", {"json": {"question": question}, "headers": headers}


def serve(service: Any) -> list[dict[str, Any]]:
    """50 concurrent requests, and what they were answered."""
    answers = call(service.create_app(), *(request(n) for n in range(REQUESTS)))
    assert [a.status_code for a in answers] == [200] * REQUESTS
    return [a.json() for a in answers]


def check_report(answers: list[dict[str, Any]]) -> None:
    """Every run is there once, under its tenant, and the tenants add up."""
    flush()
    runs = {r.run_id: r for r in iter_runs(pipeline="service")}
    assert len(runs) == REQUESTS
    for n, answer in enumerate(answers):
        run = runs[answer["run_id"]]
        assert (run.thread, run.metadata["tenant"]) == (f"t{n}", TENANTS[n % 3])
        assert run.steps["writer"].rejects == (0 if n % 3 == 0 else 1)
    by_tenant = report(pipeline="service", by="tenant")
    (whole,) = by_tenant.groups
    expected = Counter(TENANTS[n % 3] for n in range(REQUESTS))
    assert {part.value: part.started for part in whole.parts} == expected
    assert whole.started == sum(part.started for part in whole.parts) == REQUESTS
    for name, number in whole.outcomes.items():
        assert number == sum(part.outcomes[name] for part in whole.parts), name
    assert whole.outcomes["success.first_pass"] == expected["acme"] == 17
    assert whole.outcomes["success.unjudged"] == 33


def test_fifty_concurrent_requests(service: Any) -> None:
    """Each answers with its own run's id; the report by tenant adds up."""
    answers = serve(service)
    assert len({a["run_id"] for a in answers}) == REQUESTS
    assert {a["answer"] for a in answers} == {"Line 2 is a yearly fee."}
    check_report(answers)


def streamed(app: Any, number: int = 6) -> list[list[Any]]:
    """What the streams of some requests say, chunk by chunk."""
    found = call(app, *(request(n, "stream") for n in range(number)))
    return [[json.loads(line) for line in r.text.splitlines()] for r in found]


def test_the_stream_holds_rejected_drafts_back(service: Any) -> None:
    """Not a word of them; the accepted ones arrive."""
    for chunks in streamed(service.create_app()):
        said = "".join(part for mode, part in chunks if mode == "messages")
        assert said == "Line 2 is a yearly fee."


@pytest.mark.parametrize("mode", ["off", "observe"])
def test_modes(service: Any, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bare graph's streams; observing adds records, and off nothing at all."""
    compare_with_bare(mode == "observe")
    bare = streamed(service.create_app(service.build()))
    monkeypatch.setenv("COORD_MODE", mode)
    app = service.create_app()
    assert streamed(app) == bare
    assert any("look into it" in str(chunks) for chunks in bare)
    flush()
    runs = list(iter_runs(pipeline="service"))
    if mode == "off":
        assert runs == []
        (answer,) = call(app, request(0))
        assert answer.json()["run_id"] is None
    else:
        assert len(runs) == 6
        assert sum(r.steps["writer"].would_reject for r in runs) == 4
        assert sum(r.steps["writer"].rejects for r in runs) == 0
        assert {r.mode for r in runs} == {"observe"}


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which nothing can be made, not even by root."""
    place = Path("/proc") if os.geteuid() == 0 else tmp_path
    tmp_path.chmod(0o555)
    monkeypatch.chdir(place)
    monkeypatch.delenv("COORD_STORE")
    return place


def test_a_read_only_working_directory(
    service: Any, read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It starts and serves; one WARNING says that runs are kept in memory."""
    with caplog.at_level(logging.WARNING, logger="coord_plugins"):
        answers = serve(service)
        check_report(answers)
    warnings = [r for r in caplog.records if "memory" in r.message]
    assert len(warnings) == 1
    assert warnings[0].levelname == "WARNING"
    assert not (read_only / ".coord").exists()

"""`LangSmith` itself: what it refuses, what it says, and when two are one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import langsmith
import pytest
from coord_langsmith import LangSmith, _outbox, bounded_client
from urllib3.util import Retry

from coord_plugins import (
    OutcomeRecorded,
    PolicyError,
    RunFinished,
    UnsupportedHostError,
    configure,
    flush,
    record_outcome,
    track,
)
from coord_plugins.testing import LangSmithServer, langsmith_server


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_once(*listeners: Any, passed: bool = True) -> str:
    with track("p", goal=lambda _: passed, listeners=listeners, store="memory") as run:
        pass
    assert flush(10)
    return run.run_id


@pytest.mark.parametrize("key", ["", "outcome.sub"])
def test_a_key_that_cannot_be(key: str) -> None:
    with pytest.raises(PolicyError, match="key="):
        LangSmith(key=key)


def spanning(server: LangSmithServer, mode: str) -> langsmith.Client:
    """A client that makes OpenTelemetry spans, and no thread or exporter for them."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace")
    return server.client(tracing_mode=mode, otel_tracer_provider=sdk.TracerProvider())


def test_spans_only_are_refused(server: LangSmithServer) -> None:
    client = spanning(server, "otel")
    with pytest.raises(PolicyError, match="an outcome would find no root"):
        LangSmith(client=client)


def test_spans_only_by_default_are_refused_once_and_the_run_goes_on(
    traced: LangSmithServer, caplog: pytest.LogCaptureFixture
) -> None:
    langsmith.configure(client=spanning(traced, "otel"))
    listener = LangSmith()
    run_once(listener)
    run_once(listener)
    said = [r for r in caplog.records if "no run is traced" in r.getMessage()]
    assert len(said) == 1
    assert traced.runs == traced.feedback == []
    listener.close()


def test_hybrid_is_best_effort_and_says_so(
    traced: LangSmithServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "coord_plugins.langsmith")
    client = spanning(traced, "hybrid")
    listener = LangSmith(client=client)
    assert "its OpenTelemetry copy" in caplog.text
    run_once(listener)
    client.flush()
    [root] = traced.roots()
    assert [f["score"] for f in traced.feedback_on(root["id"], "outcome")] == [1]
    listener.close()


def test_a_client_that_changed_is_refused_with_the_version_that_works(
    server: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = server.client()
    monkeypatch.delattr(type(client), "_should_sample")
    with pytest.raises(UnsupportedHostError, match=r"_should_sample.*0\.15\.1"):
        LangSmith(client=client)


def test_equal_listeners_of_configure_and_attach_are_one(traced: LangSmithServer) -> None:
    one, other = LangSmith(), LangSmith()
    assert one == other
    assert hash(one) == hash(other)
    assert one != LangSmith("elsewhere")
    assert one != LangSmith(key="quality")
    configure(listeners=[other])
    try:
        run_once(one, one)
    finally:
        configure(listeners=())
    [root] = traced.roots()
    assert len(traced.feedback_on(root["id"])) == len(traced.feedback) == 4
    assert (one.stats()["traced"], other.stats()["traced"]) == (1, 0)


def test_a_label_of_a_run_that_nobody_knows_is_said(
    traced: LangSmithServer, caplog: pytest.LogCaptureFixture
) -> None:
    listener = LangSmith()
    run_once(listener)
    record_outcome("r-unknown", passed=True, store="memory")
    assert flush(10)
    assert listener.stats()["unknown"] == 1
    assert "the label of run r-unknown is not in LangSmith" in caplog.text
    listener.close()


def test_a_project_of_its_own(traced: LangSmithServer) -> None:
    listener = LangSmith("mine")
    run_once(listener)
    with langsmith.tracing_context(project_name="theirs"):
        run_once(listener)
    assert [r["session_name"] for r in traced.roots()] == ["mine", "mine"]
    run_once(LangSmith())
    with langsmith.tracing_context(project_name="theirs"):
        run_once(LangSmith())
    assert [r["session_name"] for r in traced.roots()[2:]] == ["default", "theirs"]
    listener.close()


def test_feedback_leaves_the_retention_alone_unless_asked(traced: LangSmithServer) -> None:
    for extend in (False, True):
        listener = LangSmith(extend_retention=extend)
        run_once(listener)
        listener.close()
    said = [f["extend_trace_retention"] for f in traced.feedback if f["key"] == "outcome"]
    assert said == [False, True]


def test_stats_count_this_process(traced: LangSmithServer) -> None:
    listener = LangSmith()
    for _ in range(3):
        run_once(listener)
    assert {k: v for k, v in listener.stats().items() if v} == {"traced": 3, "sent": 3}
    listener.close()


def test_a_bounded_client_takes_the_options_of_langsmiths(server: LangSmithServer) -> None:
    client = bounded_client(api_url=server.url, api_key="k", timeout_ms=(1, 2))
    assert client.timeout_ms == (1, 2)
    assert client.retry_config.total == 0
    client.close(timeout=5)


def test_the_feedback_client_takes_over_how_the_other_connects(
    server: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they win over the session's
        monkeypatch.delenv(name, raising=False)
    from coord_langsmith._client import bounded

    client = server.client(workspace_id="2f1b3c52-6f0f-4c38-9d0a-2b7c6e1a7d11")
    client.session.verify = "/somewhere/ca.pem"
    client.session.proxies = {"https": "http://127.0.0.1:3128"}
    own = bounded(client)
    assert own is not client
    assert (own.api_url, own.api_key) == (client.api_url, client.api_key)
    assert own.workspace_id == client.workspace_id
    assert own.session.verify == "/somewhere/ca.pem"
    assert own.session.proxies == client.session.proxies
    assert own.tracing_queue is None  # no thread


def test_a_client_of_the_context_is_not_mixed_with_another(
    traced: LangSmithServer, caplog: pytest.LogCaptureFixture
) -> None:
    other = traced.client()
    listener = LangSmith()
    for _ in range(2):
        with langsmith.tracing_context(client=other, enabled=True):
            run_once(listener)
    said = [r for r in caplog.records if "names a client of its own" in r.getMessage()]
    assert len(said) == 1
    assert traced.runs == traced.feedback == []
    with langsmith.tracing_context(client=other, enabled=True):
        run_once(LangSmith(client=other))
    assert len(traced.roots()) == 1
    listener.close()


def test_an_agents_address_is_refused(
    traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("langsmith.address")  # 0.15 and later
    monkeypatch.setenv("LANGSMITH_AGENT_ID", "a")
    monkeypatch.setenv("LANGSMITH_AGENT_ENVIRONMENT", "production")
    monkeypatch.delenv("LANGSMITH_PROJECT")
    langsmith.utils.get_env_var.cache_clear()
    listener = LangSmith()
    run_once(listener)
    assert "traces go to an agent's address" in caplog.text
    assert traced.runs == []
    listener.close()


def test_a_late_label_is_the_affair_of_the_listener_that_traced_the_run(
    traced: LangSmithServer,
) -> None:
    with langsmith_server() as elsewhere:
        one, other = LangSmith(), LangSmith(client=elsewhere.client())
        run_id = run_once(one)
        run_once(other)
        before = len(elsewhere.requests)
        record_outcome(run_id, passed=False, source="reopened", store="memory")
        assert flush(10)
        assert len(elsewhere.requests) == before
        [found] = traced.feedback_on(traced.roots()[0]["id"], "outcome")
        assert (found["score"], found["comment"]) == (0, "lost at goal: reopened")
        assert (one.stats()["unknown"], other.stats()["unknown"]) == (0, 0)
        one.close()
        other.close()


def test_a_root_that_is_made_again_says_nothing_that_the_client_would_hide(
    traced: LangSmithServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outbox, "NOT_YET_DELAYS", (0.0,))
    hiding = traced.client(hide_metadata=True, anonymizer=lambda _: {}, retry_config=Retry(total=0))
    listener = LangSmith(client=hiding)
    traced.fail(500, path="/runs/multipart")
    tracked = track("p", listeners=[listener], store="memory", metadata={"customer": "Ada"})
    with pytest.raises(KeyError), tracked as run:
        raise KeyError("Ada's key")
    assert flush(10)
    traced.recover()
    [root] = traced.roots()
    assert root["tags"] == ["coord:restored"]
    assert (root["error"], root["inputs"]) == ("KeyError", {})
    about = root["extra"]["metadata"]
    assert "Ada" not in repr(root)
    assert {k: v for k, v in about.items() if k.startswith("coord.")} == {
        "coord.run_id": run.run_id,
        "coord.pipeline": "p",
        "coord.policy_id": run.coord.policy_id,
        "coord.outcome": "error.crash",
    }
    listener.close()


def test_nothing_is_written_where_nothing_waits(traced: LangSmithServer) -> None:
    listener = LangSmith()
    run_once(listener)
    assert not Path(".coord").exists()
    listener.close()


def test_a_late_label_of_a_trace_that_is_not_sampled_goes_nowhere(traced: LangSmithServer) -> None:
    listener = LangSmith(client=traced.client(tracing_sampling_rate=0.0))
    run_id = run_once(listener)
    record_outcome(run_id, passed=False, store="memory")
    assert flush(10)
    assert traced.runs == traced.feedback == []
    said = {k: v for k, v in listener.stats().items() if v}
    assert said == {"traced": 1, "sampled_out": 1}
    listener.close()


def test_what_the_core_could_not_hand_over_is_kept_as_it_would_be_sent(
    traced: LangSmithServer,
) -> None:
    """Also with a key of its own, a late label, and a trace that is not sampled."""
    quality = LangSmith(key="quality", spool="quality")
    run_id = run_once(quality)
    label = OutcomeRecorded(run_id, False, 1.0, "late", "reopened")
    quality.spool([label])
    assert flush(10)
    [said] = traced.feedback_on(traced.roots()[0]["id"], "quality")
    assert (said["score"], said["comment"]) == (0, "lost at goal: reopened")

    client = traced.client(tracing_sampling_rate=0.0)
    unsampled = LangSmith(client=client, spool="unsampled")
    with track("p", listeners=[unsampled], store="memory") as run:
        pass
    assert flush(10)
    before = len(traced.requests)
    unsampled.spool([RunFinished(run.coord.last)])  # type: ignore[arg-type]  # it ended
    assert flush(10)
    assert len(traced.requests) == before
    assert unsampled.stats()["spooled"] == 0
    quality.close()
    unsampled.close()

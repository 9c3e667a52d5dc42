"""LangSmith's client: what is relied on, and one of ours that answers soon."""

from __future__ import annotations

import logging
from typing import Any

import requests
from langsmith import Client
from urllib3.util import Retry

from coord_plugins import PolicyError, UnsupportedHostError

log = logging.getLogger("coord_plugins.langsmith")
TESTED = "0.15.1"
"""LangSmith's latest version that this was tested with."""
TIMEOUT_MS = (5_000, 15_000)
"""How long a call may take to connect, and to be answered."""


def check_client(client: Client) -> None:
    """Refuse a client that outcomes cannot go through.

    Args:
        client: LangSmith's client.

    Raises:
        PolicyError: It sends OpenTelemetry spans only.
        UnsupportedHostError: It has changed a part that is relied on.
    """
    if client.tracing_mode == "otel":
        raise PolicyError(
            "LangSmith: this client sends OpenTelemetry spans only (tracing_mode='otel'), and "
            "LangSmith gives those ids of their own, so an outcome would find no root; use "
            "tracing_mode='langsmith', or 'hybrid'"
        )
    if client.tracing_mode == "hybrid":
        log.info(
            "tracing_mode='hybrid': outcomes are on LangSmith's own runs; its OpenTelemetry copy "
            "has none, and may fall into several traces"
        )
    if not callable(getattr(client, "_should_sample", None)):
        raise UnsupportedHostError(
            "LangSmith's client no longer has _should_sample, which tells whether a trace is sent; "
            f"the last version that was tested is {TESTED}"
        )


def bounded_client(**options: Any) -> Client:
    """A client for LangSmith's tracing that gives up soon, for processes that must end.

    While LangSmith does not answer, its default client keeps a process from ending for a minute and
    longer. Give this one to `langsmith.configure(client=...)`, which then is what LangGraph, your
    own traced functions and `LangSmith()` use. Runs that it gives up are lost; their outcomes are
    not, and bring their roots along.

    Args:
        **options: As for `langsmith.Client`; they win.
    """
    return Client(**{"retry_config": Retry(total=0), "timeout_ms": TIMEOUT_MS, **options})


def bounded(of: Client) -> Client:
    """A client like another one that answers soon, one way or the other, and has no threads.

    LangSmith's own repeats a call that fails for minutes. Where the other has no key of its own (an
    OAuth profile), it is used itself.

    Args:
        of: LangSmith's client.
    """
    if of.api_key is None:
        return of
    session = requests.Session()
    for name in ("auth", "cert", "headers", "proxies", "verify"):
        setattr(session, name, getattr(of.session, name))
    # what the environment says of proxies and certificates is read once, and not with each call
    found = of.session.merge_environment_settings(of.api_url, {}, None, None, None)
    session.trust_env = False
    session.proxies, session.verify = dict(found["proxies"]), found["verify"]
    return Client(
        of.api_url,
        api_key=of.api_key,
        workspace_id=of.workspace_id,
        session=session,
        timeout_ms=TIMEOUT_MS,
        retry_config=Retry(total=0),
        auto_batch_tracing=False,
        tracing_sampling_rate=1.0,  # whether a trace is sampled was decided before
        tracing_mode="langsmith",
        disable_prompt_cache=True,
    )

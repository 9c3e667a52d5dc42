"""LangGraph's own retry of a node: off under our `Retry` or None, except for its node timeouts.

A timeout (LangGraph 1.2 and later) cancels the node from outside, so that only LangGraph can run
it again. Its retry policy asks our predicate, which hands the timeout to the core as the error of
the step that was cut off; the next visit goes on with that step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langgraph.types import RetryPolicy

from coord_plugins import CoordError
from coord_plugins.host import Again, Fallback, settle

if TYPE_CHECKING:
    from ._node import Node

NOT_OURS = RetryPolicy(max_attempts=1, retry_on=CoordError)
"""First in a node's policies: what we raise has been decided and is not tried again."""
OFF = RetryPolicy(max_attempts=1, retry_on=Exception)


def policies_of(pregel: Any, node: Node) -> Sequence[RetryPolicy] | None:
    """The retry policies of the wrapped node."""
    policy = node.coord.policy
    retry = policy.retry_of(node.name)
    if retry is None and node.name in policy.retry:
        return (OFF,)  # None is an order: nobody repeats this node
    if retry is None:
        return (NOT_OURS, *pregel.retry_policy) if pregel.retry_policy else pregel.retry_policy
    if not node.has_timeout:
        return (OFF,)
    timeouts = RetryPolicy(
        initial_interval=retry.initial_interval,
        backoff_factor=retry.backoff_factor,
        max_interval=retry.max_interval,
        max_attempts=retry.max_attempts * (1 + len(retry.fallbacks)) + 1,
        jitter=False,  # LangGraph's would add up to a second
        retry_on=lambda error: _goes_on(node, error),
    )
    return (timeouts, OFF)


def _goes_on(node: Node, error: BaseException) -> bool:
    """Whether a node that LangGraph timed out runs again; the core decides."""
    from langgraph.errors import NodeTimeoutError

    found = node.run()
    steps = found.under_way.get(node.name) if found is not None else None
    if not isinstance(error, NodeTimeoutError) or found is None or not steps:
        return False
    # Among parallel tasks of one node the oldest runs out of time first. Its coroutine has not
    # yet seen the cancellation: what it was is moved to a copy, and it has nothing to write off.
    cut_off = steps.pop(0)
    step = copy.copy(cut_off)
    cut_off.events, cut_off.usage, cut_off.validation, cut_off.circuit = [], None, None, None
    decision = settle(step, error=error)
    if isinstance(decision, (Again, Fallback)):
        found.going_on.setdefault(node.name, []).append(step)
        return True
    step.commit()
    return False

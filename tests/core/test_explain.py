"""`.coord.explain()`: what a policy can cost, before it is paid."""

from __future__ import annotations

from coord_plugins import START, Budget, Retry, ValidationEdge, check, judge
from coord_plugins._explain import explained
from coord_plugins.host import Host, make_policy


def test_every_part_of_a_policy_is_named() -> None:
    """Edges with their ladder and worst case, retries, budget, goal and findings."""
    policy = make_policy(
        ValidationEdge("writer", check(bool, name="nonempty"), back_to=("writer", START)),
        pipeline="support",
        goal=judge(bool, name="resolved"),
        retry={"*": Retry(max_attempts=4, fallbacks=[print]), "send": None},
        budget=Budget(max_tokens=100),
    )
    said = "\n".join(explained(policy, Host(name="nowhere"), ["a finding"]))
    assert "'support' on nowhere" in said
    assert "writer: nonempty (code)" in said
    assert "back to writer -> START; 3 attempts; then AttemptsExhaustedError" in said
    assert "worst case: 3 x 8 = 24 calls" in said
    assert "retry *: up to 4 tries" in said
    assert "retry send: never repeated" in said
    assert "max_tokens=100" in said
    assert "goal: resolved (llm)" in said
    assert "note: a finding" in said


def test_a_policy_without_a_goal_says_so() -> None:
    """Without a goal, and with a goal that comes later."""
    host = Host(name="nowhere")
    assert "runs stay unlabelled" in "\n".join(explained(make_policy(pipeline="p"), host, []))
    later = make_policy(pipeline="p", goal="__later__", mode="observe")
    said = "\n".join(explained(later, host, []))
    assert "labels come later" in said
    assert "mode now: observe" in said

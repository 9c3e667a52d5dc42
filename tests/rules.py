"""Disable each numbered rule in turn and show that its conformance test notices.

Run `python tests/rules.py` for the table; `--rule 4.2` for some of them. A rule is disabled by
patching the one function that implements it. The suite runs on plain functions.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)] if str(ROOT) not in sys.path else []

from coord_plugins import (  # noqa: E402 - after the path  # noqa: E402
    ValidationEdge,
    Validator,
    Verdict,
    _config,
    _coord,
    _decide,
    _drive,
    _judge,
    _loop,
    _outcome,
    _run,
    _stores,
)  # fmt: skip
from coord_plugins._bus import Delivery  # noqa: E402
from coord_plugins._coord import Coord  # noqa: E402
from coord_plugins._retry import Allowance, Circuit, Retry  # noqa: E402
from coord_plugins._run import Run  # noqa: E402
from coord_plugins._step import Step  # noqa: E402
from coord_plugins._tally import StepTally  # noqa: E402
from coord_plugins.host import Accept, Again, Escalate, Fail, Fallback  # noqa: E402
from coord_plugins.testing import _plain  # noqa: E402
from coord_plugins.testing.conformance import Conformance, PlainDriver  # noqa: E402

Patches = list[Any]


class Plain(Conformance):
    driver = PlainDriver()


def decided(change: Callable[..., Any]) -> Patches:
    """Change what `decide` answers: `change(decision, counters, before, given)`."""
    real = _decide.decide

    def decide(edge: Any, retry: Any, counters: Any, step: str, **given: Any) -> Any:
        decision, after = real(edge, retry, counters, step, **given)
        return change(decision, after, counters, given)

    return [patch.object(_loop, "decide", decide)]


def given_to_decide(**changes: Any) -> Patches:
    """Change what `decide` is told."""
    real = _decide.decide

    def decide(edge: Any, retry: Any, counters: Any, step: str, **given: Any) -> Any:
        return real(edge, retry, counters, step, **{**given, **changes})

    return [patch.object(_loop, "decide", decide)]


def attribute(owner: Any, name: str, value: Any) -> Patches:
    return [patch.object(owner, name, value)]


def first_validator_only() -> Patches:
    real = _judge.judge_chain

    def chain(step: Any, edge: Any, value: Any, mode: Any) -> Any:
        short = ValidationEdge(
            edge.step, edge.validators[0], of=edge.of, back_to=edge.back_to,
            max_attempts=edge.max_attempts, otherwise=edge.otherwise,
        )  # fmt: skip
        return real(step, short, value, mode)

    return attribute(_loop, "judge_chain", chain)


def schema_goes_on() -> Patches:
    real = _judge.judge_chain

    def chain(step: Any, edge: Any, value: Any, mode: Any) -> Any:
        never = [dataclasses.replace(v, ends_chain=False) for v in edge.validators]
        open_ended = ValidationEdge(edge.step, *never, of=edge.of, max_attempts=edge.max_attempts)
        return real(step, open_ended, value, mode)

    return attribute(_loop, "judge_chain", chain)


def no_retry_of_validators() -> Patches:
    real = _judge.ask

    def ask(step: Any, validator: Any, output: Any, ctx: Any) -> Any:
        once = dataclasses.replace(validator, retry=Retry(max_attempts=1))
        return real(step, once, output, ctx)

    return attribute(_judge, "ask", ask)


def judges_inline() -> Patches:
    async def acall(op: Any) -> Any:
        return op.validator.call(op.output, op.ctx)

    return attribute(_drive, "_acall", acall)


def failed_is_rejected() -> Patches:
    real = _decide.decide

    def decide(edge: Any, retry: Any, counters: Any, step: str, **given: Any) -> Any:
        if given.get("failed") is not None:
            given["verdicts"] = (Verdict(passed=False, name="x"),)
            given["failed"] = None
        return real(edge, retry, counters, step, **given)

    return attribute(_loop, "decide", decide)


def accept_all(decision: Any, after: Any, before: Any, given: Any) -> Any:
    return (
        (Accept(), after)
        if isinstance(decision, Again) and decision.feedback
        else (decision, after)
    )


def count_errors(decision: Any, after: Any, before: Any, given: Any) -> Any:
    spent = after._replace(rejects=after.rejects + 1)
    return (
        (decision, spent)
        if isinstance(decision, Again) and not decision.feedback
        else (decision, after)
    )


def stale_tries(decision: Any, after: Any, before: Any, given: Any) -> Any:
    kept = after._replace(tries=2)
    return (
        (decision, kept) if isinstance(decision, Again) and decision.feedback else (decision, after)
    )


def no_fallback(decision: Any, after: Any, before: Any, given: Any) -> Any:
    return (Fail(given["error"]), after) if isinstance(decision, Fallback) else (decision, after)


def no_otherwise(decision: Any, after: Any, before: Any, given: Any) -> Any:
    if isinstance(decision, Escalate):
        return Accept(), after
    return decision, after


def forgetful_edge() -> Patches:
    real = _loop._move_edge

    def move(step: Any, *rest: Any) -> None:
        real(step, *rest)
        if step.state is not None and step.execution < 4:  # a bounded mistake, so that it ends
            step.state = step.state._replace(rejects=0)
            step.counters = step.counters._replace(rejects=max(0, step.counters.rejects - 1))

    return attribute(_loop, "_move_edge", move)


def a_pass_is_remembered() -> Patches:
    real = _run.Run._move_edge

    def move(self: Any, step: Any) -> Any:
        kept = self.edges.get(step.name)
        durable = real(self, step)
        if kept is not None:
            self.edges.setdefault(step.name, kept)
        return durable

    return attribute(Run, "_move_edge", move)


def fresh_input_on_loop_back() -> Patches:
    real = _plain.Pipeline._go_on

    def go_on(self: Any, run: Any, kept: Any, name: str, decision: Any) -> Any:
        error = real(self, run, kept, name, decision)
        if isinstance(decision, Again):
            kept.inputs.clear()
            kept.state = dict.fromkeys(kept.state, "changed")
        return error

    return attribute(_plain.Pipeline, "_go_on", go_on)


def leaking_host() -> Patches:
    real = _plain.Pipeline._go_on

    def go_on(self: Any, run: Any, kept: Any, name: str, decision: Any) -> Any:
        if isinstance(decision, Again) and decision.feedback:
            kept.state["leak"] = "bad draft"
        return real(self, run, kept, name, decision)

    return attribute(_plain.Pipeline, "_go_on", go_on)


def swallowed_cancellation() -> Patches:
    real = _outcome.error_class
    return attribute(
        _outcome, "error_class", lambda e: "crash" if real(e) == "cancelled" else real(e)
    )


def no_limit_class() -> Patches:
    real = _outcome.error_class
    name = "recursion_limit"
    return attribute(_outcome, "error_class", lambda e: "crash" if real(e) == name else real(e))


def async_forgets_feedback() -> Patches:
    """The async driver alone goes wrong: the ladder is one rung short there."""
    real = _drive.adrive
    target = ValidationEdge.target

    async def adrive(*args: Any, **named: Any) -> Any:
        with patch.object(ValidationEdge, "target", lambda edge, n: target(edge, 1)):
            return await real(*args, **named)

    from coord_plugins import host

    async def arun_step(step: Any, execute: Any) -> Any:
        return await adrive(_loop.attempts(step), step, execute)

    del host
    return attribute(_plain, "arun_step", arun_step)


def straight_to_the_listener() -> Patches:
    def put(self: Any, events: Any) -> None:
        for event in events:
            self.listener.on_event(event)

    return attribute(Delivery, "put", put)


def short_key() -> Patches:
    return attribute(Step, "idempotency_key", property(lambda s: f"{s.run_id}:{s.execution}"))


def never_a_new_key() -> Patches:
    return attribute(Step, "idempotency_key", property(lambda s: f"{s.run_id}:{s.name}"))


def uncounted() -> Patches:
    real = StepTally._add_judged

    def add(self: Any, event: Any, decision: Any) -> None:
        real(self, event, decision)
        self.passes = 0

    return attribute(StepTally, "_add_judged", add)


def goal_decides_escalations() -> Patches:
    real = _outcome.ending

    def ending(tallies: Any, error: Any) -> Any:
        end, detail = real(tallies, error)
        return ("delivered", "unjudged") if (end, error) == ("escalated", None) else (end, detail)

    return attribute(_run, "ending", ending)


def eager_judge_goal() -> Patches:
    return attribute(_coord, "judge_later", lambda job: None)


def enforce_always() -> Patches:
    return [
        patch.object(_coord, "current_mode", lambda *modes: "enforce"),
        patch.object(_loop, "weakest", lambda *modes: "enforce"),
        patch.object(_judge, "weakest", lambda *modes: "enforce"),
    ]


def always_captured() -> Patches:
    real = _config.configured
    return attribute(_run, "configured", lambda n: "payloads" if n == "capture" else real(n))


class Rule(NamedTuple):
    """One disabled rule."""

    number: str
    what: str
    disable: Callable[[], Patches]
    is_async: bool = False


RULES = [
    Rule("4.1.1", "only the first validator judges", first_validator_only),
    Rule("4.1.1", "a failing schema does not end the chain", schema_goes_on),
    Rule(
        "4.1.1",
        "a parsed value is not handed on",
        lambda: attribute(ValidationEdge, "put", lambda e, o, s: o),
    ),
    Rule(
        "4.1.2",
        "`inputs` and `ctx` are not given",
        lambda: attribute(Validator, "call", lambda v, o, c: v.fn(o)),
    ),
    Rule("4.1.2", "`of` is ignored", lambda: attribute(ValidationEdge, "select", lambda e, o: o)),
    Rule("4.1.2", "a raised rejection is an error", lambda: attribute(_judge, "rejections", tuple)),
    Rule(
        "4.1.2",
        "a goal sees no context",
        lambda: attribute(_coord, "_goal_context", lambda r: None),
    ),
    Rule("4.1.3", "a failing validator is not asked again", no_retry_of_validators),
    Rule("4.1.3", "`on_error` is ignored", lambda: attribute(_judge, "_despite", lambda v, e: e)),
    Rule("4.1.3", "a validator error is a rejection", failed_is_rejected),
    Rule("4.1.3", "a judge blocks the event loop", judges_inline, True),
    Rule("4.1.4", "rejected output goes on", lambda: decided(accept_all)),
    Rule("4.1.4", "rejected output enters the state", leaking_host),
    Rule(
        "4.1.5",
        "feedback reaches nobody",
        lambda: attribute(Run, "feedback_for", lambda r, n, but=None: None),
    ),
    Rule("4.1.5", "feedback is not capped", lambda: attribute(_decide, "FEEDBACK_CAP", 10**9)),
    Rule("4.1.5", "model text is not fenced", lambda: attribute(_decide, "_fenced", str)),
    Rule(
        "4.1.5", "delivery is not noted", lambda: attribute(Step, "deliver", lambda s: s.feedback)
    ),
    Rule("4.1.6", "a loop-back starts the count anew", forgetful_edge),
    Rule("4.1.6", "an error costs an attempt", lambda: decided(count_errors)),
    Rule("4.1.6", "a passed edge keeps its count", a_pass_is_remembered),
    Rule(
        "4.1.7",
        "every rejection stays in place",
        lambda: attribute(ValidationEdge, "target", lambda e, n: e.step),
    ),
    Rule("4.1.7", "the target works on a changed input", fresh_input_on_loop_back),
    Rule("4.1.8", "what is exhausted is accepted silently", lambda: decided(no_otherwise)),
    Rule(
        "4.1.9", "a resume restores nothing", lambda: attribute(Run, "restore", lambda r, d: None)
    ),
    Rule(
        "4.1.9",
        "an uncommitted execution is recorded",
        lambda: attribute(Run, "executions", _numbers),
    ),
    Rule(
        "4.1.10",
        "control flow is an error",
        lambda: attribute(_plain, "PLAIN", dataclasses.replace(_plain.PLAIN, control_flow=())),
    ),
    Rule("4.1.10", "a cancelled run is a crash", swallowed_cancellation),
    Rule(
        "4.1.10",
        "the host's limit is not seen coming",
        lambda: given_to_decide(reachable=lambda t: True),
    ),
    Rule("4.1.10", "a reached limit is a crash", no_limit_class),
    Rule("4.1.11", "the async driver takes another rung", async_forgets_feedback, True),
    Rule(
        "4.2.1",
        "every error is transient",
        lambda: attribute(Retry, "kind_of", lambda r, e: "transient"),
    ),
    Rule(
        "4.2.1", "every error is fatal", lambda: attribute(Retry, "kind_of", lambda r, e: "fatal")
    ),
    Rule(
        "4.2.1",
        "unreadable output is fatal",
        lambda: (
            attribute(_decide, "classify", lambda e: "fatal")
            + attribute(Retry, "kind_of", lambda r, e: "fatal")
        ),
    ),
    Rule(
        "4.2.2",
        "no backoff",
        lambda: attribute(
            Retry, "delay", lambda r, n, rand, asked=None: asked or r.initial_interval
        ),
    ),
    Rule(
        "4.2.2", "Retry-After is ignored", lambda: attribute(_decide, "retry_after", lambda e: None)
    ),
    Rule("4.2.2", "no jitter", lambda: given_to_decide(rand=lambda: 1.0)),
    Rule("4.2.2", "tries are not fresh", lambda: decided(stale_tries)),
    Rule("4.2.3", "no deadline", lambda: given_to_decide(elapsed=0.0)),
    Rule(
        "4.2.3", "the budget is not checked", lambda: attribute(Run, "check_budget", lambda r: None)
    ),
    Rule(
        "4.2.3",
        "unmeasured usage is ignored",
        lambda: attribute(Run, "_check_measurable", lambda *a: None),
    ),
    Rule("4.2.4", "fallbacks are not used", lambda: decided(no_fallback)),
    Rule(
        "4.2.4",
        "the breaker never opens",
        lambda: attribute(Circuit, "refuses", lambda c, now: None),
    ),
    Rule("4.2.4", "the throttle allows all", lambda: attribute(Allowance, "take", lambda a: True)),
    Rule("4.2.5", "the key changes per try", short_key),
    Rule("4.2.5", "the key never changes", never_a_new_key),
    Rule(
        "4.3",
        "every recovery is a first pass",
        lambda: attribute(_outcome, "recovery", lambda t: "first_pass"),
    ),
    Rule(
        "4.3",
        "labels are not recorded",
        lambda: attribute(StepTally, "rejects_wrong", property(lambda t: 0, lambda t, v: None)),
    ),
    Rule("4.3", "the goal decides escalated runs", goal_decides_escalations),
    Rule(
        "4.3",
        "every error is a crash",
        lambda: attribute(_outcome, "error_class", lambda e: "crash"),
    ),
    Rule(
        "4.3", "every cost is a first one", lambda: attribute(_loop, "_bucket", lambda *a: "first")
    ),
    Rule("4.3", "passes are not counted", uncounted),
    Rule("4.3", "a judge goal is not asked", eager_judge_goal),
    Rule("4.3", "modes are ignored", enforce_always),
    Rule(
        "4.3",
        "the goal is not asked",
        lambda: attribute(
            Coord, "finish", lambda c, run, output=None, error=None: run.close(error=error)
        ),
    ),
    Rule("4.4.1", "listeners run inside the run", straight_to_the_listener),
    Rule(
        "4.4.1",
        "what fails is not spooled",
        lambda: attribute(Delivery, "_spool", lambda d, e: False),
    ),
    Rule(
        "4.4.2",
        "`flush` does not wait and nothing is written",
        lambda: attribute(Delivery, "_deliver", lambda d, b: None),
    ),
    Rule("4.4.3", "payloads are always kept", always_captured),
    Rule(
        "4.4.3", "texts are kept as they are", lambda: attribute(_run, "clean", lambda text: text)
    ),
]


def _numbers(run: Any, name: str) -> Any:
    """As if each execution were recorded when it starts, committed or not."""
    import itertools

    run.tallies.setdefault(name, StepTally()).executions += 1
    return run._counters.setdefault(name, itertools.count(1))


def tests_of(number: str) -> list[str]:
    """The conformance tests of a rule, by name."""
    prefix = f"test_{number.replace('.', '_')}_"
    found = [n for n in dir(Plain) if n.startswith(prefix)]
    return [n for n in found if "human" not in n]


def run(name: str, *, is_async: bool) -> BaseException | None:
    """One conformance test; what it raised."""
    from coord_plugins import _config as config

    try:
        getattr(Plain(), name)(is_async)
    except BaseException as error:
        return error
    finally:
        config.reset_configuration()
        _stores.forget_stores()
    return None


@contextlib.contextmanager
def disabled(rule: Rule) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for one in rule.disable():
            stack.enter_context(one)
        yield


def killed_by(rule: Rule) -> list[str]:
    """The rule's own tests that fail while it is disabled."""
    with disabled(rule):
        return [n for n in tests_of(rule.number) if run(n, is_async=rule.is_async) is not None]


def numbers() -> list[str]:
    """Every numbered rule that the suite has a test for."""
    found = {n.split("_", 1)[1] for n in dir(Plain) if n.startswith("test_4_")}
    rules = {tuple(int(p) for p in n.split("_") if p.isdigit())[:3] for n in found}
    return [".".join(map(str, r)) for r in sorted(rules)]


def main() -> int:
    """Print the table; returns how many disabled rules nobody noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rule", default="", help="only rules whose number starts so")
    chosen = [r for r in RULES if r.number.startswith(parser.parse_args().rule)]
    logging.disable(logging.CRITICAL)
    missed = 0
    for number in dict.fromkeys(r.number for r in chosen):
        for name in tests_of(number):
            broken = run(name, is_async=False)
            assert broken is None, f"{name} fails before anything is disabled: {broken!r}"
    width = max(len(r.what) for r in chosen)
    print(f"{'rule':<7} {'disabled':<{width}} killed by")
    for rule in chosen:
        found = killed_by(rule)
        missed += not found
        print(f"{rule.number:<7} {rule.what:<{width}} {', '.join(found) or 'NOBODY'}")
    print(f"{len(chosen) - missed} of {len(chosen)} disabled rules are noticed")
    return missed


if __name__ == "__main__":
    sys.exit(main())

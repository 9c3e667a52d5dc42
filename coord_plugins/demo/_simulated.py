"""A simulated chat model for the billing desk: no network, no key, and wrong at a known rate.

It is no language model. It answers a prompt from the data that the prompt itself carries, by
rules, and goes wrong as `planned_fault` says: only the run that it works for, the step and the
number of the step's executions decide that. `working` says which run that is.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from coord_plugins.demo._expert import ANSWER, Answered, answer_triage
from coord_plugins.demo._faults import FAULT_RATE, Fault, Plan, planned_fault
from coord_plugins.demo._job import STEPS, finish
from coord_plugins.demo._prompts import DATA, FEEDBACK
from coord_plugins.demo._spoil import spoil
from coord_plugins.demo._tickets import Answer, load_tickets


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model replied to one prompt."""

    text: str
    """The reply."""
    input_tokens: int
    """Tokens of the prompt; of the simulated model an estimate of four characters each."""
    output_tokens: int
    """Tokens of the reply, likewise."""


class RateLimited(Exception):  # noqa: N818 - reads like the errors of model clients
    """The provider refused the call because of too many calls: HTTP status 429.

    Attributes:
        status_code: 429.
        retry_after: Seconds to wait, as the provider asks.
        headers: Headers of the response; ``retry-after`` says the same in text.
    """

    status_code = 429

    def __init__(self, retry_after: float) -> None:
        """Make the error of a provider that asks to wait ``retry_after`` seconds."""
        super().__init__(f"429 Too Many Requests: retry after {retry_after:g} s (simulated)")
        self.retry_after = retry_after
        self.headers = {"retry-after": f"{retry_after:g}"}

    def __reduce__(self) -> tuple[type[RateLimited], tuple[float]]:
        """Survive pickling between processes."""
        return (type(self), (self.retry_after,))


class Work:
    """One run of a ticket, as the simulated model keeps track of it.

    Threads that run with a copy of the context share this object.

    Attributes:
        ticket_id: The ticket that is worked on.
        trial: Number of the run of that ticket, from 0.
        executions: How often each step was executed so far, failed executions included.
    """

    def __init__(self, ticket_id: str, trial: int) -> None:
        """Start a run in which nothing was executed yet."""
        self.ticket_id = ticket_id
        self.trial = trial
        self.executions: Counter[str] = Counter()
        self._pending: dict[str, tuple[Fault, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    def count(self, step: str) -> int:
        """Count one more execution of a step and return its number, from 1."""
        with self._lock:
            self.executions[step] += 1
            return self.executions[step]

    def recurring(self, step: str, feedback: str) -> Fault | None:
        """Return the step's sticky fault, unless the feedback names it: then it is healed."""
        with self._lock:
            fault, marks = self._pending.get(step, (None, ()))
            if fault is not None and any(_names(feedback, mark) for mark in marks):
                del self._pending[step]
                return None
            return fault

    def keep(self, step: str, fault: Fault, marks: tuple[str, ...]) -> None:
        """Remember a sticky fault and what the latest faulty output must be named by."""
        with self._lock:
            self._pending[step] = (fault, marks)


def _names(feedback: str, mark: str) -> bool:
    """Tell whether the feedback has the mark as a word of its own (91.00, but not in 191.00)."""
    return re.search(rf"(?<![\w.]){re.escape(mark)}(?!\w)", feedback) is not None


_WORK: ContextVar[Work] = ContextVar("coord_plugins_demo_work")


@contextmanager
def working(ticket_id: str, trial: int = 0) -> Iterator[Work]:
    """Work on a ticket: all replies of the simulated model in this context belong to this run.

    Args:
        ticket_id: The ticket.
        trial: Number of the run of that ticket, from 0.
    """
    work = Work(ticket_id, trial)
    token = _WORK.set(work)
    try:
        yield work
    finally:
        _WORK.reset(token)


def _working() -> Work:
    work = _WORK.get(None)
    if work is None:
        raise RuntimeError(
            "the simulated model must know which run it works for: "
            "call it inside `with working(ticket_id, trial):`"
        )
    return work


class SimulatedModel:
    """The simulated model of the demo; its name says so wherever it shows.

    Attributes:
        name: ``simulated``.
    """

    name = "simulated"

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        seed: int = 0,
        fault_rate: float = FAULT_RATE,
        plan: Plan | None = None,
        answers: Mapping[str, Answer] | None = None,
    ) -> None:
        """Make a model that knows the demo's tickets.

        Args:
            conn: A database from `open_billing`.
            seed: Seed of its faults.
            fault_rate: Share of a step's executions that go wrong, 0 to 1.
            plan: Says how an execution goes wrong; `planned_fault` at the fault rate by default.
            answers: What `load_tickets` returned, to save drawing the tickets once more.

        Raises:
            ValueError: The fault rate is not a share.
        """
        if not 0 <= fault_rate <= 1:
            raise ValueError(f"fault_rate must lie between 0 and 1, not {fault_rate}")
        self.seed = seed
        self._conn = conn
        self._plan = plan or partial(planned_fault, fault_rate=fault_rate)
        self._answers = load_tickets(conn)[1] if answers is None else answers

    def reply(self, prompt: str, step: str) -> Reply:
        """Reply to a step's prompt; every call is one execution of that step.

        Args:
            prompt: A prompt of `prompt_for`.
            step: The step that the prompt belongs to.

        Raises:
            RateLimited: The execution was to meet a rate limit.
            TimeoutError: The execution was to time out.
            RuntimeError: No run is being worked on, see `working`.
            ValueError: There is no such step, or the prompt has no data.
        """
        if step not in STEPS:
            raise ValueError(f"there is no step {step!r}; the steps are {', '.join(STEPS)}")
        work = _working()
        data, feedback = _read(prompt)
        n = work.count(step)
        fault = work.recurring(step, feedback)
        if fault is None:
            fault = self._plan(self.seed, work.ticket_id, work.trial, step, n)
        text = self._text(step, data, fault, work)
        return _reply(prompt, text)

    def reply_at_once(self, prompt: str) -> Reply:
        """Reply to the prompt that asks for the whole job; see `_single` for the assumptions.

        Args:
            prompt: A prompt of `prompt_at_once`.

        Raises:
            RateLimited: The call was to meet a rate limit.
            TimeoutError: The call was to time out.
            RuntimeError: No run is being worked on, see `working`.
        """
        work = _working()
        data, _ = _read(prompt)
        key = (self.seed, work.ticket_id, work.trial)
        fault = self._plan(*key, ONE_CALL, work.count(ONE_CALL))
        _raise(fault, "the whole job")
        state: dict[str, Any] = {name: data[name] for name in ("ticket_id", "ticket")}
        for step in STEPS:
            answer, slip = self._answer(step, state), self._plan(*key, step, 1)
            if slip is not None and slip.is_content:
                answer, _ = spoil(slip, answer, state, self._conn, self._answers)
            state[step] = finish(step, json.dumps(answer), state, self._conn)
        said = {name: state[step][name] for step, names in _SAID.items() for name in names}
        bad = fault is not None and fault.kind == "malformed"
        return _reply(prompt, _malformed(said, fault.roll) if bad and fault else json.dumps(said))

    def _text(self, step: str, data: dict[str, Any], fault: Fault | None, work: Work) -> str:
        """Answer, rightly or as the fault has it."""
        _raise(fault, f"the step {step}")
        answer = self._answer(step, data)
        if fault is None:
            return json.dumps(answer)
        if fault.kind == "malformed":
            return _malformed(answer, fault.roll)
        answer, marks = spoil(fault, answer, data, self._conn, self._answers)
        if fault.sticky:
            work.keep(step, fault, marks)
        return json.dumps(answer)

    def _answer(self, step: str, data: dict[str, Any]) -> Answered:
        if step == "triage":
            return answer_triage(data, self._answers)
        return ANSWER[step](data)


ONE_CALL = "one_call"
"""What the one call of the whole job is called where its faults are planned."""
_SAID: Mapping[str, tuple[str, ...]] = {
    "triage": ("category", "account", "period"),
    "reconcile": ("line_id", "amount_cents", "total_cents", "usual_cents"),
    "send": ("to", "subject", "body"),
}
"""What the one call's reply holds of each part of the work."""


def _reply(prompt: str, text: str) -> Reply:
    return Reply(text=text, input_tokens=len(prompt) // 4 + 1, output_tokens=len(text) // 4 + 1)


def _raise(fault: Fault | None, what: str) -> None:
    """Fail as a fault has it that leaves no reply."""
    if fault is not None and fault.kind == "rate_limit":
        raise RateLimited(1.0 + round(fault.roll, 1))
    if fault is not None and fault.kind == "timeout":
        raise TimeoutError(f"the model did not answer {what} in time (simulated)")


_DATA_START, _DATA_END = DATA.split("{data}")
_FEEDBACK_START, _FEEDBACK_END = FEEDBACK.split("{feedback}")


def _read(prompt: str) -> tuple[dict[str, Any], str]:
    """Return the data and the feedback of a prompt."""
    _, _, rest = prompt.partition(_DATA_START)
    # JSON text has no line that begins with a fence, so the first one ends the data.
    data, found, rest = rest.partition(_DATA_END)
    if not found:
        raise ValueError("the prompt has no data block; write it with prompt_for")
    _, _, rest = rest.partition(_FEEDBACK_START)
    feedback, _, _ = rest.rpartition(_FEEDBACK_END)
    return json.loads(data), feedback


def _malformed(answer: Answered, roll: float) -> str:
    """Write the answer as text that is no JSON: cut off, with words around, or as Python."""
    text = json.dumps(answer)
    if roll < 0.5:
        return text[: 1 + int(2 * roll * (len(text) - 1))]
    return f"Sure! Here is the answer:\n{text}" if roll < 0.8 else repr(answer)

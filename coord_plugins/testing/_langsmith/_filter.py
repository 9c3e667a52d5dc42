"""The part of LangSmith's filter language that reports and their tests need."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ._state import Json, RefusedError
from ._stats import latency, status

_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|-?[\d.]+|[(),])")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "neq": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "gte": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "lte": lambda a, b: a is not None and a <= b,
}
_FIELDS: dict[str, Callable[[Json, Json], Any]] = {
    "id": lambda run, _: run["id"],
    "trace_id": lambda run, _: run.get("trace_id"),
    "name": lambda run, _: run.get("name"),
    "run_type": lambda run, _: run.get("run_type"),
    "status": lambda run, _: status(run),
    "latency": lambda run, _: latency(run),
    "is_root": lambda run, _: not run.get("parent_run_id"),
    "tags": lambda run, _: run.get("tags") or [],
    "metadata": lambda run, _: (run.get("extra") or {}).get("metadata") or {},
    "feedback_key": lambda _, feedback: feedback.get("key"),
    "feedback_score": lambda _, feedback: feedback.get("score"),
    "feedback_value": lambda _, feedback: feedback.get("value"),
}
Test = Callable[[Json, Json], bool]


def compile_filter(text: str) -> Callable[[Json, list[Json]], bool]:
    """A test of a run and its feedback.

    Feedback conditions that stand together are about one and the same record.

    Raises:
        RefusedError: A function or a field that this server does not know: it is not guessed.
    """
    tokens = list(_tokens(text))
    test = _parse(tokens)
    if tokens:
        raise _unknown(text)
    # a run without feedback is asked once, with an empty record
    return lambda run, feedback: any(test(run, record) for record in feedback or [{}])


def _unknown(what: str) -> RefusedError:
    return RefusedError(400, f"this server does not know the filter {what!r}", problem=True)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if not found:
            raise _unknown(text[at:])
        yield found.group(1)
        at = found.end()


def _take(tokens: list[str], *expected: str) -> str:
    if not tokens or (expected and tokens[0] not in expected):
        raise _unknown(" ".join(tokens) or "(it ends too early)")
    return tokens.pop(0)


def _parse(tokens: list[str]) -> Test:
    function = _take(tokens)
    _take(tokens, "(")
    if function in ("and", "or"):
        tests = [_parse(tokens)]
        while _take(tokens, ",", ")") == ",":
            tests.append(_parse(tokens))
        every = all if function == "and" else any
        return lambda run, record: every(test(run, record) for test in tests)
    field = _take(tokens)
    _take(tokens, ",")
    wanted = _literal(_take(tokens))
    _take(tokens, ")")
    if field not in _FIELDS or function not in (*_COMPARE, "has"):
        raise _unknown(f"{function}({field}, ..)")
    read = _FIELDS[field]
    if function == "has":
        return lambda run, record: _has(read(run, record), wanted)
    compare = _COMPARE[function]
    return lambda run, record: compare(read(run, record), wanted)


def _has(value: Any, wanted: Any) -> bool:
    """`has(tags, "x")`, and `has(metadata, '{"a": "b"}')`."""
    if isinstance(value, dict):
        pairs = json.loads(wanted)
        return all(value.get(k) == v for k, v in pairs.items())
    return wanted in value


def _literal(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    if text[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    try:
        return float(text)
    except ValueError:
        raise _unknown(text) from None

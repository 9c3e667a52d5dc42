"""Feedback, its configurations, and the tokens that let others give it."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import Any

from ._router import Answer, Call, route
from ._state import Json, RefusedError, State, make_config, now
from ._view import feedback_view


@route("POST", "/feedback")
def create(state: State, call: Call) -> Answer:
    """One record, on a run or on a project that must be known."""
    record = call.fields()
    if record.get("run_id"):
        if str(record["run_id"]) not in state.entries:
            raise RefusedError(404, f"Run {record['run_id']} not found")
    else:
        state.project(str(record.get("session_id")))
    return Answer(feedback_view(state, state.store_feedback(record)))


@route("GET", "/feedback")
def listed(state: State, call: Call) -> Answer:
    """Records by run, project, key and source."""
    found = list(state.feedback.values())
    for name, field in (("run", "run_id"), ("session", "session_id"), ("key", "key")):
        if name in call.query:
            found = [f for f in found if str(f.get(field)) in call.query[name]]
    if "source" in call.query:
        # the client writes its enum as FeedbackSourceType.API
        wanted = {s.rpartition(".")[2].lower() for s in call.query["source"]}
        found = [f for f in found if (f.get("feedback_source") or {}).get("type") in wanted]
    return Answer(call.page([feedback_view(state, f) for f in found]))


@route("GET", "/feedback/{id}")
def read(state: State, call: Call, id: str) -> Answer:
    """One record."""
    return Answer(feedback_view(state, _record(state, id)))


@route("PATCH", "/feedback/{id}")
def update(state: State, call: Call, id: str) -> Answer:
    """Change a record; a null clears a field."""
    record = _record(state, id)
    record.update({**call.fields(), "modified_at": now()})
    return Answer(feedback_view(state, record))


@route("DELETE", "/feedback/{id}")
def delete(state: State, call: Call, id: str) -> Answer:
    """Forget a record."""
    _record(state, id)
    del state.feedback[id]
    return Answer({"message": "Feedback deleted"})


def _record(state: State, feedback_id: str) -> Json:
    if feedback_id not in state.feedback:
        raise RefusedError(404, f"Feedback {feedback_id} not found")
    return state.feedback[feedback_id]


@route("POST", "/feedback-configs")
def create_config(state: State, call: Call) -> Answer:
    """The configuration of a key; 400 when there is a different one."""
    body = call.fields()
    key, wanted = body.pop("feedback_key"), body.pop("feedback_config")
    known = state.configs.get(key)
    if known and known["feedback_config"] != wanted:
        raise RefusedError(400, f"Feedback config {key!r} exists with different values")
    state.configs[key] = known or make_config(key, wanted, **body)
    return Answer(state.configs[key])


@route("GET", "/feedback-configs")
def configs(state: State, call: Call) -> Answer:
    """The configurations, by key."""
    found = list(state.configs.values())
    if "key" in call.query:
        found = [c for c in found if c["feedback_key"] in call.query["key"]]
    found = [c for c in found if call.one("name_contains") in c["feedback_key"]]
    return Answer(call.page(found))


@route("PATCH", "/feedback-configs")
def update_config(state: State, call: Call) -> Answer:
    """Change the configuration of a key."""
    body = call.fields()
    config = _config(state, body["feedback_key"])
    config.update({k: v for k, v in body.items() if v is not None}, modified_at=now())
    return Answer(config)


@route("DELETE", "/feedback-configs")
def delete_config(state: State, call: Call) -> Answer:
    """Forget the configuration of a key."""
    _config(state, call.one("feedback_key"))
    del state.configs[call.one("feedback_key")]
    return Answer(None, 204)


def _config(state: State, key: str) -> Json:
    if key not in state.configs:
        raise RefusedError(404, f"Feedback config {key!r} not found")
    return state.configs[key]


@route("POST", "/feedback/tokens")
def make_tokens(state: State, call: Call) -> Answer:
    """Links by which feedback can be given without a key: one, or one per entry of a list."""
    body: Any = call.json()
    tokens = [_token(state, call, t) for t in (body if isinstance(body, list) else [body])]
    return Answer(tokens if isinstance(body, list) else tokens[0])


def _token(state: State, call: Call, wanted: Json) -> Json:
    if str(wanted["run_id"]) not in state.entries:
        raise RefusedError(404, f"Run {wanted['run_id']} not found")
    left = wanted.get("expires_in") or {"hours": 3}
    ends = datetime.now(timezone.utc) + timedelta(**left)
    token_id = str(wanted.get("id") or uuid.uuid4())
    token = {
        **wanted,
        "id": token_id,
        "url": f"{call.base}/feedback/tokens/{token_id}",
        "expires_at": wanted.get("expires_at") or ends.isoformat(),
    }
    state.tokens[token_id] = token
    return token


@route("GET", "/feedback/tokens")
def tokens_of(state: State, call: Call) -> Answer:
    """The links of a run."""
    wanted = call.one("run_id")
    return Answer(call.page([t for t in state.tokens.values() if str(t["run_id"]) == wanted]))


@route("POST", "/feedback/tokens/{id}")
def use_token(state: State, call: Call, id: str) -> Answer:
    """Give feedback by a link."""
    return _use(state, id, call.fields())


@route("GET", "/feedback/tokens/{id}")
def use_token_by_link(state: State, call: Call, id: str) -> Answer:
    """Give feedback by a link that a person clicks."""
    given: Json = {name: values[0] for name, values in call.query.items()}
    if "score" in given:
        given["score"] = float(given["score"])
    return _use(state, id, given)


def _use(state: State, token_id: str, given: Json) -> Answer:
    if token_id not in state.tokens:
        raise RefusedError(404, f"Feedback token {token_id} not found")
    token = state.tokens[token_id]
    source = {"type": "api", "metadata": given.pop("metadata", None)}
    about = {"run_id": token["run_id"], "key": token["feedback_key"], "feedback_source": source}
    state.store_feedback({**given, **about})
    return Answer({"message": "Feedback created"})

"""What was attached is kept beside the runs, with where its validators' code is."""

import json

from pydantic import BaseModel, create_model

from coord_plugins import (
    Store,
    ValidationEdge,
    Verdict,
    any_of,
    check,
    flush,
    judge,
    schema,
    track,
    validated,
)
from coord_plugins._describe import describe
from coord_plugins._policy import PLAIN, make_policy


def cites_line(output):
    return "line" in output


def says_yes(output):
    return Verdict(passed=True)


has_digits = check(lambda output: any(c.isdigit() for c in output), name="digits")


def edges_of(*validators, **settings):
    edge = ValidationEdge("writer", *validators, **settings)
    policy = make_policy(edge, pipeline="support", goal=check(cites_line, version="2"))
    return describe(policy, "p1", PLAIN)


def test_a_policy_is_plain_json():
    said = edges_of(
        has_digits,
        of="draft",
        back_to=("writer", "start"),
        otherwise="desk",
        feedback_to="notes",
        stream="live",
    )
    assert json.loads(json.dumps(said)) == said
    assert (said["goal_id"], said["host"], said["labelled"]) == ("cites_line:2", "python", False)
    (edge,) = said["edges"]
    assert (edge["step"], edge["of"], edge["otherwise"]) == ("writer", "draft", "desk")
    assert (edge["feedback_to"], edge["stream"]) == ("notes", "live")
    assert (edge["back_to"], edge["max_attempts"]) == (["writer", "start"], 3)


def test_validators_are_named_by_where_their_code_is():
    local = check(lambda output: True, name="local")
    made = [has_digits, check(cites_line, feedback="cite", version="3"), judge(says_yes), local]
    found = edges_of(*made, any_of(cites_line, says_yes))["edges"][0]["validators"]
    here = __name__
    assert [(v["import"], v["how"]) for v in found] == [
        (f"{here}:has_digits", "object"),
        (f"{here}:cites_line", "check"),
        (f"{here}:says_yes", "judge"),
        (None, None),
        (None, None),
    ]
    assert found[1]["options"] == {"feedback": "cite", "version": "3"}
    assert [v["name"] for v in found][:2] == ["digits", "cites_line"]


class Reply(BaseModel):
    text: str


def test_a_schema_is_named_by_its_model():
    found = edges_of(schema(Reply))["edges"][0]["validators"][0]
    assert (found["import"], found["how"]) == (f"{__name__}:Reply", "schema")
    inside = edges_of(schema(create_model("Inside", text=(str, ...))))["edges"][0]["validators"][0]
    assert (inside["import"], inside["how"]) == (None, None)  # made inside a function


def test_a_store_keeps_what_was_attached(tmp_path):
    url = f"sqlite:///{tmp_path}/runs.db"

    @validated(cites_line, max_attempts=2)
    def writer(text):
        return text

    with track("support", goal=lambda out: True, store=url) as run:
        run.output = writer("line 3")
    assert flush(10.0)
    store = Store(url)
    (said,) = store.policies("support")
    assert said["policy_id"] == next(store.iter_records()).policy_id
    assert said["goal_id"] == next(store.iter_records()).goal_id == "<lambda>:"
    assert store.policies("other") == []
    # the edge came with the decorated function
    assert [(e["step"], e["max_attempts"]) for e in said["edges"]] == [("writer", 2)]
    store.close()

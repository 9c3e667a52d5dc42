"""Evaluate end to end: a run that crashes is a failure, and no average forgets it.

Four tickets: one reply is wrong, and one run crashes. An evaluator that looks at the outputs
stumbles over the crash, and LangSmith's average leaves the run out. First without a server, then
with LangSmith's own `evaluate` against a local server for tests.
"""

import contextlib
import io
import logging
import os

os.environ.setdefault("TQDM_DISABLE", "1")  # LangSmith's progress bar

import langsmith
from coord_langsmith import e2e_evaluator, e2e_summary, evaluate_offline

from coord_plugins.testing import langsmith_server

AMOUNTS = {"T-1": 20, "T-2": 45, "T-3": 12, "T-4": 99}
EXAMPLES = [
    {"inputs": {"ticket": ticket}, "reference_outputs": {"amount": amount}}
    for ticket, amount in AMOUNTS.items()
]


def pipeline(inputs: dict) -> dict:
    """Stands for any pipeline: an attached graph is given to both evaluations as it is."""
    if inputs["ticket"] == "T-3":
        raise TimeoutError("the books did not answer")
    wrong = 10 if inputs["ticket"] == "T-2" else 0
    return {"amount": AMOUNTS[inputs["ticket"]] + wrong}


def is_right(outputs: dict, reference_outputs: dict) -> bool:
    """The goal."""
    return outputs["amount"] == reference_outputs["amount"]


def naive(outputs: dict, reference_outputs: dict) -> dict:
    """The same, as most evaluators are written."""
    return {"key": "naive", "score": is_right(outputs, reference_outputs)}


if __name__ == "__main__":
    print("without a server:")
    print(evaluate_offline(pipeline, EXAMPLES, is_right))

    logging.getLogger("langsmith").setLevel(logging.CRITICAL)  # the tracebacks of what must fail
    with langsmith_server() as server:
        client = server.client()
        dataset = client.create_dataset("refunds")
        client.create_examples(dataset_id=dataset.id, examples=EXAMPLES)
        e2e = e2e_evaluator(is_right)
        with contextlib.redirect_stdout(io.StringIO()):  # a link, which leads nowhere here
            results = langsmith.evaluate(
                pipeline,
                data="refunds",
                evaluators=[naive, e2e],
                summary_evaluators=[e2e_summary(e2e, k=[2])],
                num_repetitions=2,
                client=client,
            )
        client.flush()
        read = client.read_project(project_name=results.experiment_name, include_stats=True)

    print("\nin LangSmith, each ticket twice:")
    for key in ("naive", "e2e"):
        stats = read.feedback_stats[key]
        print(f"{key:<6} average {stats['avg']:.3f}, {stats['errors']} errors left out")
    print("because:", dict(sorted(read.feedback_stats["e2e"]["values"].items())))
    for key, stats in sorted(read.session_feedback_stats.items()):
        print(f"{key:<20} {stats['avg']:.3f}")

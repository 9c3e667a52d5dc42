"""Every script of examples/ runs by itself, without network or key, and prints what it promises."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PROMISED = {
    "observe_plan_gate.py": [
        "observed: 1224 of 1500 did their job",
        "draft: back to draft -> retrieve, 4 attempts",
        "expected: 97.4 to 99.0 %",
        "The validators bound it, not the attempts",
        "measured: 97.7 %",
        "compared: better",
        "gate: accept",
    ],
    "import_outcomes.py": [
        "large.csv: 200 new, 0 unchanged, 0 bad",
        "large.csv: 0 new, 200 unchanged, 0 bad",
        "large: 81.0 % [69.4, 88.9]",
        "pass@5 0.975, pass^5 0.675",
        "At your prices pipeline=large is better: +$0.138",
    ],
    "seed_graph.py": [
        "recursion limit of 25 reached after 24 writer calls",
        "refunds: 3 attempts, then escalated",
        "refunds    escalated.unjudged",
        "writer calls: 7 for 5 runs",
        "success: 4 of 5, 95 % interval 0.38 to 0.96",
        "lost at: {'writer': 1}",
    ],
    "attach_compiled_graph.py": [
        "worst case: 3 x 3 = 9 calls",
        "T-1  success.unjudged",
        "T-2  success.crash_retried",
        "T-3  success.first_pass",
        "edge writer: 4 calls = 3 passes + 1 rejects + 0 validator errors",
    ],
    "decorators.py": [
        "execution 2, attempt 1",
        "execution 4, attempt 3",
        "last prompt: How long does a refund take? Mind: cite the handbook",
        "outcome: success.unjudged",
        "4 executions = 1 error + 3 candidates",
        "3 candidates = 1 pass + 2 rejects",
    ],
    "ladder.py": [
        "success 2 of 4, lost at {'writer': 2}",
        "rejects 7 = 5 loops + 2 exhausted",
        "success 4 of 4, lost at {}",
        "rejects 5 = 5 loops + 0 exhausted",
        "calls {'researcher': 6, 'writer': 9}",
    ],
    "human_review.py": [
        "Ada: asks about offer 150",
        "approve: goodwill for Ada: sent 150",
        "edit: a voucher: sent 80",
        "reject: call the customer instead",
        "3 runs, outcomes: {'escalated.unjudged': 3}",
    ],
    "streaming_ui.py": [
        "bare\n  screen: We will look into it.\n",
        'hold"\n  screen: Line 2 of your invoice is a yearly fee.\n  2 candidates, 1 rejected',
        "screen: We will look into it. <coord.rejected> Line 2 of your invoice is a yearly fee.",
    ],
    "plain_python.py": [
        "tue: total 31                            success.crash_retried",
        "wed: total 21                            success.unjudged",
        "no report (2 attempts rejected)          escalated.unjudged",
        "3 of 4 reports were right: 75%",
        "95 % interval: 30.1% to 95.4%",
        "product of the steps' first tries: 75.0%",
    ],
    "budget_and_fallback.py": [
        "T-1  success.first_pass   $0.0036",
        "T-2  success.fallback     $0.0064",
        "T-3  error.budget         $0.0068",
        "total $0.0222 = first $0.0150 + fallback $0.0072",
        "per success $0.0074",
    ],
    "late_labels.py": [
        "at once: 5 runs, 0 labelled, 0 successes",
        "after a week: 5 runs, 4 labelled, 4 successes",
        "after one was reopened: 5 runs, 4 labelled, 3 successes\n  north: 2 of 2\n  south: 1 of 2",
        "'silent_failure.first_pass': 1, 'unlabelled': 1",
    ],
    "autogen_critic_chat.py": [
        "as it was:",
        "critic: Short and clear. APPROVE",
        "ok validator: writer's answer passed.",
        "= success.first_pass, 840 tokens, $0.000144",
        "no validator: writer's answer was rejected.",
        "writer: A year, see H-2.",
        "= success.unjudged, 1260 tokens, $0.000216",
        "writer: A colleague will write to you.",
        "= escalated.unjudged, 1680 tokens, $0.000288",
        "validator: 5 answers judged = 2 passes + 3 rejects",
    ],
    "autogen_selector.py": [
        "worst case: 4 x 3 = 12 calls",
        "T-1  success.first_pass      1020 tokens  ",
        "calls {'researcher': 1, 'writer': 1, 'sender': 1}",
        "T-2  success.crash_retried   1020 tokens  ",
        "calls {'researcher': 2, 'writer': 1, 'sender': 1}",
        "T-3  success.unjudged        1360 tokens  ",
        "calls {'researcher': 1, 'writer': 2, 'sender': 1}",
        "T-4  success.unjudged        2040 tokens  ",
        "calls {'researcher': 2, 'writer': 3, 'sender': 1}",
        "T-5  escalated.unjudged      2380 tokens  ",
        "calls {'researcher': 3, 'writer': 4}",
        "  escalated.unjudged     1\n  success.crash_retried  1\n  success.first_pass     1\n",
        "  success.unjudged       2",
    ],
    "autogen_graph.py": [
        "the editor got: ['A great year: 40 % more!']",
        "analyst: Sales rose by 4 %.",
        "writer: A good year: 4 % more.",
        "; success.unjudged",
        "turns: {'planner': 1, 'analyst': 2, 'artist': 1, 'writer': 2, 'editor': 1}",
        "'planner' would start 'artist' again",
    ],
    "autogen_recovery.py": [
        "outcomes: ['success.first_pass']",
        "failed: KeyRefusedError: the key has expired",
        "A year, see H-2.",
        "outcomes: ['error.crash', 'success.first_pass']",
        "model was told: ['How long does a refund take?', 'And how long is a voucher valid?']",
        "the first team, asked once more: AutoGen has left this team unusable",
    ],
    "crewai_yaml/main.py": [
        "rejected: back to research; 2 attempts; then __stop__",
        "T-1     success.first_pass         3     720       2160  The amount is INV-71 line 3.",
        "T-2     success.crash_retried      4     720 ",
        "T-3     success.unjudged           5    1200 ",
        "T-4     escalated.unjudged         4     960      10800  (none was sent)",
        "success 3 of 4, lost at {'write': 1}",
        "6 calls = 3 passes + 3 rejects; 2 loops to research + 1 exhausted",
        "3600 tokens, $0.0054 = first $0.0040 + retry $0.0014; per success $0.0018",
        "CrewAI adds up 25200",
    ],
    "crewai_flow.py": [
        "letters   success.first_pass  $0.0015",
        "- research  $0.0005  calls {'look_up': 1}",
        "Ben: Dear Ben, thank you for $41.",
        "- writing   $0.0015  calls {'outline': 1, 'write': 2}",
        "Cy: Dear Cy, thank you for $17.",
        "- writing   $0.0025  calls {'outline': 2, 'write': 3}",
        "letters: success 3 of 3, $0.0065",
        "add up to the same $0.0065",
    ],
    "langsmith_outcomes.py": [
        "T-3  silent_failure.first_pass",
        "T-1 [chain] success attempts=1 cost_usd=0 outcome.first_try=1 outcome=1(success",
        "T-2 [chain] success attempts=2 cost_usd=0 outcome.first_try=0 outcome=1(success.unjudged)",
        "    validate:cites_a_line [chain] success #validate:rejected\n    attempt 2 ",
        "outcome=0(silent_failure.first_pass)",
        "outcome=0(escalated.unjudged)",
        "by its steps: 16 of 16 without an error",
        "coord-example: 2 of 4 runs did their job: 50.0 % [15.0, 85.0]",
        "at the first try: 1",
    ],
    "langsmith_evaluate.py": [
        "e2e: 2 of 4 runs did their job: 50.0 % [15.0, 85.0] (4 examples x 1)",
        "2 success, 1 failure, 1 error",
        "without those that raised: 66.7 %",
        "naive  average 0.667, 2 errors left out",
        "e2e    average 0.500, 0 errors left out",
        "because: {'error': 2, 'failure': 2, 'success': 4}",
        "e2e.completed_only   0.667",
        "e2e.pass_hat_2       0.500",
        "e2e.success_rate     0.500",
    ],
}
"""What each script prints, in this order."""
THEIR_WARNINGS = {
    "crewai": ["ignore::ImportWarning", "ignore::DeprecationWarning"],
    "langsmith": ["ignore:ast.Str is deprecated:DeprecationWarning"],
}
"""What a host warns of in its own code; Python shows neither kind by default."""


@pytest.mark.parametrize("script", PROMISED)
def test_it_runs_and_prints(
    script: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Warnings are errors; nothing is printed to stderr; the promised numbers are there."""
    host = script.partition("_")[0]
    packages = {"autogen": "autogen_agentchat", "crewai": "crewai", "langsmith": "langsmith"}
    package = packages.get(host)
    if package and find_spec(package) is None:  # importing it here would take seconds
        pytest.skip(f"{host} is not installed")
    warned = [f"-W{action}" for action in ("error", *THEIR_WARNINGS.get(host, ()))]
    paths = [str(ROOT), str(ROOT / "adapters")]
    settings = ("COORD_", "LANGSMITH_", "LANGCHAIN_")
    env = {k: v for k, v in os.environ.items() if not k.startswith(settings)}
    env |= {"COORD_STORE": "memory", "PYTHONPATH": os.pathsep.join(paths)}
    env["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))  # importing CrewAI writes there
    ended = subprocess.run(
        [sys.executable, *warned, str(EXAMPLES / script)],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    after = 0
    for line in PROMISED[script]:
        found = ended.stdout.find(line, after)
        assert found >= 0, f"{line!r} is not in its place in:\n{ended.stdout}"
        after = found + len(line)
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


def test_every_example_is_tested() -> None:
    """No script is forgotten; the two of these have tests of their own."""
    elsewhere = {"fastapi_service.py", "billing_desk.py"}
    scripts = {p.name for p in EXAMPLES.glob("*.py")}
    scripts |= {p.relative_to(EXAMPLES).as_posix() for p in EXAMPLES.glob("*/main.py")}
    assert scripts - elsewhere == set(PROMISED)
    listed = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in sorted(scripts) if name not in listed] == []

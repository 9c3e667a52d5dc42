"""The time that `import coord_plugins` takes in a fresh interpreter, and what it loads."""

from __future__ import annotations

import json
import subprocess
import sys

from measure import Size, table, verdict

LIMIT_MS = 120.0
FRAMEWORKS = (
    "langgraph langchain langchain_core langsmith autogen_core autogen_agentchat crewai sqlalchemy"
).split()
SCRIPT = """
import json, sys, time
sys.path[:0] = {path!r}
began = time.perf_counter()
{statement}
spent = time.perf_counter() - began
print(json.dumps([spent * 1e3, len(sys.modules), [m for m in {watched!r} if m in sys.modules]]))
"""


def measured(statement: str, times: int) -> tuple[float, int, list[str]]:
    """Milliseconds (best of `times`), modules loaded, and those of `FRAMEWORKS` among them."""
    script = SCRIPT.format(path=sys.path, statement=statement, watched=FRAMEWORKS)
    best, modules, loaded = float("inf"), 0, []
    for _ in range(times):
        done = subprocess.run(
            [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
        )
        spent, modules, loaded = json.loads(done.stdout)
        best = min(best, spent)
    return best, modules, loaded


def imports(size: Size) -> None:
    """Import time beside pydantic's own."""
    rows = []
    for statement in ("pass", "import tenacity", "import pydantic", "import coord_plugins"):
        best, modules, loaded = measured(statement, min(size.rounds, 12))
        ours = statement.endswith("coord_plugins")
        said = verdict(best <= LIMIT_MS and not loaded) if ours else ""
        rows.append((statement, f"{best:.1f}", str(modules), ", ".join(loaded) or "none", said))
    head = ("", "ms", "modules", "frameworks", "target")
    table(f"fresh interpreter, target {LIMIT_MS:g} ms and no framework, best of n", head, rows)

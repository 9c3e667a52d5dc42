"""Dependencies go one way: adapters, public names, drivers, decisions, records, errors."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "coord_plugins"
ADAPTERS = ROOT / "adapters"
FRAMEWORKS = {
    "langgraph",
    "langchain",
    "langchain_core",
    "autogen_agentchat",
    "autogen_core",
    "crewai",
    "langsmith",
    "openai",
    "anthropic",
    "botocore",
    "google",
    "requests",
    "httpx",
    "tenacity",
    "stamina",
    "pytest",
    "scipy",
    "numpy",
}
MAY_WAIT = {
    "_clock.py",
    "_drive.py",
    "_judge.py",
    "_loop.py",
    "_follow.py",
    "_parts.py",
    "_bus.py",
    "_late.py",
    "_track.py",
    "_decorators.py",
}
HEART = sorted(p.name for p in CORE.glob("_*.py") if not p.name.startswith("_store"))


def modules(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def imports(path: Path, *, lazy: bool = True) -> set[str]:
    """Absolute dotted names that a module imports; `lazy`: also inside functions."""
    found: set[str] = set()
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            deeper = inside or isinstance(
                child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            )
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if not inside or lazy:
                if isinstance(child, ast.Import):
                    found.update(a.name for a in child.names)
                elif isinstance(child, ast.ImportFrom):
                    base = package[: len(package) - child.level + 1] if child.level else []
                    name = ".".join([*base, *([child.module] if child.module else [])])
                    for alias in child.names:
                        whole = f"{name}.{alias.name}"
                        is_module = (ROOT / whole.replace(".", "/")).with_suffix(".py").is_file()
                        found.add(whole if is_module else name)
            visit(child, deeper)

    visit(ast.parse(path.read_text()), False)
    return found


def dotted(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def test_no_import_cycles_in_the_core() -> None:
    files = {dotted(p): p for p in modules(CORE)}
    # the package itself only re-exports; importing it from inside is what its subpackages do
    graph = {
        name: {i for i in imports(path, lazy=False) if i in files and i != "coord_plugins"} - {name}
        for name, path in files.items()
        if name != "coord_plugins"
    }
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph.get(name, ())):
            visit(other, (*way, name))
        done.add(name)

    for name in graph:
        visit(name, ())
    assert len(done) >= 40


@pytest.mark.parametrize("path", modules(CORE), ids=dotted)
def test_the_core_imports_no_framework(path: Path) -> None:
    allowed = {"langchain"} if "demo" in path.parts else set()  # `coord demo --model`
    roots = {name.split(".")[0] for name in imports(path)}
    assert roots & FRAMEWORKS <= allowed
    assert not any(r.startswith("coord_") and r != "coord_plugins" for r in roots)


def test_importing_the_core_loads_no_framework_and_is_quick(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also at run time, in a process of its own; the budget is 120 ms on a quiet machine."""
    code = (
        "import sys, time; began = time.perf_counter(); import coord_plugins; "
        "took = time.perf_counter() - began; "
        "print(took); print(*sorted({m.split('.')[0] for m in sys.modules}))"
    )
    took, loaded = 9.9, set()
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        seconds, names = done.stdout.splitlines()
        took, loaded = min(took, float(seconds)), set(names.split())
    with capsys.disabled():
        print(f"\nimport coord_plugins: {took * 1000:.0f} ms")
    assert loaded & (FRAMEWORKS | {"sqlalchemy", "typer", "rich", "asyncpg"}) == set()
    assert took < 2.0


def test_testing_needs_no_test_framework() -> None:
    code = "import sys, coord_plugins.testing.conformance; print('pytest' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "False"


PUBLIC = (
    "coord_plugins",
    "coord_plugins.host",
    "coord_plugins.testing",
    "coord_plugins.errors",
    "coord_plugins.cli",
    "coord_plugins.planning",
    "coord_plugins.stats",
)


@pytest.mark.parametrize("path", modules(ADAPTERS), ids=lambda p: str(p.relative_to(ADAPTERS)))
def test_adapters_import_only_public_names(path: Path) -> None:
    own = path.relative_to(ADAPTERS).parts[0]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [(node.module, a.name) for a in node.names]
        elif isinstance(node, ast.Import):
            names = [(a.name, "") for a in node.names]
        else:
            continue
        for module, name in names:
            root = module.split(".")[0]
            assert not (root.startswith("coord_") and root not in (own, "coord_plugins")), module
            if root == "coord_plugins":
                demo = path.name == "_demo.py" and module.startswith("coord_plugins.demo")
                assert demo or module.startswith(PUBLIC[2]) or module in PUBLIC, module
                assert "._" not in module, module
                assert not name.startswith("_"), f"{module}.{name}"


def calls(path: Path) -> set[str]:
    """What a module calls, as written."""
    tree = ast.parse(path.read_text())
    return {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}


def handlers(path: Path) -> list[str]:
    """The broad exception handlers of a module."""
    tree = ast.parse(path.read_text())
    caught = [
        ast.unparse(n.type) if n.type else "bare"
        for n in ast.walk(tree)
        if isinstance(n, ast.ExceptHandler)
    ]
    return [c for c in caught if c in ("bare", "Exception", "BaseException")]


CLOCKS = {
    "time.time",
    "time.monotonic",
    "time.sleep",
    "time.perf_counter",
    "asyncio.sleep",
    "random.random",
    "datetime.now",
    "datetime.datetime.now",
}
READS_CLOCK = {"_classify.py"}  # a Retry-After given as a date, where no clock is handed in
# the user's `redact` hook, `task=` and `output=`, and tracers: recording never hurts the run
CATCHES = {"_config.py": 1, "_coord.py": 2, "_tracing.py": 1}


@pytest.mark.parametrize("name", HEART)
def test_only_drivers_wait_read_clocks_and_catch(name: str) -> None:
    if name in MAY_WAIT:
        return
    path = CORE / name
    if name not in READS_CLOCK:
        assert calls(path) & CLOCKS == set()
    assert len(handlers(path)) == CATCHES.get(name, 0)


def test_the_heart_is_pure() -> None:
    """`decide` knows no run, no clock, no thread and no I/O."""
    found = imports(CORE / "_decide.py")
    assert not found & {"time", "asyncio", "threading", "logging", "random", "os"}
    assert not any(n.split(".")[-1] in ("_run", "_step", "_coord", "_clock", "_bus") for n in found)
    assert not calls(CORE / "_decide.py") & (CLOCKS | {"open", "print"})


def test_planning_is_arithmetic_on_records() -> None:
    """It knows records, edges and statistics: no host, no store, no run, no clock."""
    known = {"_edge", "_record", "_tally", "_value", "errors", "planning", "stats"}
    for path in modules(CORE / "planning"):
        ours = {n.split(".")[1] for n in imports(path) if n.startswith("coord_plugins.")}
        assert ours <= known, path.name
        opens = {"json", "os", "pathlib"} & {n.split(".")[0] for n in imports(path, lazy=False)}
        assert not opens or path.name in ("_apply.py", "_file.py"), path.name
        assert not calls(path) & (CLOCKS | {"open", "print"}), path.name


def test_files_are_short() -> None:
    long = {
        dotted(p): n
        for p in [
            *modules(CORE / "testing"),
            CORE / "_decide.py",
            CORE / "_loop.py",
            CORE / "_drive.py",
        ]
        if (n := len(p.read_text().splitlines())) > 320
    }
    assert long == {}

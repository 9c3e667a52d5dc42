"""The documentation is code: its blocks run, its links lead somewhere, no public name is missing.

In these pages a ```python block is executed; the blocks of one page share their
names. A ```text block right after it is what it prints. In a ```console block every line
`$ coord ...` is a command that exists, with options that exist.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import io
import re
import shlex
import textwrap
from pathlib import Path

import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from coord_plugins import OUTCOMES, Budget, Retry, ValidationEdge, Validator, _bus, _config, host

ROOT = Path(__file__).parent.parent
TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")]
PAGES = [*TOP, *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PACKAGES = (
    "coord_plugins",
    "coord_langgraph",
    "coord_autogen",
    "coord_crewai",
    "coord_langsmith",
    "coord_plugins.cli",
    "coord_plugins.host",
    "coord_plugins.planning",
    "coord_plugins.stats",
    "coord_plugins.testing",
    "coord_plugins.testing.conformance",
)
run_python = PythonEvaluator()


def python(example: Example) -> None:
    """Run a block and keep what it prints for the text block after it."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run_python(example)
    example.namespace["_printed"] = (example.region.end, printed.getvalue())


def text(example: Example) -> str | None:
    """Compare a text block that follows a python block with what that one printed."""
    end, printed = example.namespace.get("_printed", (None, ""))
    if end is None or example.document.text[end : example.region.start].strip("`\n "):
        return "no python block stands right before this; a drawing takes a plain fence"
    expected = textwrap.dedent(str(example.parsed)).strip()
    if textwrap.dedent(printed).strip() == expected:
        return None
    return f"the block before prints:\n{printed}\nbut the page shows:\n{expected}"


def console(example: Example) -> str | None:
    """Check every `$ coord ...` line: `--help` at its end parses the options and runs nothing."""
    from typer.testing import CliRunner

    from coord_plugins._cli._app import app

    for line in re.findall(r"^\$ (?:\w+=\S+ )*coord (.*)$", str(example.parsed), re.MULTILINE):
        said = CliRunner().invoke(app, [*shlex.split(line, comments=True), "--help"])
        if said.exit_code:
            return f"coord {line}: {said.output}"
    return None


def documents(page: Path) -> Document:
    """A page with its blocks."""
    parsers = [
        CodeBlockParser(language, evaluator)
        for language, evaluator in (("python", python), ("text", text), ("console", console))
    ]
    return Sybil(parsers, path=str(page.parent), patterns=[page.name]).parse(page)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page runs from its top to its end, in an empty directory."""
    if page.name in ("crewai.md", "langsmith.md", "README.md"):
        pytest.importorskip("crewai")
    if page.name in ("autogen.md", "langsmith.md", "README.md"):
        pytest.importorskip("autogen_agentchat")
    if page.name in ("langsmith.md", "README.md"):
        pytest.importorskip("langsmith")
    monkeypatch.chdir(tmp_path)
    # a listener lives as long as its process, and would hear the labels of the next page
    monkeypatch.setattr(_bus, "_kept", {})
    for example in documents(page).examples():
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links name an existing file, and a heading that it has."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(h) for h in headings}, f"{name_of(page)}: {link}"


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_documented(package: str) -> None:
    """docs/api.md has one line for each name of `__all__`, and none for a name that is gone."""
    host = package.removeprefix("coord_")
    if host in ("langgraph", "autogen_agentchat", "crewai", "langsmith"):
        pytest.importorskip(host)
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    [section] = re.findall(
        rf"^## `{re.escape(package)}`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    documented = re.findall(r"^\| `([\w]+)[^`]*` \|", section, re.MULTILINE)
    public = set(importlib.import_module(package).__all__)
    assert public - set(documented) == set(), "not documented"
    assert set(documented) - public == set(), "documented and not public"
    assert len(documented) == len(set(documented)), "documented twice"


def test_every_page_is_in_the_index() -> None:
    """docs/index.md links every page."""
    linked = LINK.findall((ROOT / "docs" / "index.md").read_text(encoding="utf-8"))
    pages = {p.name for p in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert pages <= {link.partition("#")[0] for link in linked}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.parent.name == "docs" and p.name != "index.md"], ids=name_of
)
def test_every_page_has_the_skeleton(page: Path) -> None:
    """One skeleton: About, Usage, Details (or Defaults), Limits."""
    if page.name == "api.md":
        return
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings == ["About", "Usage", "Details", "Limits"]


@pytest.mark.parametrize(
    ("page", "policy"),
    [
        ("retry.md", Retry),
        ("costs.md", Budget),
        ("edges-and-ladders.md", ValidationEdge),
        ("validators.md", Validator),
        ("writing-an-adapter.md", host.Host),
    ],
)
def test_every_setting_is_in_its_table(page: str, policy: type) -> None:
    """A field that is added to a policy object needs its line."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    given = {"step", "validators", "fn"}  # positional: the usage shows them
    names = {f.name for f in dataclasses.fields(policy) if f.init}
    assert [n for n in sorted(names - given) if f"| `{n}` |" not in text] == []


def test_every_configuration_is_in_its_table() -> None:
    """Each setting of `configure` has a row."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| (\w+) \|", text, re.MULTILINE))
    assert set(_config._Configured.__dataclass_fields__) <= rows


def test_every_outcome_is_in_its_table() -> None:
    """Each class and sub-class of outcomes is explained."""
    text = (ROOT / "docs" / "outcomes.md").read_text(encoding="utf-8")
    names = {part for outcome in OUTCOMES for part in outcome.split(".")}
    assert [n for n in sorted(names) if f"`{n}`" not in text] == []

"""The documentation is code: its blocks run, its links lead somewhere, no public name is missing.

In README.md and docs/*.md, a ```python block is executed; the blocks of one page share their
names. A ```text block right after it is what it prints. In a ```console block every line
`$ coord ...` is a command that exists, with options that exist.
"""

from __future__ import annotations

import contextlib
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

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PACKAGES = (
    "coord_plugins",
    "coord_langgraph",
    "coord_plugins.host",
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
        return None  # it stands by itself: a drawing or a format
    expected = textwrap.dedent(str(example.parsed)).strip()
    if printed.strip() == expected:
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
    monkeypatch.chdir(tmp_path)
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

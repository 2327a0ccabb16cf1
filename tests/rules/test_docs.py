"""The documents hold together: links lead somewhere, and what the source promises to explain is explained.

The code in docs/guides/library.md is run by tests/commands/test_docs_examples.py.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.live.test_differential import KNOWN_DIFFERENCES

import portside
from portside import testing
from portside.cli import COMMANDS, load
from portside.cli.parsing import parse
from portside.see import records
from portside.system.capabilities import PROBES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
GUIDES = sorted((DOCS / "guides").glob("*.md"))
LATER = {DOCS / "figures.md"}  # written by `make figures`

FACES = [["ss"], ["netstat"], ["lsof"], ["sockstat"], ["nc"], ["ncat"]]
CODE = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
SHELL = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.M | re.S)
GAPS = [value for name, value in vars(records).items() if name.isupper() and isinstance(value, str)]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or target in LATER, f"{page.name}: nothing is at {link!r}"
        assert not anchor or anchor in anchors(target), (
            f"{page.name}: {target.name} has no heading {anchor!r}"
        )


def test_every_page_is_linked():
    """From the README or the index one comes everywhere."""
    linked = {ROOT / "README.md", DOCS / "index.md"}
    for page in (*linked, DOCS / "news" / "README.md"):
        linked |= {
            (page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(page.read_text())
        }
    news = set((DOCS / "news").glob("*.md"))
    assert not set(PAGES) - linked - news - LATER


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_a_guide(name):
    assert any(f"portside {name}" in page.read_text() for page in GUIDES), f"no guide shows portside {name}"


def commands():
    """Yield (page, line) for every command line of ours in a shell block; test_docs_faces.py runs the faces'."""
    for page in PAGES:
        for block in SHELL.findall(page.read_text()):
            for line in block.splitlines():
                found = re.match(r"(?:\w*\$ )?((?:sudo )?portside\b(?!:).*)", line.strip())
                if found and found[1].split()[1:2] not in FACES:
                    yield page, found[1].removeprefix("sudo ")


def test_commands_on_the_pages_are_accepted():
    """What a reader copies out of a page is no usage error: options that went away would be."""
    lines = list(commands())
    assert len(lines) > 40
    for page, line in lines:
        words = shlex.split(re.split(r" (?:\||>|&&|;) ?", line)[0], comments=True)[1:]
        name = next((word for word in words if word in COMMANDS), "list")
        rest = [word for word in words if word != name]
        try:
            parse(load(name), rest)
        except SystemExit:
            pytest.fail(f"{page.name}: {line}")


@pytest.mark.parametrize("word", GAPS)
def test_every_gap_is_explained(word):
    for page in (DOCS / "semantics.md", DOCS / "guides" / "without-root.md"):
        assert re.search(rf"^\|.*`{word}` \|", page.read_text(), re.M), (
            f"{page.name} does not explain {word!r}"
        )


@pytest.mark.parametrize("name", [*portside.__all__, *(name for name in vars(testing) if name[0].isupper())])
def test_every_public_name_is_in_the_library_guide(name):
    if name != "TYPE_CHECKING":
        assert re.search(rf"\b{name}\b", (DOCS / "guides" / "library.md").read_text())


def test_the_map_is_complete():
    """Every package and every module is on the map of docs/architecture.md."""
    text = (DOCS / "architecture.md").read_text()
    source = ROOT / "src" / "portside"
    for package in (path.parent for path in source.rglob("__init__.py") if path.parent != source):
        assert f"{package.name}/" in text, f"the map lacks the package {package.relative_to(source)}"
    for module in source.rglob("*.py"):
        known = f"`{module.name}`" in text or f"`{module.stem}`" in text or f"  {module.name} " in text
        assert known or module.name == "__init__.py", f"the map lacks {module.relative_to(source)}"


def test_the_map_names_nothing_that_is_gone():
    text = (DOCS / "architecture.md").read_text().partition("## The import law")[0]
    for name in re.findall(r"`([\w/]+\.py)`", text):
        found = [*(ROOT / "src" / "portside").rglob(name), *ROOT.glob(name)]
        assert found, f"the map names {name}, which is gone"


def test_every_probe_is_in_the_support_matrix():
    text = (DOCS / "support.md").read_text()
    for probe in PROBES:
        family = probe.name.rpartition(" ")[2]
        assert f"`{probe.name}`" in text or f"`{family}`" in text, f"support.md lacks {probe.name!r}"


@pytest.mark.parametrize("peer", ["ss", "netstat", "lsof", "psutil"])
def test_every_known_difference_is_on_the_page(peer):
    page = (DOCS / "comparison.md").read_text()
    section = page.partition(f"\n## {peer}\n")[2].partition("\n## ")[0]
    for difference in KNOWN_DIFFERENCES[peer]:
        assert f"| {difference.what} |" in section, f"comparison.md, {peer}: lacks {difference.what!r}"

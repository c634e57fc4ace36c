"""The pages are true: links lead somewhere, commands and files exist, and no page is long."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from anelab.cli.app import app
from anelab.cli.console import take_common
from anelab.config import load_params
from tests.conftest import ROOT, SOURCE

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [*(ROOT / name for name in ("README.md", "CHANGELOG.md", "benchmarks/README.md", "data/README.md")), *DOCS]
BLOCK = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TREE = re.compile(r"`((?:src|tests|benchmarks|dashboards|docs)/[\w./-]+)`")
MOST_LINES = 150
MOST_PICTURE_BYTES = 300_000

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in BLOCK.findall(page.read_text()) if kind == language]


def lines(page: Path) -> Iterator[str]:
    """Shell commands of a page: those of its blocks, without comments, each part of a pipe by itself."""
    for block in blocks(page, "bash"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            part: list[str] = []
            for word in [*words, "|"]:
                if word in ("|", "&&", ">"):
                    yield shlex.join(part)
                    part = []
                else:
                    part.append(word)


def inline(page: Path) -> list[str]:
    """Code within the text of a page."""
    return re.findall(r"`([^`]+)`", BLOCK.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_front_page_and_every_other_is_short_and_listed() -> None:
    assert len(DOCS) > 8
    for page in (ROOT / "README.md", *DOCS):
        assert len(page.read_text().splitlines()) < MOST_LINES, page
    index = (ROOT / "docs" / "README.md").read_text()
    assert {page.name for page in DOCS} - {"README.md"} <= set(LINK.findall(re.sub(r"#[\w-]+", "", index)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert pictures
    assert max(path.stat().st_size for path in pictures) < MOST_PICTURE_BYTES


@every_page
def test_commands_are_taken_as_they_are_shown(page: Path) -> None:
    """Names, options, values and arguments, but for files that are a user's own; values laid over params.yaml too."""
    for line in lines(page):
        program, *words = shlex.split(line) or [""]
        if program != "anelab":
            continue
        common, rest = take_common(words)
        load_params(ROOT / "params.yaml", [text for text in common.overrides if "flowers" not in text])
        if "flowers" not in rest:
            parse(rest)


def parse(words: list[str]) -> None:
    """Raises what the command line raises for words that it does not take; runs nothing."""
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup):
        context = command.make_context("anelab", list(words), resilient_parsing=not words)
        _, found, words = command.resolve_command(context, context._protected_args + context.args)
        assert found is not None, words
        command = found
    command.make_context("anelab", list(words))


@every_page
def test_commands_within_the_text_exist(page: Path) -> None:
    for code in inline(page):
        if code.startswith("anelab ") and not re.search(r"\.\.\.|\|", code):
            check_exists(take_common(shlex.split(code)[1:])[1])


def check_exists(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup) and words and words[0] != "--help":
        assert words[0] in command.commands, words
        command, words = command.commands[words[0]], words[1:]
    known = {name for option in command.params for name in option.opts}
    assert {word for word in words if word.startswith("--")} <= known | {"--help"}, words


@every_page
def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [line for line in (*lines(page), *inline(page)) if re.match(r"(\w+=\S+ )?make ", line)]
    assert {re.split(r"make ", line)[1].split()[0] for line in named} <= targets


@every_page
def test_files_and_folders_exist(page: Path) -> None:
    for name in TREE.findall(page.read_text()):
        assert (ROOT / name).exists() or "flowers" in name, name


@every_page
def test_python_can_be_read(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, str(page), "exec")


def test_every_package_and_only_modules_that_exist_are_in_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert {name for name in packages if f"`{name}/`" not in text} == set()
    modules = {path.name for path in (ROOT / "src").rglob("*.py")} | {
        path.name for path in (ROOT / "tests").rglob("*.py")
    }
    assert set(re.findall(r"[`/](\w+\.py)`", text)) - modules == set()


def test_every_script_that_measures_is_in_its_table() -> None:
    table = (ROOT / "benchmarks" / "README.md").read_text()
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert {name for name in scripts if f"`{name}`" not in table} == set()

"""The documents are correct: names, commands, configs and links in them are checked here."""

import ast
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

import warmstart
from tests.rules.source import PACKAGE, ROOT
from warmstart import config_file
from warmstart.api import Run
from warmstart.cli.app import app

READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
GUIDES = (*READMES, *(ROOT / "docs" / f"{name}.md" for name in ("data", "from-the-tutorials")))
PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))

SETTINGS = {setting.name for setting in config_file.settings_table()}
FILES = {"data.json", "model.int8.onnx", "model.onnx", "model.safetensors", "train.tsv"}
"""Names of files that look like settings."""

MAX_PICTURE_BYTES = 300_000

TOPICS = tuple(
    ROOT / "docs" / f"{name}.md"
    for name in ("comparing", "experiments", "features", "glue", "question-answering")
)

every_guide = pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.name)
guides_and_topics = pytest.mark.parametrize("page", GUIDES + TOPICS, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of one language."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)
    return [str(block) for block in found]


def commands(page: Path) -> list[list[str]]:
    """Every line of the shell blocks, split into words, without comments."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)


def test_the_page_of_settings_is_current() -> None:
    make: Any = runpy.run_path(str(ROOT / "docs" / "configuration.py"))
    assert make["PAGE"].read_text("utf-8") == make["page"](), (
        "run: .venv/bin/python docs/configuration.py"
    )


@guides_and_topics
def test_settings_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:model|data|train)(?:\.[a-z_0-9]+)+)(?![a-z_0-9(.])", prose(page)))
    assert named - FILES <= SETTINGS


def test_settings_are_named_at_all() -> None:
    assert all(len(re.findall(r"`(?:data|train)\.", prose(page))) > 5 for page in GUIDES[2:])


@guides_and_topics
def test_commands_can_be_typed(page: Path) -> None:
    known: Any = typer.main.get_command(app)
    typed = [words[1:] for words in commands(page) if words[0] == "warmstart"]
    assert typed or page.name == "data.md"
    for name, *arguments in typed:
        context = known.commands[name].make_context(name, list(arguments))
        given = context.params.get("sets") or ()
        assert {override.partition("=")[0] for override in given} <= SETTINGS


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    named = [words[1] for page in READMES for words in commands(page) if words[0] == "make"]
    named += re.findall(r"`make ([a-z-]+)", "".join(map(prose, PAGES)))
    assert len(named) > 4
    assert set(named) <= set(targets)


@every_guide
def test_configs_are_usable(page: Path, tmp_path: Path) -> None:
    examples = blocks(page, "yaml")
    assert examples
    for example in examples:
        (tmp_path / "example.yaml").write_text(example, "utf-8")
        data = config_file.load(tmp_path / "example.yaml").data
        assert (data.text, data.text_pair) in {("sentence", None), ("Question", "Sentence")}


@pytest.mark.parametrize("page", READMES, ids=lambda page: page.name)
def test_python_uses_public_names(page: Path) -> None:
    code = "\n".join(blocks(page, "python"))
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)]
    ours = {node.attr for node in nodes if ast.unparse(node.value) == "warmstart"}
    methods = {node.attr for node in nodes if ast.unparse(node.value) == "run"}
    assert len(ours) > 2
    assert ours <= set(warmstart.__all__)
    assert len(methods) > 3
    assert methods <= set(dir(Run))


def test_both_languages_show_the_same() -> None:
    english, chinese = READMES
    missing = [words for words in commands(english) if words not in commands(chinese)]
    assert [words for words in missing if words[0] != "export"] == []
    assert blocks(english, "yaml") == blocks(chinese, "yaml")
    trees = [ast.dump(ast.parse("\n".join(blocks(page, "python")))) for page in READMES]
    assert trees[0] == trees[1]
    assert prose(english).count("\n## ") == prose(chinese).count("\n## ")
    assert prose(english).count("\n- ") == prose(chinese).count("\n- ")


def test_functions_that_are_named_exist() -> None:
    text = (ROOT / "docs" / "from-the-tutorials.md").read_text("utf-8")
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", text)
    assert len(named) > 20
    for file, name in named:
        scope: Any = ast.parse((PACKAGE / file).read_text("utf-8"))
        for part in name.split("."):
            kinds = (ast.FunctionDef, ast.ClassDef)
            inside = {node.name: node for node in scope.body if isinstance(node, kinds)}
            assert part in inside, f"{file} has no {name}"
            scope = inside[part]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, _, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(#?)([^)\s]*)\)", prose(page)):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {_slug(title) for title in titles}, f"{page.name}: #{anchor}"


def _slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_the_wheel_has_this_version() -> None:
    for page in READMES:
        assert re.findall(r"warmstart-([\d.]+)-py3", page.read_text("utf-8")) == [
            warmstart.__version__
        ]


def test_the_picture_is_there_and_small() -> None:
    picture = ROOT / "docs" / "images" / "report.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < MAX_PICTURE_BYTES
    assert all("(docs/images/report.png)" in page.read_text("utf-8") for page in READMES)

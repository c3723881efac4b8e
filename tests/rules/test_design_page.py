"""docs/design.md §3 shows the actual tree, and the actual import order."""

import re
import tomllib

from tests.rules.source import PACKAGE, ROOT

DESIGN = (ROOT / "docs" / "design.md").read_text("utf-8")


def _drawn() -> set[str]:
    """Names at the first level of the tree, folders with a trailing slash."""
    tree = DESIGN.partition("src/warmstart/\n")[2].partition("\ntests/")[0]
    return set(re.findall(r"^  ([\w.]+/?)(?:  |$)", tree, re.MULTILINE))


def _there() -> set[str]:
    """Modules and folders of the package; ``__main__.py`` and ``py.typed`` are Python's own."""
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__main__.py"}
    folders = {
        f"{path.name}/"
        for path in PACKAGE.iterdir()
        if path.is_dir() and any(file.suffix != ".pyc" for file in path.rglob("*.*"))
    }
    return modules | folders


def test_the_page_lists_every_module() -> None:
    assert len(_there()) > 5
    undrawn = sorted(_there() - _drawn())
    assert not undrawn


def test_files_are_files_and_folders_are_folders() -> None:
    stems = {name.rstrip("/").removesuffix(".py") for name in _drawn()}
    there = {name for name in _there() if name.rstrip("/").removesuffix(".py") in stems}
    assert len(there) > 5
    assert there <= _drawn()


def test_the_import_order_is_the_one_that_import_linter_holds() -> None:
    written = re.search(r"^`(cli → .* → errors)`", DESIGN, re.MULTILINE)
    assert written
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    assert len(layers) > 5
    assert [re.sub(r"[()]", "", layer) for layer in layers] == written[1].split(" → ")

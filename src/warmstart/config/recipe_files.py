"""The recipes: configs that ship with the package, in the folder ``recipes``."""

from pathlib import Path

from warmstart import errors

RECIPES = Path(__file__).parent.parent / "recipes"


def recipe_names() -> list[str]:
    """The names of all recipes, sorted; that of a recipe in a sub-folder begins with the folder."""
    files = RECIPES.rglob("*.yaml")
    return sorted(file.relative_to(RECIPES).with_suffix("").as_posix() for file in files)


def recipe_text(name: str) -> str:
    """The YAML of a recipe, with its comments.

    Args:
        name: one of ``recipe_names()``.

    Raises:
        ConfigError: there is no such recipe.
    """
    if name not in (known := recipe_names()):
        raise errors.config.unknown_recipe(name, known)
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")

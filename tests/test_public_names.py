"""The public names are these, each can be imported, and none is a module by mistake."""

import inspect
from importlib.metadata import version
from pathlib import Path

import pytest

import warmstart


def test_all_is_sorted_and_dir_agrees() -> None:
    assert warmstart.__all__ == sorted(warmstart.__all__)
    assert dir(warmstart) == warmstart.__all__


@pytest.mark.parametrize("name", [name for name in warmstart.__all__ if name != "__version__"])
def test_every_name_is_a_documented_function_or_class(name: str) -> None:
    thing = getattr(warmstart, name)
    assert inspect.isfunction(thing) or inspect.isclass(thing)
    assert thing.__name__ == name
    assert thing.__module__.startswith("warmstart.")
    assert inspect.getdoc(thing)


def test_no_name_is_a_module_too() -> None:
    """Importing ``warmstart.report`` would silently replace a public function with this name."""
    modules = {path.stem for path in Path(inspect.getfile(warmstart)).parent.iterdir()}
    assert modules >= {"config", "data"}
    assert not modules & set(warmstart.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    misspelt = "tran"
    with pytest.raises(AttributeError, match="module 'warmstart' has no attribute 'tran'"):
        getattr(warmstart, misspelt)


def test_the_version_is_the_installed_one() -> None:
    assert version("warmstart") == warmstart.__version__

"""`--help` and errors in settings do not load torch (design §3, §4)."""

import subprocess
import sys

import pytest

HEAVY = {"accelerate", "matplotlib", "sklearn", "torch", "transformers"}


@pytest.mark.parametrize(
    "module",
    [
        *(
            "warmstart",
            "warmstart.cli",
            "warmstart.config",
            "warmstart.config_file",
        ),
        *("warmstart.errors", "warmstart.evaluation.novelty"),
    ],
)
def test_importing_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert not HEAVY & set(loaded)


def test_the_heavy_modules_are_ones_that_can_be_loaded() -> None:
    """A misspelt name in ``HEAVY`` would never be found among the loaded modules."""
    from importlib.util import find_spec

    assert all(find_spec(name) for name in HEAVY)

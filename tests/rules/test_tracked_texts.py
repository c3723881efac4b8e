"""Published files are about the product only: they contain no path of a developer's machine."""

import re
import shutil
import subprocess

import pytest

from tests.rules.source import ROOT

MACHINE_PATH = re.compile(r"(?<![\w.:/~-])/(?:home(?!/ada/)|root|work|Users)/\w")
"""Ada is the person in our examples."""


def _tracked() -> list[str]:
    """Files that git has or would add."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    return [name for name in names if name and (ROOT / name).is_file()]


def test_no_machine_paths() -> None:
    checked, found = 0, []
    for name in _tracked():
        try:
            lines = (ROOT / name).read_text("utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture
        checked += 1
        found += [
            f"{name}:{number}" for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)
        ]
    assert checked > 20
    assert not found


@pytest.mark.parametrize("line", ["open('/" + "root/a')", "/" + "home/me/x", "cd /" + "work/y"])
def test_a_machine_path_is_recognised(line: str) -> None:
    assert MACHINE_PATH.search(line)


@pytest.mark.parametrize("line", ["https://a.org/" + "home/b", "src/work/" + "c", "/tmp/d"])
def test_other_paths_are_not(line: str) -> None:
    assert not MACHINE_PATH.search(line)

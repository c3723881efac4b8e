"""What is printed while the trials of an experiment run."""

from pathlib import Path

import pytest

from warmstart.experiments.experiment_folder import Outcome
from warmstart.experiments.trial_progress import watching


def test_an_interrupted_trial_is_not_counted_as_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with watching(tmp_path, 3, progress=True) as ended:
        ended(Outcome("a", "finished", 2.0))
        ended(Outcome("b", "interrupted", 2.0))
        ended(Outcome("c", "failed", 2.0, "no luck"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("b  interrupted  2.0 s  (1 of 3 trials; about ")
    assert lines[2].startswith("c  failed  2.0 s  no luck  (2 of 3 trials, 1 failed; about ")

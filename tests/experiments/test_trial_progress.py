"""What is printed while the trials of an experiment run."""

from pathlib import Path

import pytest

from warmstart.experiments.experiment_folder import Outcome
from warmstart.experiments.trial_progress import watching
from warmstart.experiments.trials import Trial


def test_an_interrupted_trial_is_not_counted_as_ended(capsys: pytest.CaptureFixture[str]) -> None:
    trials = [Trial(Path(name), {}) for name in ("a", "b", "c")]
    with watching(trials, {"a"}, progress=True) as ended:
        ended(Outcome("b", "interrupted", 2.0))
        ended(Outcome("c", "failed", 2.0, "no luck"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "b  interrupted  2.0 s  (1 of 3 trials)"
    assert lines[1].startswith("c  failed  2.0 s  no luck  (2 of 3 trials, 1 failed; about ")

"""The simulated comparisons: each workload is what it says, and pooled seeds give false alarms."""

import numpy as np
import pytest

from benchmarks import comparing
from benchmarks.comparing import WORKLOADS, Workload, simulated, verdicts, with_seeds


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda one: f"{one.name}-{one.units}")
def test_two_models_differ_by_their_advantage_only(workload: Workload) -> None:
    generator = np.random.default_rng(0)
    for advantage, low, high in ((0.0, -0.015, 0.015), (workload.advantage, 0.015, 0.2)):
        one, other = workload.make(generator, 20_000, advantage)
        for name in workload.metrics:
            gain = comparing._value(one, name) - comparing._value(other, name)
            assert low < gain < high


def test_a_row_has_the_shares_of_its_simulations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "POPULATION", 2_000)
    entities = next(one for one in WORKLOADS if one.name == "entities")
    alike, different = (simulated(entities, kind, 30)[0] for kind in ("A/A", "A/B"))
    assert alike["interval"] == pytest.approx(1 - alike["coverage"])
    assert alike["verdict"] <= min(alike["interval"], alike["test"])
    assert different["verdict"] > 0.2
    claims = verdicts([alike, different])
    assert [claim.target for claim in claims] == [0.05, 0.05, 0.95]


def test_only_pooled_seeds_create_significance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "SEEDS", (10,))
    mean, pooled = with_seeds(60, rows=100)
    assert mean["verdict"] < 0.15
    assert pooled["verdict"] > 0.2

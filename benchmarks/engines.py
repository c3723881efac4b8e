"""The engines: their names, functions and batches.

An engine is a function ``(setup, window) -> Row``; the row it returns is added to the measurement
of the window. To add an engine, write its function, add it here, and add its name to the workloads
that it supports.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal

from benchmarks import language, ours, peers, predicting, rerankers, tutorial
from benchmarks.materials import Material, Setup
from benchmarks.outcome import Row
from benchmarks.window import Window
from benchmarks.workloads import Workload


@dataclass(frozen=True, slots=True)
class Engine:
    """A tool or method that is measured.

    Args:
        function: runs the workload.
        order: which timed batches it gets. ``random``: warmstart's shuffled batches, the same for
            all these engines. ``grouped``: warmstart's batches grouped by length. ``sampler``: the
            ``Trainer``'s batches grouped by length.
        fixed_width: whether it pads every row to the same width.
        needs: a package that is not a dependency of the project.
    """

    function: Callable[[Setup, Window], Row]
    order: Literal["random", "grouped", "sampler"] = "random"
    fixed_width: bool = False
    needs: str | None = None

    @property
    def installed(self) -> bool:
        """Whether the packages that it needs are installed."""
        return self.needs is None or find_spec(self.needs) is not None


TRAINING: dict[str, Engine] = {
    "warmstart": Engine(ours.warmstart),
    "warmstart-grouped": Engine(partial(ours.warmstart, grouped=True), "grouped"),
    "transformers-trainer": Engine(peers.transformers_trainer),
    "transformers-trainer-grouped": Engine(
        partial(peers.transformers_trainer, grouped=True), "sampler"
    ),
    "transformers-trainer-padded128": Engine(
        partial(peers.transformers_trainer, pad_to=128), fixed_width=True
    ),
    "tutorial-loop-128": Engine(partial(tutorial.tutorial_loop, pad_to=128), fixed_width=True),
    "tutorial-loop-64": Engine(partial(tutorial.tutorial_loop, pad_to=64), fixed_width=True),
    "sentence-transformers": Engine(rerankers.sentence_transformers),
    "setfit": Engine(rerankers.setfit, fixed_width=True, needs="setfit"),
}
PREDICTING: dict[str, Engine] = {
    "warmstart": Engine(ours.warmstart_predict),
    "transformers-pipeline": Engine(predicting.transformers_pipeline),
    "transformers-pipeline-1": Engine(partial(predicting.transformers_pipeline, batch_size=1)),
    "sentence-transformers": Engine(predicting.cross_encoder),
}
WRITING: dict[str, Engine] = {
    "warmstart": Engine(ours.warmstart),
    "transformers-trainer": Engine(language.language_trainer),
    "transformers-trainer-grouped": Engine(language.language_trainer, "sampler"),
    "tutorial-loop-768": Engine(partial(language.language_loop, pad_to=768), fixed_width=True),
}
NAMES = tuple(dict.fromkeys((*TRAINING, *PREDICTING, *WRITING)))


def engines_of(workload: Workload) -> dict[str, Engine]:
    """The engines of a workload, in its order."""
    known = PREDICTING if workload.kind == "predict" else TRAINING
    if workload.task == "text-generation":
        known = WRITING
    return {name: known[name] for name in workload.engines}


def measure(name: str, material: Material, seed: int, started_at: float) -> Row:
    """Measure one engine once; runs in its own process.

    Args:
        name: name of the engine.
        material: the prepared workload.
        seed: seed of the head, the order of rows, and dropout.
        started_at: time when this process was requested, in seconds since 1970.
    """
    workload = material.workload
    engine = engines_of(workload)[name]
    setup = material.setup(seed)
    steps = workload.fixed_steps if engine.fixed_width else workload.steps
    batches = None
    if workload.kind == "window":
        batches = _batches(engine, setup, material.lengths, steps.warmup, steps.timed)
    window = Window(
        material.lengths,
        started_at,
        batches,
        steps.warmup if batches else 0,
        epochs=workload.epochs if workload.kind == "run" else 1,
        fixed_width=engine.fixed_width,
    )
    result = engine.function(setup, window)
    import torch

    work = material.work(batches[steps.warmup :] if batches else [])
    return {
        "engine": name,
        "seed": seed,
        "threads": torch.get_num_threads(),
        **window.measurement(),
        **result,
        "least_flops": work.flops,
        "least_bytes": work.optimiser_bytes,
    }


def _batches(
    engine: Engine, setup: Setup, lengths: Sequence[int], warmup: int, timed: int
) -> list[list[int]]:
    """The rows of each step, warm-up steps first; all steps are in the first epoch."""
    import numpy as np

    from warmstart.data.examples.ordering import training_batches

    config = setup.train_config
    if engine.order == "sampler":
        longest, *timed_batches = peers.batches_by_length(lengths, config, timed)
        return [longest] * warmup + timed_batches
    batches = training_batches(
        np.asarray(lengths),
        config.batch_size,
        config.seed,
        epoch=0,
        group_by_length=engine.order == "grouped",
    )
    if warmup + timed >= len(batches):
        raise ValueError(f"the window must end before the first epoch's {len(batches)} steps do")
    return [rows.tolist() for rows in batches[: warmup + timed]]

"""Time, memory and score of different ways to train all or a part of a model.

Each mode is a full ``warmstart train`` with the same config, in its own process:

- ``full``: all weights;
- ``frozen``: only the head (``train.freeze: backbone``);
- ``upper-half``: embeddings and the lower half of the layers are frozen;
- ``lora``: adapters on the query and value projections, and the head;
- ``layer-decay``: ``train.layer_decay: 0.9``;
- ``gradual``: gradual unfreezing that reaches the embeddings in the last epoch.

Heads and adapters need larger learning rates than whole models: ``frozen`` and ``lora`` use ten
times the rate of the config (Hu et al. 2021, arXiv:2106.09685, table 9, use 4e-4 to 5e-4 for
RoBERTa-base; Liu et al. 2019, arXiv:1907.11692, table 10, use 1e-5 to 3e-5 for all weights).

- ``seconds``: from the first step to the last evaluation, including features computed once.
- ``peak_mib``: peak memory of the process, including reading the data and baselines.
- ``trained``: number of trained parameters.
- ``scores``, ``baselines``: all metrics of the model and of the baselines.
- ``score``: ``best_metric`` on the test rows (or validation rows) with its 95 % interval.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row

DESCRIPTION = "time, memory and score of full, frozen, LoRA and other ways to train"
MODES = ("full", "frozen", "upper-half", "lora", "layer-decay", "gradual")
RATE_FACTOR = 10
"""Factor of the learning rate if only heads or adapters are trained."""


def add_options(parser: ArgumentParser) -> None:
    """Add the options for config and modes."""
    parser.add_argument(
        "--config", default="cola-offline", help="YAML file or recipe; default cola-offline"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))


def run(options: Namespace) -> Outcome:
    """Run each mode once; the table for the documentation is printed to stderr."""
    rows = []
    for mode in options.modes:
        print(f"transfer: {mode} …", file=sys.stderr, flush=True)
        rows.append(own_process(measure, mode, options.config, options.set))
    print(markdown(rows), file=sys.stderr)
    part = "" if list(options.modes) == list(MODES) else "-".join(options.modes)
    return Outcome(rows, [], [f"{mode}: {text}" for mode, text in _changes(options).items()], part)


def settings_of(mode: str, config: str, overrides: Sequence[str]) -> list[str]:
    """The additional settings of a mode.

    Args:
        mode: a mode of ``MODES``.
        config: YAML file or recipe.
        overrides: settings that apply to all modes.
    """
    from warmstart import config_file
    from warmstart.models.checkpoints.load import find

    settings = config_file.load(config, overrides)
    layers = find(settings.model).config.num_hidden_layers
    larger_rate = f"train.learning_rate={settings.train.learning_rate * RATE_FACTOR:g}"
    each = ceil((layers + 1) / max(settings.train.epochs - 1, 1))
    return {
        "full": [],
        "frozen": ["train.freeze=backbone", larger_rate],
        "upper-half": [f"train.freeze=embeddings+layers:{layers // 2}"],
        "lora": ["train.lora.rank=8", larger_rate],
        "layer-decay": ["train.layer_decay=0.9"],
        "gradual": [f"train.unfreeze_layers_per_epoch={each}"],
    }[mode]


def measure(mode: str, config: str, overrides: Sequence[str]) -> Row:
    """Train once; runs in its own process.

    Args:
        mode: a mode of ``MODES``.
        config: YAML file or recipe.
        overrides: settings that apply to all modes.
    """
    import warmstart
    from warmstart.runs.events import events_of, read_events

    own = settings_of(mode, config, overrides)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        run = warmstart.train(config, [*overrides, *own], output=path, progress=False)
        scores, baselines = run.scores, run.baselines
        events = read_events(path / "events.jsonl")
        parts = warmstart.info(path).trains
    (start,) = events_of(events, "start")
    *_, last = events_of(events, "evaluation")
    split = "test" if "test" in scores else "validation"
    score = scores[split][last["metric"]]
    return {
        "workload": Path(config).stem,
        "engine": mode,
        "seconds": last["time"] - start["time"],
        "peak_mib": peak_mib(),
        "trained": sum(part.trained for part in parts),
        "share": sum(part.trained for part in parts) / sum(part.parameters for part in parts),
        "metric": last["metric"],
        "split": split,
        "n": score["n"],
        "score": score["value"],
        "score_low": score["low"],
        "score_high": score["high"],
        "scores": scores[split],
        "baselines": {name: splits[split] for name, splits in baselines.items()},
    }


def _changes(options: Namespace) -> Mapping[str, str]:
    changes = {mode: settings_of(mode, options.config, options.set) for mode in options.modes}
    return {mode: " ".join(settings) or "no change" for mode, settings in changes.items()}


def markdown(rows: Sequence[Row]) -> str:
    """The table for ``docs/transfer.md``.

    Args:
        rows: at least one row, from ``measure``.
    """
    metric, split = rows[0]["metric"].replace("_", " "), rows[0]["split"]
    scored = f"{metric}, {split}, n = {rows[0]['n']:,}"
    lines = [
        f"| mode | trained parameters | seconds | peak MiB | {scored} |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for row in rows:
        bounds = (row["score_low"], row["score_high"])
        between = "" if None in bounds else f" [{bounds[0]:.3f}, {bounds[1]:.3f}]"
        value = "–" if row["score"] is None else f"{row['score']:.3f}{between}"
        lines.append(
            f"| {row['engine']} | {row['trained']:,} ({row['share']:.1%}) "
            f"| {row['seconds']:.0f} | {row['peak_mib']:,.0f} | {value} |"
        )
    return "\n".join(lines)

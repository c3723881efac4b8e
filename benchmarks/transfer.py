"""What each way to train a part of a model takes and gives: time, memory, score.

Each mode is a whole ``warmstart train`` on the same config, in a process of its own:

- ``full``: every weight;
- ``frozen``: the head alone (``train.freeze: backbone``);
- ``upper-half``: embeddings and the lower half of the layers frozen;
- ``lora``: adapters on attention's queries and values, and the head;
- ``layer-decay``: ``train.layer_decay: 0.9``;
- ``gradual``: as many layers more each epoch as it takes to reach the embeddings in the last.

Heads and adapters alone want longer steps than whole models do: ``frozen`` and ``lora`` train with
ten times the config's rate (Hu et al. 2021, arXiv:2106.09685, table 9, has 4e-4 to 5e-4 for
RoBERTa-base, where Liu et al. 2019, arXiv:1907.11692, table 10, has 1e-5 to 3e-5 for all weights).

- ``seconds``: from the first step to the last evaluation, what is computed once for all included.
- ``peak_mib``: the most that the process held, reading the data and the baselines included.
- ``trained``: numbers that learn.
- ``scores``, ``baselines``: every metric, of the model and of what it has to beat.
- ``score``: by ``best_metric`` on the test rows, on validation where there are none, with its 95 %
  interval.
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
LONGER = 10
"""How much longer the steps of heads and adapters are."""


def add_options(parser: ArgumentParser) -> None:
    """Which config and which modes."""
    parser.add_argument("--config", default="cola-offline", help="YAML or recipe; cola-offline")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable"
    )
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))


def run(options: Namespace) -> Outcome:
    """Each mode once, in turn; the table for the documentation goes to stderr."""
    rows = []
    for mode in options.modes:
        print(f"transfer: {mode} …", file=sys.stderr, flush=True)
        rows.append(own_process(measure, mode, options.config, options.set))
    print(markdown(rows), file=sys.stderr)
    part = "" if list(options.modes) == list(MODES) else "-".join(options.modes)
    return Outcome(rows, [], [f"{mode}: {text}" for mode, text in _changes(options).items()], part)


def settings_of(mode: str, config: str, overrides: Sequence[str]) -> list[str]:
    """The settings that make a config into a mode, beside those it is given.

    Args:
        mode: of ``MODES``.
        config: YAML or recipe.
        overrides: settings of every mode.
    """
    from warmstart import config_file
    from warmstart.models.checkpoints.load import find

    settings = config_file.load(config, overrides)
    layers = find(settings.model).config.num_hidden_layers
    longer = f"train.learning_rate={settings.train.learning_rate * LONGER:g}"
    each = ceil((layers + 1) / max(settings.train.epochs - 1, 1))
    return {
        "full": [],
        "frozen": ["train.freeze=backbone", longer],
        "upper-half": [f"train.freeze=embeddings+layers:{layers // 2}"],
        "lora": ["train.lora.rank=8", longer],
        "layer-decay": ["train.layer_decay=0.9"],
        "gradual": [f"train.unfreeze_layers_per_epoch={each}"],
    }[mode]


def measure(mode: str, config: str, overrides: Sequence[str]) -> Row:
    """Train once; in its own process.

    Args:
        mode: of ``MODES``.
        config: YAML or recipe.
        overrides: settings of every mode.
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
        "baselines": {name: found[split] for name, found in baselines.items()},
    }


def _changes(options: Namespace) -> Mapping[str, str]:
    found = {mode: settings_of(mode, options.config, options.set) for mode in options.modes}
    return {mode: " ".join(settings) or "as the config says" for mode, settings in found.items()}


def markdown(rows: Sequence[Row]) -> str:
    """The table for ``docs/transfer.md``.

    Args:
        rows: as ``measure`` gives them, one at least.
    """
    metric, split = rows[0]["metric"].replace("_", " "), rows[0]["split"]
    scored = f"{metric}, {split}, n = {rows[0]['n']:,}"
    lines = [
        f"| mode | trained numbers | seconds | peak MiB | {scored} |",
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

"""Write ``configuration.md`` beside this file: every setting, drawn from ``config/settings.py`` itself.

    .venv/bin/python docs/configuration.py

A test holds that the page is what this makes. Text around the tables stands here; types, defaults
and meanings come from ``config_file.settings_table``, and are changed in ``config/settings.py``.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from warmstart.config import config_yaml
from warmstart.config.config_faults import ELSEWHERE, REQUIRED, Setting
from warmstart.config_file import settings_table

PAGE = Path(__file__).with_suffix(".md")

OPENING = """\
# Every setting

<!-- Made by docs/configuration.py from src/warmstart/config/settings.py; change it there. -->

Only `data.train` has no default. Settings come from

- a YAML file: `warmstart train my.yaml`;
- a recipe that comes with warmstart: `warmstart train cola-offline` (`warmstart recipes` lists
  them, `warmstart recipes cola-offline` prints one to start from);
- flags, instead of a file: `--task`, `--model`, `--train`, `--text`, `--text-pair`,
  `--label`, `--validation`, `--test`;
- `--set KEY=VALUE`, on top of any of these, as often as you like; of two for one setting the last
  counts;
- Python: `warmstart.train({"data": {"train": "reviews.csv"}}, ["train.epochs=2"])`.

`--print-config` prints all of them as YAML and stops; `--dry-run` reads and checks
everything and stops. The same YAML lies in each run directory as `config.yaml`, and training from
it repeats the run.

The config is closed. A key that is not below is refused with the nearest one that is; all faults of
a config come in one message, each with its line. YAML is read by the rules of YAML 1.2: `2e-5` is a
number, `no` is a word; aliases and tags are refused. A relative path is looked up from the folder
you are in, not from the config's.

A name that is one bare word (`cola`) is a recipe, whatever files lie about; a file without a suffix
is written `./cola`.
"""

GROUPS = {
    "": ("The task", ""),
    "model": (
        "`model`: what to start from",
        "The environment variables of the Hugging Face Hub client hold: `HF_ENDPOINT` (a mirror), "
        "`HF_HOME` (where downloads are kept), `HF_HUB_OFFLINE=1` (never the network).",
    ),
    "model.special_tokens": (
        "`model.special_tokens`: around a document",
        "For decoders. The tokenizer is saved with the model, and with the tokens that were added.",
    ),
    "data": (
        "`data`: the rows",
        "File formats, splits and what is checked: [data.md](data.md).",
    ),
    "train": (
        "`train`: how it learns",
        "A *step* is one update of the weights, counted from 0.",
    ),
    "train.lora": (
        "`train.lora`: adapters",
        "Absent or `null`, no adapters train; any of these settings puts them in. When and why: "
        "[transfer.md](transfer.md).",
    ),
    "train.average": (
        "`train.average`: the mean of several evaluations",
        "Absent or `null`, nothing is averaged; any of these settings does.",
    ),
    "generate": (
        "`generate`: how it writes",
        "For decoders. `warmstart generate RUN --top-p 0.9` and `run.generate(prompts, top_p=0.9)` "
        "replace single settings.",
    ),
    "export": (
        "`export`: what training ends with",
        "`warmstart export RUN` does the same later. Needs the extra `onnx`.",
    ),
    "pretrain": (
        "`pretrain`: a new model to start from",
        "For `warmstart pretrain` alone: it makes the model that this part describes, where "
        "`model.name` would name one. Without the part, or with `pretrain: null`, a config is for "
        "`warmstart train`.",
    ),
}

ELSEWHERE_OPENING = """\
## Names from elsewhere

Written by mistake, these are refused, and the message names the setting that was meant:
"""


def page() -> str:
    """The whole of ``configuration.md``."""
    parts = [OPENING]
    for group, (title, note) in GROUPS.items():
        settings = [s for s in settings_table() if s.name.rpartition(".")[0] == group]
        notes = [f"{note}\n"] if note else []
        parts += [f"## {title}\n", *notes, _settings(settings)]
    parts += [ELSEWHERE_OPENING, _table(("elsewhere", "here"), _elsewhere())]
    return "\n".join(parts)


def _settings(settings: Iterable[Setting]) -> str:
    """A table of one group's settings."""
    rows = ((f"`{s.name}`", s.type, _default(s.default), _markdown(s.doc)) for s in settings)
    return _table(("setting", "takes", "default", "meaning"), rows)


def _elsewhere() -> Iterable[tuple[str, str]]:
    return ((f"`{theirs}`", f"`{ours}`") for theirs, ours in ELSEWHERE.items())


def _table(heading: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heading, tuple("---" for _ in heading), *rows]
    cells = ([cell.replace("|", r"\|") for cell in row] for row in lines)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _default(value: Any) -> str:
    """As one would write it in YAML."""
    if value is REQUIRED:
        return "none: must be given"
    return f"`{config_yaml.write({'key': value}).removeprefix('key: ').rstrip()}`"


def _markdown(docstring: str) -> str:
    """A docstring's ``code`` as Markdown's `code`."""
    return re.sub(r"``(.+?)``", r"`\1`", docstring)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

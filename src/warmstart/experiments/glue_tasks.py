"""The nine tasks of the GLUE benchmark: rows that are scored, official metrics, published scores.

A published score is of BERT-base and one of two kinds:

- ``dev``: on GLUE's dev rows, one run of bert-base-cased that was trained on all training rows;
  from the README of ``examples/pytorch/text-classification`` in Transformers. MRPC and WNLI were
  trained for 5 epochs;
- ``test``: on GLUE's test rows, whose labels only the GLUE server has; Devlin et al. 2019,
  arXiv:1810.04805, table 1, who left WNLI out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmstart.data.reading.glue_folder import SOURCE, GlueSplit, glue_split

DEV, MISMATCHED = "dev", "dev mismatched"
"""The rows that are scored: the test split of the recipes; for MNLI, also those of other genres."""


@dataclass(frozen=True, slots=True)
class OfficialScore:
    """One official score of GLUE.

    Args:
        task: the name of the task, which is that of its recipe without ``glue/``.
        metric: the metric.
        dev: the published score on the dev rows.
        test: the published score on the test rows, from the GLUE server; None if there is none.
        rows: the rows that are scored, ``dev`` or ``dev mismatched``.
    """

    task: str
    metric: str
    dev: float
    test: float | None = None
    rows: str = DEV


OFFICIAL = (
    OfficialScore("cola", "matthews_correlation", 0.5653, 0.521),
    OfficialScore("sst2", "accuracy", 0.9232, 0.935),
    OfficialScore("mrpc", "f1", 0.8885, 0.889),
    OfficialScore("mrpc", "accuracy", 0.8407),
    OfficialScore("stsb", "pearson_correlation", 0.8864),
    OfficialScore("stsb", "spearman_correlation", 0.8848, 0.858),
    OfficialScore("qqp", "f1", 0.8749, 0.712),
    OfficialScore("qqp", "accuracy", 0.9071),
    OfficialScore("mnli", "accuracy", 0.8391, 0.846),
    OfficialScore("mnli", "accuracy", 0.8410, 0.834, MISMATCHED),
    OfficialScore("qnli", "accuracy", 0.9066, 0.905),
    OfficialScore("rte", "accuracy", 0.6570, 0.664),
    OfficialScore("wnli", "accuracy", 0.5634),
)
"""Every official score, in the order of the GLUE paper (Wang et al. 2019, arXiv:1804.07461)."""

GLUE_TASKS = tuple(dict.fromkeys(one.task for one in OFFICIAL))
"""The names of the tasks, which are those of the recipes without ``glue/``."""

MISMATCHED_ROWS = f"{SOURCE}mnli:validation_mismatched"
"""The dev rows of MNLI with other genres than the training rows."""

TEST_FILES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "cola": (("CoLA.tsv", f"{SOURCE}cola:test"),),
    "sst2": (("SST-2.tsv", f"{SOURCE}sst2:test"),),
    "mrpc": (("MRPC.tsv", f"{SOURCE}mrpc:test"),),
    "stsb": (("STS-B.tsv", f"{SOURCE}stsb:test"),),
    "qqp": (("QQP.tsv", f"{SOURCE}qqp:test"),),
    "mnli": (
        ("MNLI-m.tsv", f"{SOURCE}mnli:test_matched"),
        ("MNLI-mm.tsv", f"{SOURCE}mnli:test_mismatched"),
        ("AX.tsv", f"{SOURCE}ax:test"),
    ),
    "qnli": (("QNLI.tsv", f"{SOURCE}qnli:test"),),
    "rte": (("RTE.tsv", f"{SOURCE}rte:test"),),
    "wnli": (("WNLI.tsv", f"{SOURCE}wnli:test"),),
}
"""For each task, the files of a submission and the rows that are predicted for them."""

NUMBERED = frozenset({"cola", "sst2", "mrpc", "qqp", "wnli"})
"""Tasks whose labels a submission writes as 0 and 1; the others have the names of the labels."""


def scored_splits(task: str, sources: Sequence[str]) -> list[GlueSplit]:
    """The splits of GLUE that a task needs for its scores.

    Args:
        task: one of ``GLUE_TASKS``.
        sources: the sources of its config.
    """
    needed = [*sources, MISMATCHED_ROWS] if task == "mnli" else list(sources)
    return [part for part in map(glue_split, needed) if part is not None]


TEST_ROWS: Mapping[str, int] = {
    "CoLA.tsv": 1_063,
    "SST-2.tsv": 1_821,
    "MRPC.tsv": 1_725,
    "STS-B.tsv": 1_379,
    "QQP.tsv": 390_965,
    "MNLI-m.tsv": 9_796,
    "MNLI-mm.tsv": 9_847,
    "QNLI.tsv": 5_463,
    "RTE.tsv": 3_000,
    "WNLI.tsv": 146,
    "AX.tsv": 1_104,
}
"""Number of rows that the GLUE server expects in each file (data set card of ``nyu-mll/glue``)."""

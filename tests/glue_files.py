"""Small made-up folders in the layout of the classic GLUE download, with its irregularities."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.runs_in_memory import BAD, GOOD, OTHER
from warmstart.data.reading.glue_folder import LAYOUTS

NAMES = tuple(name for name in LAYOUTS if name != "ax")
"""The nine tasks, by their names on the Hub."""

_WORDS = {
    "mnli": ("entailment", "neutral", "contradiction"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
    "stsb": ("0.000", "2.500", "5.000"),
}
"""The labels in the files; all others have 0 and 1."""

_HEADERS = {
    "sst2": "sentence\tlabel",
    "mrpc": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "stsb": "index\tgenre\tsentence1\tsentence2\tscore",
    "qqp": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
    "mnli": "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
    "qnli": "index\tquestion\tsentence\tlabel",
    "rte": "index\tsentence1\tsentence2\tlabel",
    "wnli": "index\tsentence1\tsentence2\tlabel",
}
_TEST_HEADERS = {
    "cola": "index\tsentence",
    "sst2": "index\tsentence",
    "mrpc": "index\t#1 ID\t#2 ID\t#1 String\t#2 String",
    "stsb": "index\tgenre\tsentence1\tsentence2",
    "qqp": "id\tquestion1\tquestion2",
    "mnli": "index\tgenre\tsentence1\tsentence2",
    "qnli": "index\tquestion\tsentence",
    "rte": "index\tsentence1\tsentence2",
    "wnli": "index\tsentence1\tsentence2",
    "ax": "index\tsentence1\tsentence2",
}


def write_glue(folder: Path, names: Sequence[str] = NAMES, rows: int = 40) -> Path:
    """Write the folders of these tasks; one word of the first text decides the label.

    Args:
        folder: the folder that ``data.dir`` names.
        names: the tasks.
        rows: number of training rows; the other files have half as many.
    """
    for seed, name in enumerate(names):
        layout = LAYOUTS[name]
        place = folder / layout.folder
        place.mkdir(parents=True, exist_ok=True)
        for split, file in layout.splits.items():
            count = rows if split == "train" else rows // 2
            lines = list(_lines(name, split, count, random.Random(f"{split} {seed}")))
            (place / f"{file}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _lines(name: str, split: str, rows: int, pick: random.Random) -> Iterator[str]:
    is_test = split.startswith("test")
    if name != "cola" or is_test:
        yield (_TEST_HEADERS if is_test else _HEADERS)[name]
    labels = _WORDS.get(name, ("0", "1"))
    marks = (BAD, GOOD, OTHER[:3])
    for number in range(rows):
        label = number % len(labels)
        words = pick.choices(OTHER[3:], k=pick.randint(2, 6))
        words.insert(0, pick.choice(marks[label]))
        one = f'"{" ".join(words)} {split}' if number % 4 == 0 else f"{' '.join(words)} {split}"
        other = " ".join(pick.choices(OTHER, k=4)) + f" {number}"
        texts = one if name in ("cola", "sst2") else f"{one}\t{other}"
        yield _row(name, texts, labels[label], number, split)


def _row(name: str, texts: str, label: str, number: int, split: str) -> str:
    if split.startswith("test"):
        between = {"mrpc": f"{number}1\t{number}2\t", "stsb": "news\t", "mnli": "travel\t"}
        return f"{number}\t{between.get(name, '')}{texts}"
    if name == "cola":
        return f"gj04\t{label}\t{'' if label == '1' else '*'}\t{texts}"
    if name == "sst2":
        return f"{texts}\t{label}"
    before = {
        "mrpc": f"{label}\t{number}1{split}\t{number}2{split}\t",
        "stsb": f"{number}\tnews\t",
        "qqp": f"{number}\t{number}1\t{number}2\t",
        "mnli": f"{number}\ttravel\t",
    }
    after = {"mrpc": "", "mnli": f"\tneutral\t{label}"}
    return f"{before.get(name, f'{number}{chr(9)}')}{texts}{after.get(name, f'{chr(9)}{label}')}"


def as_microsoft_has_it(folder: Path) -> None:
    """Replace the files of MRPC by one file with a byte order mark, and the ids of its dev rows."""
    place = folder / "MRPC"
    header, *train = (place / "train.tsv").read_text().splitlines()
    _, *dev = (place / "dev.tsv").read_text().splitlines()
    ids = ["\t".join(line.split("\t")[1:3]) for line in dev]
    (place / "dev_ids.tsv").write_text("\n".join(ids) + "\n")
    mixed = [line for pair in zip(train, dev, strict=False) for line in pair] + train[len(dev) :]
    text = "\n".join([header, *mixed]) + "\n"
    (place / "msr_paraphrase_train.txt").write_text(text, encoding="utf-8-sig")
    (place / "train.tsv").unlink()
    (place / "dev.tsv").unlink()

"""A finished run of a decoder, as its folder looks: a tiny GPT-2 and the rows it was trained on."""

import hashlib
import json
from pathlib import Path
from typing import Any

from tests.tiny import tiny_sentences
from tests.tiny.decoders import tiny_gpt2
from warmstart import config_file


def decoder_run(folder: Path, *, rows: int = 40, generate: dict[str, Any] | None = None) -> Path:
    """Write a run directory with its training file beside it.

    Args:
        folder: the run directory to be.
        rows: sentences in ``sentences.csv``, a quarter of which validate.
        generate: settings of that group.
    """
    sentences = tiny_sentences(rows)
    data = folder.parent / "sentences.csv"
    lines = [f"{text},{'even' if i % 2 else 'odd'}" for i, text in enumerate(sentences)]
    data.write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    tiny_gpt2(folder / "model", texts=sentences)
    settings = {
        "data": {"train": str(data), "validation": 0.25},
        "train": {"device": "cpu"},
        "generate": generate or {},
    }
    yaml = config_file.dump(config_file.load(settings))
    (folder / "config.yaml").write_text(yaml, encoding="utf-8")
    task = {"task": "text-generation", "facts": {}}
    (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
    sha256 = hashlib.sha256(data.read_bytes()).hexdigest()
    files = {"train": [{"path": str(data), "sha256": sha256}]}
    (folder / "data.json").write_text(json.dumps({"files": files}), encoding="utf-8")
    return folder

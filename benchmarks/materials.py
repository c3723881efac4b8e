"""From a workload to what every engine is given: rows, files, a checkpoint.

Made once for each workload, in a process of its own and before anything is timed, into a temporary
folder: ``train.csv`` and ``validation.csv`` for warmstart, the same rows as Python lists for the
peers, a random checkpoint where the workload names a shape, a small finished run where it predicts.

What an engine's start-up includes: warmstart reads, checks and tokenises the files; a peer unpacks
the lists (a few milliseconds) and tokenises them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks.corpora import Rows, held_out
from benchmarks.limit import DecoderShape, Shape, Work, forward_work, training_work
from benchmarks.workloads import BertShape, Gpt2Shape, Workload
from warmstart import config_file
from warmstart.config import RunConfig, TrainConfig

RANDOM_WEIGHTS_SEED = 0
TOKENIZERS = Path("tokenizers")
RUN_ROWS = 160
"""Rows of the run whose model predicts: enough to make one, its answers need not be good."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What an engine is given.

    Args:
        folder: holds ``train.csv`` and ``validation.csv``, or the run directory ``run``.
        checkpoint: a folder that Transformers can load.
        max_tokens: longest input.
        train_config: every setting of the training, seed included.
        frozen: only the head learns.
        train: rows to learn from, or to predict.
        validation: rows to score.
        task: what is learned.
    """

    folder: Path
    checkpoint: Path
    max_tokens: int
    train_config: TrainConfig
    frozen: bool
    train: Rows
    validation: Rows
    task: str = "text-classification"

    def run_config(self, **train: Any) -> RunConfig:
        """The same settings as warmstart takes them.

        Args:
            train: further settings of ``train``.
        """
        settings = self.train_config.model_dump() | train
        data = {"train": "train.csv", "validation": "validation.csv", "dir": str(self.folder)}
        if self.train.pairs is not None:
            data["text_pair"] = "pair"
        if self.frozen:
            settings["freeze"] = "backbone"
        model = {"name": str(self.checkpoint), "max_tokens": self.max_tokens}
        whole = {"task": self.task, "model": model, "data": data, "train": settings}
        return config_file.load(whole)


@dataclass(frozen=True, slots=True)
class Material:
    """A workload, ready to be measured.

    Args:
        workload: which.
        folder: as in ``Setup``.
        checkpoint: as in ``Setup``.
        train: as in ``Setup``.
        validation: as in ``Setup``.
        lengths: tokens of each training row, counted with the checkpoint's own tokenizer.
        validation_lengths: of each validation row.
        shape: of the model.
        trained_parameters: that training can change.
    """

    workload: Workload
    folder: Path
    checkpoint: Path
    train: Rows
    validation: Rows
    lengths: Sequence[int]
    validation_lengths: Sequence[int]
    shape: Shape | DecoderShape
    trained_parameters: int

    def setup(self, seed: int) -> Setup:
        """What an engine is given in the turn with this seed."""
        workload = self.workload
        return Setup(
            self.folder,
            self.checkpoint,
            workload.max_tokens,
            TrainConfig(
                epochs=workload.epochs,
                batch_size=workload.batch_size,
                learning_rate=workload.learning_rate,
                weight_decay=workload.weight_decay,
                warmup_steps=0,
                seed=seed,
                device="cpu",
            ),
            workload.frozen,
            self.train,
            self.validation,
            workload.task,
        )

    def work(self, batches: Sequence[Sequence[int]]) -> Work:
        """The least work of a measurement.

        Args:
            batches: rows of each timed step; not looked at where a whole run or a prediction is
                timed: that is one forward pass over all rows, since a frozen backbone gives the
                same output in every epoch.
        """
        if self.workload.kind != "window":
            return forward_work(self.shape, [*self.lengths, *self.validation_lengths])
        lengths = [[self.lengths[i] for i in rows] for rows in batches]
        return training_work(self.shape, lengths, self.trained_parameters)


def make(workload: Workload, data: Path, folder: Path, limit: int | None) -> Material:
    """Read, write and build what the workload needs; in its own process.

    Args:
        workload: which.
        data: folder of the public data sets.
        folder: where everything goes.
        limit: use only this many rows of the corpus.
    """
    checkpoint = _checkpoint(workload.checkpoint, data, folder)
    rows = workload.corpus(data)
    if workload.kind == "predict":
        wanted = min(workload.rows or len(rows), limit or workload.rows or len(rows))
        _write(*held_out(rows, RUN_ROWS), folder)
        checkpoint = _finished_run(checkpoint, workload.max_tokens, folder)
        train, validation = rows.at([i % len(rows) for i in range(wanted)]), rows.at([])
    else:
        train, validation = held_out(rows, min(filter(None, (workload.rows, limit)), default=None))
        _write(train, validation, folder)
    from transformers import AutoConfig

    ids = _tokens(train, checkpoint, workload)
    validation_ids = _tokens(validation, checkpoint, workload)
    config = AutoConfig.from_pretrained(checkpoint)
    lengths = [len(row) for row in ids]
    shape: Shape | DecoderShape
    if workload.task == "text-generation":
        shape = decoder = DecoderShape.of(config)
        parameters = decoder.trained_parameters(max(lengths) - 1)
    else:
        shape = encoder = Shape.of(config)
        used, types = len(set(chain.from_iterable(ids))), 1 if train.pairs is None else 2
        parameters = encoder.trained_parameters(used, max(lengths), types)
    return Material(
        workload,
        folder,
        checkpoint,
        train,
        validation,
        lengths,
        [len(row) for row in validation_ids],
        shape,
        parameters,
    )


def _write(train: Rows, validation: Rows, folder: Path) -> None:
    """``train.csv`` and ``validation.csv`` with the columns text, label and, for pairs, pair."""
    for name, rows in (("train", train), ("validation", validation)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            names = ["text", "label"] if rows.pairs is None else ["text", "label", "pair"]
            writer.writerow(names)
            columns = (rows.texts, rows.labels, *rows.columns[1:])
            writer.writerows(zip(*columns, strict=True))


def documents(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> list[list[int]]:
    """Token ids of each text, between the tokens that begin and end it, cut where too long.

    Args:
        texts: what a language model is to learn.
        tokenizer: of the checkpoint.
        max_tokens: longest row.
    """
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    bodies = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return [[begin, *body, end][:max_tokens] for body in bodies]


def _tokens(rows: Rows, checkpoint: Path, workload: Workload) -> list[list[int]]:
    """Token ids of each row."""
    from transformers import AutoTokenizer

    if not len(rows):
        return []
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    if workload.task == "text-generation":
        return documents(rows.texts, tokenizer, workload.max_tokens)
    found: list[list[int]] = tokenizer(
        *map(list, rows.columns), truncation=True, max_length=workload.max_tokens
    )["input_ids"]
    return found


def _checkpoint(wanted: str | BertShape | Gpt2Shape, data: Path, folder: Path) -> Path:
    """The folder of a checkpoint that is there, or of one made with random weights."""
    from warmstart.config import ModelConfig
    from warmstart.models.checkpoints.load import find

    if isinstance(wanted, str):
        return find(ModelConfig(name=wanted)).folder
    if isinstance(wanted, Gpt2Shape):
        return random_gpt2(wanted, data, folder)
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    made = folder / "checkpoint"
    tokenizer = AutoTokenizer.from_pretrained(
        data / TOKENIZERS / "bert-uncased", model_max_length=512
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=wanted.layers,
        hidden_size=wanted.hidden,
        num_attention_heads=wanted.heads,
        intermediate_size=4 * wanted.hidden,
    )
    torch.manual_seed(RANDOM_WEIGHTS_SEED)
    BertModel(config).save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


def random_gpt2(wanted: Gpt2Shape, data: Path, folder: Path) -> Path:
    """Make a GPT-2 with random weights and the tutorials' special tokens.

    Args:
        wanted: its shape.
        data: folder of the public data sets, with GPT-2's tokenizer.
        folder: where it goes.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    made = folder / "checkpoint"
    tokenizer = GPT2Tokenizer.from_pretrained(
        data / TOKENIZERS / "gpt2",
        bos_token="<|startoftext|>",
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        model_max_length=1024,
    )
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_layer=wanted.layers,
        n_embd=wanted.hidden,
        n_head=wanted.heads,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(RANDOM_WEIGHTS_SEED)
    GPT2LMHeadModel(config).save_pretrained(made)
    tokenizer.save_pretrained(made)
    return made


def _finished_run(checkpoint: Path, max_tokens: int, folder: Path) -> Path:
    """Train on the files in ``folder`` for one epoch, into ``run``; the folder of its model."""
    from warmstart.preparation.prepare import prepare
    from warmstart.training.train_run import train_run

    model = {"name": str(checkpoint), "max_tokens": max_tokens}
    data = {"dir": str(folder), "train": "train.csv", "validation": "validation.csv"}
    train = {"epochs": 1, "device": "cpu"}
    config = config_file.load({"model": model, "data": data, "train": train})
    return train_run(prepare(config), folder / "run").directory.path / "model"

"""Prepare a workload: the rows, files and checkpoint that every engine gets.

They are created once per workload, in a separate process and before any measurement, in a temporary
folder: ``train.csv`` and ``validation.csv`` for warmstart, the same rows as Python lists for other
engines, a random checkpoint if the workload gives a shape, and a small finished run for prediction.

The start-up time of warmstart includes reading, checking and tokenising the files. The start-up
time of other engines includes unpickling the lists (a few milliseconds) and tokenising them.
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
from warmstart.config import ResolvedTrainConfig, RunConfig

RANDOM_WEIGHTS_SEED = 0
TOKENIZERS = Path("tokenizers")
RUN_ROWS = 160
"""Training rows of the run used for prediction; its predictions need not be good."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The inputs of an engine.

    Args:
        folder: folder with ``train.csv`` and ``validation.csv``, or the run directory ``run``.
        checkpoint: a folder that Transformers can load.
        max_tokens: longest input.
        train_config: all training settings, including the seed.
        frozen: whether only the head is trained.
        train: rows for training or prediction.
        validation: rows for evaluation.
        task: name of the task.
    """

    folder: Path
    checkpoint: Path
    max_tokens: int
    train_config: ResolvedTrainConfig
    frozen: bool
    train: Rows
    validation: Rows
    task: str = "text-classification"

    def run_config(self, **train: Any) -> RunConfig:
        """The same settings as a config of warmstart.

        Args:
            train: further settings of ``train``.
        """
        # Defaults are left out: a setting that the task does not read may not be given.
        settings = self.train_config.model_dump(exclude_defaults=True)
        model: dict[str, Any] = {"name": str(self.checkpoint), "max_tokens": self.max_tokens}
        if self.task != "text-generation":
            settings |= {"head_start": "random", "retry": False}  # as the peers
            model["pooling"] = "first"
        settings |= train
        data = {"train": "train.csv", "validation": "validation.csv", "dir": str(self.folder)}
        if self.train.pairs is not None:
            data["text_pair"] = "pair"
        if self.frozen:
            settings["freeze"] = "backbone"
        content = {"task": self.task, "model": model, "data": data, "train": settings}
        return config_file.load(content)


@dataclass(frozen=True, slots=True)
class Material:
    """A prepared workload.

    Args:
        workload: the workload.
        folder: as in ``Setup``.
        checkpoint: as in ``Setup``.
        train: as in ``Setup``.
        validation: as in ``Setup``.
        lengths: number of tokens of each training row, by the checkpoint's tokenizer.
        validation_lengths: number of tokens of each validation row.
        shape: sizes of the model.
        trained_parameters: number of parameters that training can change.
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
        """The inputs of an engine in the turn with this seed."""
        workload = self.workload
        return Setup(
            self.folder,
            self.checkpoint,
            workload.max_tokens,
            ResolvedTrainConfig(
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
            batches: rows of each timed step. Not used for a whole run or a prediction: these need
                one forward pass over all rows, since a frozen backbone has the same output in
                every epoch.
        """
        if self.workload.kind != "window":
            return forward_work(self.shape, [*self.lengths, *self.validation_lengths])
        lengths = [[self.lengths[i] for i in rows] for rows in batches]
        return training_work(self.shape, lengths, self.trained_parameters)


def make(workload: Workload, data: Path, folder: Path, limit: int | None) -> Material:
    """Create the files, checkpoint and lists of a workload; runs in its own process.

    Args:
        workload: the workload.
        data: folder of the public data sets.
        folder: folder for the files.
        limit: largest number of rows of the corpus to use; None for all.
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
    """Write ``train.csv`` and ``validation.csv``: columns text, label and, for pairs, pair."""
    for name, rows in (("train", train), ("validation", validation)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            names = ["text", "label"] if rows.pairs is None else ["text", "label", "pair"]
            writer.writerow(names)
            columns = (rows.texts, rows.labels, *rows.columns[1:])
            writer.writerows(zip(*columns, strict=True))


def documents(texts: Sequence[str], tokenizer: Any, max_tokens: int) -> list[list[int]]:
    """Token ids of each text between bos and eos, truncated to ``max_tokens``.

    Args:
        texts: texts for a decoder.
        tokenizer: the checkpoint's tokenizer.
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
    ids: list[list[int]] = tokenizer(
        *map(list, rows.columns), truncation=True, max_length=workload.max_tokens
    )["input_ids"]
    return ids


def _checkpoint(wanted: str | BertShape | Gpt2Shape, data: Path, folder: Path) -> Path:
    """The folder of an existing checkpoint, or of a new one with random weights."""
    from warmstart.config import ModelConfig
    from warmstart.models.checkpoints.load import find

    if isinstance(wanted, str):
        return find(ModelConfig(name=wanted)).folder
    if isinstance(wanted, Gpt2Shape):
        return random_gpt2(wanted, data, folder)
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    target = folder / "checkpoint"
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
    BertModel(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def random_gpt2(wanted: Gpt2Shape, data: Path, folder: Path) -> Path:
    """Create a GPT-2 with random weights and the tutorials' special tokens.

    Args:
        wanted: its shape.
        data: folder of the public data sets, with GPT-2's tokenizer.
        folder: folder in which the checkpoint is created.
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Tokenizer

    target = folder / "checkpoint"
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
    GPT2LMHeadModel(config).save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _finished_run(checkpoint: Path, max_tokens: int, folder: Path) -> Path:
    """Train on the files in ``folder`` for one epoch, and return the folder of the model."""
    from warmstart.preparation.prepare import prepare
    from warmstart.training.train_run import train_run

    model = {"name": str(checkpoint), "max_tokens": max_tokens, "pooling": "first"}
    data = {"dir": str(folder), "train": "train.csv", "validation": "validation.csv"}
    train = {"epochs": 1, "device": "cpu"}
    config = config_file.load({"model": model, "data": data, "train": train})
    return train_run(prepare(config), folder / "run").directory.path / "model"

"""Every setting of a run, with its default, its unit and its limits. No torch here.

``RunConfig`` is what a YAML file says, checked. It is closed (an unknown key is an error) and
frozen; ``config_file`` builds it from YAML, recipes and ``--set``, and writes it back resolved, so
that training from a run directory's ``config.yaml`` repeats the run.

Units: a *step* is one optimiser update; *tokens* are the model's own; rates are per step.
"""

import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from warmstart import errors
from warmstart.config.model_settings import (
    CLOSED,
    ExportConfig,
    GenerateConfig,
    ModelConfig,
    PretrainConfig,
    refusal,
)

Source = Annotated[str, Field(min_length=1)]
"""One file, folder member, URL or hub data set."""
Sources = Source | Annotated[list[Source], Field(min_length=1)]
"""One source, or several, read one after the other."""

_COLUMNS = ("text", "text_pair", "label", "prompt")

LossName = Literal[
    "cross-entropy", "focal", "binary-cross-entropy", "pairwise", "listwise", "squared-error"
]
LIST_LOSSES = ("pairwise", "listwise")
"""Losses that compare the rows of one query."""


class _Part(BaseModel):
    """A group of settings."""

    model_config = CLOSED


class DataConfig(_Part):
    """Where the rows are, how their file is written, and which columns mean what."""

    train: Sources
    """File(s) to learn from: path, ``archive.zip!member``, URL (``#sha256=…`` verifies it),
    ``hub:NAME[/CONFIG]:SPLIT`` (a Hugging Face data set), or ``bundled/grammar/train``."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Sources = 0.1
    """A share of ``train``, or file(s)."""
    test: Sources | None = None
    """File(s) scored once, at the end."""
    dir: str | None = None
    """A folder, zip file or URL of a zip file in which relative names above are looked up."""
    format: Literal["auto", "csv", "tsv", "jsonl", "parquet", "text", "conll", "spans"] = "auto"
    """``auto`` decides by the file name. ``spans``: an export of Label Studio, doccano, spaCy or
    brat."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Between the columns of a csv file; by default a comma, or a tab for ``tsv``."""
    columns: Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the columns, only where the file has no header line."""
    quoting: Literal["double", "none"] = "double"
    """``double``: fields may stand in double quotes; ``none``: a quote is an ordinary character."""
    encoding: str = "auto"
    """``auto`` tells UTF-8, UTF-8 with BOM, UTF-16 and GB18030 apart; or any Python codec name."""
    text: str = "text"
    """Column with the text; to rank, with the query."""
    text_pair: str | None = None
    """Column with the second text, where a row is a pair (question and answer, two sentences); to
    rank, with the document."""
    truncation: Literal["longest_first", "second_only"] = "longest_first"
    """Which text of a pair is cut where both are longer than ``model.max_tokens`` together."""
    label: Annotated[str, Field(validate_default=True)] = "label"
    """Column with the label; to rank, how relevant the second text is to the first: 0, 1 or more.
    """
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    """Separator between the labels of a row, ``|`` by default."""
    label_columns: Annotated[list[str], Field(min_length=1)] | None = None
    """One column for each label, 0 or 1 in every row, instead of ``data.label``."""
    prompt: str | None = None
    """To generate: column with what is given; the model learns to write ``data.text`` after it."""
    group: str | None = None
    """Column whose rows stay together in one split (a person, a document, a question). To rank,
    those with one value are ranked against one another; by default the rows of one query."""
    long_documents: Literal["truncate", "chunk"] = "truncate"
    """To generate or fill masks: of a document longer than ``model.max_tokens`` read the beginning,
    or cut it into rows, each of which begins with the last tokens of the one before."""
    overlap_tokens: Annotated[int, Field(ge=0)] = 32
    """How many tokens of the row before a chunk begins with; they are read, not predicted anew."""
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """To fill masks: of each row's tokens so many are hidden, one at least."""
    whole_words: bool = False
    """To fill masks: hide words, all pieces of one together, in place of tokens."""
    words: str | None = None
    """Column with the words of each row: a list, or in a CoNLL file the name or number of the
    column; by default ``words``, or the first column."""
    tags: str | None = None
    """Column with the tag of each word; by default ``tags``, or the last column of a CoNLL file."""
    spans: str = "spans"
    """Column with character spans: ``[{"start": 0, "end": 4, "type": "PER"}]``."""
    tag_scheme: str = "auto"
    """``BIO``, ``IOB1``, ``IOBES``, ``BILOU``, or ``plain`` for tags without prefixes; ``auto``
    recognises it from the training rows."""
    ragged: Literal["error", "drop"] = "error"
    """What to do with a row that has too many or too few fields."""
    missing: Literal["error", "drop"] = "error"
    """What to do with a row that has an empty text or no label."""
    stratify: bool = True
    """Keep the label shares of ``train`` in a validation share."""
    split_seed: Annotated[int, Field(ge=0)] = 42
    """Which rows a validation share takes."""
    allow_same_file: bool = False
    """Permit one file to serve as two splits (the score then measures memory, not learning)."""

    @property
    def text_columns(self) -> dict[str, str]:
        """The columns with text by their settings, in the order in which they are read."""
        columns = {
            "data.prompt": self.prompt,
            "data.text": self.text,
            "data.text_pair": self.text_pair,
        }
        return {setting: column for setting, column in columns.items() if column is not None}

    # A validator sees the fields above its own, so each stands at the later of the two settings
    # that contradict each other. Validators of fields, unlike those of models, also run when
    # another setting is at fault, and so every contradiction reaches the one message.

    @field_validator("delimiter", "columns")
    @classmethod
    def _fits_the_format(cls, value: object, info: ValidationInfo) -> object:
        without = {
            "delimiter": ("jsonl", "parquet", "text"),
            "columns": ("jsonl", "parquet"),
        }[str(info.field_name)]
        if value is not None and (file_format := info.data.get("format")) in without:
            raise refusal(errors.config.no_such_option(f"data.{info.field_name}", file_format))
        return value

    @field_validator("columns", "label_columns")
    @classmethod
    def _named_once(cls, columns: list[str] | None, info: ValidationInfo) -> list[str] | None:
        for name, count in Counter(columns or ()).items():
            if count > 1:
                raise refusal(errors.config.repeated_column(name, f"data.{info.field_name}"))
        return columns

    @field_validator("text_pair", "label", "prompt", "group")
    @classmethod
    def _column_of_its_own(cls, column: str | None, info: ValidationInfo) -> str | None:
        # Of pairs one text may be the group: all answers to a question stay in one split.
        pairs = info.data.get("text_pair") is not None
        others = ("label",) if info.field_name == "group" and pairs else _COLUMNS
        for other in others:
            if column is not None and info.data.get(other) == column:
                raise refusal(
                    errors.config.same_column(f"data.{other}", f"data.{info.field_name}", column)
                )
        return column


class LoraConfig(_Part):
    """Low-rank adapters beside weights that stay as they are (``models.tuning.adapters``)."""

    rank: Annotated[int, Field(ge=1)] = 8
    """Columns of an adapter's first matrix and rows of its second."""
    alpha: Annotated[int, Field(ge=1)] = 16
    """What an adapter adds is multiplied by ``alpha / rank``."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Of what an adapter reads."""
    modules: Literal["all"] | Annotated[list[str], Field(min_length=1)] | None = None
    """Names of the linear modules of a layer that get one, ``all`` for every one; by default those
    that make attention's queries and values."""
    save: Literal["merged", "adapter"] = "merged"
    """``adapter``: keep the adapters by themselves too, in ``adapter/`` as peft writes them.
    ``model/`` holds whole merged weights either way."""


class AverageConfig(_Part):
    """The mean of the weights at several evaluations, kept where it is no worse than the best."""

    of: Literal["last", "best"] = "last"
    """The last evaluations, or the best by ``train.best_metric``."""
    count: Annotated[int, Field(ge=2)] = 3
    """So many of them; each takes the room of a model on disk until the run ends."""


class TrainConfig(_Part):
    """How the model learns. Defaults are of Devlin et al. 2019, appendix A.3, where it has one."""

    epochs: Annotated[int, Field(ge=1)] = 3
    """Passes over the training rows."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per batch."""
    gradient_accumulation: Annotated[int, Field(ge=1)] = 1
    """Batches per step; the loss is the mean over every row of them all."""
    group_by_length: bool = False
    """Batches of rows of like length: less padding, other batches than a plain shuffle."""
    loss: LossName | None = None
    """What is made small. To classify: ``cross-entropy``, or ``focal``, which minds sure rows less;
    several labels to a row: ``binary-cross-entropy`` or ``focal``; numbers: ``squared-error``. To
    rank: of each row alone ``binary-cross-entropy`` (one logit) or ``cross-entropy`` (two); of a
    query's rows together ``pairwise`` or ``listwise``. The first of each is the default."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Of the focal loss: 0 is cross-entropy, and more leaves less to rows that are sure."""
    class_weights: Literal["balanced"] | None = None
    """``balanced``: rows of a rare label weigh more, so that all labels weigh the same together;
    with several labels to a row, that those with a label weigh as much as those without."""
    choose_threshold: bool = False
    """Of two labels: answer the second from the probability that is best by ``best_metric`` on the
    validation rows, instead of from one half. With several labels to a row: answer each from the
    one with its best F1 there. It is kept with the run and used from then on."""
    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 3e-5
    """Peak rate of AdamW."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = None
    """Lower layers learn more slowly: of L layers, counted from 0, layer l has the rate times this
    to the power L - l, the embeddings times this to the power L + 1; what is above has it all."""
    head_learning_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Peak rate of what is above the layers (pooler and head); ``learning_rate`` where null."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.01
    """Decoupled decay per unit of rate; biases and norms are spared."""
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """How much of the mean gradient a step carries over."""
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """How much of the mean squared gradient a step carries over."""
    adam_epsilon: Annotated[float, Field(gt=0)] = 1e-8
    """Added to the root of the mean squared gradient before dividing by it."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Shape of the rate after the warm-up."""
    warmup_steps: Annotated[int, Field(ge=0)] | None = None
    """Steps before the peak rate; give this or ``warmup_share``."""
    warmup_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of all steps before the peak rate; 0.1 where neither is given."""
    max_gradient_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Clip the gradient to this length; ``null`` never clips."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    """Order of the rows, dropout, and the new head's weights."""
    freeze: str | None = None
    """``backbone``: only the head trains; ``embeddings+layers:k``: all above the first k layers."""
    unfreeze_layers_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """The first epoch trains pooler and head alone, each later one so many layers more, from the
    top; the embeddings come last, as one layer more."""
    lora: LoraConfig | None = None
    """Train adapters and the head instead of the whole model."""
    average: AverageConfig | None = None
    """Average the weights of several evaluations."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the forward pass; ``auto`` asks the device."""
    device: Literal["auto", "cpu"] = "auto"
    """``cpu`` keeps off an accelerator that is there."""
    evaluations_per_epoch: Annotated[int, Field(ge=1)] = 1
    """How often an epoch scores the validation rows, evenly spaced, the last time at its end."""
    best_metric: str | None = None
    """Validation metric that chooses the kept model; the task's main metric by default."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Stop after this many evaluations without a better ``best_metric``."""
    checkpoint_every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between checkpoints; by default one at each evaluation."""
    keep_checkpoints: Annotated[int, Field(ge=1)] = 1
    """How many checkpoints stay on disk, newest first."""
    sample_every_steps: Annotated[int, Field(ge=1)] | None = None
    """To generate: steps between samples of what the model writes; by default one sample at each
    evaluation. Drawn as ``generate`` says."""
    cuda_graphs: bool = False
    """Launch each step on a GPU at once instead of kernel by kernel. Not yet measured on a GPU."""
    tensorboard: bool = False
    """Write TensorBoard events beside ``events.jsonl`` (needs the ``tensorboard`` package)."""

    @field_validator("freeze")
    @classmethod
    def _names_a_part(cls, freeze: str | None) -> str | None:
        if freeze is not None and not re.fullmatch(r"backbone|embeddings\+layers:\d+", freeze):
            raise refusal(errors.config.unknown_part(freeze))
        return freeze

    @field_validator("unfreeze_layers_per_epoch", "lora")
    @classmethod
    def _one_way_to_freeze(cls, value: object, info: ValidationInfo) -> object:
        for other in ("freeze", "unfreeze_layers_per_epoch"):
            if value is not None and info.data.get(other) is not None:
                raise refusal(
                    errors.transfer.two_ways(f"train.{other}", f"train.{info.field_name}")
                )
        return value

    @field_validator("average")
    @classmethod
    def _adapters_have_no_mean(
        cls, average: AverageConfig | None, info: ValidationInfo
    ) -> AverageConfig | None:
        lora = info.data.get("lora")
        if average is not None and lora is not None and lora.save == "adapter":
            raise refusal(errors.transfer.mean_of_adapters())
        return average

    @field_validator("warmup_share")
    @classmethod
    def _one_warmup(cls, share: float | None, info: ValidationInfo) -> float | None:
        if share is not None and (steps := info.data.get("warmup_steps")) is not None:
            raise refusal(errors.config.two_warmups(steps, share))
        return share


class RunConfig(_Part):
    """Every setting of one run.

    Which tasks there are, and which settings each of them reads, is known to ``tasks``;
    ``config_file`` checks a config against its task.
    """

    task: Annotated[str, Field(min_length=1)] = "text-classification"
    """What is learned: ``text-classification``, ``multi-label-classification``,
    ``text-regression``, ``text-ranking``, ``token-classification``, ``text-generation`` or
    ``fill-mask``."""
    model: ModelConfig = ModelConfig()
    """Which pretrained checkpoint to start from."""
    data: DataConfig
    """Where the rows are and what their columns mean."""
    train: TrainConfig = TrainConfig()
    """How the model learns."""
    generate: GenerateConfig = GenerateConfig()
    """How a decoder generates text."""
    export: ExportConfig = ExportConfig()
    """What is made of the model after training."""
    pretrain: PretrainConfig | None = None
    """The new model that ``warmstart pretrain`` trains, instead of ``model.name``."""

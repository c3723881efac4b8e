"""Every setting of a run, with its default, its unit and its limits. No torch here.

``RunConfig`` is the validated content of a YAML file. It is closed (an unknown key is an error) and
frozen. ``config_file`` builds it from YAML, recipes and ``--set``, and writes it back with all
defaults filled in, so that training from a run directory's ``config.yaml`` repeats the run.

Units: a *step* is one optimiser update; *tokens* are those of the model's tokenizer; learning rates
are per step.
"""

from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from warmstart import errors
from warmstart.config.file_formats import FORMAT_SETTINGS, NO_ROWS, FileFormat, Sources
from warmstart.config.model_settings import (
    CLOSED,
    ControlTokens,
    ExportConfig,
    GenerateConfig,
    ModelConfig,
    PretrainConfig,
    refusal,
)
from warmstart.config.train_settings import TrainConfig

_COLUMNS = ("text", "text_pair", "label", "prompt")


class _Part(BaseModel):
    """A group of settings."""

    model_config = CLOSED


class DataConfig(_Part):
    """Where the rows are, which file format they have, and what each column contains."""

    train: Sources
    """Training file(s): a path, ``archive.zip!member``, a URL (``#sha256=…`` verifies it),
    ``hub:NAME[/CONFIG]:SPLIT`` (a Hugging Face data set), a folder of ``.txt`` files (with a
    sub-folder for each label) or brat files, or ``bundled/grammar/train``."""
    validation: Annotated[float, Field(gt=0, lt=1)] | Literal["none"] | Sources = 0.1
    """Validation file(s), or the share of the ``train`` rows to set aside for validation. ``none``:
    train on all rows; the model of the last step is kept, and nothing can be chosen by a score. A
    file of this name is written ``./none``."""
    test: Sources | None = None
    """Test file(s); they are scored once, after training."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """For a quick try: train on a sample of this number of training rows (``split_seed``), with the
    label proportions of all rows (``stratify``). Validation and test rows are not limited."""
    dir: str | None = None
    """A folder, zip file or URL of a zip file; relative names above are looked up in it. For
    ``hub:nyu-mll/glue/…``, the folder of the GLUE download, which is then read instead."""
    format: FileFormat = "auto"
    """File format; ``auto`` chooses it by the file name, for ``.json`` by the content. ``spans``:
    an export of Label Studio, doccano, spaCy or brat."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """Character between the columns of a csv file; by default a comma, or a tab for ``tsv``."""
    columns: Annotated[list[str], Field(min_length=1)] | None = None
    """Column names of a file that has no header line."""
    quoting: Literal["double", "none"] = "double"
    """``double``: fields may be enclosed in double quotes; ``none``: quotes have no meaning."""
    encoding: str = "auto"
    """Text encoding: ``auto`` detects UTF-8, UTF-8 with BOM, UTF-16 and GB18030; or the name of a
    Python codec."""
    text: str = "text"
    """Column with the text; for ranking, with the query; for question answering, with the
    question."""
    text_pair: str | None = None
    """Column with the second text, if a row is a pair (question and answer, two sentences); for
    ranking, with the document; for question answering, with the context. For next sentence: the
    column with the second segment in a file of pairs to predict, ``next_text`` by default; files of
    documents do not have it."""
    truncation: Literal["longest_first", "second_only"] = "longest_first"
    """Which text of a pair is cut if the two together are longer than ``model.max_tokens``."""
    label: Annotated[str, Field(validate_default=True)] = "label"
    """Column with the label; for ranking, with the relevance of the document to the query: 0, 1 or
    more."""
    label_names: (
        Annotated[list[str], Field(min_length=2)] | Annotated[dict[str, str], Field(min_length=2)]
    ) | None = None
    """Names of labels (or tags) that the files write as ids: a list for 0, 1, 2, …, or a mapping
    such as ``{1: negative, 2: positive}``. They are used wherever a label is shown; if the files
    have the names themselves, they only give their order."""
    label_separator: Annotated[str, Field(min_length=1)] | None = None
    """Separator between the labels of a row, ``|`` by default."""
    label_columns: Annotated[list[str], Field(min_length=1)] | None = None
    """One column for each label, 0 or 1 in every row, instead of ``data.label``."""
    prompt: str | None = None
    """For text generation: column with the prompt, which ``data.text`` continues."""
    group: str | None = None
    """Column whose equal values keep rows together in one split (a person, a document, a question).
    For ranking, rows with the same value are ranked against each other; by default these are the
    rows with the same query. For next sentence, a random segment has another value; by default each
    row of the files is a document of its own."""
    duplicates: Literal["keep", "drop", "together"] = "keep"
    """Rows with the same text (for pairs, the same two texts): ``keep`` only counts them. ``drop``
    leaves rows out of training: those with the text of an earlier training row or of a validation
    or test row, and all rows of a text that has different labels. ``together``: if ``validation``
    is a share of ``train``, rows with the same text stay in one split."""
    long_documents: Literal["truncate", "chunk"] = "truncate"
    """``truncate`` keeps the beginning of a text above ``model.max_tokens``; ``chunk`` cuts it
    into pieces that overlap. For text generation and fill-mask, each piece is learned like a row;
    for classification and regression of single texts, logits are averaged over a row's pieces."""
    overlap_tokens: Annotated[int, Field(ge=0)] | None = None
    """Number of tokens that a chunk (``long_documents: chunk``) or a window of a long text
    (token classification) repeats from the end of the previous one, as context; at most half of a
    row. By default 32, or half of a row that is shorter than 64. For question answering: what two
    windows of a context share, by default 128, or a third of a shorter window."""
    segment_characters: Annotated[int, Field(ge=1)] = 200
    """For next sentence and BERT's pretraining: a segment has as many sentences as fit into this
    number of characters, at least one."""
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """For fill-mask and BERT's pretraining: share of each row's tokens to mask, at least one."""
    whole_words: bool = False
    """For the same: mask whole words (all tokens of a word) instead of single tokens."""
    control_tokens: ControlTokens = "text"
    """How the name of a control token in a text or prompt (``[SEP]``, ``<|im_end|>``) is read: like
    other ``text``, or as the token itself (``tokens``), for texts written for a chat model."""
    words: str | None = None
    """For token classification: column with the words of each row, a list; in a CoNLL file its name
    or number. By default ``words``, or the first column."""
    tags: str | None = None
    """For token classification: column with the tag of each word; by default ``tags``, or the last
    column of a CoNLL file."""
    spans: str = "spans"
    """For token classification: column with character spans, such as
    ``[{"start": 0, "end": 4, "type": "PER"}]``."""
    tag_scheme: str = "auto"
    """For token classification: ``BIO``, ``IOB1``, ``IOBES``, ``BILOU``, or ``plain`` for tags
    without prefixes; ``auto`` recognises it from the training rows."""
    answers: str = "answers"
    """For question answering: column with the answers, as in SQuAD
    (``[{"text": "Paris", "answer_start": 4}]``), or with their text alone."""
    answer_start: str = "answer_start"
    """For question answering: column with the position in the context of the answer's first
    character, counted from 0, if ``data.answers`` contains only its text."""
    max_answer_tokens: Annotated[int, Field(ge=1)] = 30
    """For question answering: largest number of tokens of a predicted answer."""
    ragged: Literal["error", "drop"] = "error"
    """What to do with a row that has too many or too few fields."""
    missing: Literal["error", "drop"] = "error"
    """What to do with a row that has an empty text or no label."""
    stratify: bool = True
    """Keep the label proportions of ``train`` when a share of it is set aside for validation, or
    ``limit`` selects a sample."""
    split_seed: Annotated[int, Field(ge=0)] = 42
    """Seed that selects the rows set aside for validation, and those of ``limit``."""
    allow_same_file: bool = False
    """Allow the same file in two splits (the score then measures memorisation, not learning)."""

    @property
    def sources(self) -> dict[str, Sources]:
        """The file(s) of each split that names some, by split."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            split: source
            for split, source in named.items()
            if isinstance(source, str | list) and (split, source) != ("validation", NO_ROWS)
        }

    @property
    def text_columns(self) -> dict[str, str]:
        """The text columns by the setting that names them, in the order of the model's input."""
        columns = {
            "data.prompt": self.prompt,
            "data.text": self.text,
            "data.text_pair": self.text_pair,
        }
        return {setting: column for setting, column in columns.items() if column is not None}

    @property
    def name_of_label(self) -> dict[str, str]:
        """The name of each label that has one."""
        names = self.label_names or {}
        if isinstance(names, list):
            return {str(number): name for number, name in enumerate(names)}
        return names

    # A field validator of pydantic only sees the fields above its own, so each check belongs to the
    # later one of two contradicting settings. Unlike model validators, field validators also run
    # when another setting is wrong, so one message reports every contradiction.

    @field_validator(*FORMAT_SETTINGS)
    @classmethod
    def _fits_the_format(cls, value: object, info: ValidationInfo) -> object:
        name, file_format = str(info.field_name), info.data.get("format", "auto")
        formats, default = FORMAT_SETTINGS[name], cls.model_fields[name].default
        if value != default and file_format not in ("auto", *formats):
            setting = f"data.{name}"
            shown = default or "null"
            raise refusal(errors.files.no_such_option(setting, shown, file_format, formats))
        return value

    @field_validator("columns", "label_columns")
    @classmethod
    def _named_once(cls, columns: list[str] | None, info: ValidationInfo) -> list[str] | None:
        for name, count in Counter(columns or ()).items():
            if count > 1:
                raise refusal(errors.config.repeated_column(name, f"data.{info.field_name}"))
        return columns

    @field_validator("label_names", mode="before")
    @classmethod
    def _ids_as_text(cls, names: object) -> object:
        if not isinstance(names, dict):
            return names
        # YAML reads 0 as a number and true as a boolean; in the files, both become text.
        return {
            str(label).lower() if isinstance(label, bool) else str(label): name
            for label, name in names.items()
        }

    @field_validator("label_names")
    @classmethod
    def _one_label_for_each_name(
        cls, names: list[str] | dict[str, str] | None
    ) -> list[str] | dict[str, str] | None:
        texts = list(names.values()) if isinstance(names, dict) else names or []
        for name, count in Counter(texts).items():
            if count > 1 or not name.strip():
                raise refusal(errors.labels.unusable_label_name(name))
        return names

    @field_validator("text_pair", "label", "prompt", "group")
    @classmethod
    def _column_of_its_own(cls, column: str | None, info: ValidationInfo) -> str | None:
        # With pairs, a text may be the group: all answers to a question stay in one split.
        pairs = info.data.get("text_pair") is not None
        others = ("label",) if info.field_name == "group" and pairs else _COLUMNS
        for other in others:
            if column is not None and info.data.get(other) == column:
                raise refusal(
                    errors.config.same_column(f"data.{other}", f"data.{info.field_name}", column)
                )
        return column


class RunConfig(_Part):
    """Every setting of one run.

    The tasks, and the settings that each of them reads, are defined in ``tasks``;
    ``config_file`` checks a config against its task.
    """

    task: Annotated[str, Field(min_length=1)] = "text-classification"
    """What is learned."""
    model: ModelConfig = ModelConfig()
    """Which pretrained checkpoint to start from."""
    data: DataConfig
    """Where the rows are and what each column contains."""
    train: TrainConfig = TrainConfig()
    """How the model is trained."""
    generate: GenerateConfig = GenerateConfig()
    """How a decoder generates text."""
    export: ExportConfig = ExportConfig()
    """Files to create after training."""
    pretrain: PretrainConfig | None = None
    """The new model that ``warmstart pretrain`` trains, instead of ``model.name``."""

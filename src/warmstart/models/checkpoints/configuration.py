"""Read and check ``config.json`` of a checkpoint, and build its model without weights.

The model without weights ("skeleton") is on PyTorch's meta device: it has all parameter names and
shapes, uses no memory, and is built within hundredths of a second. It provides facts that the
configurations of different model families store under different names, such as the number of
positions, and is used by ``warmstart info``.

Source: https://docs.pytorch.org/docs/stable/meta.html.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from warmstart import errors
from warmstart.models.checkpoints.config_json import CONFIG, read_content
from warmstart.models.checkpoints.quiet import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


Head = Literal[
    "sequence-classification",
    "token-classification",
    "question-answering",
    "causal-lm",
    "masked-lm",
    "next-sentence",
    "pretraining",
]
"""The head that a task puts on a body; Transformers has one auto class for each. ``pretraining`` is
BERT's: a masked-language-model head and a next-sentence head."""

Reads = Literal["first", "asked", "every", "both"]
"""Which tokens a head reads: the first of each row, those in ``Batch.asked``, every one, or the
first of each row by one of two heads and every one by the other."""

READS: Mapping[Head, Reads] = {
    "sequence-classification": "first",
    "token-classification": "asked",
    "question-answering": "asked",
    "causal-lm": "every",
    "masked-lm": "every",
    "next-sentence": "first",
    "pretraining": "both",
}
"""Which tokens each head reads. Heads that read every token have one logit per vocabulary entry."""

FILLS_MASKS: frozenset[Head] = frozenset({"masked-lm", "pretraining"})
"""Heads that predict masked tokens."""
OF_PRETRAINING: frozenset[Head] = FILLS_MASKS | {"next-sentence"}
"""Heads that an encoder is pretrained with, and that keep their meaning in every run."""

CLASSIFIERS: Mapping[Head, str] = {
    "sequence-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
}
"""Heads with one logit per label (for question answering: start and end of the answer), and the
ending of their class names in Transformers."""

BORDERS = ("start", "end")
"""The two logits of each token for question answering."""

Problem = Literal["single_label_classification", "multi_label_classification", "regression"]
"""Transformers' ``problem_type``: how its pipeline turns logits into predictions."""


def logit_names(head: Head) -> tuple[str, ...]:
    """The names of the logits in the output of a Transformers model with this head.

    Args:
        head: any head.
    """
    return ("start_logits", "end_logits") if head == "question-answering" else ("logits",)


def natural_head(config: "PreTrainedConfig") -> Head:
    """The head to use if no task names one.

    Decoders generate. A checkpoint that was saved as a token classifier classifies tokens, and one
    that was saved for question answering answers questions; all other models classify texts, also
    those that were saved with a head for pretraining.

    Args:
        config: Configuration of any checkpoint.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    masked, causal = MODEL_FOR_MASKED_LM_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING
    decoder = type(config) in causal and type(config) not in masked
    if decoder and not config.is_encoder_decoder:
        return "causal-lm"
    of_tokens: tuple[Head, ...] = ("token-classification", "question-answering")
    for head in of_tokens:
        if any(name.endswith(CLASSIFIERS[head]) for name in config.architectures or ()):
            return head
    return "sequence-classification"


def read_config(name: str, folder: Path, head: Head | None) -> "PreTrainedConfig":
    """Read the configuration in ``folder`` and check that its architecture can have this head.

    Args:
        name: the checkpoint's name for messages.
        folder: folder with ``config.json``.
        head: the head that the task needs; None for ``natural_head``.

    Raises:
        ModelError: ``config.json`` is missing or cannot be read, the architecture is unknown or
            needs remote code, it does not support the head (classification needs an encoder,
            generation needs a decoder), the weights are quantized or have an adapter; or the
            temporary folder is full.
    """
    from transformers import CONFIG_MAPPING, AutoConfig

    path = folder / CONFIG
    content, ignored = read_content(name, folder)
    model_type = content.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIG_MAPPING:
        if "auto_map" in ignored:
            raise errors.model.remote_code(name)
        raise errors.model.unknown_architecture(name, model_type)
    try:
        with quiet(), TemporaryDirectory() as cleaned:
            (Path(cleaned) / CONFIG).write_text(json.dumps(content), "utf-8")
            config: PreTrainedConfig = AutoConfig.from_pretrained(
                cleaned, trust_remote_code=False, local_files_only=True
            )
        config.name_or_path = str(folder)
        head = head or natural_head(config)
        _refuse_other_architectures(name, config, head)
        skeleton(config, head)  # building the model checks the numbers in the configuration
    except errors.ModelError:
        raise
    except OSError as error:
        if error.errno is not None:  # of the temporary folder
            raise errors.checkpoint.no_temporary_room(error) from error
        raise errors.model.unreadable_config(path, str(error)) from error
    except Exception as error:  # model families raise different exceptions for bad numbers
        reason = " ".join(line.strip() for line in str(error).split("\n")[:2])
        raise errors.model.unreadable_config(path, reason) from error
    return config


def with_dropout(config: "PreTrainedConfig", dropout: float | None) -> "PreTrainedConfig":
    """Replace every dropout probability of a configuration; names differ between model families.

    Args:
        config: changed in place and returned.
        dropout: probability in [0, 1); None keeps the checkpoint's values.
    """
    if dropout is not None:
        suffixes = ("dropout", "dropout_prob", "pdrop")
        names = [name for name in config.to_dict() if name.endswith(suffixes)]
        config.update(dict.fromkeys(names, dropout))
    return config


def _refuse_other_architectures(name: str, config: "PreTrainedConfig", head: Head) -> None:
    """Raise if the architecture cannot have this head.

    Transformers does not mark encoders. Here an encoder is an architecture that has a
    masked-language-model head and is not a decoder.
    """
    from transformers import (
        MODEL_FOR_MASKED_LM_MAPPING,
        MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING,
        MODEL_FOR_QUESTION_ANSWERING_MAPPING,
        MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    )

    if head == "causal-lm":
        if natural_head(config) != head:
            raise errors.model.not_a_decoder(name, config.model_type)
        return
    with_head = {
        "sequence-classification": MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING,
        "token-classification": MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
        "question-answering": MODEL_FOR_QUESTION_ANSWERING_MAPPING,
        "masked-lm": MODEL_FOR_MASKED_LM_MAPPING,
        "next-sentence": MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING,
        # The pretraining class of a family without next sentences has only one head.
        "pretraining": MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING,
    }[head]
    if config.is_encoder_decoder:
        kind = "an encoder-decoder"
    elif natural_head(config) == "causal-lm":
        kind = "a decoder"
    elif type(config) not in with_head:
        kind = f"a model without a {errors.model.HEADS[head]} head"
    elif type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
        kind = "a decoder"
    else:
        return
    raise errors.model.not_an_encoder(name, config.model_type, kind, head)


def auto_class(head: Head) -> Any:
    """The ``AutoModel`` class of Transformers for this head."""
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForNextSentencePrediction,
        AutoModelForPreTraining,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    return {
        "sequence-classification": AutoModelForSequenceClassification,
        "token-classification": AutoModelForTokenClassification,
        "question-answering": AutoModelForQuestionAnswering,
        "causal-lm": AutoModelForCausalLM,
        "masked-lm": AutoModelForMaskedLM,
        "next-sentence": AutoModelForNextSentencePrediction,
        "pretraining": AutoModelForPreTraining,
    }[head]


def skeleton(config: "PreTrainedConfig", head: Head) -> "PreTrainedModel":
    """Build the model of a configuration without weights (on the meta device).

    Building takes time, so equal configurations get the same model: read it, or change a copy.

    Args:
        config: configuration; for a classifier ``id2label`` gives the number of logits.
        head: head of the model.
    """
    if head == "question-answering":
        config = with_labels(config, BORDERS, None)  # whatever the checkpoint was trained for
    settings = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    return _built(_Plan(type(config), repr(settings), head, config))


@dataclass(frozen=True)
class _Plan:
    """What a model is built from; equal plans give equal models."""

    kind: type
    settings: str
    head: Head
    config: "PreTrainedConfig" = field(compare=False)


@lru_cache(maxsize=16)
def _built(plan: _Plan) -> "PreTrainedModel":
    import torch

    # Building a model may use random numbers; `fork_rng` restores the global generator.
    with quiet(), torch.random.fork_rng(devices=[]), torch.device("meta"):
        build: Callable[..., PreTrainedModel] = auto_class(plan.head).from_config
        return build(copy.deepcopy(plan.config), trust_remote_code=False)


def longest_input(config: "PreTrainedConfig", head: Head = "sequence-classification") -> int | None:
    """The longest input in tokens that the model's positions allow; None if there is no limit.

    RoBERTa and related models count positions from ``padding_idx + 1``, so their position table has
    ``padding_idx + 1`` more rows than the longest input has tokens.

    Args:
        config: configuration of a checkpoint.
        head: head of the model.

    >>> from transformers import BertConfig, RobertaConfig
    >>> longest_input(BertConfig(max_position_embeddings=512))
    512
    >>> longest_input(RobertaConfig(max_position_embeddings=514, pad_token_id=1))
    512
    """
    from torch import nn

    positions: int | None = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return None
    for name, module in skeleton(config, head).named_modules():
        if name.endswith(".embeddings.position_embeddings") and isinstance(module, nn.Embedding):
            return positions - (0 if module.padding_idx is None else module.padding_idx + 1)
    return positions


def with_labels(
    config: "PreTrainedConfig",
    label_names: Sequence[str],
    problem: Problem | None = "single_label_classification",
) -> "PreTrainedConfig":
    """Copy a configuration and set the labels of its classification head.

    Args:
        config: configuration of an encoder; it is not changed.
        label_names: one name per logit, in the order of the logits.
        problem: the new ``problem_type``.
    """
    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(label_names))
    config.label2id = {label: index for index, label in enumerate(label_names)}
    # Always set: if the checkpoint was trained for regression, the pipeline of the saved model
    # would otherwise treat its logits as regression outputs.
    config.problem_type = problem
    return config

"""Generate text with a decoder: batches of prompts, with Transformers' ``generate``.

Transformers provides the loop, the key-value cache, beam search and the filters. This module adds
what is needed so that the result for a prompt does not depend on the other prompts of its batch or
on other random numbers of the program:

- **Padding** is on the left and marked only by the attention mask, from which Transformers also
  computes positions. The padding repeats the row's first token, so that a repetition penalty sees
  only tokens of the text (Transformers from 5.23 ignores padding there); no id means "padding".
- **Sampling** adds Gumbel noise to the filtered scores and selects the largest; this is the same as
  sampling from their softmax. Each row has its own generator, seeded with (seed, prompt, number of
  earlier rows with the same prompt). torch's global generators are not used.
- **Tokens** without a text (rows of the output layer beyond the tokenizer) are never generated.
- **Repetition penalty** leaves the end-of-text token alone: in GPT-2 it also begins the text, and
  the end of a text is no repetition.
- **Settings** are only those that are given. The checkpoint's ``generation_config.json`` is
  ignored, because it could change any setting that is not passed explicitly.

Letters: B rows, L padded length, V vocabulary. Lengths are in tokens.

Source: https://huggingface.co/docs/transformers/main_classes/text_generation; Gumbel 1954, as in
Maddison et al. 2014, arXiv:1411.0030, section 2; top-p: Holtzman et al. 2020, arXiv:1904.09751;
repetition penalty: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from warmstart import errors
from warmstart.config import GenerateConfig
from warmstart.data.examples.tokenise import is_unicode, plain_copy
from warmstart.models.checkpoints.quiet import quiet
from warmstart.models.evaluation_mode import evaluation_mode
from warmstart.models.generated_text import (
    PromptRow,
    StopTexts,
    TextStream,
    before_stop,
    new_text,
)

Finish = Literal["eos", "stop", "length"]

BATCH_TOKENS = 8192
"""Largest key-value cache of a batch in tokens, with padding and beams: 600 MB for GPT-2 small."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation of a prompt.

    Args:
        prompt: the prompt as given.
        text: the generated text, without special tokens and without the stop text.
        finish: why generation ended: ``eos`` the model ended the text; ``stop`` a stop text, or a
            control token that one names, was generated; ``length`` the limit of new tokens or of
            the model's positions was reached.
        tokens: all generated token ids, the end-of-text token included.
    """

    prompt: str
    text: str
    finish: Finish
    tokens: tuple[int, ...]

    def to_json(self) -> dict[str, str]:
        """``{"prompt", "text", "finish"}``."""
        return {"prompt": self.prompt, "text": self.text, "finish": self.finish}


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    settings: GenerateConfig,
    *,
    bos: int | None,
    eos: int,
    max_positions: int | None,
    control: Collection[str] = (),
    on_text: Callable[[str], None] | None = None,
) -> list[Generation]:
    """Continue each prompt.

    The result for a prompt is the same as for this prompt alone, except that numbers are rounded
    differently in different batches, which can change a sampled token.

    Args:
        model: a decoder on its device. Its training mode and its generation settings are restored
            afterwards; threads may share it after ``prepare_to_generate``.
        tokenizer: the model's tokenizer; it needs no padding token.
        prompts: texts; an empty prompt is replaced by ``bos`` alone.
        settings: number of tokens, how to select them, and when to stop.
        bos: id of the token at the beginning of a text; None if there is none.
        eos: id of the token at the end of a text; may be equal to ``bos``.
        max_positions: the model's longest input, new tokens included; None if there is no limit.
        control: control tokens that a prompt may contain (``plain_copy``).
        on_text: called with each new piece of text; for one prompt, continuation and beam only.

    Returns:
        ``settings.count`` continuations of the first prompt, then of the second, and so on.

    Raises:
        DataError: a prompt is not a string, is too long for a new token, or is empty while ``bos``
            is None.
    """
    if on_text is not None and (len(prompts), settings.count, settings.beams) != (1, 1, 1):
        raise ValueError("on_text is for one prompt, one continuation and one beam")
    encoded = encode_prompts(tokenizer, prompts, bos, max_positions, control)
    rows = list(_rows(prompts, encoded, settings, max_positions))
    ends = _ends(tokenizer, settings.stop, eos)
    results: dict[int, Generation] = {}
    with evaluation_mode(model), _without_own_settings(model):
        for batch in _batches(rows, settings.beams):
            sequences = _continue(model, tokenizer, batch, settings, eos, ends, on_text)
            # Beam search returns `count` neighbouring sequences for each row of the batch.
            copies = len(sequences) // len(batch)
            for number, sequence in enumerate(sequences.tolist()):
                row = batch[number // copies]
                generation = _generation(tokenizer, row, sequence, settings.stop, eos, ends)
                results[row.index + number % copies] = generation
    return [results[index] for index in range(len(results))]


def prepare_to_generate(model: PreTrainedModel) -> None:
    """Put a model permanently into the state that ``generate`` needs.

    After this, ``generate`` changes nothing in the model, and threads may share it.

    Args:
        model: a decoder that is only used for generation; changed in place.
    """
    model.train(mode=False)
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]


@contextmanager
def _without_own_settings(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, the checkpoint's ``generation_config.json`` has no effect."""
    own, plain = model.generation_config, GenerationConfig()  # type: ignore[no-untyped-call]
    if own == plain:
        yield
        return
    model.generation_config = plain
    try:
        yield
    finally:
        model.generation_config = own


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    bos: int | None,
    max_positions: int | None,
    control: Collection[str],
) -> list[tuple[int, ...]]:
    """Tokenise and check prompts; needs no weights.

    Args:
        tokenizer: the model's tokenizer.
        prompts: texts.
        bos: id to put before each prompt; None for none.
        max_positions: the model's longest input; a prompt must be shorter by at least one token.
        control: control tokens that a prompt may contain (``plain_copy``).

    Raises:
        DataError: as for ``generate``.
    """
    if isinstance(prompts, str):
        raise errors.prompt.unusable("prompts", prompts)
    begin = () if bos is None else (bos,)
    # A copy: ``tokenizer.encode`` may change the truncation that all threads share.
    backend = plain_copy(tokenizer.backend_tokenizer, control)
    encoded: list[tuple[int, ...]] = []
    for number, prompt in enumerate(prompts, start=1):
        which = f"prompt {number} of {len(prompts)}"
        if not isinstance(prompt, str):
            raise errors.prompt.unusable(which, prompt)
        if not is_unicode(prompt):
            raise errors.prompt.not_unicode(which, prompt)
        ids = (*begin, *backend.encode(prompt, add_special_tokens=False).ids)
        if not ids:
            raise errors.prompt.empty_without_start_token(which)
        if max_positions is not None and len(ids) >= max_positions:
            raise errors.prompt.too_long(which, len(ids), max_positions)
        encoded.append(ids)
    return encoded


def _rows(
    prompts: Sequence[str],
    encoded: Sequence[tuple[int, ...]],
    settings: GenerateConfig,
    max_positions: int | None,
) -> Iterator[PromptRow]:
    """The rows to generate: each prompt ``count`` times, or once for beam search."""
    seen: Counter[tuple[int, ...]] = Counter()
    for number, (prompt, ids) in enumerate(zip(prompts, encoded, strict=True)):
        max_new = settings.max_new_tokens
        if max_positions is not None:
            max_new = min(max_new, max_positions - len(ids))
        for copy in range(1 if settings.beams > 1 else settings.count):
            index = number * settings.count + copy
            yield PromptRow(index, prompt, ids, repeat=seen[ids], max_new=max_new)
            seen[ids] += 1


def _batches(rows: Sequence[PromptRow], beams: int) -> Iterator[list[PromptRow]]:
    """Batches of rows with similar length and equal ``max_new``, longest first.

    All rows of a batch get the same number of new tokens. With different limits, a short row would
    get fewer tokens than it would alone, or a long row more than the model's positions allow.
    """
    batch: list[PromptRow] = []
    for row in sorted(rows, key=lambda row: (-row.max_new, -len(row.ids))):
        width = len((batch or [row])[0].ids) + row.max_new
        full = (len(batch) + 1) * beams * width > BATCH_TOKENS
        if batch and (full or row.max_new != batch[0].max_new):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _continue(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[PromptRow],
    settings: GenerateConfig,
    eos: int,
    ends: Collection[int],
    on_text: Callable[[str], None] | None,
) -> Tensor:
    """New tokens, int64 [B · copies, longest]; values after the end of a row have no meaning."""
    width = max(len(row.ids) for row in batch)
    padding = [width - len(row.ids) for row in batch]
    ids = [[row.ids[0]] * pad + [*row.ids] for row, pad in zip(batch, padding, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in padding]
    criteria: list[Any] = []
    if settings.stop:
        criteria.append(StopTexts(tokenizer, batch, settings.stop, width))
    with quiet():
        sequences: Tensor = model.generate(  # type: ignore[operator]
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False,
                max_new_tokens=batch[0].max_new,
                num_beams=settings.beams,
                num_return_sequences=settings.count if settings.beams > 1 else 1,
                eos_token_id=list(ends),
                pad_token_id=eos,  # fills a row after its end; `_generation` cuts it off
            ),
            logits_processor=LogitsProcessorList(
                [*_filters(settings, tokenizer, eos), *_sampling(settings, batch)]
            ),
            stopping_criteria=StoppingCriteriaList(criteria),
            streamer=on_text and TextStream(tokenizer, batch[0], settings.stop, on_text),
        )
    return sequences[:, width:]  # without the prompt


def _ends(tokenizer: PreTrainedTokenizerBase, stop: Sequence[str], eos: int) -> list[int]:
    """Ids of the tokens that end a text: ``eos``, and control tokens that a stop text names.

    A decoded text does not show control tokens, so a stop text cannot be compared with it.
    """
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    named = {one for one, token in added.items() if token.special and token.content in stop}
    return [eos, *sorted(named - {eos})]


def _generation(
    tokenizer: PreTrainedTokenizerBase,
    row: PromptRow,
    tokens: list[int],
    stop: Sequence[str],
    eos: int,
    ends: Collection[int],
) -> Generation:
    """A continuation, cut at its end-of-text token, stop text or stop token."""
    tokens = tokens[: row.max_new]
    end = next((place for place, token in enumerate(tokens) if token in ends), None)
    if end is not None:
        tokens = tokens[: end + 1]
    full_text = new_text(tokenizer, row, tokens)
    text = before_stop(full_text, stop)
    if len(text) == len(full_text):
        finish: Finish = "length" if end is None else "eos" if tokens[-1] == eos else "stop"
        return Generation(row.prompt, text, finish, tuple(tokens))
    if end is not None:  # an eos after the stop text is not part of the continuation
        tokens = tokens[:-1]
    return Generation(row.prompt, text, "stop", tuple(tokens))


def _filters(
    settings: GenerateConfig, tokenizer: PreTrainedTokenizerBase, eos: int
) -> Iterator[Any]:
    """Logits processors for every way of selecting tokens; they change scores [B, V]."""
    texts = sorted(tokenizer.backend_tokenizer.get_vocab().values())

    def only_tokens_with_text(input_ids: Tensor, scores: Tensor) -> Tensor:
        if not (scores < torch.inf).all():  # also if a score is NaN
            raise errors.checkpoint.outputs_not_finite()
        if scores.shape[1] == len(texts):
            return scores
        without = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
        without[texts] = False
        return scores.masked_fill(without, -torch.inf)

    yield only_tokens_with_text
    if settings.repetition_penalty != 1:
        penalty = RepetitionPenaltyLogitsProcessor(float(settings.repetition_penalty))

        def penalise_repetition(input_ids: Tensor, scores: Tensor) -> Tensor:
            changed: Tensor = penalty(input_ids, scores)
            changed[:, eos] = scores[:, eos]
            return changed

        yield penalise_repetition


def _sampling(settings: GenerateConfig, batch: Sequence[PromptRow]) -> Iterator[Any]:
    """Logits processors for sampling: they change scores [B, V] so that argmax gives a sample.

    Transformers applies them before its greedy search. No processors for temperature 0.
    """
    if settings.temperature == 0:
        return
    if settings.temperature != 1:
        yield TemperatureLogitsWarper(settings.temperature)
    if settings.top_k:
        yield TopKLogitsWarper(settings.top_k)
    if settings.top_p < 1:
        yield TopPLogitsWarper(settings.top_p)
    generators = [_generator(settings.seed, row) for row in batch]

    def add_gumbel_noise(input_ids: Tensor, scores: Tensor) -> Tensor:
        # Gumbel noise is -log(E) with E ~ Exponential(1). Generated on the CPU, row by row [V], so
        # that it does not depend on the device or on the other rows.
        shape = scores.shape[1:]
        noise = [torch.empty(shape).exponential_(generator=one) for one in generators]
        return scores - torch.stack(noise).log().to(scores.device)

    yield add_gumbel_noise


def _generator(seed: int, row: PromptRow) -> torch.Generator:
    """A generator whose state depends only on seed, prompt and ``row.repeat``."""
    state = np.random.SeedSequence([seed, row.repeat, *row.ids]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))

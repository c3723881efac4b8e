"""A decoder goes on with texts: batches of prompts through Transformers' own ``generate``.

Transformers keeps the loop, the cache of keys and values, the beams and the filters; here is what
it leaves to its caller, so that neither a prompt's neighbours nor a program's other draws change
what is written:

- **Padding** stands on the left and is told by the attention mask alone, from which Transformers
  also counts positions. It repeats the row's own first token, so that a penalty on repetition sees
  nothing that is not in the text (5.23 leaves padding out by itself); no id means "padding".
- **Drawing** adds Gumbel noise to the filtered scores and takes the largest, which is a draw from
  their softmax. The noise of a row comes from a generator of its own, seeded by (seed, prompt, how
  often that prompt came before); torch's global generators are not touched.
- **Settings** are those given. What a checkpoint's ``generation_config.json`` prefers is left
  aside: it would replace every setting that is not spelt out.

Letters: B rows, L padded length, V vocabulary. Lengths are in tokens.

Source: https://huggingface.co/docs/transformers/main_classes/text_generation; Gumbel 1954, as in
Maddison et al. 2014, arXiv:1411.0030, section 2; top-p: Holtzman et al. 2020, arXiv:1904.09751;
repetition penalty: Keskar et al. 2019, arXiv:1909.05858, section 4.1.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from warmstart import errors
from warmstart.config import GenerateConfig
from warmstart.models.checkpoints.quiet import quiet

Finish = Literal["eos", "stop", "length"]

BATCH_TOKENS = 8192
"""Cached tokens of one batch, padding and beams counted: 600 MB for GPT-2 small in float32."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One continuation of a prompt.

    Args:
        prompt: as given.
        text: what follows, without special tokens and without the stop text that ended it.
        finish: ``eos`` the model ended the text; ``stop`` a stop text came; ``length`` there was no
            more room, or no more was asked for.
        tokens: ids of all that was generated, the last one of a text that ended included.
    """

    prompt: str
    text: str
    finish: Finish
    tokens: tuple[int, ...]

    def to_json(self) -> dict[str, str]:
        """``{"prompt", "text", "finish"}``."""
        return {"prompt": self.prompt, "text": self.text, "finish": self.finish}


@dataclass(frozen=True, slots=True)
class _Row:
    """A prompt to go on with, once (or, with beams, ``count`` times)."""

    place: int
    """Where its first continuation stands among the results."""
    prompt: str
    ids: tuple[int, ...]
    before: int
    """How many rows before it have the same prompt."""
    room: int
    """New tokens at most."""


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
    on_text: Callable[[str], None] | None = None,
) -> list[Generation]:
    """Go on with each prompt.

    Without drawing, the tokens are those that a prompt alone would be given; with drawing too, up
    to the rounding of a batch.

    Args:
        model: a decoder on its device; its training mode is put back afterwards.
        tokenizer: the model's, which need not know how to pad.
        prompts: texts; an empty one begins with ``bos`` alone.
        settings: how many tokens, how they are chosen, and when to stop.
        bos: id of the token that begins a text; None where there is none.
        eos: id of the token that ends one; it may be ``bos`` too.
        max_positions: tokens that the model can read, those it writes included; None for any.
        on_text: given the text as it is made, for one prompt, one continuation and one beam.

    Returns:
        ``settings.count`` continuations of the first prompt, then of the second, and so on.

    Raises:
        DataError: a prompt is no text, leaves no room for a token, or is empty where ``bos`` is
            None.
    """
    if on_text is not None and (len(prompts), settings.count, settings.beams) != (1, 1, 1):
        raise ValueError("on_text is for one prompt, one continuation and one beam")
    encoded = encode_prompts(tokenizer, prompts, bos, max_positions)
    rows = list(_rows(prompts, encoded, settings, max_positions))
    found: dict[int, Generation] = {}
    was_training, own_settings = model.training, model.generation_config
    model.train(mode=False)
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        for batch in _batches(rows, settings.beams):
            sequences = _continued(model, tokenizer, batch, settings, eos, on_text)
            copies = len(sequences) // len(batch)
            for number, sequence in enumerate(sequences.tolist()):
                row = batch[number // copies]
                made = _generation(tokenizer, row, sequence, settings.stop, eos)
                found[row.place + number % copies] = made
    finally:
        model.generation_config = own_settings
        model.train(was_training)
    return [found[place] for place in range(len(found))]


def encode_prompts(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    bos: int | None,
    max_positions: int | None,
) -> list[tuple[int, ...]]:
    """The tokens to go on with, of each prompt; needs no weights.

    Args:
        tokenizer: as for ``generate``, and so are the others.
        prompts: texts.
        bos: put before each.
        max_positions: of which one at least must be left.

    Raises:
        DataError: as ``generate`` does.
    """
    if isinstance(prompts, str):
        raise errors.prompt.unusable("prompts", prompts)
    begin = () if bos is None else (bos,)
    encoded: list[tuple[int, ...]] = []
    for number, prompt in enumerate(prompts, start=1):
        which = f"prompt {number} of {len(prompts)}"
        if not isinstance(prompt, str):
            raise errors.prompt.unusable(which, prompt)
        with quiet():  # Transformers' own warning of a long text names no prompt
            ids = (*begin, *tokenizer.encode(prompt, add_special_tokens=False))
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
) -> Iterator[_Row]:
    """What is to be gone on with: each prompt as often as it takes."""
    came: Counter[tuple[int, ...]] = Counter()
    for number, (prompt, ids) in enumerate(zip(prompts, encoded, strict=True)):
        room = settings.max_new_tokens
        if max_positions is not None:
            room = min(room, max_positions - len(ids))
        for copy in range(1 if settings.beams > 1 else settings.count):
            place = number * settings.count + copy
            yield _Row(place, prompt, ids, before=came[ids], room=room)
            came[ids] += 1


def _batches(rows: Sequence[_Row], beams: int) -> Iterator[list[_Row]]:
    """Rows of like length and equal room, the longest first; a row at least in each batch.

    Of equal room, since the rows of a batch make equally many tokens: else a short one would be
    given less than alone, or a long one more than the model can read.
    """
    batch: list[_Row] = []
    for row in sorted(rows, key=lambda row: (-row.room, -len(row.ids))):
        width = len((batch or [row])[0].ids) + row.room
        full = (len(batch) + 1) * beams * width > BATCH_TOKENS
        if batch and (full or row.room != batch[0].room):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _continued(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[_Row],
    settings: GenerateConfig,
    eos: int,
    on_text: Callable[[str], None] | None,
) -> Tensor:
    """New tokens, int64 [B × continuations, longest]; behind the end of a row stands anything."""
    width = max(len(row.ids) for row in batch)
    padding = [width - len(row.ids) for row in batch]
    ids = [[row.ids[0]] * pad + [*row.ids] for row, pad in zip(batch, padding, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in padding]
    criteria: list[Any] = []
    if settings.stop:
        criteria.append(_Stop(tokenizer, batch, settings.stop, width))
    with quiet():
        sequences: Tensor = model.generate(  # type: ignore[operator]
            torch.tensor(ids, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=GenerationConfig(  # type: ignore[no-untyped-call]
                do_sample=False,
                max_new_tokens=batch[0].room,
                num_beams=settings.beams,
                num_return_sequences=settings.count if settings.beams > 1 else 1,
                repetition_penalty=settings.repetition_penalty,
                eos_token_id=eos,
                pad_token_id=eos,  # stands behind the end of a row, and is cut off with it
            ),
            logits_processor=LogitsProcessorList(_drawing(settings, batch)),
            stopping_criteria=StoppingCriteriaList(criteria),
            streamer=on_text and _Stream(tokenizer, batch[0], settings.stop, on_text),
        )
    return sequences[:, width:]


def _generation(
    tokenizer: PreTrainedTokenizerBase,
    row: _Row,
    tokens: list[int],
    stop: Sequence[str],
    eos: int,
) -> Generation:
    """A continuation, cut where it ended."""
    tokens = tokens[: row.room]
    ended = eos in tokens
    if ended:
        tokens = tokens[: tokens.index(eos) + 1]
    whole = _text(tokenizer, row, tokens)
    text = _before_stop(whole, stop)
    if len(text) == len(whole):
        return Generation(row.prompt, text, "eos" if ended else "length", tuple(tokens))
    if ended:  # the end token, and what fills the row behind it, came after the stop text
        tokens = tokens[:-1]
    return Generation(row.prompt, text, "stop", tuple(tokens))


def _text(tokenizer: PreTrainedTokenizerBase, row: _Row, tokens: Sequence[int]) -> str:
    """What new tokens add to the prompt: some tokenizers drop a space where a text begins."""
    texts = [
        tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids in ([*row.ids], [*row.ids, *tokens])
    ]
    return str(texts[1][len(texts[0]) :])


def _before_stop(text: str, stop: Sequence[str]) -> str:
    """``text`` up to the first of the stop texts in it."""
    found = [place for place in map(text.find, stop) if place >= 0]
    return text[: min(found, default=len(text))]


class _Stop:
    """Tells Transformers which rows hold a stop text; by the text, which tokens may cut anywhere.

    It keeps nothing from one step to the next, since beams change places.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        batch: Sequence[_Row],
        stop: Sequence[str],
        width: int,
    ) -> None:
        self._tokenizer, self._batch, self._stop, self._width = tokenizer, batch, stop, width

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        copies = len(input_ids) // len(self._batch)
        new = input_ids[:, self._width :].tolist()
        texts = [_text(self._tokenizer, self._batch[i // copies], row) for i, row in enumerate(new)]
        stopped = [any(stop in text for stop in self._stop) for text in texts]
        return torch.tensor(stopped, device=input_ids.device)


class _Stream:
    """Passes a text on as it is made: no half characters, and no beginning of a stop text."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        row: _Row,
        stop: Sequence[str],
        on_text: Callable[[str], None],
    ) -> None:
        self._tokenizer, self._row, self._stop, self._on_text = tokenizer, row, stop, on_text
        self._tokens: list[int] | None = None  # the prompt is put first
        self._passed = 0

    def put(self, value: Tensor) -> None:
        """Called by Transformers with the prompt, then with each new token."""
        if self._tokens is None:
            self._tokens = []
            return
        self._tokens += value.flatten().tolist()
        text = self._text()
        held = len(text) - len(text.rstrip("\ufffd"))  # bytes of a character that is not whole
        for stop in self._stop:
            begun = (n for n in range(len(stop) - 1, held, -1) if text.endswith(stop[:n]))
            held = next(begun, held)
        self._pass(text[: len(text) - held])

    def end(self) -> None:
        """Called by Transformers when there are no more tokens."""
        self._pass(self._text())

    def _text(self) -> str:
        whole = _text(self._tokenizer, self._row, self._tokens or [])
        return _before_stop(whole, self._stop)

    def _pass(self, text: str) -> None:
        if len(text) > self._passed:
            self._on_text(text[self._passed :])
            self._passed = len(text)


def _drawing(settings: GenerateConfig, batch: Sequence[_Row]) -> Iterator[Any]:
    """What turns scores [B, V] into ones whose largest is the token drawn; nothing to draw none."""
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
        shape = scores.shape[1:]
        draws = [torch.empty(shape).exponential_(generator=one) for one in generators]
        return scores - torch.stack(draws).log().to(scores.device)

    yield add_gumbel_noise


def _generator(seed: int, row: _Row) -> torch.Generator:
    """A generator that only (seed, prompt, how often the prompt came before) decide."""
    state = np.random.SeedSequence([seed, row.before, *row.ids]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))

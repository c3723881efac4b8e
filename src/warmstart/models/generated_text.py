"""The text of generated tokens: where it ends, and how it is streamed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A prompt to continue once (or, with beam search, ``count`` times)."""

    index: int
    """Index of its first continuation in the results."""
    prompt: str
    ids: tuple[int, ...]
    repeat: int
    """Number of earlier rows with the same prompt."""
    max_new: int
    """Largest number of new tokens."""


def new_text(tokenizer: PreTrainedTokenizerBase, row: PromptRow, tokens: Sequence[int]) -> str:
    """The text that generated tokens add to the prompt.

    Decoding only the new tokens is not correct: some tokenizers drop a space at the beginning.
    """
    texts = [
        tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids in ([*row.ids], [*row.ids, *tokens])
    ]
    return str(texts[1][len(texts[0]) :])


def before_stop(text: str, stop: Sequence[str]) -> str:
    """``text`` up to the first stop text in it."""
    positions = [position for position in map(text.find, stop) if position >= 0]
    return text[: min(positions, default=len(text))]


class StopTexts:
    """Stopping criterion for Transformers: which rows contain a stop text.

    It compares decoded text, because a stop text may begin and end inside tokens. It has no state,
    because beam search reorders the rows between steps.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        batch: Sequence[PromptRow],
        stop: Sequence[str],
        width: int,
    ) -> None:
        self._tokenizer, self._batch, self._stop, self._width = tokenizer, batch, stop, width

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Which of B rows, int64 [B, L], contain a stop text, bool [B]; called by Transformers."""
        copies = len(input_ids) // len(self._batch)
        new = input_ids[:, self._width :].tolist()
        texts = [
            new_text(self._tokenizer, self._batch[i // copies], row) for i, row in enumerate(new)
        ]
        stopped = [any(stop in text for stop in self._stop) for text in texts]
        return torch.tensor(stopped, device=input_ids.device)


class TextStream:
    """Streamer for Transformers: passes complete characters to ``on_text`` as they are generated.

    Text that may be the beginning of a stop text is kept back until it is decided.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        row: PromptRow,
        stop: Sequence[str],
        on_text: Callable[[str], None],
    ) -> None:
        self._tokenizer, self._row, self._stop, self._on_text = tokenizer, row, stop, on_text
        self._tokens: list[int] | None = None  # None until the prompt was received
        self._sent = 0

    def put(self, value: Tensor) -> None:
        """Called by Transformers with the prompt first, then with each new token."""
        if self._tokens is None:
            self._tokens = []
            return
        self._tokens += value.flatten().tolist()
        text = self._text()
        held = len(text) - len(text.rstrip("\ufffd"))  # decoded bytes of an incomplete character
        for stop in self._stop:
            # The longest beginning of a stop text at the end of the text.
            partial = (n for n in range(len(stop) - 1, held, -1) if text.endswith(stop[:n]))
            held = next(partial, held)
        self._send(text[: len(text) - held])

    def end(self) -> None:
        """Called by Transformers after the last token."""
        self._send(self._text())

    def _text(self) -> str:
        text = new_text(self._tokenizer, self._row, self._tokens or [])
        return before_stop(text, self._stop)

    def _send(self, text: str) -> None:
        if len(text) > self._sent:
            self._on_text(text[self._sent :])
            self._sent = len(text)

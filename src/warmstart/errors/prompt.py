"""Texts of the errors about prompts: what a decoder is to go on with."""

from warmstart.errors.base import DataError, UsageError


def none_given() -> UsageError:
    """``warmstart generate`` without a prompt, and nobody at a terminal to ask for one."""
    return UsageError(
        found="no prompt, and no terminal to ask for one",
        expected="--prompt, once or several times; or --prompts with a file, one a line",
        do='warmstart generate RUN --prompt "Once upon a time"; or --prompts FILE; or, to begin '
        'from nothing, --prompt ""',
    )


def unusable(which: str, value: object) -> DataError:
    """Of the prompts one is no text, or a single string came for them all."""
    shown = repr(value)
    return DataError(
        found=f"{which} is {shown if len(shown) <= 40 else shown[:39] + '…'}",
        expected="a list of texts",
        do="run.generate(['one text', 'another'])",
    )


def too_long(which: str, tokens: int, limit: int) -> DataError:
    """A prompt leaves no room for a single new token in what the model can read."""
    return DataError(
        found=f"{which} has {tokens:,} tokens; the model reads {limit:,}, those it writes included",
        expected=f"at most {limit - 1:,} tokens, the one that begins a text included",
        do="shorten the prompt (its last part matters most), or choose a model that reads more",
    )


def nothing_to_begin_with(which: str) -> DataError:
    """An empty prompt for a model without a token that begins a text."""
    return DataError(
        found=f"{which} is empty, and the model has no token that begins a text",
        expected="a word at least",
        do='--prompt "The"',
    )


def no_training_rows(name: str) -> UsageError:
    """``--novelty`` for a checkpoint that no run here has trained."""
    return UsageError(
        found=f"--novelty with {name}, which is no run directory: its training rows are not known",
        expected="a run directory, which says what its model was trained on",
        do="warmstart generate RUN --prompt '…' --novelty; or leave --novelty out",
    )

"""Error messages about single texts: the prompts of text generation, and texts to predict."""

import shlex
from collections.abc import Sequence
from pathlib import PurePath

from warmstart.errors.base import ConfigError, DataError, UsageError


def none_given() -> UsageError:
    """``warmstart generate`` without a prompt and without a terminal to ask for one."""
    return UsageError(
        found="no prompt, and no terminal to ask for one",
        expected="--prompt, once or several times; or --prompts with a file, one prompt per line",
        do='warmstart generate RUN --prompt "Once upon a time"; or --prompts FILE; or, to generate '
        'without a prompt, --prompt ""',
    )


def table_of_prompts(file: str) -> DataError:
    """``--prompts`` names a table, whose lines are not prompts."""
    text_file = f"{PurePath(file).name.partition('.')[0]}.txt"
    return DataError(
        found=f"--prompts {file}: by its name, the file is a table",
        expected="a text file with one prompt per line",
        do=f"save its prompts as lines of a text file: --prompts {shlex.quote(text_file)}",
    )


def unusable(which: str, value: object) -> DataError:
    """A prompt is not a string, or one string was given in place of a list."""
    shown = repr(value)
    return DataError(
        found=f"{which} is {shown if len(shown) <= 40 else shown[:39] + '…'}",
        expected="a list of texts",
        do="run.generate(['one text', 'another'])",
    )


def not_unicode(which: str, text: str) -> DataError:
    """A text with bytes that are no UTF-8, or with half of a surrogate pair."""
    shown = ascii(text)
    return DataError(
        found=f"{which} is not valid Unicode: {shown if len(shown) <= 60 else shown[:59] + '…'}",
        expected="text in UTF-8",
        do="set the terminal to UTF-8 (export LC_ALL=C.UTF-8); or write the text into a file in"
        " UTF-8 and name the file (--data FILE; for generate: --prompts FILE)",
    )


def control_tokens(value: object, allowed: Sequence[str]) -> ConfigError:
    """An unknown way to read the names of control tokens in prompts."""
    return ConfigError(
        found=f"control_tokens={value!r}",
        expected=" or ".join(allowed),
        do=f"control_tokens={allowed[-1]!r} reads names such as <|endoftext|> as tokens, "
        f"{allowed[0]!r} like other text",
    )


def too_long(which: str, tokens: int, limit: int) -> DataError:
    """A prompt that leaves no room for a single new token within the model's maximum length."""
    return DataError(
        found=f"{which} has {tokens:,} tokens; the model's limit is {limit:,}, including the tokens"
        " that it generates",
        expected=f"at most {limit - 1:,} tokens, including the token that starts a text",
        do="shorten the prompt (its last part matters most), or choose a model with a higher limit",
    )


def no_short_prompt(limit: int) -> DataError:
    """No validation prompt leaves room for a new token, so no sample can be generated."""
    return DataError(
        found=f"all validation prompts fill the model's limit of {limit:,} tokens",
        expected="a validation row whose prompt leaves room for a new token",
        do="shorten the prompts, or choose a model with a higher limit",
    )


def empty_without_start_token(which: str) -> DataError:
    """An empty prompt for a model without a token that starts a text (BOS)."""
    return DataError(
        found=f"{which} is empty, and the model has no token that starts a text",
        expected="at least one word",
        do='--prompt "The"',
    )


def no_training_rows(name: str) -> UsageError:
    """``--novelty`` for a plain checkpoint, whose training rows are not known."""
    return UsageError(
        found=f"--novelty with {name}, which is not a run directory: its training rows are not "
        "known",
        expected="a run directory, which records the training rows of its model",
        do="warmstart generate RUN --prompt '…' --novelty; or leave --novelty out",
    )


def nothing_sampled(given: str) -> ConfigError:
    """A setting for sampling, ``given`` as it was written, although the temperature is 0."""
    return ConfigError(
        found=f"{given} is given, and the temperature is 0",
        expected="settings for sampling only with a temperature above 0; at 0, the most likely "
        "token is always chosen",
        do=f"leave out {given}, or set the temperature to 1",
    )


def empty_stop() -> UsageError:
    """An empty stop text, which every text contains."""
    return UsageError(
        found="--stop is given with an empty text",
        expected="a text that ends the generation, such as --stop END",
        do="leave out --stop to generate without stop texts",
    )

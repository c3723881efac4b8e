"""Error messages about rows of which a language model can learn nothing."""

from warmstart.errors.base import DataError
from warmstart.errors.counts import counted, form


def prompts_fill_rows(setting: str, rows: int, where: str, max_tokens: int) -> DataError:
    """Every prompt leaves no room for a token of the text after it."""
    return DataError(
        found=f"{setting} has {counted(rows, 'row')}, and "
        f"{form(rows, 'its prompt', 'every prompt')} fills the {max_tokens:,} tokens of a row "
        f"(first: {where}): there is nothing left to predict",
        expected="prompts shorter than model.max_tokens, with room for the text after them",
        do="--set data.long_documents=chunk, which learns the text of long rows in further pieces; "
        "or shorten the prompts; or raise model.max_tokens if the model's own limit is higher",
    )


def no_known_token(setting: str, rows: int, where: str) -> DataError:
    """The tokenizer knows no character of any text."""
    return DataError(
        found=f"{setting} has {counted(rows, 'text')}, and the model's tokenizer knows no "
        f"character of {form(rows, 'it', 'them')} (first: {where}): there is no token to predict",
        expected="texts in a language and script of the model's vocabulary",
        do="check that data.text names the column with the texts; or set model.name to a model for "
        "the language of the texts",
    )

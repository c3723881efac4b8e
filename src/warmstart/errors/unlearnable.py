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


def only_single_sentences(setting: str, documents: int, where: str) -> DataError:
    """No document has two sentences, so no sentence has a next one."""
    return DataError(
        found=f"{setting} has {counted(documents, 'document')}, and none of them has two sentences "
        f"(first: {where}): no sentence has a next one",
        expected="rows that are whole documents, with one sentence per line, or with sentences "
        "that end in . ! ? or 。！？",
        do="check that data.text names the column with the documents; if each row of the file is a "
        "sentence, put the sentences of a document into one row, separated by line breaks",
    )


def one_document(setting: str, pairs: int, where: str) -> DataError:
    """All pairs of a split are from one document, so there is no other one to draw from."""
    return DataError(
        found=f"{setting}: {form(pairs, 'the only pair', f'all {pairs:,} pairs')} of a split "
        f"{form(pairs, 'is', 'are')} from one document ({where}): there is no other document to "
        "draw a random segment from",
        expected="at least two documents of two or more sentences in each split",
        do="add documents; or cut a long document into several rows, for example its chapters; if "
        "only the validation split is too small, raise data.validation or name a file there",
    )


def documents_with_pairs(path: str, column: str) -> DataError:
    """A file of documents has the column in which the second segments are put."""
    return DataError(
        found=f"{path} has a column {column!r}, the value of data.text_pair",
        expected="documents in the column data.text: the task itself cuts them into segments and "
        "pairs these",
        do=f"for documents, --set data.text_pair={column}_drawn, or another name that no column "
        "has; for pairs with a label in the file, task=text-classification",
    )

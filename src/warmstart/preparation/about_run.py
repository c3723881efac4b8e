"""Findings about a run that follow from its settings, its model and its rows together."""

from collections.abc import Mapping

from warmstart.config import RunConfig
from warmstart.data.checking.label_messages import Finding, rows_of
from warmstart.data.checking.language import about_language
from warmstart.data.table import Table
from warmstart.data.tags.word_table import WORDS
from warmstart.errors.counts import counted, form
from warmstart.models.checkpoints.load import Checkpoint
from warmstart.tasks.capabilities import Generates
from warmstart.tasks.task import AnyTask


def about_limit(
    config: RunConfig, tables: Mapping[str, Table], whole: Mapping[str, Table]
) -> list[Finding]:
    """A message if only a sample of the training rows is used.

    Args:
        config: the settings.
        tables: the rows of each split.
        whole: the same without the limit.
    """
    if config.data.limit is None:
        return []
    used = len(tables["train"])
    text = (
        f"only {used:,} of {rows_of(len(whole['train']), 'training')} "
        f"{form(used, 'is', 'are')} used (data.limit={config.data.limit})"
    )
    return [Finding("info", text)]


def about_run(
    task: AnyTask, table: Table, config: RunConfig, checkpoint: Checkpoint
) -> list[Finding]:
    """Messages about texts that the model does not know, and about tokens that are new to it.

    Args:
        task: what is learned.
        table: the training rows.
        config: names the columns.
        checkpoint: where training starts.
    """
    columns = {*config.data.text_columns.values(), WORDS}
    found = about_language(table, columns, checkpoint.name, generates=isinstance(task, Generates))
    return [*found, *_about_new_tokens(config, checkpoint)]


def _about_new_tokens(config: RunConfig, checkpoint: Checkpoint) -> list[Finding]:
    """A message if adapters also train the vectors of new tokens."""
    new = checkpoint.tokenizer.convert_ids_to_tokens(list(checkpoint.new_tokens))
    if config.train.lora is None or not new:
        return []
    tokens = f"{counted(len(new), 'token')} {form(len(new), 'is', 'are')} new"
    text = f"{tokens} ({', '.join(new)}): train.lora also trains their vectors in the embedding"
    return [Finding("info", text)]

"""``model.name: auto``: a checkpoint for the language of the rows, their number, and the device.

For classification and tagging, small models are chosen on a CPU, and larger ones with an
accelerator; for few rows, checkpoints that were trained for sentence embeddings
(``models.checkpoints.fitting_model``). If the model that was chosen cannot be used, for example
because the Hub is out of reach, the bundled model is used, with a warning.

The name that was chosen is written to the run's ``config.yaml``.
"""

from typing import NamedTuple

from warmstart import errors
from warmstart.config import RunConfig
from warmstart.data.checking.label_messages import Finding
from warmstart.data.checking.language import LANGUAGES, languages
from warmstart.data.table import Table
from warmstart.data.tags.word_table import WORDS
from warmstart.devices.device import device_type
from warmstart.models.checkpoints.bundled import PREFIX
from warmstart.models.checkpoints.configuration import Head
from warmstart.models.checkpoints.fitting_model import bundled_model, fitting_model
from warmstart.models.checkpoints.load import find
from warmstart.models.tuning.auto_settings import Choice
from warmstart.preparation.auto import with_model_setting

AUTO = "auto"

FEW_ROWS = 1000
"""With fewer training rows, a checkpoint for sentence embeddings is preferred."""


class Chosen(NamedTuple):
    """The settings with a model.

    Args:
        config: every setting; ``model.name`` is a checkpoint.
        choices: the choice, if it was made here.
        findings: a warning if the model that was chosen cannot be reached.
    """

    config: RunConfig
    choices: list[Choice]
    findings: list[Finding]


def with_model(config: RunConfig, rows: Table, head: Head) -> Chosen:
    """Choose a checkpoint if ``model.name`` is ``auto``.

    Args:
        config: the settings as given.
        rows: the training rows.
        head: the head that the task needs.

    Raises:
        ConfigError: no model is known for text generation in this language, or a revision is set.
    """
    if config.model.name != AUTO:
        return Chosen(config, [], [])
    if config.model.revision is not None:
        raise errors.checkpoint.revision_of_auto(config.model.revision)
    found = languages(rows, {*config.data.text_columns.values(), WORDS})
    language = found.most_common(1)[0][0] if found else "en"
    large = device_type(config.train) != "cpu"
    name = fitting_model(language, head, large=large, few=len(rows) < FEW_ROWS)
    shown = LANGUAGES.get(language, "English" if language == "en" else language)
    if not found:
        shown = "a language that was not recognised"
    if name is None:
        raise errors.checkpoint.no_decoder(shown)
    reason = f"{shown}, {len(rows):,} rows, {'an accelerator' if large else 'a CPU'}"
    findings = []
    if not name.startswith(PREFIX):
        try:
            find(with_model_setting(config, "name", name).model, head)
        except errors.ModelError as problem:
            own = bundled_model(head)
            text = f"model.name=auto chose {name}, but {problem.found}; {own} is used instead"
            findings.append(Finding("warning", text))
            name, reason = own, "the model that was chosen cannot be used"
    return Chosen(
        with_model_setting(config, "name", name), [Choice("model.name", name, reason)], findings
    )

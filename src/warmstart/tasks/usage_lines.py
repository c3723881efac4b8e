"""Parts of ``Usage`` that tasks with a label for each row share."""

from warmstart.config import DataConfig


def predict_command(data: DataConfig) -> str:
    """For ``Usage.command`` of a task with a label for each row: predict one text, or one pair.

    Args:
        data: the settings of the run.
    """
    return 'warmstart predict {run} --text "…"' + ' --text-pair "…"' * (data.text_pair is not None)


def example_row(data: DataConfig) -> str:
    """For ``Usage.python`` of such a task: a text, or a pair of texts, as an input of a pipeline.

    Args:
        data: the settings of the run.
    """
    if data.text_pair is None:
        return '"Your text here."'
    return '{"text": "Your text here.", "text_pair": "The second text."}'


def window_limits(data: DataConfig) -> tuple[str, ...]:
    """For ``Usage.limits`` of a task with a label for each row: what long rows need, if any.

    Args:
        data: the settings of the run.
    """
    if data.long_documents != "chunk":
        return ()
    sentence = (
        "It was trained to read long texts in windows and to average their logits, as warmstart's "
        "own prediction does; the lines of Python above read only the beginning of a long text."
    )
    return (sentence,)


def temperature_limits(temperature: float | None, function: str) -> tuple[str, ...]:
    """For ``Usage.limits`` of a task that may have a temperature: where it is not applied.

    Args:
        temperature: divides the logits; None if the model is not calibrated.
        function: what makes probabilities of logits, ``softmax`` or ``sigmoid``.
    """
    if temperature is None:
        return ()
    sentence = (
        "Its weights do not contain the temperature, which warmstart applies: the lines of Python "
        "above give the probabilities before calibration. To calibrate them, divide the logits "
        f"by {temperature:.4g} before the {function}."
    )
    return (sentence,)

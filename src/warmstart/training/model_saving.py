"""Save the model of a run into its ``model/`` folder, in the form that its task needs."""

from torch import Tensor
from transformers import PreTrainedModel

from warmstart.runs.model_folder import save_model_folder
from warmstart.tasks.capabilities import ReadsWords
from warmstart.training.job import Job


def save_run_model(
    job: Job, model: PreTrainedModel, weights: dict[str, Tensor] | None = None
) -> None:
    """Write or replace ``model/``.

    Args:
        job: the training job.
        model: the model, not wrapped by accelerate.
        weights: weights by name, saved instead of the model's own.

    Raises:
        RunError: the disk is full, or writing is not permitted; an older ``model/`` is intact.
    """
    words = isinstance(job.task, ReadsWords)
    save_model_folder(job.run, model, job.tokenizer, job.max_tokens, weights, reads_words=words)

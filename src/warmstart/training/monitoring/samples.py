"""Generate samples during and after training, and compare the final ones with the training rows.

During training, one text is generated every few steps, always with the same seed, which shows how
the style develops. At the end several texts are generated with the best model, and their novelty is
measured. Prompts are those of the first validation rows; without a prompt column they are empty.

Sampling uses its own generators (``models.generation``) and does not affect other random numbers.
"""

from typing import Any

from transformers import PreTrainedModel

from warmstart.data.examples.tokenise import CHUNK_ROWS
from warmstart.evaluation.novelty import novelty
from warmstart.models.checkpoints.special_tokens import begin_and_end
from warmstart.models.generation import Generation, generate
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.tasks.capabilities import Generates
from warmstart.training.job import Job

FINAL_SAMPLES = 16
"""Number of generated texts whose novelty is measured."""


def sample_is_due(job: Job, plan: Plan, step: int) -> bool:
    """Whether a sample is generated after ``step``."""
    if not isinstance(job.task, Generates) or not job.processes.first:
        return False
    every = job.config.sample_every_steps
    return plan.evaluates_after(step) if every is None else (step + 1) % every == 0


def write_sample(job: Job, step: int, epoch: float) -> None:
    """Generate one text and write it to the event log."""
    assert isinstance(job.task, Generates)
    prompts = job.task.prompts(job.validation_split.table, 1)
    for sample in _generate(job, job.model, prompts):
        job.log.write({"event": "sample", "step": step, "epoch": epoch, **_sample_json(sample)})


def write_final_samples(prepared: Prepared, job: Job, model: PreTrainedModel) -> None:
    """Generate texts with the best model, and write them with their novelty to ``samples.json``.

    Args:
        prepared: the prepared data, with the training rows.
        job: the training job.
        model: the best model, on its device.
    """
    if not isinstance(job.task, Generates) or not job.processes.first:
        return
    prompts = job.task.prompts(prepared.splits["validation"].table, FINAL_SAMPLES)
    samples = _generate(job, model, prompts)
    column = {"data.text": prepared.config.data.text}
    training = (
        text for chunk in prepared.tables["train"].chunks(column, CHUNK_ROWS) for text in chunk
    )
    content = {
        "settings": prepared.config.generate.model_dump(),
        "samples": [_sample_json(sample) for sample in samples],
        "novelty": novelty([sample.text for sample in samples], training).to_json(),
    }
    job.run.write_json("samples.json", content)


def _generate(job: Job, model: PreTrainedModel, prompts: list[str]) -> list[Generation]:
    begin, end = begin_and_end(job.tokenizer)
    settings = job.settings.generate
    return generate(
        model, job.tokenizer, prompts, settings, bos=begin, eos=end, max_positions=job.max_tokens
    )


def _sample_json(sample: Generation) -> dict[str, Any]:
    return {"prompt": sample.prompt, "text": sample.text, "finish": sample.finish}

"""What a model writes while it learns, and what its writing owes to the training rows.

Every few steps one text under the same seed, so that one can read the style appear; at the end
several from the kept model, held against the training rows. Texts begin with nothing, or where
prompts are learned with those of the first validation rows.

Samples come from the generator of their own settings (``generate``): they move no other draw.
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
"""Texts that are held against the training rows."""


def sample_is_due(job: Job, plan: Plan, step: int) -> bool:
    """Whether the model shows what it writes once ``step`` is done."""
    if not isinstance(job.task, Generates) or not job.processes.first:
        return False
    every = job.config.sample_every_steps
    return plan.evaluates_after(step) if every is None else (step + 1) % every == 0


def write_sample(job: Job, step: int, epoch: float) -> None:
    """Have the model write one text, and put it into the events."""
    assert isinstance(job.task, Generates)
    prompts = job.task.prompts(job.validation_split.table, 1)
    for found in _write(job, job.model, prompts):
        job.log.write({"event": "sample", "step": step, "epoch": epoch, **_sample_json(found)})


def write_final_samples(prepared: Prepared, job: Job, model: PreTrainedModel) -> None:
    """Have the kept model write texts, and say in ``samples.json`` how new they are.

    Args:
        prepared: with the training rows.
        job: of the run.
        model: the kept one, on its device.
    """
    if not isinstance(job.task, Generates) or not job.processes.first:
        return
    prompts = job.task.prompts(prepared.splits["validation"].table, FINAL_SAMPLES)
    found = _write(job, model, prompts)
    column = {"data.text": prepared.config.data.text}
    training = (
        text for chunk in prepared.tables["train"].chunks(column, CHUNK_ROWS) for text in chunk
    )
    content = {
        "settings": prepared.config.generate.model_dump(),
        "samples": [_sample_json(one) for one in found],
        "novelty": novelty([one.text for one in found], training).to_json(),
    }
    job.run.write_json("samples.json", content)


def _write(job: Job, model: PreTrainedModel, prompts: list[str]) -> list[Generation]:
    begin, end = begin_and_end(job.tokenizer)
    settings = job.settings.generate
    return generate(
        model, job.tokenizer, prompts, settings, bos=begin, eos=end, max_positions=job.max_tokens
    )


def _sample_json(found: Generation) -> dict[str, Any]:
    return {"prompt": found.prompt, "text": found.text, "finish": found.finish}

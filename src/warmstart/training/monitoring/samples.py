"""Generate samples during and after training, and compare the final ones with the training rows.

During training, one text is generated every few steps, always with the same seed, which shows how
the style develops. At the end several texts are generated with the best model, and their novelty is
measured. Prompts are the first of the validation rows that leave room for a new token (of the
training rows, if there are no others); without a prompt column they are empty. Samples are only for
show: if they cannot be made, a notice says why.

Sampling uses its own generators (``models.generation``) and does not affect other random numbers.
"""

from itertools import islice
from typing import Any

from transformers import PreTrainedModel

from warmstart import errors
from warmstart.data.examples.tokenise import CHUNK_ROWS, control_in_text
from warmstart.errors.counts import counted
from warmstart.evaluation.novelty import novelty
from warmstart.models.checkpoints.special_tokens import begin_and_end
from warmstart.models.generation import Generation, encode_prompts, generate
from warmstart.preparation.plan import Plan
from warmstart.preparation.prepare import Prepared
from warmstart.runs.only_shown import only_shown
from warmstart.tasks.capabilities import Generates
from warmstart.training.job import Job

FINAL_SAMPLES = 16
"""Number of generated texts whose novelty is measured."""

PROMPTS_TRIED = 1000
"""Number of prompts among which those are searched that leave room for a new token."""


def sample_is_due(job: Job, plan: Plan, step: int) -> bool:
    """Whether a sample is generated after ``step``."""
    if not isinstance(job.task, Generates) or not job.processes.first:
        return False
    every = job.config.sample_every_steps
    return plan.evaluates_after(step) if every is None else (step + 1) % every == 0


def write_sample(job: Job, step: int, epoch: float) -> None:
    """Generate one text and write it to the event log."""
    with only_shown(f"samples after {counted(step + 1, 'step')}", job.log.notice):
        for sample in _generate(job, job.model, _prompts(job, 1)):
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
    with only_shown("samples.json and the novelty report", job.log.notice):
        job.run.write_json("samples.json", final_samples(prepared, job, model))


def final_samples(prepared: Prepared, job: Job, model: PreTrainedModel) -> dict[str, Any]:
    """The content of ``samples.json``; nothing is written.

    Args:
        prepared: the prepared data, with the training rows.
        job: the training job of a task that generates.
        model: the best model, on its device.

    Raises:
        DataError: no prompt leaves room for a new token.
    """
    prompts = _prompts(job, FINAL_SAMPLES)
    if not prompts:
        raise errors.prompt.no_short_prompt(job.max_tokens)
    return _final_content(prepared, _generate(job, model, prompts))


def _final_content(prepared: Prepared, samples: list[Generation]) -> dict[str, Any]:
    column = {"data.text": prepared.config.data.text}
    training = (
        text for chunk in prepared.tables["train"].chunks(column, CHUNK_ROWS) for text in chunk
    )
    return {
        "settings": prepared.config.generate.model_dump(),
        "samples": [_sample_json(sample) for sample in samples],
        "novelty": novelty([sample.text for sample in samples], training).to_json(),
    }


def _prompts(job: Job, count: int) -> list[str]:
    """The first prompts of these rows that leave room for a new token; may be none."""
    assert isinstance(job.task, Generates)
    begin, _ = begin_and_end(job.tokenizer)
    control = control_in_text(job.tokenizer, job.settings.data.control_tokens)

    def leaves_room(prompt: str) -> bool:
        try:
            encode_prompts(job.tokenizer, [prompt], begin, job.max_tokens, control)
        except errors.DataError:
            return False
        return True

    tried = islice(job.task.prompts(job.prompt_rows), PROMPTS_TRIED)
    return list(islice(filter(leaves_room, tried), count))


def _generate(job: Job, model: PreTrainedModel, prompts: list[str]) -> list[Generation]:
    begin, end = begin_and_end(job.tokenizer)
    settings = job.settings.generate
    return generate(
        model,
        job.tokenizer,
        prompts,
        settings,
        bos=begin,
        eos=end,
        max_positions=job.max_tokens,
        control=control_in_text(job.tokenizer, job.settings.data.control_tokens),
    )


def _sample_json(sample: Generation) -> dict[str, Any]:
    return {"prompt": sample.prompt, "text": sample.text, "finish": sample.finish}

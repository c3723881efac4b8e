"""How a model for question answering is used with Transformers alone, and what it cannot do."""

from warmstart.tasks.task import Usage

_PYTHON = """\
import re

import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("model")
model = AutoModelForQuestionAnswering.from_pretrained("model")
question, context = "Who lives here?", "Your text here."
inputs = tokenizer(question, context, return_tensors="pt")
with torch.no_grad():
    output = model(**inputs)
scores = output.start_logits[0][:, None] + output.end_logits[0]  # [tokens, tokens]
inside = torch.tensor([side == 1 for side in inputs.sequence_ids()])  # tokens of the context
allowed = inside & inside[:, None] & torch.ones_like(scores).triu().tril({most} - 1).bool()
start, end = divmod(scores.masked_fill(~allowed, -torch.inf).argmax().item(), len(scores))
start, end = inputs.token_to_chars(start).start, inputs.token_to_chars(end).end
one = "\\u3040-\\u30ff\\u3400-\\u9fff"  # each of these characters is a word
words = [word.span() for word in re.finditer(rf"[{one}]|[^\\W{one}]+|\\S", context)]
start = min(begin for begin, stop in words if stop > start)  # whole words
end = max(stop for begin, stop in words if begin < end)
context[start:end]"""


def answer_usage(threshold: float | None, most_tokens: int) -> Usage:
    """The lines for the model card.

    Args:
        threshold: as in ``QuestionAnswering``.
        most_tokens: largest number of tokens of an answer.
    """
    limits = [
        "It copies a part of the context, and cannot combine or compute anything.",
        "Its confidence is the probability that the span starts and ends there, in one window of "
        "the context; it is not calibrated.",
    ]
    if threshold is None:
        limits.append(
            "It gives an answer to every question, also to one that its context does not answer: "
            "all training questions have an answer."
        )
    else:
        limits.append(
            "These lines always give an answer; warmstart predict gives none if no answer is more "
            f"probable than the best one (threshold {threshold:.3g} of the difference of "
            "logarithms)."
        )
    return Usage(
        command='warmstart predict {run} --text "Who lives here?" --text-pair "…"',
        python=_PYTHON.replace("{most}", str(most_tokens)),
        note="warmstart also reads contexts longer than the model's limit, and gives the next best "
        "answers (`--top-k`)",
        limits=tuple(limits),
    )

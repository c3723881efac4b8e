"""Other ways of training a decoder: the ``Trainer``, and the loop of GPT-2 tutorials.

For every engine, a document is ``begin text end``, truncated at the longest input. The checkpoint's
tokenizer has the tokens that GPT-2 tutorials add (``<|startoftext|>``, ``<|pad|>``). So the pad
token differs from the end token, and the ``Trainer``'s collator, which ignores every label equal to
the pad token, trains on the same tokens as warmstart.

The loss of each timed step is recorded with its time. All engines start from the same weights and
use the same batches, so the losses show whether they compute the same.

Source of the loop: GPT-2 fine-tuning tutorials that pad every document to 768 tokens and use the
padded ids as labels, with batches of 2 and without clipping.
"""

from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.materials import Setup, documents
from benchmarks.outcome import Row
from benchmarks.peers import arguments, quiet, ticking, total_steps
from benchmarks.window import Window

ROWS_AT_ONCE = 2
"""Rows per forward pass of the padded loop, as in the tutorials; 8 rows would need 22 GB."""


def language_trainer(setup: Setup, window: Window) -> Row:
    """Train with the ``Trainer`` and its collator for language models, on the window's batches.

    Args:
        setup: documents, checkpoint and settings.
        window: measures the steps.
    """
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForLanguageModeling,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    quiet()
    tokenizer = AutoTokenizer.from_pretrained(setup.checkpoint)
    set_seed(setup.train_config.seed)
    model = AutoModelForCausalLM.from_pretrained(setup.checkpoint)
    rows = documents(setup.train.texts, tokenizer, setup.max_tokens)
    with TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                **arguments(setup, Path(folder)),
                train_sampling_strategy="sequential",
                save_strategy="no",
                logging_steps=1,
            ),
            train_dataset=[{"input_ids": rows[i]} for i in window.positions],
            processing_class=tokenizer,
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        )
        trainer.remove_callback(PrinterCallback)  # stdout is for the result
        trainer.add_callback(ticking(window))
        window.watch(model)
        trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    # Transformers 5.23 divides GPT-2's loss by the number of all tokens, including the first token
    # of each row, which is not predicted (``Trainer._loss_shifts_labels`` does not know
    # ``GPT2LMHeadModel``). Correct this here.
    losses = []
    for loss, batch in zip(logged, window.batches or (), strict=True):
        tokens = sum(window.lengths[i] for i in batch)
        losses.append(loss * tokens / (tokens - len(batch)))
    return {"training_loss": fmean(losses[window.warmup_steps :])}


def language_loop(setup: Setup, window: Window, *, pad_to: int) -> Row:
    """Train with the tutorials' loop: every row is padded, and padding tokens are trained too.

    The rows of a step are processed ``ROWS_AT_ONCE`` at a time, and their gradients are summed.

    Args:
        setup: documents, checkpoint and settings.
        window: measures the steps.
        pad_to: number of tokens of every row.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, get_linear_schedule_with_warmup

    quiet()
    config = setup.train_config
    torch.manual_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(setup.checkpoint)
    rows = documents(setup.train.texts, tokenizer, min(pad_to, setup.max_tokens))
    padded = tokenizer.pad(
        {"input_ids": rows}, padding="max_length", max_length=pad_to, return_tensors="pt"
    )
    ids, mask = padded["input_ids"], padded["attention_mask"]
    model = AutoModelForCausalLM.from_pretrained(setup.checkpoint)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, eps=config.adam_epsilon
    )
    scheduler = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]
        optimizer, config.warmup_steps or 0, total_steps(len(setup.train), config)
    )
    model.train()
    for batch in window.batches or ():
        window.see(len(batch), int(mask[batch].sum()))
        model.zero_grad()
        for start in range(0, len(batch), ROWS_AT_ONCE):
            part = batch[start : start + ROWS_AT_ONCE]
            loss = model(ids[part], attention_mask=mask[part], labels=ids[part]).loss
            (loss * len(part) / len(batch)).backward()
            loss.item()
        optimizer.step()
        scheduler.step()
        if window.tick():
            break
    return {}

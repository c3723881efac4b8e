"""The usual ways of teaching a language model, as ``peers`` and ``tutorial`` are for classifiers.

A document is ``begin text end``, cut at the longest that the model is given, for every engine; the
checkpoint's tokenizer has the tokens that the GPT-2 tutorials add (``<|startoftext|>``,
``<|pad|>``), so that what fills a row is no end of a text and the ``Trainer``'s collator, which
leaves out whatever equals the pad token, learns the same tokens that warmstart learns.

The loss of each timed step is kept beside its time: from the same weights and the same batches it
says whether two engines learned the same thing.

Source of the loop: the GPT-2 fine-tuning tutorials that pad every document to 768 tokens and give
the padded ids as labels; batches of 2 there, and no clipping.
"""

from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

from benchmarks.materials import Setup, documents
from benchmarks.outcome import Row
from benchmarks.peers import arguments, quiet, ticking, total_steps
from benchmarks.window import Window

ROWS_AT_ONCE = 2
"""Of the padded loop, the tutorials' batch: 8 rows of 768 tokens would take 22 GB at once."""


def language_trainer(setup: Setup, window: Window) -> Row:
    """Train with the ``Trainer`` and its collator for language models, on the window's batches.

    Args:
        setup: documents, checkpoint and settings.
        window: what is timed.
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
        made = Trainer(
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
        made.remove_callback(PrinterCallback)  # stdout is for the result
        made.add_callback(ticking(window))
        window.watch(model)
        made.train()
    logged = [entry["loss"] for entry in made.state.log_history if "loss" in entry]
    # Transformers 5.23 divides GPT-2's loss by all tokens, those too that nothing predicts: the
    # first of each row (``Trainer._loss_shifts_labels`` does not know ``GPT2LMHeadModel``).
    losses = []
    for loss, batch in zip(logged, window.batches or (), strict=True):
        tokens = sum(window.lengths[i] for i in batch)
        losses.append(loss * tokens / (tokens - len(batch)))
    return {"training_loss": fmean(losses[window.warmup_steps :])}


def language_loop(setup: Setup, window: Window, *, pad_to: int) -> Row:
    """Train with the tutorials' loop: every row padded, the filling learned too.

    A step's rows are computed ``ROWS_AT_ONCE`` at a time and their gradients added up.

    Args:
        setup: documents, checkpoint and settings.
        window: what is timed.
        pad_to: tokens of every row.
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

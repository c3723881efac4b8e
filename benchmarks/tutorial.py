"""The training loop of most BERT tutorials, reimplemented in plain PyTorch.

All rows are padded to the same width before training. AdamW has PyTorch's defaults, gradients are
clipped to norm 1, the rate decays linearly, and the loss is copied to the CPU at every step. Rows
are shuffled in each epoch; in a timed window, batches are the same as warmstart's.

Source: Transformers' documentation, "Fine-tuning", section on native PyTorch, and the tutorials
based on it.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.corpora import Rows
from benchmarks.materials import Setup
from benchmarks.outcome import Row
from benchmarks.peers import quiet, total_steps
from benchmarks.window import Window


def tutorial_loop(setup: Setup, window: Window, *, pad_to: int) -> Row:
    """Train with the loop.

    Args:
        setup: rows, checkpoint and settings.
        window: measures the steps.
        pad_to: number of tokens of every row.
    """
    import torch
    from torch.utils.data import DataLoader
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        get_linear_schedule_with_warmup,
    )

    quiet()
    config = setup.train_config
    torch.manual_seed(config.seed)
    tokenizer = AutoTokenizer.from_pretrained(setup.checkpoint)
    train, validation = (
        _padded(tokenizer, part, pad_to) for part in (setup.train, setup.validation)
    )
    batching: dict[str, Any] = {"batch_sampler": window.batches}
    if window.batches is None:
        batching = {"batch_size": config.batch_size, "shuffle": True}
    loader = DataLoader(train, **batching)
    model = AutoModelForSequenceClassification.from_pretrained(setup.checkpoint, num_labels=2)
    if setup.frozen:
        model.base_model.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        eps=config.adam_epsilon,
        weight_decay=config.weight_decay,
    )
    scheduler = get_linear_schedule_with_warmup(  # type: ignore[no-untyped-call]
        optimizer, config.warmup_steps or 0, total_steps(len(setup.train), config)
    )
    window.watch(model)
    window.start()
    scores = []
    for _ in range(config.epochs):
        model.train()
        total_loss = 0.0
        for ids, mask, types, labels in loader:
            model.zero_grad()
            output = model(input_ids=ids, attention_mask=mask, token_type_ids=types, labels=labels)
            total_loss += output.loss.item()
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            if window.tick():
                return {}
        scores.append(_matthews(model, DataLoader(validation, batch_size=config.batch_size)))
    with TemporaryDirectory() as folder:
        model.save_pretrained(Path(folder))
    window.finish()
    return {"validation_mcc": scores[-1]}


def _padded(tokenizer: Any, rows: Rows, width: int) -> Any:
    """A ``TensorDataset`` of ids, mask, types [N, width] and labels [N]."""
    import torch
    from torch.utils.data import TensorDataset

    encoded = tokenizer(
        *map(list, rows.columns),
        padding="max_length",
        truncation=True,
        max_length=width,
        return_token_type_ids=True,
        return_tensors="pt",
    )
    names = ("input_ids", "attention_mask", "token_type_ids")
    return TensorDataset(*(encoded[name] for name in names), torch.tensor(rows.labels))


def _matthews(model: Any, loader: Any) -> float:
    """Matthews correlation of the model's predictions, as the tutorials compute it for CoLA."""
    import torch
    from sklearn.metrics import matthews_corrcoef

    model.eval()
    predictions, truth = [], []
    for ids, mask, types, labels in loader:
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, token_type_ids=types).logits
        predictions += logits.argmax(-1).tolist()
        truth += labels.tolist()
    return float(matthews_corrcoef(truth, predictions))

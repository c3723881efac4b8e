"""Speed of text generation, compared with Transformers' ``generate``.

A GPT-2 with random weights generates 100 tokens for each of sixteen prompts, which are the first
words of biographies and have different lengths. It uses greedy search (``gpt2-greedy``) or samples
from the 50 most likely tokens (``gpt2-sampled``). Engines:

- ``warmstart``: ``models.generation.generate``, as ``warmstart generate`` calls it;
- ``transformers-generate``: one call of ``model.generate``, with the batch padded on the left;
- ``transformers-generate-1``: one call of ``model.generate`` for each prompt.

Engines alternate as in ``training``. Each measurement has its own process and starts with a few
untimed tokens. For greedy search, the tokens of all engines are compared.
"""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import corpora, materials
from benchmarks.machine import own_process, peak_mib
from benchmarks.outcome import Outcome, Row, Verdict
from benchmarks.training import DATA, abba, ratio
from benchmarks.workloads import GPT2
from warmstart.config import GenerateConfig

DESCRIPTION = "tokens per second of text generation, compared with `generate`"
OURS = "warmstart"
PROMPTS, NEW_TOKENS, WARM_UP_TOKENS = 16, 100, 3
WORKLOADS = {"gpt2-greedy": 0.0, "gpt2-sampled": 1.0}
"""Temperature of each workload; 0 is greedy search."""
TOP_K, TOP_P = 50, 0.95
TARGETS = {"transformers-generate": 0.95, "transformers-generate-1": 4.0}

Tokens = list[list[int]]


def add_options(parser: ArgumentParser) -> None:
    """Add the options for repeats, number of tokens and data."""
    parser.add_argument("--repeats", type=int, default=3, help="measurements per engine; default 3")
    parser.add_argument(
        "--steps", type=int, metavar="TOKENS", help=f"new tokens; default {NEW_TOKENS}"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"data sets; default {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Measure both workloads with every engine."""
    with TemporaryDirectory() as folder:
        checkpoint = own_process(materials.random_gpt2, GPT2, options.data, Path(folder))
        prompts = first_words(corpora.artist_bios(options.data).texts[:PROMPTS])
        rows, verdicts = [], []
        for name, temperature in WORKLOADS.items():
            runs: list[Row] = []
            for turn, engine in abba(list(ENGINES), options.repeats):
                print(f"generation: {name}, turn {turn + 1}: {engine} …", file=sys.stderr)
                new = options.steps or NEW_TOKENS
                settings = (engine, checkpoint, prompts, new, temperature, turn + 1, time.time())
                runs.append(own_process(measure, *settings))
            rows += [summary(name, engine, runs) for engine in ENGINES]
            verdicts += judge(name, runs)
    return Outcome(rows, verdicts)


def first_words(texts: Sequence[str]) -> list[str]:
    """The first 4 words of the first text, 5 words of the second, and so on.

    >>> first_words(["a b c d e f", "a b c d e f"])
    ['a b c d', 'a b c d e']
    """
    return [" ".join(text.split()[: 4 + i]) for i, text in enumerate(texts)]


def measure(
    engine: str,
    checkpoint: Path,
    prompts: Sequence[str],
    new_tokens: int,
    temperature: float,
    seed: int,
    started_at: float,
) -> Row:
    """Measure one engine once; runs in its own process.

    Args:
        engine: name of the engine.
        checkpoint: a folder that Transformers can load.
        prompts: the prompts.
        new_tokens: number of tokens to generate for each prompt.
        temperature: temperature of sampling; 0 is greedy search.
        seed: seed of sampling.
        started_at: time when this process was requested, in seconds since 1970.

    Raises:
        ValueError: the engine generated a different number of tokens.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    torch.manual_seed(seed)
    generate = partial(ENGINES[engine], model, tokenizer, temperature=temperature, seed=seed)
    generate(prompts[:2], new_tokens=WARM_UP_TOKENS)
    startup = time.time() - started_at
    began, cpu_began = time.perf_counter(), time.process_time()
    generated = generate(prompts, new_tokens=new_tokens)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if [len(tokens) for tokens in generated] != [new_tokens] * len(prompts):
        raise ValueError("an engine generated a wrong number of tokens")
    return {
        "engine": engine,
        "seed": seed,
        "threads": torch.get_num_threads(),
        "startup_seconds": startup,
        "seconds": seconds,
        "samples_per_second": len(prompts) / seconds,
        "tokens_per_second": len(prompts) * new_tokens / seconds,
        "peak_mib": peak_mib(),
        "cores_used": cpu_seconds / seconds,
        "tokens": generated,
    }


def warmstart_generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    new_tokens: int,
    temperature: float,
    seed: int,
) -> Tokens:
    """Generate as ``warmstart generate`` does; each prompt begins with the bos token."""
    from warmstart.models.generation import generate

    settings = GenerateConfig(
        max_new_tokens=new_tokens, temperature=temperature, top_k=TOP_K, top_p=TOP_P, seed=seed
    )
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    positions = model.config.max_position_embeddings
    results = generate(
        model, tokenizer, prompts, settings, bos=begin, eos=end, max_positions=positions
    )
    return [list(result.tokens) for result in results]


def transformers_generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    new_tokens: int,
    temperature: float,
    seed: int,
    at_once: int | None = None,
) -> Tokens:
    """Generate with ``model.generate``, ``at_once`` prompts at a time; None for all."""
    from benchmarks.peers import quiet

    quiet()
    tokenizer.padding_side = "left"
    size = at_once or len(prompts)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": TOP_K, "top_p": TOP_P}
    generated: Tokens = []
    for start in range(0, len(prompts), size):
        texts = [tokenizer.bos_token + prompt for prompt in prompts[start : start + size]]
        inputs = tokenizer(texts, padding=True, return_tensors="pt")
        sequences = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=new_tokens,
            **(sampling if temperature else {"do_sample": False}),
        )
        generated += sequences[:, inputs["input_ids"].shape[1] :].tolist()
    return generated


ENGINES: dict[str, Callable[..., Tokens]] = {
    OURS: warmstart_generate,
    "transformers-generate": transformers_generate,
    "transformers-generate-1": partial(transformers_generate, at_once=1),
}


def summary(workload: str, engine: str, runs: Sequence[Row]) -> Row:
    """The row of one engine: medians over its measurements.

    Args:
        workload: name of the workload.
        engine: name of the engine.
        runs: the measurements of all engines.
    """
    own = [one for one in runs if one["engine"] == engine]
    row: Row = {"workload": workload, "engine": engine}
    for rate in ("samples_per_second", "tokens_per_second"):
        values = [one[rate] for one in own]
        row |= {rate: median(values), f"{rate}_low": min(values), f"{rate}_high": max(values)}
    for name in ("startup_seconds", "peak_mib", "cores_used"):
        row[name] = median(one[name] for one in own)
    row["warmstart_speedup"] = ratio([one for one in runs if one["engine"] == OURS], own)
    row["runs"] = [{name: one[name] for name in one if name != "tokens"} for one in own]
    return row


def judge(workload: str, runs: Sequence[Row]) -> list[Verdict]:
    """Compare speed ratios with their targets and, for greedy search, the generated tokens.

    Args:
        workload: name of the workload.
        runs: the measurements of all engines.
    """
    by_name = {name: [one for one in runs if one["engine"] == name] for name in ENGINES}
    verdicts = []
    for name, target in TARGETS.items():
        measured = ratio(by_name[OURS], by_name[name])
        claim = f"{workload}: tokens/s of warmstart / {name} >= {target:g}"
        reached = measured is not None and measured >= target
        verdicts.append(Verdict(claim, measured, target, reached))
        if WORKLOADS[workload] == 0:
            ours, theirs = (by_name[one][0]["tokens"] for one in (OURS, name))
            texts = zip(ours, theirs, strict=True)
            pairs = chain.from_iterable(zip(*text, strict=True) for text in texts)
            differing = float(sum(a != b for a, b in pairs))
            claim = f"{workload}: tokens of warmstart that differ from {name}'s <= 0"
            verdicts.append(Verdict(claim, differing, 0, differing == 0))
    return verdicts

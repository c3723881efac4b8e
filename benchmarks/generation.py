"""How fast a language model writes, beside Transformers' own ``generate``.

Sixteen prompts, the first words of biographies and of unequal length, are each gone on with for a
hundred tokens by a GPT-2 with random weights: greedily (``gpt2-greedy``), and drawn from the 50
likeliest tokens (``gpt2-sampled``). Engines:

- ``warmstart``: ``models.generation.generate``, as ``warmstart generate`` calls it;
- ``transformers-generate``: ``model.generate`` once, the batch padded on the left;
- ``transformers-generate-1``: ``model.generate`` for each prompt by itself.

Engines take turns as in ``training``, each measurement in a process of its own, after a few tokens
that are not timed. Texts are the same for all: greedy tokens are compared one by one.
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

DESCRIPTION = "tokens a second of a language model that writes, beside `generate`"
OURS = "warmstart"
PROMPTS, NEW_TOKENS, WARM_UP_TOKENS = 16, 100, 3
WORKLOADS = {"gpt2-greedy": 0.0, "gpt2-sampled": 1.0}
"""Temperature of each; 0 draws nothing."""
TOP_K, TOP_P = 50, 0.95
TARGETS = {"transformers-generate": 0.95, "transformers-generate-1": 4.0}

Tokens = list[list[int]]


def add_options(parser: ArgumentParser) -> None:
    """Which rows, how many tokens, how often."""
    parser.add_argument("--repeats", type=int, default=3, help="turns of each engine; 3")
    parser.add_argument("--steps", type=int, metavar="TOKENS", help=f"new ones; {NEW_TOKENS}")
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="FOLDER", help=f"of the data sets; {DATA}"
    )


def run(options: Namespace) -> Outcome:
    """Both ways of choosing tokens, by every engine."""
    with TemporaryDirectory() as folder:
        made = own_process(materials.random_gpt2, GPT2, options.data, Path(folder))
        prompts = first_words(corpora.artist_bios(options.data).texts[:PROMPTS])
        rows, verdicts = [], []
        for name, temperature in WORKLOADS.items():
            runs: list[Row] = []
            for turn, engine in abba(list(ENGINES), options.repeats):
                print(f"generation: {name}, turn {turn + 1}: {engine} …", file=sys.stderr)
                new = options.steps or NEW_TOKENS
                what = (engine, made, prompts, new, temperature, turn + 1, time.time())
                runs.append(own_process(measure, *what))
            rows += [summary(name, engine, runs) for engine in ENGINES]
            verdicts += judge(name, runs)
    return Outcome(rows, verdicts)


def first_words(texts: Sequence[str]) -> list[str]:
    """The first 4 words of the first text, 5 of the second and so on.

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
    """Time one engine once; in its own process.

    Args:
        engine: its name.
        checkpoint: a folder that Transformers can load.
        prompts: to go on with.
        new_tokens: of each.
        temperature: 0 is greedy.
        seed: of what is drawn.
        started_at: when this process was asked for, in seconds since 1970.

    Raises:
        ValueError: the engine wrote less or more than it was asked for.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint).eval()
    torch.manual_seed(seed)
    write = partial(ENGINES[engine], model, tokenizer, temperature=temperature, seed=seed)
    write(prompts[:2], new_tokens=WARM_UP_TOKENS)
    startup = time.time() - started_at
    began, cpu_began = time.perf_counter(), time.process_time()
    written = write(prompts, new_tokens=new_tokens)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if [len(tokens) for tokens in written] != [new_tokens] * len(prompts):
        raise ValueError("an engine wrote other lengths than it was asked for")
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
        "tokens": written,
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
    """``warmstart generate``; each prompt begins with the token that begins a text."""
    from warmstart.models.generation import generate

    settings = GenerateConfig(
        max_new_tokens=new_tokens, temperature=temperature, top_k=TOP_K, top_p=TOP_P, seed=seed
    )
    begin, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    positions = model.config.max_position_embeddings
    found = generate(
        model, tokenizer, prompts, settings, bos=begin, eos=end, max_positions=positions
    )
    return [list(one.tokens) for one in found]


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
    """``model.generate``, on ``at_once`` prompts at a time; None for all."""
    from benchmarks.peers import quiet

    quiet()
    tokenizer.padding_side = "left"
    size = at_once or len(prompts)
    drawn = {"do_sample": True, "temperature": temperature, "top_k": TOP_K, "top_p": TOP_P}
    written: Tokens = []
    for start in range(0, len(prompts), size):
        texts = [tokenizer.bos_token + prompt for prompt in prompts[start : start + size]]
        given = tokenizer(texts, padding=True, return_tensors="pt")
        found = model.generate(
            input_ids=given["input_ids"],
            attention_mask=given["attention_mask"],
            max_new_tokens=new_tokens,
            **(drawn if temperature else {"do_sample": False}),
        )
        written += found[:, given["input_ids"].shape[1] :].tolist()
    return written


ENGINES: dict[str, Callable[..., Tokens]] = {
    OURS: warmstart_generate,
    "transformers-generate": transformers_generate,
    "transformers-generate-1": partial(transformers_generate, at_once=1),
}


def summary(workload: str, engine: str, runs: Sequence[Row]) -> Row:
    """One engine's row: medians over its turns.

    Args:
        workload: its name.
        engine: which.
        runs: the measurements of every engine.
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
    """Ratios against their targets; of greedy texts, whether they are the same.

    Args:
        workload: its name.
        runs: the measurements of every engine.
    """
    by_name = {name: [one for one in runs if one["engine"] == name] for name in ENGINES}
    found = []
    for name, target in TARGETS.items():
        measured = ratio(by_name[OURS], by_name[name])
        claim = f"{workload}: tokens/s of warmstart / {name} >= {target:g}"
        found.append(Verdict(claim, measured, target, measured is not None and measured >= target))
        if WORKLOADS[workload] == 0:
            ours, theirs = (by_name[one][0]["tokens"] for one in (OURS, name))
            texts = zip(ours, theirs, strict=True)
            pairs = chain.from_iterable(zip(*text, strict=True) for text in texts)
            differing = float(sum(a != b for a, b in pairs))
            claim = f"{workload}: tokens of warmstart other than {name}'s <= 0"
            found.append(Verdict(claim, differing, 0, differing == 0))
    return found

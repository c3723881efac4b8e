"""``warmstart generate``: its output on stdout and stderr, and all its errors."""

import json
import os
import pty
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import transformers

import warmstart as package
from tests.cli.conftest import Trained, Warmstart
from tests.runs_in_memory import writing_settings
from tests.tiny.decoders import tiny_gpt2
from warmstart.config import GenerateConfig
from warmstart.models.generation import generate


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that generates 8 tokens by default."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {**writing_settings(folder, epochs=1), "generate": {"max_new_tokens": 8}}
    return package.train(settings, output=folder / "run", progress=False).path


def generations(out: str) -> list[dict[str, str]]:
    """The only thing on stdout."""
    assert out.count("\n") == 1
    content: dict[str, Any] = json.loads(out)
    assert list(content) == ["generations"]
    made: list[dict[str, str]] = content["generations"]
    for one in made:
        assert list(one) == ["prompt", "text", "finish"]
    return made


def test_json_is_one_object_with_every_continuation(run: Path, warmstart: Warmstart) -> None:
    words = ("generate", str(run), "--prompt", "the cat", "--prompt", "", "--count", "2", "--json")
    ran = warmstart(*words)
    assert ran.code == 0, ran.err
    made = generations(ran.out)
    assert [one["prompt"] for one in made] == ["the cat", "the cat", "", ""]
    assert len({one["text"] for one in made}) == 4
    assert {one["finish"] for one in made} <= {"eos", "length"}
    assert warmstart(*words).out == ran.out
    assert warmstart(*words, "--seed", "7").out != ran.out


def test_it_is_the_text_that_the_model_generates_with_these_settings(
    run: Path, warmstart: Warmstart
) -> None:
    options = {
        "max_new_tokens": 9, "temperature": 0.8, "top_k": 30, "top_p": 0.9,
        "repetition_penalty": 1.3, "count": 2, "stop": ["e"], "seed": 5,
    }  # fmt: skip
    flags = [
        word
        for name, value in options.items()
        for one in (value if isinstance(value, list) else [value])
        for word in (f"--{name.replace('_', '-')}", str(one))
    ]
    ran = warmstart("generate", str(run), "--prompt", "the", *flags, "--json")
    tokenizer = transformers.AutoTokenizer.from_pretrained(run / "model")
    model = transformers.AutoModelForCausalLM.from_pretrained(run / "model")
    expected = generate(
        model, tokenizer, ["the"], GenerateConfig(**options), bos=0, eos=0, max_positions=64
    )
    assert generations(ran.out) == [one.to_json() for one in expected]
    assert package.load(run).generate(["the"], **options) == generations(ran.out)
    assert package.generate(run / "model", ["the"], **options) == generations(ran.out)
    words = ("generate", str(run), "--prompt", "the", "--temperature", "0", "--json")
    assert len(generations(warmstart(*words, "--beams", "6", "--count", "5").out)) == 5


def test_the_text_follows_its_prompt(run: Path, warmstart: Warmstart) -> None:
    (one,) = generations(warmstart("generate", str(run), "--prompt", "a cat", "--json").out)
    ran = warmstart("generate", str(run), "--prompt", "a cat")
    assert ran.out == f"a cat{one['text']}\n"
    assert "note: 1 of 1 text was cut off at 8 new tokens" in ran.err
    two = generations(
        warmstart("generate", str(run), "--prompt", "a", "--count", "2", "--json").out
    )
    ran = warmstart("generate", str(run), "--prompt", "a", "--count", "2")
    assert ran.out == f"a{two[0]['text']}\n---\na{two[1]['text']}\n"


def test_prompts_come_from_a_file_one_a_line(
    run: Path, warmstart: Warmstart, tmp_path: Path
) -> None:
    (tmp_path / "prompts.txt").write_bytes("the cat\r\n\r\n小猫坐在垫子上 \n".encode("gb18030"))
    words = ("generate", str(run), "--prompts", str(tmp_path / "prompts.txt"), "--prompt", "a")
    ran = warmstart(*words, "--json")
    assert [one["prompt"] for one in generations(ran.out)] == ["a", "the cat", "小猫坐在垫子上 "]


def test_a_text_appears_as_it_is_made(
    run: Path, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    import typer

    pieces: list[str] = []
    monkeypatch.setattr(typer, "echo", lambda text, **_: pieces.append(text))
    warmstart("generate", str(run), "--prompt", "a cat")
    made = package.load(run).generate(["a cat"])
    assert len(pieces) > 3
    assert pieces[0].startswith("a cat")
    assert "".join(pieces) == f"a cat{made[0]['text']}\n"


def test_at_a_terminal_a_prompt_is_requested(
    run: Path, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, behind = pty.openpty()
    os.write(terminal, b"the dog\n")
    with os.fdopen(behind) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        ran = warmstart("generate", str(run), "--json")
    os.close(terminal)
    assert ran.code == 0, ran.err
    assert ran.err.startswith("prompt:")
    assert generations(ran.out)[0]["prompt"] == "the dog"


def test_novelty_is_of_the_rows_the_run_was_trained_on(run: Path, warmstart: Warmstart) -> None:
    words = ("generate", str(run), "--prompt", "the cat", "--count", "2", "--novelty")
    ran = warmstart(*words, "--json")
    assert ran.code == 0, ran.err
    content = json.loads(ran.out)
    assert list(content) == ["generations", "novelty"]
    texts = [one["text"] for one in content["generations"]]
    assert content["novelty"] == package.load(run).novelty(texts)
    assert content["novelty"]["samples"] == 2
    table = warmstart(*words)
    assert table.out.count("---") == 1
    assert "2 texts (" in table.err
    assert "longest passage that a training row also has" in table.err

    file = run.parent / "documents.csv"
    before = file.read_text("utf-8")
    rows = [line.rpartition(",")[0] for line in before.splitlines()[1:]]
    copied = package.load(run).novelty(rows)
    assert len(copied["regurgitated"]) == 0.8 * len(rows), "the others validate"
    file.write_text(before + "one more,good\n", encoding="utf-8")
    told = " ".join(warmstart(*words).err.split())
    file.write_text(before, encoding="utf-8")
    assert "has changed since the run read it" in told


@dataclass(frozen=True)
class Case:
    """Words of a command after RUN, and texts that its error message must contain."""

    words: str
    found: str
    expected: str
    do: str
    code: int = 1


CASES = {
    "a setting for sampling without sampling": Case(
        "--prompt a --temperature 0 --top-k 5", "--top-k 5 is given, and the temperature is 0",
        "a temperature above 0", "leave out --top-k 5",
    ),
    "a temperature below 0": Case(
        "--prompt a --temperature -1", "--temperature: generate.temperature is -1", "≥ 0",
        "--temperature 1",
    ),
    "no probability at all": Case(
        "--prompt a --top-p 0", "--top-p: generate.top_p is 0", "> 0 and ≤ 1", "--top-p 0.95"
    ),
    "more than all probability": Case(
        "--prompt a --top-p 1.5", "generate.top_p is 1.5", "> 0 and ≤ 1", "--top-p 0.95"
    ),
    "two faults": Case(
        "--prompt a --top-k -1 --count 0", "generate has 2 errors", "≥ 1", "--count 1"
    ),
    "no penalty": Case(
        "--prompt a --repetition-penalty 0", "repetition_penalty is 0", "> 0",
        "--repetition-penalty 1.0",
    ),
    "an empty stop text": Case(
        "--prompt a --stop=", "--stop is given with an empty text", "a text that ends", "leave out",
        code=2,
    ),
    "beams while drawing": Case(
        "--prompt a --beams 3", "beams is 3 and generate.temperature is 1", "one of the two",
        "--temperature 0",
    ),
    "several without sampling": Case(
        "--prompt a --temperature 0 --count 2", "count is 2, and without sampling",
        "no more continuations than beams", "--beams 2",
    ),
    "more than beams": Case(
        "--prompt a --temperature 0 --beams 2 --count 3", "a prompt has 2 continuations",
        "no more continuations than beams", "--temperature 1",
    ),
    "too long a prompt": Case(
        f"--prompt {'b' * 70}", "prompt 1 of 1 has 71 tokens; the model's limit", "at most 63",
        "shorten the prompt",
    ),
    "very many continuations": Case(
        "--prompt a --count 100000000", "generate.count is 100000000", "≤ 10000", "--count 1",
    ),
    "very many beams": Case(
        "--prompt a --temperature 0 --beams 99999999999999999999", "generate.beams is 999999",
        "≤ 1000", "--beams 1",
    ),
    "bytes that are no UTF-8": Case(
        "--prompt a\udcff", "prompt 1 of 1 is not valid Unicode: 'a\\udcff'", "UTF-8",
        "--prompts FILE",
    ),
    "no prompt": Case("--json", "no prompt, and no terminal", "--prompts", '--prompt ""', code=2),
    "no such file": Case(
        "--prompts nowhere.txt", "nowhere.txt", "", "--prompts",
    ),
    "a table of prompts": Case(
        "--prompts rows.jsonl", "by its name, the file is a table", "a text file with one prompt",
        "--prompts rows.txt",
    ),
    "a packed table": Case("--prompts a/R.CSV.gz", "a table", "a text file", "--prompts"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_said_before_weights_are_loaded(
    name: str, run: Path, warmstart: Warmstart, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", refuse)
    case = CASES[name]
    ran = warmstart("generate", str(run), *case.words.split())
    assert (ran.code, ran.out) == (case.code, ""), ran.err
    message, expected, do = _parts(ran.err)
    assert case.found in message
    assert case.expected in expected
    assert case.do in do


def _parts(err: str) -> tuple[str, str, str]:
    """Found, expected and try; for several faults, all of each."""
    lines = [line.strip() for line in err.splitlines()]
    expected = " ".join(line for line in lines if line.startswith("expected:"))
    do = " ".join(line for line in lines if line.startswith("try:"))
    rest = " ".join(line for line in lines if not line.startswith(("expected:", "try:")))
    assert expected
    assert do
    return rest, expected, do


def test_the_advice_for_a_wrong_value_works(run: Path, warmstart: Warmstart) -> None:
    for name in ("a temperature below 0", "no probability at all", "no penalty"):
        words = ["--prompt", "a", *CASES[name].do.split()]
        assert warmstart("generate", str(run), *words).code == 0


def test_a_stop_text_that_never_comes_is_no_fault(run: Path, warmstart: Warmstart) -> None:
    words = ("generate", str(run), "--prompt", "a", "--stop", "never said", "--json")
    assert generations(warmstart(*words).out)[0]["finish"] == "length"


def test_a_classifier_does_not_write(trained: Trained, warmstart: Warmstart) -> None:
    ran = warmstart("generate", str(trained.path), "--prompt", "a")
    assert (ran.code, ran.out) == (1, "")
    found, expected, do = _parts(ran.err)
    assert f"the task of the run in {trained.path} is text-classification" in found
    assert "text-generation" in expected
    assert f"warmstart predict {trained.path} --text" in do
    assert warmstart("predict", str(trained.path), "--text", "a").code == 0


def test_an_encoder_does_not_write(tiny: Path, warmstart: Warmstart) -> None:
    ran = warmstart("generate", str(tiny), "--prompt", "a")
    assert (ran.code, ran.out) == (1, "")
    found, expected, do = _parts(ran.err)
    assert f"{tiny} does not predict the next token (model_type 'bert')" in found
    assert "a decoder" in expected
    assert "task: text-classification" in do


def test_control_tokens_in_prompts_act_as_asked(run: Path, warmstart: Warmstart) -> None:
    """As text, the name is so many tokens that the prompt is too long."""
    words = ("generate", str(run), "--prompt", "<|endoftext|>" * 40, "--max-new-tokens", "1")
    ran = warmstart(*words)
    assert ran.code == 1
    assert "prompt 1 of 1 has" in ran.err
    assert warmstart(*words, "--control-tokens", "tokens").code == 0
    model = str(run / "model")  # a decoder without a run
    assert warmstart("generate", model, *words[2:]).code == 1
    assert warmstart("generate", model, *words[2:], "--control-tokens", "tokens").code == 0


def test_a_decoder_without_an_end_is_refused(warmstart: Warmstart, tmp_path: Path) -> None:
    folder = tiny_gpt2(tmp_path / "model")
    settings = folder / "tokenizer_config.json"
    content = json.loads(settings.read_text("utf-8"))
    del content["eos_token"]
    settings.write_text(json.dumps(content), encoding="utf-8")
    ran = warmstart("generate", str(folder), "--prompt", "a")
    assert ran.code == 1
    found, _, do = _parts(ran.err)
    assert "no end-of-text token" in found
    assert "model.special_tokens" in do


def test_a_run_without_a_kept_model_is_refused(
    run: Path, warmstart: Warmstart, tmp_path: Path
) -> None:
    for name in ("config.yaml", "task.json"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    ran = warmstart("generate", str(tmp_path), "--prompt", "a")
    assert ran.code == 1
    assert "has no finished model/" in ran.err


def test_novelty_needs_a_run(run: Path, warmstart: Warmstart) -> None:
    ran = warmstart("generate", str(run / "model"), "--prompt", "a", "--novelty")
    assert (ran.code, ran.out) == (2, "")
    found, expected, do = _parts(ran.err)
    assert "not a run directory" in found
    assert "a run directory" in expected
    assert "leave --novelty out" in do


def test_an_unknown_setting_in_python_names_the_nearest(run: Path) -> None:
    with pytest.raises(package.WarmstartError, match="temprature is not a setting") as caught:
        package.load(run).generate(["a"], temprature=1)
    assert "generate.temperature" in caught.value.expected
    with pytest.raises(package.WarmstartError, match="top_p is 2") as caught:
        package.load(run).generate(["a"], top_p=2)
    assert caught.value.do == "top_p=0.95"

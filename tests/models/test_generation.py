"""Continue texts: the same tokens in a batch as alone, the same samples from the same seed."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from tests.tiny.decoders import DECODERS, byte_tokenizer, make_decoder
from warmstart import errors
from warmstart.config import GenerateConfig
from warmstart.models import generation
from warmstart.models.generation import Generation, generate

TOKENIZER = byte_tokenizer()
PROMPTS = ["the cat sat on the", "", "a", "when we read the story about her house again", "猫 🐈"]
POSITIONS = 64


def written(
    model: Any, prompts: Sequence[str], *, max_positions: int | None = POSITIONS, **settings: Any
) -> list[Generation]:
    """``generate`` with the tiny tokenizer, greedy unless a temperature is given."""
    settings = {"temperature": 0, "max_new_tokens": 12, **settings}
    chosen = GenerateConfig(**settings)
    return generate(model, TOKENIZER, prompts, chosen, bos=0, eos=0, max_positions=max_positions)


def sharp(model_type: str = "gpt2", **settings: Any) -> Any:
    """A decoder with very different scores, so that rounding cannot change the largest one."""
    model = make_decoder(model_type, **settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    return model


def by_hand(model: Any, prompt: str, tokens: int, penalty: float = 1.0) -> list[int]:
    """Greedy, one token at a time, without a cache, padding or a library.

    The end-of-text token, which also begins the text, is no repetition.
    """
    ids = [0, *TOKENIZER.encode(prompt, add_special_tokens=False)]
    start = len(ids)
    for _ in range(tokens):
        with torch.no_grad():
            scores = model(torch.tensor([ids])).logits[0, -1]
        for one in set(ids) - {0}:
            scores[one] = scores[one] / penalty if scores[one] > 0 else scores[one] * penalty
        ids.append(int(scores.argmax()))
        if ids[-1] == 0:
            break
    return ids[start:]


@pytest.mark.parametrize("model_type", DECODERS)
def test_a_batch_of_mixed_lengths_is_what_each_prompt_gives_alone(model_type: str) -> None:
    model = sharp(model_type)
    together = written(model, PROMPTS)
    assert [one.prompt for one in together] == PROMPTS
    assert [list(one.tokens) for one in together] == [by_hand(model, p, 12) for p in PROMPTS]
    assert len({one.tokens for one in together}) == len(PROMPTS)
    for one in together:
        assert one.text == TOKENIZER.decode(one.tokens, skip_special_tokens=True)


@pytest.mark.parametrize("model_type", DECODERS)
def test_padding_is_no_repetition(model_type: str) -> None:
    model = sharp(model_type)
    together = written(model, PROMPTS, repetition_penalty=3.0)
    expected = [by_hand(model, prompt, 12, penalty=3.0) for prompt in PROMPTS]
    assert [list(one.tokens) for one in together] == expected
    assert expected != [by_hand(model, prompt, 12) for prompt in PROMPTS]


def test_batches_are_bounded_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, widths = sharp(), []
    whole = written(model, PROMPTS)
    monkeypatch.setattr(generation, "BATCH_TOKENS", 70)
    plain = model.generate

    def watched(ids: torch.Tensor, **rest: Any) -> Any:
        widths.append(ids.shape)
        return plain(ids, **rest)

    monkeypatch.setattr(model, "generate", watched)
    assert written(model, PROMPTS) == whole
    assert len(widths) > 1
    assert all(rows == 1 or rows * (width + 12) <= 70 for rows, width in widths)


def test_drawing_depends_on_seed_and_prompt_alone() -> None:
    model = sharp()
    state = torch.get_rng_state()
    drawn = written(model, PROMPTS, temperature=1.5, seed=1)
    torch.manual_seed(123)
    again = [written(model, [prompt], temperature=1.5, seed=1)[0] for prompt in PROMPTS]
    assert drawn == again
    assert drawn != written(model, PROMPTS, temperature=1.5, seed=2)
    torch.set_rng_state(state)
    written(model, PROMPTS, temperature=1.5, seed=1)
    assert torch.equal(state, torch.get_rng_state())


def test_several_of_one_prompt_differ_and_come_in_order() -> None:
    model = make_decoder()
    drawn = written(model, ["the", "a cat"], temperature=1, count=3)
    assert [one.prompt for one in drawn] == ["the"] * 3 + ["a cat"] * 3
    assert len({one.tokens for one in drawn}) == 6
    assert written(model, ["the"], temperature=1, count=2) == drawn[:2]
    assert written(model, ["the", "the"], temperature=1) == drawn[:2]


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        ({"top_k": 0, "top_p": 1.0}, [0.5, 0.25, 0.15, 0.1]),
        ({"top_k": 0, "top_p": 1.0, "temperature": 0.5}, [0.25, 0.0625, 0.0225, 0.01]),
        ({"top_k": 2, "top_p": 1.0}, [0.5, 0.25]),
        ({"top_k": 0, "top_p": 0.8}, [0.5, 0.25, 0.15]),
    ],
)
def test_tokens_are_sampled_with_their_probabilities(
    settings: dict[str, Any], keeps: list[float]
) -> None:
    """Next tokens with known probabilities; 1,000 samples are within 4 standard errors."""
    model = make_decoder()
    shares = [0.5, 0.25, 0.15, 0.1]
    with torch.no_grad():
        model.transformer.ln_f.weight.zero_()
        model.transformer.ln_f.bias.copy_(torch.eye(32)[0])
        model.lm_head.weight[:, 0] = -100.0
        model.lm_head.weight[5:9, 0] = torch.tensor(shares).log()
    draws = written(
        model, ["the"], **{"temperature": 1, "max_new_tokens": 1, "count": 1000, **settings}
    )
    came = Counter(one.tokens[0] for one in draws)
    assert sum(came.values()) == 1000
    assert set(came) == set(range(5, 5 + len(keeps)))
    for token, weight in enumerate(keeps, start=5):
        share = weight / sum(keeps)
        assert abs(came[token] / 1000 - share) < 4 * math.sqrt(share * (1 - share) / 1000)


def test_a_stop_text_ends_the_text_before_it() -> None:
    model = sharp()
    free = written(model, PROMPTS, max_new_tokens=20)
    stop = free[0].text[6:9]
    assert free[0].text.find(stop) == 6
    stopped = written(model, PROMPTS, max_new_tokens=20, stop=[stop, "never said"])
    assert stopped[0].finish == "stop"
    assert stopped[0].text == free[0].text[:6]
    assert len(stopped[0].tokens) < len(free[0].tokens)
    assert stopped[0].tokens == free[0].tokens[: len(stopped[0].tokens)]
    for one, other in zip(free, stopped, strict=True):
        assert one.text.partition(stop)[0] == other.text
    assert written(model, PROMPTS, max_new_tokens=20, stop=["never said"]) == free


def constant(*tokens: int) -> Any:
    """A GPT-2 that generates these tokens by position, for any input (a table of positions)."""
    model = make_decoder(max_positions=POSITIONS)
    hidden = model.config.hidden_size
    with torch.no_grad():
        for block in model.transformer.h:
            for part in (block.attn.c_proj, block.mlp.c_proj):
                part.weight.zero_()
                part.bias.zero_()
        model.lm_head.weight = torch.nn.Parameter(torch.zeros(model.config.vocab_size, hidden))
        model.transformer.wte.weight.zero_()
        model.transformer.wpe.weight.zero_()
        for position in range(POSITIONS):
            axis = position % len(tokens)
            model.transformer.wpe.weight[position, axis] = 10.0
            model.lm_head.weight[tokens[axis], axis] = 10.0
    return model


def test_the_end_token_ends_the_text() -> None:
    five, six = (TOKENIZER.convert_tokens_to_ids(letter) for letter in "xy")
    (one,) = written(constant(five, six, 0), [""], stop=["yz"])
    assert (one.text, one.finish, one.tokens) == ("xy", "eos", (five, six, 0))
    (one,) = written(constant(five, six, 0), [""], max_new_tokens=2)
    assert (one.text, one.finish, one.tokens) == ("xy", "length", (five, six))
    (one,) = written(constant(five, six, 0), [""], stop=["y"])
    assert (one.text, one.finish, one.tokens) == ("x", "stop", (five, six))


def test_the_first_of_several_stop_texts_ends_the_text() -> None:
    model = constant(*(TOKENIZER.convert_tokens_to_ids(letter) for letter in "xy"))
    for stop in (["y", "xy"], ["xy", "y"]):
        (one,) = written(model, [""], stop=stop)
        assert (one.text, one.finish, len(one.tokens)) == ("", "stop", 2)


def test_the_name_of_a_control_token_stops_at_the_token() -> None:
    x, y = (TOKENIZER.convert_tokens_to_ids(letter) for letter in "xy")
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens([AddedToken("y", special=True)])
    model = constant(x, y, x)
    for beams, stop, expected in (
        (1, ["y"], "stop"),
        (2, ["z", "y"], "stop"),
        (1, ["z"], "length"),
    ):
        settings = GenerateConfig(temperature=0, max_new_tokens=3, stop=stop, beams=beams)
        made = generate(
            model, tokenizer, ["ab", ""], settings, bos=0, eos=0, max_positions=POSITIONS
        )
        assert made[1].finish == expected
        if expected == "stop":
            assert (made[1].text, made[1].tokens) == ("x", (x, y))


def test_padding_does_not_make_the_end_less_likely() -> None:
    """The end token is not in these texts, although it may be in the padding."""
    model = constant(0)
    with torch.no_grad():
        model.lm_head.weight[5, 0] = 6.0  # next best
    settings = GenerateConfig(temperature=0, repetition_penalty=3.0, max_new_tokens=3)
    made = generate(
        model, TOKENIZER, ["abcdef", "a"], settings, bos=None, eos=0, max_positions=POSITIONS
    )
    assert [(one.text, one.finish) for one in made] == [("", "eos")] * 2


def test_a_space_that_begins_the_text_is_kept() -> None:
    """For a tokenizer that adds no space before the first word of a text."""
    vocabulary = {"</s>": 0, "▁a": 1, "▁b": 2, "<unk>": 3}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    tokenizer: Any = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    assert tokenizer.decode([2, 2]) == "b b"
    for stop, texts in (([], [" b b b", "b b b"]), ([" b"], ["", "b"])):
        settings = GenerateConfig(temperature=0, max_new_tokens=3, stop=stop)
        made = generate(
            constant(2), tokenizer, ["a a", ""], settings, bos=0, eos=0, max_positions=POSITIONS
        )
        assert [one.text for one in made] == texts
        assert [len(one.tokens) for one in made] == ([1, 2] if stop else [3, 3])


def test_rows_that_end_apart_do_not_mix() -> None:
    """One row ends early with a stop text; the tokens that fill it up are not an end token."""
    five, six = (TOKENIZER.convert_tokens_to_ids(letter) for letter in "xy")
    model = constant(five, five, five, five, six, six, six, six, six, 0)
    shown = [(one.text, one.finish) for one in written(model, ["", "abc"], stop=["xy"])]
    assert shown == [("xxx", "stop"), ("", "stop")]


@pytest.mark.parametrize("model_type", DECODERS)
def test_no_text_outgrows_what_the_model_reads(model_type: str) -> None:
    model = sharp(model_type, max_positions=24)
    prompts = ["b" * 20, "a", "b" * 22, "c" * 20, ""]
    made = written(model, prompts, max_new_tokens=10, max_positions=24)
    assert [len(one.tokens) for one in made] == [3, 10, 1, 3, 10]
    assert {one.finish for one in made} == {"length"}
    assert [list(one.tokens) for one in made] == [
        by_hand(model, prompt, len(one.tokens)) for prompt, one in zip(prompts, made, strict=True)
    ]
    with pytest.raises(errors.DataError, match="prompt 2 of 2 has 24 tokens") as caught:
        written(model, ["a", "b" * 23], max_positions=24)
    assert "at most 23 tokens" in caught.value.expected
    assert "shorten the prompt" in caught.value.do


def test_an_unusable_prompt_is_refused() -> None:
    model = make_decoder()
    with pytest.raises(errors.DataError, match="prompts is 'one text'") as caught:
        written(model, "one text")
    assert "['one text', 'another']" in caught.value.do
    with pytest.raises(errors.DataError, match="prompt 2 of 2 is 7"):
        written(model, ["a", 7])  # type: ignore[list-item]
    with pytest.raises(errors.DataError, match="prompt 1 of 1 is empty") as caught:
        generate(model, TOKENIZER, [""], GenerateConfig(), bos=None, eos=0, max_positions=POSITIONS)
    assert '--prompt "The"' in caught.value.do
    assert written(model, []) == []


def test_without_a_begin_token_a_prompt_is_used_alone() -> None:
    model = sharp()
    settings = GenerateConfig(temperature=0, max_new_tokens=1)
    (one,) = generate(model, TOKENIZER, ["ab"], settings, bos=None, eos=0, max_positions=None)
    ids = TOKENIZER.encode("ab", add_special_tokens=False)
    assert one.tokens == (int(model(torch.tensor([ids])).logits[0, -1].argmax()),)


def test_beams_find_what_is_likelier_than_greedy() -> None:
    model = make_decoder(seed=3)
    with torch.no_grad():
        model.lm_head.weight.mul_(4)

    def score(one: Generation) -> float:
        ids = torch.tensor([[0, *TOKENIZER.encode(one.prompt), *one.tokens]])
        with torch.no_grad():
            logs = model(ids).logits[0].log_softmax(-1)
        first = ids.shape[1] - len(one.tokens)
        return float(sum(logs[i - 1, ids[0, i]] for i in range(first, ids.shape[1])))

    prompts = ["the cat", "a", "he said to her and"]
    greedy = written(model, prompts, max_new_tokens=6)
    best = written(model, prompts, max_new_tokens=6, beams=8)
    assert all(score(b) >= score(g) - 1e-4 for b, g in zip(best, greedy, strict=True))
    assert any(score(b) > score(g) + 1e-3 for b, g in zip(best, greedy, strict=True))
    for prompt, one in zip(prompts, best, strict=True):
        assert written(model, [prompt], max_new_tokens=6, beams=8) == [one]
    three = written(model, prompts, max_new_tokens=6, beams=8, count=3)
    assert [one.prompt for one in three] == [prompt for prompt in prompts for _ in range(3)]
    assert three[::3] == best
    assert len({one.tokens for one in three}) == 9


def test_beams_heed_a_stop_text() -> None:
    five, six = (TOKENIZER.convert_tokens_to_ids(letter) for letter in "xy")
    model = constant(five, five, six)
    made = written(model, ["", "ab"], beams=2, stop=["xy"], max_new_tokens=9)
    assert [(one.text, one.finish) for one in made] == [("x", "stop"), ("yx", "stop")]


def test_a_checkpoints_own_settings_do_not_weigh_in() -> None:
    model = sharp()
    plain = written(model, PROMPTS)
    own = GenerationConfig(do_sample=True, temperature=9.0, repetition_penalty=5.0, max_length=3)
    own.min_new_tokens, own.suppress_tokens = 30, list(range(1, 300))
    model.generation_config = own
    assert written(model, PROMPTS) == plain
    assert model.generation_config is own


def test_dropout_is_off_during_generation_and_training_continues() -> None:
    model = sharp(dropout=0.5).train()
    assert written(model, PROMPTS) == written(model, PROMPTS) == written(sharp(), PROMPTS)
    assert model.training


@pytest.mark.parametrize("stop", [[], ["x y"], ["猫"]])
def test_a_stream_is_the_text_piece_by_piece(stop: list[str]) -> None:
    """With noise in which most bytes are parts of characters, and with stop texts that only begin
    to occur."""
    model = make_decoder()
    pieces: list[str] = []
    settings = GenerateConfig(max_new_tokens=40, stop=stop)
    (one,) = generate(
        model, TOKENIZER, ["a"], settings, bos=0, eos=0, max_positions=64, on_text=pieces.append
    )
    assert "".join(pieces) == one.text
    assert len(pieces) > 3


def test_a_stream_holds_back_what_may_become_a_stop_text_or_a_character() -> None:
    tokens = TOKENIZER.encode("xé.y")
    assert len(tokens) == 5
    for stop, expected in (([], ["x", "é", ".", "y"]), ([".z", "é."], ["x"]), (["é!"], None)):
        pieces: list[str] = []
        settings = GenerateConfig(temperature=0, max_new_tokens=5, stop=stop)
        model, rest = constant(*tokens), {"bos": 0, "eos": 0, "max_positions": 64}
        (one,) = generate(model, TOKENIZER, [""], settings, **rest, on_text=pieces.append)
        assert pieces == (expected or ["x", "é.", "y"])
        assert one.text == "".join(pieces)
        assert one.finish == ("stop" if expected == ["x"] else "length")


def test_a_stream_is_of_one_text() -> None:
    with pytest.raises(ValueError, match="one prompt"):
        generate(
            make_decoder(), TOKENIZER, ["a", "b"], GenerateConfig(),
            bos=0, eos=0, max_positions=64, on_text=print,
        )  # fmt: skip


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0}, {"beams": 3}])
def test_a_row_without_a_token_is_never_generated(settings: dict[str, Any]) -> None:
    """Output layers are often longer than the tokenizer, so that their length is a round number."""
    model = make_decoder(vocabulary=len(TOKENIZER) + 8)
    with torch.no_grad():
        model.get_output_embeddings().weight[len(TOKENIZER) :] *= 100
    ids = {token for one in written(model, PROMPTS, **settings) for token in one.tokens}
    assert ids
    assert max(ids) < len(TOKENIZER)


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.0}, {"beams": 3}])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_outputs_that_are_no_numbers_are_an_error(value: float, settings: dict[str, Any]) -> None:
    model = make_decoder()
    with torch.no_grad():
        model.get_input_embeddings().weight[:] = value
    with pytest.raises(errors.ModelError, match="outputs are not numbers"):
        written(model, ["a"], **settings)

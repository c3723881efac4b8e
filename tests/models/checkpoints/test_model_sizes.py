"""The named sizes of new models have the documented parameters, and wrong sizes are refused."""

import re

import pytest
import torch
import yaml
from pydantic import ValidationError
from transformers import PreTrainedTokenizerFast

from tests.tiny import tiny_tokenizer
from warmstart.config import PretrainConfig
from warmstart.errors import ConfigError
from warmstart.models.checkpoints import model_sizes as sizes
from warmstart.models.checkpoints.model_sizes import SIZES, ModelShape, refuse_too_large, shape_of
from warmstart.models.checkpoints.new_model import model_class, model_config

FLOAT16_BYTES = 2


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with 8,192 tokens; which ones does not matter."""
    tokenizer = tiny_tokenizer()
    default = PretrainConfig().vocabulary
    tokenizer.add_tokens([f"token{n}" for n in range(default - len(tokenizer))])
    assert len(tokenizer) == default
    return tokenizer


def parameters(tokenizer: PreTrainedTokenizerFast, config: PretrainConfig) -> int:
    with torch.device("meta"):
        model = model_class(config.architecture).from_config(model_config(tokenizer, config))
    return int(model.num_parameters())


def rows_of_the_table() -> list[tuple[str, ModelShape, int, int]]:
    pattern = r"^    (\w+) +(\d+) x (\d+), (\d+) +([\d,]+) +([\d,]+)$"
    found = re.findall(pattern, sizes.__doc__ or "", re.MULTILINE)
    numbers = [[int(n.replace(",", "")) for n in row[1:]] for row in found]
    return [(row[0], ModelShape(*n[:3]), n[3], n[4]) for row, n in zip(found, numbers, strict=True)]


def test_the_table_is_of_all_sizes() -> None:
    assert {name: shape for name, shape, *_ in rows_of_the_table()} == SIZES
    settings = PretrainConfig.model_fields["size"].annotation
    assert set(SIZES) == set(settings.__args__)


@pytest.mark.parametrize("row", rows_of_the_table(), ids=lambda row: row[0])
def test_the_table_counts_right(
    tokenizer: PreTrainedTokenizerFast, row: tuple[str, ModelShape, int, int]
) -> None:
    name, _, gpt2, bert = row
    configs = [PretrainConfig(architecture=a, size=name) for a in ("gpt2", "bert")]
    assert [parameters(tokenizer, config) for config in configs] == [gpt2, bert]


def test_mini_is_small_enough_to_ship(tokenizer: PreTrainedTokenizerFast) -> None:
    count = parameters(tokenizer, PretrainConfig(size="mini"))
    assert 5e6 <= count <= 8e6
    assert count * FLOAT16_BYTES <= 16e6


def test_numbers_take_the_place_of_the_sizes_own() -> None:
    assert shape_of(PretrainConfig(size="small")) == SIZES["small"]
    assert shape_of(PretrainConfig(layers=3, hidden=60, heads=5)) == (3, 60, 5)
    assert shape_of(PretrainConfig(size="tiny", heads=8)) == (2, 128, 8)


@pytest.mark.parametrize(
    ("numbers", "fewer", "wider"),
    [({"heads": 3}, 2, 258), ({"hidden": 250}, 2, 252), ({"hidden": 7, "heads": 10}, 7, 10)],
)
def test_heads_that_do_not_divide_the_width(
    numbers: dict[str, int], fewer: int, wider: int
) -> None:
    config = PretrainConfig(**numbers)
    with pytest.raises(ConfigError) as caught:
        shape_of(config)
    error = caught.value
    assert f"pretrain.heads is {config.heads or 4}" in error.found
    assert "a multiple" in error.expected
    assert error.do == f"--set pretrain.heads={fewer}, or --set pretrain.hidden={wider}"
    for mended in ({**numbers, "heads": fewer}, {**numbers, "hidden": wider}):
        shape_of(PretrainConfig(**mended))


@pytest.mark.parametrize("power", [12, 300])
@pytest.mark.parametrize("name", ["hidden", "vocabulary", "context"])
def test_a_model_beyond_the_memory_is_refused(name: str, power: int) -> None:
    config = PretrainConfig.model_validate({name: 10**power})
    with pytest.raises(ConfigError, match=f"pretrain.{name} is") as raised:
        refuse_too_large(config, available=10**10)
    assert "at most 10.0 GB" in raised.value.expected
    key, _, value = raised.value.do.partition(", or")[0].removeprefix("--set ").partition("=")
    better = config.model_copy(update={key.removeprefix("pretrain."): yaml.safe_load(value)})
    refuse_too_large(better, available=10**10)


def test_the_number_of_parameters_is_close(tokenizer: PreTrainedTokenizerFast) -> None:
    for architecture in ("gpt2", "bert"):
        for size in SIZES:
            config = PretrainConfig.model_validate({"architecture": architecture, "size": size})
            assert sizes.parameters(config) == pytest.approx(
                parameters(tokenizer, config), rel=0.05
            )


def test_only_so_many_layers() -> None:
    with pytest.raises(ValidationError, match="1000"):
        PretrainConfig(layers=10**12)

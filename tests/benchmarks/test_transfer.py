"""The suite that compares ways to train: real runs on a tiny model, and the table."""

from pathlib import Path

import pytest

from benchmarks import transfer
from benchmarks.__main__ import main
from tests.runs_in_memory import settings
from warmstart import config_file


def config(folder: Path) -> str:
    path = folder / "reviews.yaml"
    path.write_text(config_file.dump(config_file.load(settings(folder, epochs=4))))
    return str(path)


def test_every_mode_has_its_settings(tmp_path: Path) -> None:
    found = {
        mode: transfer.settings_of(mode, config(tmp_path), ["train.learning_rate=2e-5"])
        for mode in transfer.MODES
    }
    assert found["full"] == []
    assert found["frozen"] == ["train.freeze=backbone", "train.learning_rate=0.0002"]
    assert found["upper-half"] == ["train.freeze=embeddings+layers:1"]
    assert found["gradual"] == ["train.unfreeze_layers_per_epoch=1"]
    for own in found.values():
        config_file.load(config(tmp_path), own)


@pytest.mark.slow
def test_a_mode_is_a_whole_run(tmp_path: Path) -> None:
    row = transfer.measure("lora", config(tmp_path), ["train.epochs=1"])
    assert row["engine"] == "lora"
    assert row["trained"] == 2 * 2 * 8 * (32 + 32) + 2 * 33
    assert row["seconds"] > 0
    assert (row["split"], row["n"]) == ("validation", 25)
    table = transfer.markdown([row]).splitlines()
    assert table[0].startswith(
        "| mode | trained parameters | seconds | peak MiB | matthews correlation, val"
    )
    assert table[2].startswith("| lora | 2,114 (")


@pytest.mark.slow
def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["transfer", "--config", config(tmp_path), "--set", "train.epochs=1"]
    assert main([*arguments, "--modes", "full", "frozen", "--results", str(tmp_path)]) == 0
    assert "| frozen | 66 (" in capsys.readouterr().err
    assert len(list(tmp_path.glob("*-transfer-full-frozen.json"))) == 1

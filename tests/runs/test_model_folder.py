"""The ``model/`` folder: complete at all times, and without private paths."""

import errno
import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from tests.runs_in_memory import job_of, prepared_run
from warmstart.errors import RunError
from warmstart.runs.model_folder import save_model_folder
from warmstart.training.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return job_of(prepared_run(tmp_path), tmp_path / "run")


def save(job: Job, max_tokens: int = 128) -> dict[str, bytes]:
    """Save the job's model; returns the folder's files."""
    save_model_folder(job.run, job.model, job.tokenizer, max_tokens)
    return files(job)


def files(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(job.run.model.iterdir())}


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """No file can be larger than this number of bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_it_holds_what_from_pretrained_needs_and_no_pickle(job: Job) -> None:
    found = save(job)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= found.keys()
    assert {Path(name).suffix for name in found} <= {".json", ".safetensors", ".txt"}
    config: dict[str, Any] = json.loads(found["config.json"])
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["label2id"] == {"bad": 0, "good": 1}
    private = str(job.run.path.parent).encode()
    assert not any(private in content for content in found.values())


def test_the_tokenizer_cuts_where_training_did_and_pads_nothing(job: Job) -> None:
    save(job, max_tokens=5)
    tokenizer = AutoTokenizer.from_pretrained(job.run.model)
    text = "the cat saw my house and her story"
    assert tokenizer.model_max_length == 5
    assert len(tokenizer(text, truncation=True)["input_ids"]) == 5
    assert len(tokenizer(text)["input_ids"]) == 10
    assert len(tokenizer("the cat")["input_ids"]) == 4


def test_a_better_model_replaces_the_weights_and_nothing_else(job: Job) -> None:
    before = save(job)
    with torch.no_grad():
        job.model.get_parameter("classifier.bias").fill_(3.0)
    after = save(job)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == ["model.safetensors"]
    weights = load_file(job.run.model / "model.safetensors")
    assert weights["classifier.bias"].tolist() == [3.0, 3.0]
    assert not (job.run.path / ".model.partial").exists()


def test_a_full_disk_leaves_the_older_model(job: Job) -> None:
    before = save(job)
    with torch.no_grad():
        job.model.get_parameter("classifier.bias").fill_(3.0)
    with full_disk(4096), pytest.raises(RunError, match="cannot write .*model") as caught:
        save(job)
    assert "free some space" in caught.value.do
    assert files(job) == before
    assert not (job.run.path / ".model.partial").exists()


def test_half_a_new_model_never_replaces_half_of_the_old(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are written before the tokenizer, and the disk fills up between the two."""
    before = save(job)

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(job.tokenizer), "save_pretrained", no_room)
    with torch.no_grad():
        job.model.get_parameter("classifier.bias").fill_(3.0)
    with pytest.raises(RunError, match="No space left"):
        save(job)
    assert files(job) == before


def test_what_a_crash_left_behind_does_no_harm(job: Job) -> None:
    (job.run.path / ".model.partial").mkdir()
    (job.run.path / ".model.partial" / "model.safetensors").write_bytes(b"half")
    (job.run.path / ".model.partial" / "stray.json").write_bytes(b"half")
    assert "stray.json" not in save(job)

"""Hub checkpoints, with a hub on this machine; ``hub_session.py`` downloads them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import tiny_checkpoint
from warmstart.errors.model import LAYOUT

Session = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the hub's repositories."""
    folder = tmp_path_factory.mktemp("hub")
    repos = folder / "repos" / "org"
    for name in (
        "tiny",
        "gated",
        "failing",
        "pickle",
        "sharded",
        "config-alone",
        "other",
        "adapted",
    ):
        tiny_checkpoint(repos / name)
    (repos / "adapter").mkdir()
    for name in ("adapted", "adapter"):
        (repos / name / "adapter_config.json").write_text("{}")
    (repos / "pickle" / "model.safetensors").rename(repos / "pickle" / "pytorch_model.bin")
    (repos / "tiny" / "pytorch_model.bin").write_bytes(b"not to be downloaded")
    shard(repos / "sharded")
    return folder


def shard(folder: Path) -> None:
    """Split the weights into two files and an index."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, members in shards.items():
        save_file({n: weights[n] for n in members}, folder / file, metadata={"format": "pt"})
    index = {name: file for file, members in shards.items() for name in members}
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )


@pytest.fixture(scope="module")
def ran(folder: Path) -> subprocess.CompletedProcess[str]:
    """The session, run once for all tests."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.models.hub_session", str(folder)],
        cwd=Path(__file__).parents[3],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def session(ran: subprocess.CompletedProcess[str]) -> Session:
    """The output of the session."""
    assert ran.returncode == 0, ran.stderr
    content: Session = json.loads(ran.stdout)
    return content


@pytest.fixture(scope="module")
def first_weight(folder: Path) -> float:
    """SHA-256 of the published weights of org/tiny."""
    weights = load_file(folder / "repos" / "org" / "tiny" / "model.safetensors")
    return float(weights["bert.embeddings.word_embeddings.weight"][5, 0])


def test_weights_are_downloaded_only_when_needed(session: Session, first_weight: float) -> None:
    assert any(request.endswith("/config.json") for request in session["found"])
    assert not any(request.endswith("model.safetensors") for request in session["found"])
    downloads = [r for r in session["loaded"] if r.startswith("GET") and "/resolve/" in r]
    assert [request.rpartition("/")[2] for request in downloads] == ["model.safetensors"]
    assert session["first weight"] == first_weight != 0


def test_a_cached_checkpoint_costs_one_request(session: Session) -> None:
    assert len(session["found again"]) == 1
    assert session["loaded again"] == []


def test_a_folder_and_the_bundled_model_ask_the_hub_nothing(session: Session) -> None:
    assert session["local and bundled"] == []


def test_shards_are_downloaded_all(session: Session) -> None:
    got = {r.rpartition("/")[2] for r in session["sharded"] if r.startswith("GET")}
    assert {"a.safetensors", "b.safetensors"} <= got


def test_the_cache_is_used_on_request_and_without_the_hub(
    session: Session, first_weight: float
) -> None:
    assert session["cached first weight"] == first_weight
    assert session["unreachable first weight"] == first_weight


def test_nothing_is_printed_by_the_libraries(ran: subprocess.CompletedProcess[str]) -> None:
    assert ran.stderr == ""
    assert ran.stdout.count("\n") == 1


def test_unknown_and_private_models_are_distinguished(session: Session) -> None:
    found, expected, do = session["org/tinny"]
    assert "'org/tinny'" in found
    assert "OWNER/NAME" in expected
    assert "spelling" in do
    assert "hf auth login" in do


def test_a_misspelt_well_known_model_is_guessed(session: Session) -> None:
    assert (
        "--set model.name=google-bert/bert-base-uncased"
        in session["google-bert/bert-base-uncasd"][2]
    )


def test_an_impossible_name_is_an_unknown_model(session: Session) -> None:
    assert "'a b'" in session["a b"][0]


def test_a_gated_model_leads_to_its_licence(session: Session) -> None:
    found, _, do = session["org/gated"]
    assert "does not allow you to download 'org/gated'" in found
    assert "licence" in do
    assert "hf auth login" in do


def test_an_adapter_in_a_repository_is_refused(session: Session) -> None:
    found, _, do = session["org/adapted"]
    assert found == "org/adapted has adapter_config.json next to the model's own config.json"
    assert "`hf download org/adapted --local-dir FOLDER`, remove adapter_config.json there" in do
    found, _, do = session["org/adapter"]
    assert found.startswith("model.name: org/adapter has only an adapter")
    assert "merge_and_unload" in do


def test_an_unknown_revision(session: Session) -> None:
    found, _, do = session["revision"]
    assert "org/tiny has no revision 'v9'" in found
    assert "--set model.revision=null" in do


@pytest.mark.parametrize("scenario", ["org/failing", "unreachable"])
def test_a_failed_download_names_the_folder_and_the_mirror(session: Session, scenario: str) -> None:
    found, expected, do = session[scenario]
    assert "failed" in found
    assert "http://127.0.0.1" in found
    assert LAYOUT in expected
    assert "--set model.name=FOLDER" in do
    assert "HF_ENDPOINT" in do
    assert "bundled/minilm-l6" in do


@pytest.mark.parametrize("name", ["org/other", "org/config-alone"])
def test_what_the_cache_lacks_is_refused_when_the_network_is_forbidden(
    session: Session, name: str
) -> None:
    found, expected, do = session[f"not cached {name}"]
    assert f"'{name}'" in found
    assert LAYOUT in expected
    assert "--set model.local_files_only=false" in do


def test_a_hub_model_with_pickles_alone(session: Session) -> None:
    found, _, do = session["pickle"]
    assert "pytorch_model.bin" in found
    assert "--set model.allow_pickle=true" in do

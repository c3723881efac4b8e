"""A process that uses a hub on this machine, and prints the results as one JSON object.

Run by ``test_hub.py``. ``huggingface_hub`` reads ``HF_ENDPOINT`` when it is imported, so the hub is
started first, and everything that imports it comes after.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from tests.tiny.hub import Hub, serve_hub

SAID: dict[str, Any] = {}


def main(folder: Path) -> None:
    """Run every scenario, with the hub and then without it."""
    with ExitStack() as running:
        gated, failing = ["org/gated"], ["org/failing"]
        hub = running.enter_context(serve_hub(folder / "repos", gated=gated, failing=failing))
        environment = hub.environment(folder / "home")  # with the number of threads
        os.environ.clear()
        os.environ.update(environment)
        with_hub(hub, folder)
        running.close()
        without_hub()
    print(json.dumps(SAID))


def with_hub(hub: Hub, folder: Path) -> None:
    """Downloads, and requests that the hub refuses."""
    from warmstart.config import ModelConfig
    from warmstart.models.checkpoints.load import find, sequence_classifier

    @contextmanager
    def requests(scenario: str) -> Iterator[None]:
        start = len(hub.requests)
        yield
        SAID[scenario] = hub.requests[start:]

    with requests("found"):
        checkpoint = find(ModelConfig(name="org/tiny"))
    with requests("loaded"):
        SAID["first weight"] = _first_weight(sequence_classifier(checkpoint, ["no", "yes"], 0))
    with requests("found again"):
        again = find(ModelConfig(name="org/tiny"))
    with requests("loaded again"):
        sequence_classifier(again, ["no", "yes"], 0)
    with requests("local and bundled"):
        local = find(ModelConfig(name=str(folder / "repos" / "org" / "tiny")))
        sequence_classifier(local, ["no", "yes"], 0)
        sequence_classifier(find(ModelConfig(name="bundled/minilm-l6")), ["no", "yes"], 0)
    with requests("sharded"):
        sequence_classifier(find(ModelConfig(name="org/sharded")), ["no", "yes"], 0)
    with requests("config alone"):
        find(ModelConfig(name="org/config-alone"))
    for name in ("org/tinny", "google-bert/bert-base-uncasd", "org/gated", "org/failing", "a b"):
        SAID[name] = _refusal(partial(find, ModelConfig(name=name)))
    for name in ("org/adapted", "org/adapter"):
        SAID[name] = _refusal(partial(find, ModelConfig(name=name)))
    SAID["pickle"] = _refusal(lambda: find(ModelConfig(name="org/pickle")))
    SAID["revision"] = _refusal(lambda: find(ModelConfig(name="org/tiny", revision="v9")))


def without_hub() -> None:
    """What works with the cache alone."""
    from warmstart.config import ModelConfig
    from warmstart.models.checkpoints.load import find, sequence_classifier

    cached = find(ModelConfig(name="org/tiny", local_files_only=True))
    SAID["cached first weight"] = _first_weight(sequence_classifier(cached, ["no", "yes"], 0))
    unreachable = find(ModelConfig(name="org/tiny"))
    SAID["unreachable first weight"] = _first_weight(
        sequence_classifier(unreachable, ["a", "b"], 0)
    )
    SAID["unreachable"] = _refusal(lambda: find(ModelConfig(name="org/other")))
    for name in ("org/other", "org/config-alone"):
        config = ModelConfig(name=name, local_files_only=True)
        SAID[f"not cached {name}"] = _refusal(partial(find, config))


def _first_weight(model: Any) -> float:
    return float(model.bert.embeddings.word_embeddings.weight[5, 0].item())


def _refusal(call: Callable[[], object]) -> list[str]:
    """The three parts of the error."""
    from warmstart.errors import ModelError

    try:
        call()
    except ModelError as error:
        return [error.found, error.expected, error.do]
    return ["", "", ""]


if __name__ == "__main__":
    main(Path(sys.argv[1]))

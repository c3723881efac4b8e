"""A process in which ``model.name: auto`` uses a hub on this machine; prints what was chosen."""

import json
import os
import sys
from pathlib import Path

from tests.tiny.hub import serve_hub


def main(folder: Path) -> None:
    """Prepare a run for the texts of each language in ``folder``."""
    with serve_hub(folder / "repos") as hub:
        environment = hub.environment(folder / "home")
        os.environ.clear()
        os.environ.update(environment)
        from warmstart import config_file
        from warmstart.preparation.prepare import prepare

        said = {}
        for path in sorted(folder.glob("*.csv")):
            content = {"model": {"name": "auto"}, "data": {"train": str(path), "validation": 0.5}}
            prepared = prepare(config_file.load(content))
            said[path.stem] = {
                "name": prepared.config.model.name,
                "pooling": prepared.config.model.pooling,
                "chosen": list(prepared.chosen),
                "messages": [message.text for message in prepared.findings.messages],
            }
    print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A model hub on this machine, for tests of downloading: the requests of ``huggingface_hub``.

``huggingface_hub`` reads ``HF_ENDPOINT`` when it is first imported, so a test that downloads from
here runs its code in a separate process, with ``Hub.environment``.

    GET       /api/{models|datasets}/ORG/NAME[/revision/REV]     commit and file names
    GET       /api/{models|datasets}/ORG/NAME/tree/REV[/FOLDER]  sizes and hashes
    POST      /api/{models|datasets}/ORG/NAME/paths-info/REV     the same, for some paths
    HEAD GET  /[datasets/]ORG/NAME/resolve/REV/FILE              the file

Source: https://huggingface.co/docs/hub/api, and the headers that ``huggingface_hub`` 2.4 reads
(``X-Repo-Commit``, ``X-Linked-Etag``, ``X-Linked-Size``, ``X-Error-Code``).
"""

import hashlib
import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Hub:
    """A running hub.

    Args:
        url: value for ``HF_ENDPOINT``.
        requests: requests such as ``"HEAD /ORG/NAME/resolve/main/config.json"``, in order.
    """

    url: str
    requests: list[str] = field(default_factory=list)

    def environment(self, home: Path) -> dict[str, str]:
        """This process's environment, with this hub as the mirror and ``home`` as the cache."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        return {**kept, **direct, "HF_ENDPOINT": self.url, "HF_HOME": str(home)}


@contextmanager
def serve_hub(
    folder_of_repos: Path, *, gated: Collection[str] = (), failing: Collection[str] = ()
) -> Iterator[Hub]:
    """Serve ``folder_of_repos`` until the block ends.

    Args:
        folder_of_repos: folder with ``ORG/NAME/`` for each model, ``datasets/ORG/NAME/`` for data
            sets.
        gated: ``ORG/NAME`` of a model with files that nobody may download.
        failing: ``ORG/NAME`` for which the server returns 503.
    """
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        """Responses from the folder.

        With HTTP/1.0, the default, every connection ends with its response, so that none lasts
        longer than the hub.
        """

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing; ``requests`` is the log."""

        def do_HEAD(self) -> None:
            """Only headers."""
            self._reply()

        def do_GET(self) -> None:
            """Headers and content."""
            self._reply()

        def do_POST(self) -> None:
            """Look up some paths."""
            self._reply()

        def _reply(self) -> None:
            requests.append(f"{self.command} {self.path}")
            form = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = _answer(
                folder_of_repos, unquote(self.path), form, gated=gated, failing=failing
            )
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Hub(f"http://127.0.0.1:{server.server_address[1]}", requests)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, content."""


def _answer(
    repos: Path, target: str, form: bytes, *, gated: Collection[str], failing: Collection[str]
) -> Answer:
    """The hub's response to a request for ``target`` (path and query, unquoted)."""
    path = urlsplit(target).path
    api = path.startswith("/api/")
    parts = path.removeprefix("/api").strip("/").split("/")
    kind = parts.pop(0) if parts[0] in ("models", "datasets") else "models"
    name, rest = "/".join(parts[:2]), parts[2:]
    folder = repos / "datasets" / name if kind == "datasets" else repos / name
    if name in failing:
        return 503, {}, b"out of order"
    if not folder.is_dir():
        return _error(404, "RepoNotFound")
    if name in gated and not api:
        return _error(403, "GatedRepo")
    commit = _commit(folder)
    verb, revision, inside = (*rest[:2], "/".join(rest[2:])) if rest else ("revision", "main", "")
    if revision not in ("main", commit):
        return _error(404, "RevisionNotFound")
    if verb == "resolve":
        return _file(folder / inside, commit)
    if verb == "tree":
        return _json([_entry(folder, file) for file in _files(folder / inside)])
    if verb == "paths-info":
        asked = _asked(form)
        return _json([_entry(folder, f) for f in _files(folder) if _relative(folder, f) in asked])
    siblings = [{"rfilename": _relative(folder, file)} for file in _files(folder)]
    return _json({"id": name, "sha": commit, "siblings": siblings, "tags": [], "downloads": 0})


def _asked(form: bytes) -> Collection[str]:
    """The paths of a ``paths-info`` request, sent as JSON or as a form."""
    try:
        return [str(path) for path in json.loads(form)["paths"]]
    except ValueError:
        return parse_qs(form.decode())["paths"]


def _file(file: Path, commit: str) -> Answer:
    """The content of a file, or the error that it does not exist."""
    if not file.is_file():
        status, headers, body = _error(404, "EntryNotFound")
        return status, {**headers, "X-Repo-Commit": commit}, body
    body = file.read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    linked = {"X-Linked-Etag": etag, "X-Linked-Size": str(len(body))}
    return 200, {"ETag": etag, "X-Repo-Commit": commit, **linked}, body


def _entry(folder: Path, file: Path) -> dict[str, Any]:
    """A file in the format of the ``tree`` call."""
    body = file.read_bytes()
    oid = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    return {"type": "file", "path": _relative(folder, file), "size": len(body), "oid": oid}


def _error(status: int, code: str) -> Answer:
    """An error in the format of the hub."""
    return status, {"X-Error-Code": code, "X-Error-Message": code}, b""


def _json(content: object) -> Answer:
    """A JSON response."""
    return 200, {"Content-Type": "application/json"}, json.dumps(content).encode()


def _files(folder: Path) -> list[Path]:
    """All files below ``folder``, sorted."""
    return sorted(file for file in folder.rglob("*") if file.is_file())


def _relative(folder: Path, file: Path) -> str:
    """The file's name in the hub's notation."""
    return file.relative_to(folder).as_posix()


def _commit(folder: Path) -> str:
    """40 hexadecimal digits that depend on the content of all files."""
    digest = hashlib.sha1(usedforsecurity=False)
    for file in _files(folder):
        digest.update(f"{_relative(folder, file)} {file.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()

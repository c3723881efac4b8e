"""Downloads from a server on this machine: cached, verified, and found again without it."""

import gc
import hashlib
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.data.reading_helpers import refusal, table, written
from warmstart.data.reading import fetch
from warmstart.data.reading.fetch import cache_folder

# If a request fails, pooch leaves its connection to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

CSV = b"text,label\na,b\n"
HASH = hashlib.sha256(CSV).hexdigest()


Served = tuple[Path, str, Callable[[], None]]


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and logs nothing."""

    def log_message(self, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        """``drip`` sends a byte at a time, ``endless`` never stops, ``cut`` stops early."""
        kind = self.path.strip("/").partition(".")[0]
        if kind not in {"drip", "endless", "cut"}:
            super().do_GET()
            return
        self.send_response(200)
        if kind == "cut":
            self.send_header("Content-Length", "1000")
        self.end_headers()
        with suppress(OSError):
            for _ in range(1 if kind == "cut" else 100_000):
                self.wfile.write(b"a" if kind == "drip" else CSV)
                if kind == "drip":
                    time.sleep(0.01)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A folder, its URL, and a function that stops the server."""
    monkeypatch.setenv("WARMSTART_CACHE", str(tmp_path / "cache"))
    (tmp_path / "served").mkdir()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))
    )
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    yield tmp_path / "served", url, stop
    stop()
    gc.collect(1)  # the young objects are enough, and the others are many


def test_a_download_is_kept_and_found_offline(served: Served) -> None:
    folder, url, stop = served
    written(folder, CSV)
    source = f"{url}/a.csv?version=1"
    read = table(source)
    assert read.files[0].sha256 == HASH
    assert read.where(0) == f"{source}:2"
    stop()
    assert table(source).columns.equals(read.columns)
    assert table(f"{source}#sha256={HASH.upper()}").columns.equals(read.columns)


def test_a_download_of_another_hash_is_refused_and_not_kept(served: Served) -> None:
    folder, url, _ = served
    written(folder, CSV + b"c,d\n")
    error = refusal(f"{url}/a.csv#sha256={HASH}")
    found = hashlib.sha256(CSV + b"c,d\n").hexdigest()
    assert error.found == f"{url}/a.csv: the download has sha256 {found}"
    assert error.expected == f"sha256 {HASH}; the download was deleted"
    assert f"#sha256={found}" in error.do
    assert not [path for path in cache_folder().rglob("*") if path.is_file()]


def test_a_stale_copy_is_fetched_again_when_the_hash_says_so(served: Served) -> None:
    folder, url, _ = served
    written(folder, CSV + b"c,d\n")
    assert len(table(f"{url}/a.csv")) == 2
    written(folder, CSV)
    assert len(table(f"{url}/a.csv")) == 2
    assert len(table(f"{url}/a.csv#sha256={HASH}")) == 1


@pytest.mark.parametrize("up", [True, False])
def test_a_download_that_fails(served: Served, up: bool) -> None:
    _, url, stop = served
    if not up:
        stop()
    error = refusal(f"{url}/nothing.csv")
    assert error.found.startswith(f"{url}/nothing.csv could not be downloaded: ")
    assert ("404 Client Error" in error.found) == up
    assert "WARMSTART_CACHE" in error.expected
    assert "--set data.dir=FOLDER" in error.do


@pytest.mark.parametrize("fragment", ["sha256=12", "md5=00", "top"])
def test_a_fragment_that_is_no_checksum(served: Served, fragment: str) -> None:
    _, url, _ = served
    error = refusal(f"{url}/a.csv#{fragment}")
    assert f"'#{fragment}' is not a checksum" in error.found
    assert f"{url}/a.csv#sha256=HEX" in error.do


def test_a_zip_from_the_web_as_source_and_as_folder(served: Served) -> None:
    folder, url, _ = served
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr("top/raw/x.csv", CSV)
        archive.writestr("y.csv", CSV)
    checked = hashlib.sha256((folder / "a.zip").read_bytes()).hexdigest()
    source = f"{url}/a.zip!y.csv"
    assert table(f"{source}#sha256={checked}").files[0].sha256 == HASH
    assert table("top/raw/x.csv", dir=f"{url}/a.zip#sha256={checked}").files[0].sha256 == HASH
    assert table("elsewhere/y.csv", dir=f"{url}/a.zip").where(0) == f"{url}/a.zip!y.csv:2"
    error = refusal("x/z.csv", dir=f"{url}/a.zip")
    assert "has no member 'x/z.csv'" in error.found
    error = refusal(f"{source}#sha256={HASH}")
    assert f"the download has sha256 {checked}" in error.found


def test_the_cache_is_where_the_system_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WARMSTART_CACHE", raising=False)
    assert cache_folder().name == "warmstart"
    monkeypatch.setenv("WARMSTART_CACHE", "~/elsewhere")
    assert cache_folder().name == "elsewhere"
    assert cache_folder().is_absolute()


@pytest.mark.parametrize(
    "url", ["http://[::1/x.csv", "https://[x]/a.csv", "http://[::1/a.zip!b.csv"]
)
def test_a_text_that_only_starts_like_a_url(tmp_path: Path, url: str) -> None:
    for settings in ({}, {"dir": str(tmp_path)}):
        error = refusal(url, **settings)
        assert "is not a URL: " in error.found
        assert error.expected == "https://HOST/PATH/FILE.csv"
    assert "is not a URL: " in refusal("a.csv", dir=url.partition("!")[0]).found


@pytest.mark.parametrize(
    "url", ["http://", "https:///x.csv", "http://a:99999999/x.csv", "http://a b/"]
)
def test_a_url_without_a_server(url: str) -> None:
    assert "could not be downloaded" in refusal(url, format="csv").found


def test_a_long_file_name_in_a_url(served: Served) -> None:
    folder, url, _ = served
    name = "x" * 240 + ".csv"
    (folder / name).write_bytes(CSV)
    assert len(table(f"{url}/{name}")) == 1
    assert "could not be downloaded" in refusal(f"{url}/{'x' * 5000}.csv").found
    assert "could not be downloaded" in refusal(f"{url}/{'%C3%A9' * 300}.csv").found
    assert "could not be downloaded" in refusal(f"{url}/a%00b.csv").found


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("drip", "bytes arrived in 0.1 seconds"),
        ("endless", "it has more than 100,000 bytes"),
        ("cut", "15 of 1,000 bytes|15 bytes read, 985 more expected"),
    ],
)
def test_a_response_that_is_slow_or_endless_or_incomplete(
    served: Served, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    _, url, _ = served
    monkeypatch.setattr(fetch, "_SLOW_SECONDS", 0.1)
    monkeypatch.setattr(fetch, "_MOST_BYTES", 100_000)
    error = refusal(f"{url}/{kind}.csv")
    assert error.found.startswith(f"{url}/{kind}.csv could not be downloaded: ")
    assert re.search(reason, error.found)
    assert not [path for path in cache_folder().rglob("*") if path.is_file()]

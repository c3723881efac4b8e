"""Download files from the web into a cache: once, with a checksum, and then usable offline.

A download gets its final name only when it is complete and its sha256 is as expected. Every file in
the cache is therefore valid. The environment variable ``WARMSTART_CACHE`` sets the cache folder; by
default it is in the cache folder of the operating system.

Source: pooch documentation, ``pooch.retrieve``; urllib3 documentation, ``HTTPResponse.read1`` (it
returns what has arrived, whereas ``read`` waits for the whole block).
"""

import hashlib
import os
import re
import tempfile
import time
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from warmstart import errors
from warmstart.data.reading.paths import local_path

_TIMEOUT_SECONDS = 30
"""Timeout for the connection, and for each part of the response."""

_SLOW_SECONDS = 60
_SLOW_BYTES = 60 << 10
"""A download that gets less than this in ``_SLOW_SECONDS`` is given up (1 KiB per second)."""

_MOST_BYTES = 1 << 36
"""Maximum size of a download (64 GiB): a response may have no end."""

_NAME_CHARACTERS = 60
"""Maximum number of characters of a file name in the cache: its end, which shows the format."""


def is_url(source: str) -> bool:
    """Whether ``source`` is a URL.

    >>> is_url("https://example.org/a.csv"), is_url("a.csv")
    (True, False)
    """
    return source.lower().startswith(("http://", "https://"))


def cache_folder() -> Path:
    """The cache folder for downloads; it is not created here."""
    if named := os.environ.get("WARMSTART_CACHE"):
        return local_path(named)
    from platformdirs import user_cache_path

    return user_cache_path("warmstart", appauthor=False)


def file_name(url: str) -> str:
    """The file name in a URL, whose suffix shows the format.

    Raises:
        DataError: the text is not a URL.

    >>> file_name("https://example.org/data/a%20b.csv?download=1#sha256=00")
    'a b.csv'
    """
    try:
        path = unquote(urlsplit(url).path).replace("\\", "/").replace("\0", "")
    except ValueError as error:
        raise errors.files.bad_url(url, error) from error
    return path.rpartition("/")[2][-_NAME_CHARACTERS:] or "download"


def fetch(source: str) -> Path:
    """Path of a local copy of a URL: from the cache if possible, else downloaded.

    Args:
        source: a URL, optionally with ``#sha256=HEX`` for the expected checksum at its end.

    Raises:
        DataError: the download failed, or its sha256 is not the expected one.
    """
    url, _, fragment = source.partition("#")
    expected = fragment.removeprefix("sha256=").lower()
    if fragment and not re.fullmatch(r"sha256=[0-9a-fA-F]{64}", fragment):
        raise errors.files.bad_checksum(url, fragment)
    folder = cache_folder() / "downloads" / hashlib.sha256(url.encode()).hexdigest()[:16]
    copy = folder / file_name(url)
    if copy.is_file() and (not expected or sha256_of(copy) == expected):
        return copy
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            download = _download(url, Path(unfinished))
            if expected and (found := sha256_of(download)) != expected:
                raise errors.files.wrong_sha256(url, found=found, expected=expected)
            download.replace(copy)
    except (OSError, ValueError, HTTPException) as error:  # requests' errors are OSErrors
        raise errors.files.download_failed(url, error) from error
    return copy


def _download(url: str, folder: Path) -> Path:
    """Download without a progress bar and without log messages."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    return Path(pooch.retrieve(url, None, fname="download", path=folder, downloader=_save))


def _save(url: str, output: str, _: object) -> None:
    """Write the response to a file; fails if it is incomplete, very slow or has no end."""
    import requests
    from urllib3.exceptions import HTTPError

    plain = {"Accept-Encoding": "identity"}
    with (
        requests.get(url, headers=plain, stream=True, timeout=_TIMEOUT_SECONDS) as response,
        Path(output).open("wb") as file,
    ):
        response.raise_for_status()
        size = part = 0
        started = time.monotonic()
        try:
            while block := response.raw.read1(1 << 20, decode_content=True):
                file.write(block)
                size, part = size + len(block), part + len(block)
                if size > _MOST_BYTES:
                    raise OSError(f"it has more than {_MOST_BYTES:,} bytes")
                if part >= _SLOW_BYTES:
                    part, started = 0, time.monotonic()
                elif time.monotonic() - started > _SLOW_SECONDS:
                    raise OSError(f"only {part:,} bytes arrived in {_SLOW_SECONDS} seconds")
        except HTTPError as error:
            raise OSError(str(error)) from error
        expected = response.headers.get("Content-Length", str(size))
        if "Content-Encoding" not in response.headers and size != int(expected):
            raise OSError(f"{size:,} of {int(expected):,} bytes arrived")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

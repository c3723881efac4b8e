"""Download files from the web into a cache: once, with a checksum, and then usable offline.

A download gets its final name only when it is complete and its sha256 is as expected. Every file in
the cache is therefore valid. The environment variable ``WARMSTART_CACHE`` sets the cache folder; by
default it is in the cache folder of the operating system.

Source: pooch documentation, ``pooch.retrieve``.
"""

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from warmstart import errors
from warmstart.data.reading.paths import local_path

_TIMEOUT_SECONDS = 30
"""Timeout for the connection, and for each chunk of the response."""


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
    except (OSError, ValueError) as error:  # requests' errors are OSErrors
        raise errors.files.download_failed(url, error) from error
    return copy


def _download(url: str, folder: Path) -> Path:
    """Download without a progress bar and without log messages."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(chunk_size=1 << 20, timeout=_TIMEOUT_SECONDS)
    return Path(pooch.retrieve(url, None, fname="download", path=folder, downloader=downloader))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

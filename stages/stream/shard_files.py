"""Local files of committed shards: the output's own, or copies of remote ones in a cache with a bound."""

import contextlib
import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from schemas import BadInputError, StorageError
from schemas.commit import FileEntry
from stages.storage import Folder, permitted

_CHUNK = 1 << 20


class ShardCache:
    """Copies of remote shards in a local folder, which any number of processes share.

    A shard is called after its sha256, which was checked before it got its name, so a copy is never of other content
    and never a part. What was used longest ago goes first. A reader that has a copy open keeps it: on POSIX systems an
    unlinked file lives until it is closed, so up to `num_open` copies of each process may lie beyond the bound.
    """

    def __init__(self, path: Path, most_bytes: int) -> None:
        """
        Args:
            path: made if need be; holds nothing else.
            most_bytes: of all copies together. A shard that is larger is still copied, alone.
        """
        self._path = path
        self._most_bytes = most_bytes

    def open(self, folder: Folder, shard: FileEntry) -> int:
        """A file descriptor of a copy, which the caller closes.

        Raises:
            BadInputError: if the shard is missing, or not what was committed.
            StorageError: if the copy cannot be written.
            TransientError: if the store cannot be reached.
        """
        copy = self._path / f"{shard.sha256}.tar"
        lock = f"shard-{shard.sha256[:1]}"  # few serve all shards
        try:
            # Two workers that want the same shard at once: one copies it, the other waits.
            with self._lock(lock):
                with contextlib.suppress(FileNotFoundError):
                    return self._opened(copy)
                # Only who has the lock writes to this name, so what a killed process left there is overwritten.
                descriptor = self._fetch(folder, shard, self._path / f".{lock}.part", copy)
            self._evict(copy)
        except OSError as error:
            raise StorageError(
                f"{self._path}: a shard cannot be kept here: {error}; free space there, or give another folder (cache)"
            ) from error
        return descriptor

    def mend(self, shard: FileEntry) -> bool:
        """Drop a copy that is not what was committed any more; whether it was so, and should be opened anew.

        Raises:
            StorageError: if the copy cannot be removed.
        """
        copy = self._path / f"{shard.sha256}.tar"
        try:
            with self._lock(f"shard-{shard.sha256[:1]}"), contextlib.suppress(FileNotFoundError):
                if sha256_of(copy) != shard.sha256:
                    copy.unlink()
                    return True
        except OSError as error:
            raise StorageError(f"{copy}: damaged, and cannot be removed: {error}; remove it") from error
        return False

    def _opened(self, copy: Path) -> int:
        descriptor = os.open(copy, os.O_RDONLY)
        os.utime(descriptor)  # the time of use, by which copies are chosen to go
        return descriptor

    def _fetch(self, folder: Folder, shard: FileEntry, part: Path, copy: Path) -> int:
        try:
            _fetch(folder, shard, part)
            check_sha256(part, folder, shard)
            descriptor = self._opened(part)  # under its final name another process may evict it at once
            os.replace(part, copy)
        finally:
            part.unlink(missing_ok=True)
        return descriptor

    def _evict(self, newest: Path) -> None:
        with self._lock("evict"):
            copies = []
            for path in self._path.glob("*.tar"):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    copies.append((status.st_mtime_ns, path.name, status.st_size, path))
            total = sum(size for _, _, size, _ in copies)
            for _, _, size, path in sorted(copies):
                if total > self._most_bytes and path != newest:
                    path.unlink(missing_ok=True)
                    total -= size

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self._path.mkdir(parents=True, exist_ok=True)
        with open(self._path / f".{name}.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # the kernel frees it with the file, also of a killed process
            yield


def open_local(folder: Folder, shard: FileEntry) -> int:
    """A file descriptor of a shard on this machine, which the caller closes.

    Its size is checked here and each member's checksum when it is read; a digest of all would cost a second reading.

    Raises:
        BadInputError: if it is missing, or not as long as was committed.
    """
    path = folder.local_path(shard.name)
    try:
        with committed(folder, shard):
            descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise StorageError(f"{path}: {error}; raise the limit of open files (ulimit -n)") from error
        raise BadInputError(f"{path}: cannot be read: {error}") from error
    size = os.fstat(descriptor).st_size
    if size != shard.bytes:
        os.close(descriptor)
        raise BadInputError(f"{path}: {size} bytes, its commit says {shard.bytes}; restore the file")
    return descriptor


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: Path, folder: Folder, shard: FileEntry) -> None:
    """Refuse a file that is not what was committed.

    Raises:
        BadInputError: naming both digests.
    """
    found = sha256_of(path)
    if found != shard.sha256:
        raise BadInputError(
            f"{folder.path(shard.name)}: sha256 is {found}, its commit says {shard.sha256}; restore the file"
        )


@contextlib.contextmanager
def committed(folder: Folder, file: FileEntry) -> Iterator[None]:
    """Translate what a store says of a file that a commit names.

    Raises:
        BadInputError: if it is missing, or may not be read.
    """
    path = folder.path(file.name)
    try:
        with permitted(path):
            yield
    except FileNotFoundError as error:
        raise BadInputError(f"{path}: named by a commit, but missing; restore it, or label anew") from error


def _fetch(folder: Folder, shard: FileEntry, target: Path) -> None:
    with committed(folder, shard):
        size = folder.info(shard.name)["size"]
        if size != shard.bytes:
            raise BadInputError(
                f"{folder.path(shard.name)}: {size} bytes, its commit says {shard.bytes}; restore the file"
            )
        folder.fetch(shard.name, target)

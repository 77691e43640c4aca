"""One door to storage, local or remote: create-if-absent, publish, read.

Local files appear by `link`, which fails if the name exists, after `fsync`; object stores by a conditional put of a
finished local file. A stream opened on the final name is never used: fsspec publishes it, truncated, on an exception.
"""

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from schemas import BadInputError, StorageError, TransientError, UserError

# Stores whose put can be made conditional on absence, which the commit log rests on.
_CONDITIONAL = {"s3", "s3a", "gs", "gcs"}

# What `link` says on file systems without hard links (FAT, some network and container mounts).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

# What writing says on a disk, or below a quota or limit, that has no room left.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Folder:
    """A folder at a path or fsspec URL. Picklable; opens its connection in the process that uses it."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/") or "/"
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise UserError(f"{url}: {error}") from error
        self.is_local = isinstance(self._fs, LocalFileSystem)

    def __reduce__(self) -> tuple[type["Folder"], tuple[str]]:
        return Folder, (self.url,)

    def __str__(self) -> str:
        return self.url

    def path(self, name: str) -> str:
        """Where `name` lies, as a person would type it."""
        return f"{self.url}/{name}"

    def check_writable_log(self) -> None:
        """Refuse stores that cannot create a file only if it is absent.

        Raises:
            UserError: naming the protocol and those that work.
        """
        protocols = {self._fs.protocol} if isinstance(self._fs.protocol, str) else set(self._fs.protocol)
        if not self.is_local and not protocols & _CONDITIONAL:
            raise UserError(
                f"output {self.url}: {sorted(protocols)[0]} storage cannot create a file only if it is absent, "
                f"which the commit log needs; use a local path, s3:// or gs://"
            )

    # Reading

    def read(self, name: str, start: int | None = None, end: int | None = None) -> bytes:
        """The bytes `[start, end)` of a file, or all of it.

        Raises:
            FileNotFoundError: if there is no such file.
            PermissionError: if it may not be read.
            TransientError: on any other fault of the store.
        """
        with _translated_reads(self.path(name)):
            data: bytes = self._fs.cat_file(self._at(name), start=start, end=end)
            return data

    def local_path(self, name: str) -> Path:
        """Where a file of a local folder lies."""
        assert self.is_local, self.url
        return Path(self._at(name))

    @contextlib.contextmanager
    def local_copy(self, name: str) -> Iterator[Path]:
        """A path from which a file can be read: its own, or that of a temporary copy of a remote one.

        Raises:
            FileNotFoundError: if there is no such file; else as `fetch`.
        """
        if self.is_local:
            path = self.local_path(name)
            if not path.is_file():
                raise FileNotFoundError(path)
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="relmill-") as folder:
            path = Path(folder) / "copy"
            self.fetch(name, path)
            yield path

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file to a local path, without holding it in memory.

        Raises:
            FileNotFoundError: if there is no such file.
            PermissionError: if it may not be read.
            StorageError: if the local disk is full.
            TransientError: on any other fault of the store, or of the local disk.
        """
        with _translated_reads(self.path(name)):
            try:
                self._fs.get_file(self._at(name), str(target))
            except OSError as error:
                if error.errno in _FULL:
                    raise _storage_error(str(target), error) from error
                raise

    def exists(self, name: str) -> bool:
        """Whether the file is there now; listings cached by the client are not believed."""
        self._fs.invalidate_cache()
        try:
            with _translated_reads(self.path(name)):
                self._fs.info(self._at(name))
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """Names (not paths) of the files in a sub-folder, sorted; empty if there is none. For people and repair."""
        self._fs.invalidate_cache()
        try:
            with _translated_reads(self.path(folder)):
                found = self._fs.ls(self._at(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(entry["name"].rsplit("/", 1)[-1] for entry in found if entry["type"] == "file")

    def info(self, name: str) -> dict[str, Any]:
        """What the store says of a file: at least `size`, and its time or tag where it has one."""
        with _translated_reads(self.path(name)):
            info: dict[str, Any] = self._fs.info(self._at(name))
            return info

    # Writing

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A local temporary file path on the file system where `publish` will put it; gone afterwards."""
        try:
            folder = Path(self._at("tmp")) if self.is_local else Path(tempfile.gettempdir())
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _storage_error(self.url, error) from error
        path = folder / f"relmill-{uuid.uuid4().hex}"
        try:
            yield path
        except OSError as error:
            raise _storage_error(str(path), error) from error
        finally:
            path.unlink(missing_ok=True)

    def publish(self, local: Path, name: str) -> bool:
        """Put a finished local file under a name that must be free. False, and nothing changed, if it is taken.

        Raises:
            StorageError: if the store refuses (full, no permission, unreachable).
        """
        try:
            if self.is_local:
                return _link(local, Path(self._at(name)))
            self._fs.put_file(str(local), self._at(name), mode="create")
        except FileExistsError:
            return False
        except StorageError:
            raise
        except Exception as error:
            raise _storage_error(self.path(name), error) from error
        return True

    def create(self, name: str, data: bytes) -> bool:
        """Create a small file atomically, only if it is absent. False, and nothing changed, if it is there.

        Raises:
            StorageError: as `publish`.
        """
        with self.scratch() as path:
            path.write_bytes(data)
            return self.publish(path, name)

    def replace(self, name: str, data: bytes) -> None:
        """Write a small file, over an old one if there is one; readers see the old or the new, never a part.

        Raises:
            StorageError: as `publish`.
        """
        try:
            if not self.is_local:
                self._fs.pipe_file(self._at(name), data)
                return
            target = Path(self._at(name))
            with self.scratch() as path:
                path.write_bytes(data)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
        except StorageError:
            raise
        except Exception as error:
            raise _storage_error(self.path(name), error) from error

    def remove(self, name: str) -> None:
        """Delete a file; none is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def remove_folder(self, name: str) -> None:
        """Delete a sub-folder that is empty; where folders are only parts of names there is none."""
        if self.is_local:
            with contextlib.suppress(OSError):
                self.local_path(name).rmdir()

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"


@contextlib.contextmanager
def permitted(path: str) -> Iterator[None]:
    """Translate what a store says if it will not let us read.

    Raises:
        BadInputError: naming the path.
    """
    try:
        yield
    except PermissionError as error:
        raise BadInputError(f"{path}: no permission to read it; grant it, or correct the path") from error


def _link(source: Path, target: Path) -> bool:
    """Durable and exclusive: content synced, then linked under its name, then the folder synced."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise StorageError(
                f"{target}: this file system has no hard links, which create-if-absent needs; put the output elsewhere"
            ) from error
        if error.errno != errno.ENOENT:
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        return _link(source, target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return True


@contextlib.contextmanager
def _translated_reads(path: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, PermissionError, StorageError):
        raise
    except IsADirectoryError as error:
        raise FileNotFoundError(f"{path} is a folder") from error
    except NotADirectoryError as error:
        raise FileNotFoundError(f"{path} is in no folder") from error
    except Exception as error:
        raise TransientError(f"{path}: cannot be read: {error}") from error


def _storage_error(path: str, error: Exception) -> StorageError:
    return StorageError(f"{path}: cannot be written: {error}; free space or mend the store, then run the job again")

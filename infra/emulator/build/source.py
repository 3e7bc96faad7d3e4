"""The source of a build: an archive in a bucket, unpacked into the workspace."""

import lzma
import tarfile
import zipfile
import zlib
from pathlib import Path

from google.cloud.devtools import cloudbuild_v1 as cb

from infra.emulator import errors, iam
from infra.emulator.buckets import BUCKETS, OBJECTS, key
from infra.emulator.iam import Caller
from infra.emulator.world import World


def resolve(world: World, source: cb.StorageSource, account: Caller) -> cb.StorageSource:
    """The source with its generation. Raises 400 when the account cannot read it."""
    where = f"{source.bucket}/{source.object_}"
    if world.get(BUCKETS, source.bucket) is None:
        raise _unreadable("Error 404: The specified bucket does not exist., notFound")
    if not iam.has_permission(world, account, "storage.objects.get", f"buckets/{source.bucket}"):
        raise _unreadable(
            f"Error 403: {account.email} does not have storage.objects.get access to the Google "
            "Cloud Storage object. Permission 'storage.objects.get' denied on resource (or it may "
            "not exist)., forbidden"
        )
    found = world.get(OBJECTS, key(source.bucket, source.object_))
    if found is None:
        raise _unreadable(f"Error 404: No such object: {where}, notFound")
    generation = int(found["body"]["generation"])
    if source.generation not in (0, generation):
        raise _unreadable(f"Error 404: No such object: {where}#{source.generation}, notFound")
    return cb.StorageSource(bucket=source.bucket, object_=source.object_, generation=generation)


def unpack(world: World, source: cb.StorageSource, folder: Path) -> None:
    """Puts what is in the archive into a folder. Raises ValueError for what is no archive."""
    found = world.get(OBJECTS, key(source.bucket, source.object_))
    if found is None:
        raise ValueError(f"No such object: {source.bucket}/{source.object_}")
    content = world.blobs / found["blob"]
    try:
        if zipfile.is_zipfile(content):
            with zipfile.ZipFile(content) as archive:
                archive.extractall(folder)  # noqa: S202  (refuses to leave the folder itself)
        else:
            with tarfile.open(content) as archive:
                archive.extractall(folder, filter="data")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{source.object_} is no archive: {error}") from error


def _unreadable(why: str) -> errors.GoogleError:
    return errors.invalid(f"could not resolve source: googleapi: {why}")

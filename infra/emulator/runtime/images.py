"""The container images of the local registry: what a digest runs, and which digest a tag means.

An image is a folder (its root file system, as far as the Dockerfile fills it) and a configuration.
Several images share a folder when only their configuration differs.
"""

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from infra.emulator.runtime import hello
from infra.emulator.runtime.dockerfile import Config
from infra.emulator.runtime.logs import now
from infra.emulator.runtime.store import Document, Store

IMAGE, TAG = "image", "image-tag"
COMPLETE = ".complete"
# Google's samples, such as us-docker.pkg.dev/cloudrun/container/hello.
SAMPLES = re.compile(r"^(.+/)?cloudrun/(.+/)?(?P<sample>hello|job)$")


@dataclass(frozen=True)
class Reference:
    """An image as it is asked for: `us-docker.pkg.dev/project/repository/name:tag`."""

    name: str
    tag: str
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """A digest wins over a tag; without either the tag is `latest`."""
        name, _, digest = text.partition("@")
        head, slash, last = name.rpartition("/")
        last, _, tag = last.partition(":")
        return cls(head + slash + last, tag or "latest", digest or None)

    @property
    def repository(self) -> str | None:
        """The full name of its Artifact Registry repository, None for another registry's."""
        host, *parts = self.name.split("/")
        if not host.endswith("-docker.pkg.dev") or len(parts) < 3:
            return None
        location = host.removesuffix("-docker.pkg.dev")
        return f"projects/{parts[0]}/locations/{location}/repositories/{parts[1]}"


@dataclass(frozen=True)
class Image:
    """What a digest stands for."""

    digest: str
    layer: str
    config: Config
    created: str = field(compare=False, default="")

    def document(self) -> Document:
        """The image as the world keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, document: Document) -> "Image":
        """The image of a document."""
        config = dict(document["config"])
        for name in ("entrypoint", "command"):
            config[name] = tuple(config[name])
        return cls(document["digest"], document["layer"], Config(**config), document["created"])


def make_image(layer: str, config: Config) -> Image:
    """An image whose digest follows from the content of its folder and its configuration."""
    text = json.dumps({"layer": layer, "config": asdict(config)}, sort_keys=True)
    return Image("sha256:" + hashlib.sha256(text.encode()).hexdigest(), layer, config, now())


@dataclass(frozen=True)
class Pushed:
    """An image in a repository."""

    name: str
    image: Image
    tags: tuple[str, ...]
    uploaded: str


class Images:
    """The registry. Its folders are below one of ours, its names in the world."""

    def __init__(self, folder: Path, store: Store):
        self.folder = folder
        self._store = store

    def root(self, image: Image) -> Path:
        """The folder that is the image's `/`."""
        return self.folder / image.layer

    def push(self, reference: Reference, image: Image) -> None:
        """Puts an image into a repository, and moves the tag to it."""
        key = f"{reference.name}@{image.digest}"
        body = self._store.get(IMAGE, key) or {
            "name": reference.name,
            "image": image.document(),
            "uploaded": now(),
        }
        self._store.put(IMAGE, key, body)
        tag = {"name": reference.name, "tag": reference.tag, "digest": image.digest}
        self._store.put(TAG, f"{reference.name}:{reference.tag}", tag)

    def find(self, text: str) -> Image | None:
        """The image a reference means now, or None when there is none."""
        reference = Reference.parse(text)
        digest = reference.digest
        if digest is None:
            tag = self._store.get(TAG, f"{reference.name}:{reference.tag}")
            digest = tag["digest"] if tag else None
        found = self._store.get(IMAGE, f"{reference.name}@{digest}") if digest else None
        return Image.of(found["image"]) if found else _sample(reference)

    def pinned(self, text: str) -> str | None:
        """The reference by digest of what a reference means now."""
        image = self.find(text)
        return f"{Reference.parse(text).name}@{image.digest}" if image else None

    def pushed(self, prefix: str = "") -> list[Pushed]:
        """Everything pushed to names that begin so: `REGION-docker.pkg.dev/PROJECT/REPOSITORY/`."""
        tags: dict[str, list[str]] = {}
        for tag in self._store.list(TAG, prefix):
            tags.setdefault(f"{tag['name']}@{tag['digest']}", []).append(tag["tag"])
        return [
            Pushed(
                body["name"],
                Image.of(body["image"]),
                tuple(sorted(tags.get(f"{body['name']}@{body['image']['digest']}", ()))),
                body["uploaded"],
            )
            for body in self._store.list(IMAGE, prefix)
        ]

    def delete(self, prefix: str) -> None:
        """Deletes what is pushed to names that begin so, and the folders no other image needs."""
        gone = self.pushed(prefix)
        for tag in self._store.list(TAG, prefix):
            self._store.delete(TAG, f"{tag['name']}:{tag['tag']}")
        for pushed in gone:
            self._store.delete(IMAGE, f"{pushed.name}@{pushed.image.digest}")
        needed = {pushed.image.layer for pushed in self.pushed()}
        for layer in {pushed.image.layer for pushed in gone} - needed:
            shutil.rmtree(self.folder / layer, ignore_errors=True)


def _sample(reference: Reference) -> Image | None:
    """Google's placeholder images, `…/hello` and `…/job`, run by a program of ours."""
    match = SAMPLES.match(reference.name)
    if match is None or reference.digest not in (None, _digest(reference.name)):
        return None
    environment: Mapping[str, str] = {**Config().environment, "PYTHONUNBUFFERED": "1"}
    program = (sys.executable, "-I", hello.__file__, match["sample"])
    config = Config(environment=environment, folder="/", entrypoint=program, port=8080)
    return Image(_digest(reference.name), "", config)


def _digest(name: str) -> str:
    return "sha256:" + hashlib.sha256(f"sample {name}".encode()).hexdigest()

"""What the runtime needs of the world: documents by kind and name."""

from typing import Any, Protocol

type Document = dict[str, Any]
type Documents = list[Document]


class Store(Protocol):
    """A part of `infra.emulator.world.World`."""

    def get(self, kind: str, name: str) -> Document | None:
        """The document, or None."""

    def put(self, kind: str, name: str, body: Document) -> object:
        """Writes the document, new or not."""

    def delete(self, kind: str, name: str) -> object:
        """Removes the document, if it is there."""

    def list(self, kind: str, prefix: str = "") -> Documents:
        """The documents of a kind whose names begin so, in the order of their names."""

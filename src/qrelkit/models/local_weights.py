"""Which weights a local model has: a folder on this machine, named by its content, or a name of the Hugging Face hub.

    local:models/qwen2.5-vl-7b            → local:qwen2.5-vl-7b@3f0c91aa      a folder, relative to qrelkit.yaml
    local:Qwen/Qwen2.5-VL-7B-Instruct@main                                    the hub, with or without a revision

A folder is named by its last part, so that a judgment is known again where the project or the folder has moved.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qrelkit.core.errors import InputError, Mismatch

TOLD = (".json", ".jinja", ".txt", ".model", ".tiktoken")  # configuration and tokenizer: read whole
WEIGHTS = (".safetensors", ".bin")
SAMPLES, SAMPLE_BYTES = 64, 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """Where weights are. `digest` is that of a folder, "" for the hub, whose `revision` is a branch, tag or commit.

    `offline` takes from the hub only what is on this machine already; a folder never needs it.
    """

    source: str
    digest: str = ""
    revision: str = ""
    offline: bool = False

    @property
    def name(self) -> str:
        """Folder or hub name with what tells its content: what a request's digest covers."""
        known_by = self.digest or self.revision
        return (Path(self.source).name if self.digest else self.source) + (f"@{known_by}" if known_by else "")

    def check(self) -> None:
        """Raises Mismatch where the folder, as this machine sees it, has other content than its name says."""
        if self.digest and (there := folder_digest(Path(self.source))) != self.digest:
            raise Mismatch(
                f"{self.source}: the model there is @{there}, not @{self.digest}; it was exchanged, or differs by machine"
            )


def find_weights(named: str, folder: Path | str = "", *, offline: bool = False) -> Weights:
    """The weights that `named` means: a path (a relative one is looked for in `folder`), else a name of the hub.

    Raises InputError where it is neither, Mismatch where the name carries a digest that is not the folder's.
    """
    bare, at, known_by = named.rpartition("@")
    for path, digest in ((named, ""), (bare, known_by) if at else (named, "")):
        place = Path(folder) / path
        if path and place.is_dir():
            place = place.resolve()
            weights = Weights(source=str(place), digest=digest or folder_digest(place))
            weights.check()
            return weights
    hub, revision = (bare, known_by) if at else (named, "")
    if not _of_the_hub(hub):
        raise InputError(f"{named}: no folder of that name in {Path(folder).resolve()}, and no name of the hub (owner/name)")
    return Weights(source=hub, revision=revision, offline=offline)


def folder_digest(folder: Path) -> str:
    """Eight hex digits over a model's configuration and tokenizer files, and over size and samples of its weights.

    Of a file of weights up to 64 evenly spaced blocks of 4 kB are read (a small one whole): enough to tell a model from its
    fine-tuned sister of the same size, and done in milliseconds. Raises InputError where `config.json` or weights are missing.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (*TOLD, *WEIGHTS) and path.is_file())
    weights = [path for path in files if path.suffix in WEIGHTS]
    if not weights or not any(path.name == "config.json" for path in files):
        raise InputError(f"{folder}: no model there: it needs config.json and *.safetensors, as `save_pretrained` writes them")
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        for block in _samples(path) if path in weights else (path.read_bytes(),):
            total.update(block)
    return total.hexdigest()[:8]


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= SAMPLES * SAMPLE_BYTES:
            yield file.read()
            return
        for number in range(SAMPLES):
            file.seek((size - SAMPLE_BYTES) * number // (SAMPLES - 1))
            yield file.read(SAMPLE_BYTES)


def _of_the_hub(name: str) -> bool:
    """`owner/name`, or one of the few names without an owner; no path of a file system."""
    return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", name) is not None

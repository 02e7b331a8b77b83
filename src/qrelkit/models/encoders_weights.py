"""Where the weights of an encoder are, and what they are: a folder by its content, a name of the hub by its commit.

models/all-MiniLM-L6-v2              → all-MiniLM-L6-v2@5f0c1ab2e97d4c31       a folder
BAAI/bge-large-en-v1.5@main          → BAAI/bge-large-en-v1.5@d4aa6901d3a4…    the hub, branch or tag as the commit it is now
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from qrelkit.core.errors import InputError
from qrelkit.models.local_weights import TOLD, WEIGHTS, Weights

HUB = re.compile(r"[\w-][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
BLOCKS, BLOCK_BYTES = 64, 2**16


def encoder_weights(named: str, *, offline: bool = False) -> Weights:
    """The weights that `named` means: a folder, else a name of the hub with or without @revision.

    Raises InputError where it is neither, or its commit cannot be found out.
    """
    if Path(named).is_dir():
        return Weights(source=str(Path(named).resolve()), digest=content_digest(Path(named)))
    name, _, revision = named.partition("@")
    if not HUB.fullmatch(name):
        raise InputError(f"{named}: no folder of that name, no name of the hub (owner/name), and no encoder of the table")
    return Weights(source=name, revision=commit_of(name, revision or "main", offline=offline), offline=offline)


def content_digest(folder: Path) -> str:
    """Sixteen hex digits over configuration and tokenizer files and over size and samples of the weights, in all of its folders.

    Of a file of weights up to 64 evenly spaced blocks of 64 kB are read. Raises InputError where there are no weights.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix in (*TOLD, *WEIGHTS) and path.is_file())
    if not any(path.suffix in WEIGHTS for path in files):
        raise InputError(f"{folder}: no model there: it needs *.safetensors, as `save_pretrained` writes them")
    total = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        total.update(f"{path.relative_to(folder).as_posix()}\0{size}\0".encode())
        starts = {max(0, size - BLOCK_BYTES) * number // (BLOCKS - 1) for number in range(BLOCKS)}
        with path.open("rb") as file:
            if path.suffix not in WEIGHTS or size <= BLOCKS * BLOCK_BYTES:
                total.update(file.read())
                continue
            for start in sorted(starts):
                file.seek(start)
                total.update(file.read(BLOCK_BYTES))
    return total.hexdigest()[:16]


def commit_of(name: str, revision: str, *, offline: bool = False) -> str:
    """The commit that a branch or tag of the hub is now; where the hub is not asked or does not answer, that of the copy on this
    machine. Raises InputError where there is none."""
    if COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi, constants

    why = "the hub was not asked"
    if not offline and not constants.HF_HUB_OFFLINE:
        try:
            return str(HfApi().model_info(name, revision=revision, timeout=10).sha)
        except Exception as error:  # whatever the hub's client raises; the copy on this machine may still do
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
    copy = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "refs" / revision
    if not copy.is_file():
        raise InputError(f"{name}@{revision}: there is no copy on this machine, and {why}; name a folder, or check the name")
    return copy.read_text(encoding="utf-8").strip()

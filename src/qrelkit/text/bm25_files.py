"""A BM25 index on disk: written whole or not at all, and opened by mapping it into memory.

    data, indices, indptr.csc.index.npy   the postings                        ┐ in the form of bm25s, so that
    vocab.index.json                      the terms with their numbers        │ bm25s.BM25.load(folder, mmap=True)
    params.index.json                     k1, b, how many documents           ┘ opens the same index
    terms.parquet, idf.npy, lengths.npy   what we read instead of its JSON
    index.json                            the analyzer, the formula, the sizes of the files; written last

bm25s has an empty term behind the others, which it asks for where a query has none.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import polars as pl

from qrelkit.core.errors import InputError
from qrelkit.text.bm25 import Formula, Index
from qrelkit.text.postings import Postings
from qrelkit.text.tokens import Analyzer

FORMAT = 1
MANIFEST = "index.json"
BUILDING = "bm25-building-"
STALE_S = 86_400
PARAMS = {  # what bm25s 0.3.16 says of an index; the scores are in it, so its idf plays no part any more
    "delta": 0.5,
    "method": "lucene",
    "idf_method": "lucene",
    "dtype": "float32",
    "int_dtype": "int32",
    "version": "0.3.16",
    "backend": "numpy",
}


def save_index(index: Index, folder: Path) -> Index:
    """Writes a new folder and opens it; where it has come to be there meanwhile, that one.

    Raises InputError where it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        building = Path(tempfile.mkdtemp(prefix=BUILDING, dir=folder.parent))
        try:
            _write(index, building)
            _put(building, folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{folder}: cannot be written ({getattr(error, 'strerror', None) or error})") from None
    opened = open_index(folder)
    if opened is None:
        raise InputError(f"{folder}: cannot be read again; is the disk full?")
    return opened


def _put(building: Path, folder: Path) -> None:
    """Gives it its name, in place of what is no whole index."""
    try:
        building.rename(folder)
    except OSError:
        if open_index(folder) is None:
            shutil.rmtree(folder, ignore_errors=True)
            building.rename(folder)


def open_index(folder: Path) -> Index | None:
    """The index in a folder; None where there is none, or not a whole one of this format, or its terms were made by another
    version of a stemmer or segmenter."""
    try:
        said = orjson.loads((folder / MANIFEST).read_bytes())
        analyzer = Analyzer.of(said["analyzer"], said["recipe"])
        same = said["made_with"] == analyzer.made_with  # the query is cut and stemmed by what is installed now
        whole = said["format"] == FORMAT and said["files"] == _sizes(folder)
        return _opened(folder, said, analyzer) if whole and same else None
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return None


def _opened(folder: Path, said: dict[str, Any], analyzer: Analyzer) -> Index:
    data, indices, indptr, idf, lengths = (
        np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
        for name in ("data.csc.index", "indices.csc.index", "indptr.csc.index", "idf", "lengths")
    )
    return Index(
        postings=Postings(indptr[:-1], indices, data),
        vocabulary=pl.read_parquet(folder / "terms.parquet")["term"],
        idf=idf,
        lengths=lengths,
        documents=said["documents"],
        mean=said["mean"],
        analyzer=analyzer,
        formula=Formula(**said["formula"]),
    )


def _write(index: Index, folder: Path) -> None:
    held, size = index.postings, len(index.vocabulary)
    arrays = {
        "data.csc.index": held.values,
        "indices.csc.index": held.docs,
        "indptr.csc.index": np.append(held.ends, held.ends[-1]),
        "idf": index.idf,
        "lengths": index.lengths,
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values, allow_pickle=False)
    numbers = dict(zip([*index.vocabulary.to_list(), ""], range(size + 1), strict=True))
    (folder / "vocab.index.json").write_bytes(orjson.dumps(numbers))
    index.vocabulary.alias("term").to_frame().write_parquet(folder / "terms.parquet")
    formula = asdict(index.formula)
    params = PARAMS | {"k1": formula["k1"], "b": formula["b"], "num_docs": len(index)}
    (folder / "params.index.json").write_bytes(orjson.dumps(params))
    said = {"format": FORMAT, "documents": index.documents, "mean": index.mean, "formula": formula}
    said |= {"analyzer": index.analyzer.name, "recipe": index.analyzer.recipe, "made_with": index.analyzer.made_with}
    said |= {"files": _sizes(folder)}
    (folder / MANIFEST).write_bytes(orjson.dumps(said))


def _sizes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def _remove_abandoned(home: Path) -> None:
    """Removes what processes that were killed have left."""
    for folder in home.glob(f"{BUILDING}*"):
        with contextlib.suppress(OSError):  # finished meanwhile
            if time.time() - folder.stat().st_mtime > STALE_S:
                shutil.rmtree(folder, ignore_errors=True)

"""How fast are Chinese texts tokenised? jieba itself beside our analyzers: segmented by rjieba, characters, pairs.

    python benchmarks/chinese.py [--characters 2000000] [--rounds 3] [--text FILE.jsonl]

`jieba` is the package called on each text as its users call it; the others are what an index does with the same texts: words,
their terms, and numbers for them. `rjieba, each text` is that package called as jieba is. Texts are drawn from jieba's own
dictionary by its frequencies, with full stops between (`--text`: the field "text" of a JSONL file instead). Dictionaries are
loaded before the clock starts; rounds are interleaved, the table has medians.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from qrelkit.text.tokens import Analyzer, named
from qrelkit.text.words import words_of

NEEDED = {"rjieba, each text": "8×", "rjieba": "8×", "cjk": "more than rjieba"}


def generate(characters: int, seed: int = 0) -> list[str]:
    """Texts of about 300 characters, of sentences of 4 to 20 words."""
    import jieba

    lines = (Path(jieba.__file__).parent / "dict.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" ") for line in lines]
    words, counts = np.array([row[0] for row in rows], dtype=object), np.array([int(row[1]) for row in rows], dtype=float)
    rng, chance, texts, size = np.random.default_rng(seed), np.cumsum(counts), list[str](), 0
    while size < characters:
        sentences = []
        while sum(map(len, sentences)) < 300:
            drawn = np.searchsorted(chance, rng.random(rng.integers(4, 21)) * chance[-1], side="right")
            sentences.append("".join(words[drawn].tolist()) + "。")
        texts.append("".join(sentences))
        size += len(texts[-1])
    return texts


def through(analyzer: Analyzer) -> Callable[[list[str]], int]:
    """What an index does with texts: the number of terms."""

    def work(texts: list[str]) -> int:
        words, distinct = words_of(pl.Series(texts), analyzer)
        return len(words.terms(analyzer.terms(distinct)[0]).items)

    return work


def ways() -> dict[str, Callable[[list[str]], int]]:
    """Each way of tokenising, its dictionary loaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import jieba
        import rjieba
    jieba.setLogLevel(logging.WARNING)
    found: dict[str, Callable[[list[str]], int]] = {
        "jieba": lambda texts: sum(len(jieba.lcut(text)) for text in texts),
        "rjieba, each text": lambda texts: sum(len(rjieba.cut(text)) for text in texts),
    }
    found |= {name: through(named(name)) for name in ("rjieba", "standard", "cjk")}
    for work in found.values():
        work(["我来到北京清华大学"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--text", type=Path, help="a JSONL file with texts to be used instead")
    given = parser.parse_args()
    works = ways()
    if given.text:
        texts = [json.loads(line)["text"] for line in given.text.read_text(encoding="utf-8").splitlines()]
    else:
        texts = generate(given.characters)
    size = sum(map(len, texts))
    took: dict[str, list[float]] = {name: [] for name in works}
    terms = {}
    for _ in range(given.rounds):
        for name, work in works.items():
            start = time.perf_counter()
            terms[name] = work(texts)
            took[name].append(time.perf_counter() - start)
    print(f"{size:,} characters in {len(texts):,} texts; medians of {given.rounds}\n")
    print("| | characters/s | × jieba | needed | terms |\n|---|---|---|---|---|")
    theirs = statistics.median(took["jieba"])
    for name, times in took.items():
        median = statistics.median(times)
        print(f"| {name} | {size / median:,.0f} | {theirs / median:.1f} | {NEEDED.get(name, '')} | {terms[name]:,} |")


if __name__ == "__main__":
    main()

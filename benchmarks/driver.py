"""Judging throughput: the real pointwise judge, every reply stored, beside a bare aiohttp loop and what others use.

    python benchmarks/driver.py [--pairs 6000] [--rounds 5] [--peers PYTHON]

All talk to one zero-latency endpoint in a process of its own (benchmarks/chat_server.py), 64 at once, the same request bodies
of about 4 kB. The bare loop encodes and decodes JSON and stores nothing; the peers (benchmarks/clients.py: the OpenAI SDK,
umbrela's way of using it, litellm) do what their users do. The judge renders prompt, guideline and document, hashes, claims,
commits every reply before it counts, and reads the verdict; once with SQLite's synchronous full (safe against a power cut)
and once with normal (safe against everything but that). One round runs all of them; the table shows medians and the ratios
of the same round. `--peers` is a Python that has openai and litellm.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp
import orjson
import uvloop

from qrelkit.core.guideline import SCALES, Guideline, QueryGuideline, Requirement
from qrelkit.core.records import Document, Pair, Query
from qrelkit.core.wire import Request
from qrelkit.judges.pointwise import Pointwise
from qrelkit.models.chat_format import messages, tail
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.steps.drive import drive
from qrelkit.stores.sql import SqlStore
from qrelkit.text.prompt import read_prompt

AT_ONCE = 64
QUERIES = 40
WORDS = "cotton dress with long sleeves a round neck and stripes in navy and white made to last for many seasons"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=6000)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--peers", default=sys.executable)
    chosen = options.parse_args()
    with endpoint() as url:
        judge, pairs = the_judge(), list(the_pairs(chosen.pairs))
        raw = [body_bytes(next(judge.flow([pair]))[0]) for pair in pairs]
        print(f"{len(pairs):,} pairs, {statistics.mean(map(len, raw)):,.0f} bytes a request, {AT_ONCE} at once")
        few = raw[: max(500, len(raw) // 6)]
        runs: dict[str, Callable[[], float]] = {
            f"bare aiohttp {aiohttp.__version__}": lambda: uvloop.run(bare(url, raw)),
            "qrelkit, sync full": lambda: judged(url, pairs, "full"),
            "qrelkit, sync normal": lambda: judged(url, pairs, "normal"),
        }
        for kind, at_once in (("sdk", AT_ONCE), ("umbrela", AT_ONCE), ("umbrela", 16), ("litellm", AT_ONCE)):
            if found := peer(chosen.peers, kind, url, few[:100], at_once):
                name = {"sdk": "OpenAI SDK", "umbrela": "umbrela's loop, OpenAI SDK"}.get(kind, kind)
                run = lambda kind=kind, at_once=at_once: peer(chosen.peers, kind, url, few, at_once)["rate"]  # noqa: E731
                runs[f"{name} {found['version']}, {at_once} at once"] = run
        rates: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(chosen.rounds):
            for name, run in runs.items():
                rates[name].append(run())
    report(rates)


def report(rates: dict[str, list[float]]) -> None:
    """Medians, and the medians of the ratios within each round: to the bare loop, and of ours (full) to each."""
    bare_rates, ours = list(rates.values())[:2]
    for name, found in rates.items():
        of_bare = statistics.median(a / b for a, b in zip(found, bare_rates, strict=True))
        times = statistics.median(a / b for a, b in zip(ours, found, strict=True))
        print(f"{name:48} {statistics.median(found):9,.0f}/s   {of_bare:6.1%} of bare   qrelkit is {times:5.1f} ×")


def peer(python: str, kind: str, url: str, raw: list[bytes], at_once: int) -> dict[str, Any]:
    """What a peer achieves in a process of its own; empty where that Python does not have it."""
    command = [python, str(Path(__file__).with_name("clients.py")), kind, url, str(len(raw)), str(at_once)]
    done = subprocess.run(command, input=b"\n".join(raw), capture_output=True)
    if done.returncode:
        print(f"{kind}: left out ({done.stderr.decode().strip().splitlines()[-1]})")
        return {}
    found: dict[str, Any] = orjson.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def endpoint(*options: str) -> Iterator[str]:
    """The endpoint, in a process of its own; without options it has no latency."""
    server = Path(__file__).with_name("chat_server.py")
    process = subprocess.Popen([sys.executable, str(server), *options], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline().split()[-1])}/v1"
    finally:
        process.terminate()
        process.wait()


def the_judge() -> Pointwise:
    scale = SCALES["product-3"]
    needs = tuple(Requirement(name=n, value=v, importance="must_have") for n, v in (("type", "dress"), ("colour", "navy")))
    notes = {label: f"for this query, {label} is what the label says" for label in scale.labels}
    own = {
        f"q{i}": QueryGuideline(query_id=f"q{i}", query=f"navy dress {i}", requirements=needs, notes=notes)
        for i in range(QUERIES)
    }
    return Pointwise("openai:bench", Guideline(scale=scale, queries=own), read_prompt("pointwise@1"))


def the_pairs(count: int) -> Iterator[Pair]:
    filler = f"{WORDS} " * 9
    for i in range(count):
        query = Query(query_id=f"q{i % QUERIES}", text=f"navy dress {i % QUERIES}", fingerprint=f"{i % QUERIES:032x}")
        document = Document(doc_id=f"d{i}", text=f"Dress number {i}. {filler}"[:1200], fingerprint=f"{i:032x}")
        yield Pair(query=query, document=document, query_key=f"{i % QUERIES:032x}", doc_key=f"{i:032x}")


def body_bytes(request: Request) -> bytes:
    """The bytes that our client would send."""
    return b'{"model":"bench","messages":' + messages(request, {}) + tail(request, (), {})[0]


async def bare(url: str, raw: list[bytes]) -> float:
    """Requests a second of a loop that encodes, sends and decodes, and stores nothing."""
    values = [orjson.loads(body) for body in raw]
    todo = iter(values)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def work() -> None:
            for value in todo:
                async with session.post(f"{url}/chat/completions", data=orjson.dumps(value), headers=headers) as reply:
                    orjson.loads(await reply.read())["choices"][0]["message"]["content"]

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return len(raw) / (time.perf_counter() - started)


def judged(url: str, pairs: list[Pair], sync: Literal["full", "normal"] = "full") -> float:
    """Judgments a second, every reply on disk before it counts."""
    fresh = the_judge()
    with tempfile.TemporaryDirectory() as folder, SqlStore(os.path.join(folder, "store.db"), sync=sync) as store:
        model = OpenAICompatible("openai:bench", base_url=url, api_key="none", at_once=AT_ONCE)
        store.add_judge(fresh.key, fresh.name, fresh.settings)
        kept: list[Any] = []

        def done(judgments: Any) -> None:
            kept.extend(judgments)
            if len(kept) >= 500:
                store.add_judgments(fresh.key, kept)
                kept.clear()

        started = time.perf_counter()
        tally = drive((fresh.flow([pair]) for pair in pairs), models={model.name: model}, store=store, done=done, at_once=AT_ONCE)
        store.add_judgments(fresh.key, kept)
        rate = len(pairs) / (time.perf_counter() - started)
        assert (tally.done, tally.asked, tally.failed) == (len(pairs), len(pairs), 0)
    return rate


if __name__ == "__main__":
    main()

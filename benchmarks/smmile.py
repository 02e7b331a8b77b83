"""SMMILE++ in size: 1,038 requests of four images of 512 px to a zero-latency endpoint, beside a bare client with the same bytes.

    python benchmarks/smmile.py [--problems 1038] [--rounds 3]

173 problems with three demonstrations in all six orders, drawn here: 692 images, each in six requests. Every measurement has a
process of its own. *Cold* is a run as it is: each image is read, decoded and encoded once on the way, by the bare client too.
*Ready*: the images are encoded before (ours: by a run before with another store), so that the clients alone are compared. Ours
also renders, hashes, claims and commits every reply to SQLite before it counts, once with synchronous full (safe against a
power cut) and once with normal. Needed: 80 % of bare, less than 1 GB of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import aiohttp
from driver import endpoint

from qrelkit.bench.smmile.flows import Asking
from qrelkit.bench.smmile.folder import read_folder, write_folder
from qrelkit.bench.smmile.plusplus import plusplus
from qrelkit.bench.smmile.problems import Problem, Problems, Triplet
from qrelkit.bench.smmile.running import run
from qrelkit.core.records import Image
from qrelkit.core.wire import Request
from qrelkit.models.data_urls import DataUrls
from qrelkit.models.openai_compatible import OpenAICompatible
from qrelkit.stores.sql import SqlStore

AT_ONCE = 64
SIDE_PX = 512
WAYS = ("bare, cold", "qrelkit, cold", "bare, ready", "qrelkit, ready", "qrelkit normal, ready")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--problems", type=int, default=1038)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--child", nargs=3, metavar=("WAY", "URL", "FOLDER"))
    chosen = options.parse_args()
    if chosen.child:
        print(json.dumps(measured(*chosen.child)))
        return
    with tempfile.TemporaryDirectory() as home, endpoint() as url:
        folder = Path(home) / "benchmark"
        write_folder(plusplus(drawn(chosen.problems // 6)), folder)
        found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
        for _ in range(chosen.rounds):
            for way in WAYS:
                command = [sys.executable, __file__, "--child", way, url, str(folder)]
                found[way].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    report(found)


def report(found: dict[str, list[dict[str, float]]]) -> None:
    first = found[WAYS[0]][0]
    print(f"{first['requests']:,.0f} requests of {first['bytes'] / first['requests'] / 1e3:,.0f} kB, {AT_ONCE} at once")
    for way, rounds in found.items():
        bare = found["bare, " + way.partition(", ")[2]]
        share = statistics.median(a["rate"] / b["rate"] for a, b in zip(rounds, bare, strict=True))
        rate, memory = (statistics.median(one[name] for one in rounds) for name in ("rate", "memory_mb"))
        print(f"{way:22} {rate:8,.0f}/s  {share:6.1%} of bare  {memory:6,.0f} MB  {rounds[0]['encoded']:,.0f} images encoded")


def drawn(count: int) -> Problems:
    """Problems of four pictures each: clouds, which are about as large as photographs once encoded."""
    import hashlib
    import io

    import numpy as np
    from PIL import Image as Pillow

    chance = np.random.default_rng(0)

    def cloud() -> Image:
        coarse = chance.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        big = np.asarray(Pillow.fromarray(coarse).resize((SIDE_PX, SIDE_PX), Pillow.Resampling.BICUBIC), dtype=np.int16)
        grain = chance.integers(-9, 10, big.shape, dtype=np.int16)
        out = io.BytesIO()
        Pillow.fromarray((big + grain).clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=95)
        data = out.getvalue()
        return Image(digest=hashlib.sha256(data).hexdigest(), read=lambda: data, name="cloud")

    def problem(number: int) -> Problem:
        shown = [Triplet(question="What is the diagnosis?", answer=f"{number} {i}", image=cloud()) for i in range(4)]
        return Problem(problem_id=f"p{number}", demonstrations=tuple(shown[:3]), query=shown[3])

    return Problems(name="clouds", revision="1", problems=[problem(number) for number in range(count)])


def measured(way: str, url: str, folder: str) -> dict[str, float]:
    """Requests a second and what they took, of one way in this process."""
    problems, counting = read_folder(Path(folder)), Counting()
    model = OpenAICompatible("openai:bench", base_url=url, api_key="none", at_once=AT_ONCE)
    counting.render, model._data_urls = model._data_urls.render, counting
    whose, _, state = way.partition(", ")
    if whose == "bare":
        asking = Asking(model=model.name)
        requests = [next(asking.flow(problem))[0] for problem in problems.problems]
        seconds, sent = _fast(bare(url, model, requests, ready=state == "ready"))
    else:
        sync: Literal["full", "normal"] = "normal" if "normal" in whose else "full"
        if state == "ready":
            ours(problems, model, sync)
        seconds, sent = ours(problems, model, sync), 0.0
    count = len(problems)
    return {"rate": count / seconds, "requests": count, "bytes": sent, "memory_mb": peak_mb(), "encoded": counting.encoded}


class Counting(DataUrls):
    """Counts what is encoded."""

    encoded = 0

    def _keep(self, key: str, made: Any) -> None:
        self.encoded += 1
        super()._keep(key, made)


async def bare(url: str, model: OpenAICompatible, requests: list[Request], *, ready: bool) -> tuple[float, float]:
    """Sends bodies, decodes replies, keeps nothing."""
    bodies = [await model.body(request) for request in requests] if ready else []
    todo, sent = iter(range(len(requests))), 0.0
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as session:

        async def work() -> None:
            nonlocal sent
            for i in todo:
                body = bodies[i] if ready else await model.body(requests[i])
                sent += len(body)
                async with session.post(f"{url}/chat/completions", data=body, headers=headers) as reply:
                    json.loads(await reply.read())["choices"][0]["message"]["content"]

        started = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
        return time.perf_counter() - started, sent


def ours(problems: Problems, model: OpenAICompatible, sync: Literal["full", "normal"]) -> float:
    """The same through the driver, with a store of its own."""
    with tempfile.TemporaryDirectory() as home, SqlStore(str(Path(home) / "store.db"), sync=sync) as store:
        started = time.perf_counter()
        ran = run(problems, Asking(model=model.name), store=store, models={model.name: model}, at_once=AT_ONCE)
        seconds = time.perf_counter() - started
    assert ran.statuses == {"answered": len(problems)}, ran
    return seconds


def _fast(work: Any) -> Any:
    import uvloop

    return uvloop.run(work)


def peak_mb() -> float:
    """The largest that this process ever was."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    main()

"""What `bench` does with its options: finds the datasets, makes the retriever, and shows what came out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from qrelkit.bench.benched import Benched
    from qrelkit.bench.generations import Generations
    from qrelkit.bench.retrievers import Factory


FORMS = ("table", "tsv", "markdown", "json")


def folders_of(name: str, folder: str, datasets: list[str]) -> Mapping[str, Path]:
    """Where the datasets lie: in a folder, or (without one) in the cache of the hub's."""
    from qrelkit.bench.datasets import benchmark
    from qrelkit.bench.folders import dataset_folders

    known = benchmark(name)
    if folder:
        return dataset_folders(known, folder, datasets)
    from qrelkit.cli.output import say
    from qrelkit.sources.hub import hub_folder

    out = {}
    for dataset in known.chosen(datasets):
        say(f"{dataset.name}: {dataset.hub} at {dataset.revision[:8] or 'its newest commit'}")
        out[dataset.name] = hub_folder(dataset.hub, dataset.revision)
    return out


def generations_of(name: str, rewrites: str, combine: str, method: str, family: str, *, gar: str, llm: str) -> Generations | None:
    """The recorded generations that were asked for, if any. Raises InputError for options that do not go together."""
    from dataclasses import replace

    from qrelkit.bench import generations
    from qrelkit.core.errors import InputError

    if (gar or llm) and name != "r2med":
        raise InputError(f"--gar and --llm are of R2MED's generations; {name} has files: --rewrites qwen/query-rewrite.jsonl")
    if bool(gar) != bool(llm) or (gar and rewrites):
        raise InputError("--gar and --llm go together, and without --rewrites")
    if gar:
        found = generations.gar(gar, llm)
        return replace(found, combine=combine) if combine else found
    return generations.Generations(files=(rewrites,), combine=combine, method=method, family=family) if rewrites else None


def factory_of(name: str, key: str, model: str, analyzer: str, given: Mapping[str, Any]) -> Factory:
    """What makes the retriever of each dataset. Raises UnknownName for a key that is none, InputError for options of another."""
    from qrelkit.bench import retrievers
    from qrelkit.core.errors import InputError

    if (key == "dense") != bool(model):
        raise InputError("an encoder of your own is --retriever dense --model NAME; one of the table is --retriever KEY")
    if analyzer and key != "bm25":
        raise InputError(f"--analyzer is for bm25; {key} has none")
    if (given["like"] or given["stated"]) and not model:
        raise InputError("--like and the prefixes are for an encoder of your own (--retriever dense --model NAME)")
    if key == "bm25":
        return retrievers.bm25(name, **({"analyzer": analyzer} if analyzer else {}))
    if model or key in retrievers.encoder_keys():
        return retrievers.dense(name, model or key, progress=encoding(), **given)
    return retrievers.plugged(key)


def saved(pattern: str) -> Factory:
    """What gives the run of each dataset that lies there."""
    from qrelkit.bench.saved_runs import saved_runs

    return saved_runs(pattern)


def folder_name(pattern: str) -> str:
    """What saved runs are called where no tag says it: after the folder they lie in."""
    from pathlib import Path

    return Path(pattern).parent.name or "runs"


def encoding() -> Callable[[int, int], None]:
    """How far an encoding is, every ten seconds."""
    import time

    from qrelkit.cli.output import say

    said = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 10:
            said = time.monotonic()
            say(f"encoding: {done:,} of {total:,} documents")

    return show


def measure(
    name: str,
    folders: Mapping[str, Path],
    datasets: list[str],
    key: str,
    generations: Generations | None,
    factory: Factory,
    *,
    out: str,
    tag: str,
    **options: Any,
) -> Benched:
    """Measures; the runs are kept in a folder of their own, under a tag that says what made them."""
    import re
    from pathlib import Path

    from qrelkit.bench.retrievers import config_of
    from qrelkit.bench.run import Bench, bench

    parts = (key, *(() if generations is None else (generations.name or generations.files[0], generations.combine)))
    own = tag or "+".join(re.sub(r"[^\w.+-]+", "_", part) for part in parts if part)
    home = Path(out) if out else Path(f"bench-{name}") / re.sub(r"[^\w.+-]+", "_", own)
    config = config_of(name, key, generations)
    return bench(
        name, folders, Bench(retriever=factory, out=home, rewrites=generations, tag=own, config=config, **options), datasets
    )


def put_benched(found: Benched, form: str) -> None:
    """The table, and what differs from the published protocol."""
    from qrelkit.cli.output import put_json, say, warn

    warn([str(one) for one in found.all_deviations])
    say(repr(found))
    if form == "json":
        put_json(found.json())
    else:
        put_rows(*found.table(), form)


def checked(form: str, as_json: bool) -> str:
    """The form that was asked for. Raises UnknownName for one that is none, before anything is measured."""
    from qrelkit.core.errors import UnknownName

    if form and form not in FORMS:
        raise UnknownName("format", form, FORMS)
    return "json" if as_json else form


def put_rows(head: list[str], rows: list[list[str]], form: str) -> None:
    """A table in the form asked for."""
    from qrelkit.bench.benched import markdown
    from qrelkit.cli.output import put, put_table

    if form == "markdown":
        put(markdown(head, rows))
    elif form == "tsv":
        put("\n".join("\t".join(line) for line in (head, *rows)))
    else:
        put_table(head, rows)


def put_results(name: str, folder: str, form: str) -> None:
    """Published result files: means per configuration, and whether they are those of the table."""
    from qrelkit.bench.compare import compare as beside
    from qrelkit.bench.datasets import benchmark
    from qrelkit.bench.results import read_results, results_json, results_table
    from qrelkit.cli.output import put_json

    known = benchmark(name)
    said = results_json(known, read_results(known, folder))
    compared = {one.config: one for one in beside(said)}
    if form == "json":
        for config, one in said["configs"].items():
            one["compared"] = compared[config].json() if config in compared else None
        put_json(said)
    else:
        put_rows(*results_table(known, said, {config: one.verdict for config, one in compared.items()}), form)


def put_contamination(name: str, folders: Mapping[str, Path], path: str, *, as_json: bool) -> None:
    """Which demonstrations are test queries or their answers."""
    from qrelkit.bench.demonstrations import contaminated
    from qrelkit.cli.output import put_json, put_table, say

    found, said = contaminated(name, folders, path)
    say(said)
    if as_json:
        put_json(found)
    else:
        put_table(("dataset", "demonstration", "part", "of", "id", "how"), [tuple(one.values()) for one in found])

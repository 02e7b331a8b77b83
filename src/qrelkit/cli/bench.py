"""bench: a retriever on R2MED or CMIRB, published result files, and measured beside published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from qrelkit.cli import saved
from qrelkit.cli.bench_smmile import smmile
from qrelkit.cli.context import JSON, PROJECT

app = typer.Typer(help="Measure a retriever on a benchmark, as its authors do.", no_args_is_help=True)

FOLDER = typer.Option("", "--folder", metavar="DIR", help="The datasets' folders, in the layout of the project.")
HUB = typer.Option(False, "--hub", help="Take the datasets from the Hugging Face hub, at the pinned revisions (extra hub).")
DATASETS = typer.Option([], "--datasets", metavar="NAME...", help="Only these; old and other spellings are known.")
RETRIEVER = typer.Option(
    "bm25", "--retriever", metavar="KEY", help="bm25, or an encoder: bge, e5, … (table), dense with --model."
)
MODEL = typer.Option("", "--model", help="An encoder of your own: hub id, folder, or openai:NAME.")
LIKE = typer.Option("", "--like", metavar="KEY", help="With --model: prefixes, pooling and lengths as this encoder of the table.")
QUERY_PREFIX = typer.Option(
    None, "--query-prefix", metavar="TEXT", help="With --model: what stands before a query; '' is nothing."
)
DOCUMENT_PREFIX = typer.Option(None, "--document-prefix", metavar="TEXT", help="With --model: what stands before a document.")
DEVICE = typer.Option("auto", "--device", help="Where an encoder of this process runs: auto, cpu, cuda, …")
TRUST = typer.Option(False, "--trust-remote-code", help="Run the Python code that comes with the encoder (nv, grit).")
RUNS = typer.Option(
    "", "--runs", metavar="PATTERN", help="Measure runs that lie there: reranked/{}.trec, {} being the dataset's name."
)
BASE_URL = typer.Option("", "--base-url", help="Of the encoder's endpoint.")
ANALYZER = typer.Option("", "--analyzer", help="BM25: how texts become terms, where not as the authors do.")
REWRITES = typer.Option("", "--rewrites", metavar="FILE", help="Recorded generations, relative to each dataset's folder.")
GAR = typer.Option("", "--gar", metavar="METHOD", help="R2MED's generations: hyde, query2doc, lamer, search-o1, search-r1.")
LLM = typer.Option("", "--llm", help="Whose generations: gpt4, qwen-7b, r1-qwen-32b, …")
POOL = typer.Option("", "--pool", help="Gold passages as the corpus: own, or merged (of all datasets at hand).")
LIMIT = typer.Option(0, "--depth", help="Documents per query; as the authors by default.")
OUT = typer.Option("", "--out", metavar="DIR", help="Where runs and scores are kept; bench-NAME/TAG by default.")
BY = typer.Option("", "--by", metavar="COLUMN", help="Means by a column of the queries too.")
KEEP_IDENTICAL = typer.Option(False, "--keep-identical", help="Keep hits that have the id of their query.")
SEED = typer.Option(0, "--seed", help="Of the intervals.")
RESULTS = typer.Option(
    "", "--results", metavar="DIR", help="Read published result files instead, and hold them against the table."
)
DEMONSTRATIONS = typer.Option("", "--demonstrations", metavar="FILE", help="Are these among test queries and gold documents?")
FORM = typer.Option("", "--format", help="table (in a terminal), tsv (in a pipe), markdown or json.")


def command(name: str, title: str) -> Callable[..., None]:
    """The command of a benchmark."""

    def run(
        folder: str = FOLDER,
        hub: bool = HUB,
        datasets: list[str] = DATASETS,
        retriever: str = RETRIEVER,
        model: str = MODEL,
        like: str = LIKE,
        query_prefix: str = QUERY_PREFIX,
        document_prefix: str = DOCUMENT_PREFIX,
        base_url: str = BASE_URL,
        device: str = DEVICE,
        trust: bool = TRUST,
        analyzer: str = ANALYZER,
        runs: str = RUNS,
        allow_host: list[str] = saved.ALLOW_HOST,
        local_only: bool = saved.LOCAL_ONLY,
        project: str = PROJECT,
        rewrites: str = REWRITES,
        combine: str = saved.COMBINE,
        method: str = saved.METHOD,
        thinking: str = saved.FAMILY,
        gar: str = GAR,
        llm: str = LLM,
        pool: str = POOL,
        depth: int = LIMIT,
        out: str = OUT,
        tag: str = saved.TAG,
        by: str = BY,
        keep_identical: bool = KEEP_IDENTICAL,
        seed: int = SEED,
        results: str = RESULTS,
        demonstrations: str = DEMONSTRATIONS,
        form: str = FORM,
        as_json: bool = JSON,
    ) -> None:
        from qrelkit.bench.protocol import Protocol
        from qrelkit.cli import benched
        from qrelkit.core.errors import InputError
        from qrelkit.project.config import rules_of
        from qrelkit.project.local_only import hosts_asked

        form = benched.checked(form, as_json)
        if results:
            benched.put_results(name, results, form)
            return
        if bool(folder) == hub:
            raise InputError("name where the datasets lie: --folder DIR or --hub (or --results DIR for published result files)")
        hosts = hosts_asked(rules_of(project), folder, allow_host, local_only)
        if hub and hosts is not None:
            raise InputError("--hub asks another machine, and only named hosts are allowed; name the datasets' folder (--folder)")
        where = benched.folders_of(name, folder, datasets)
        if demonstrations:
            benched.put_contamination(name, where, demonstrations, as_json=form == "json")
            return
        generations = benched.generations_of(name, rewrites, combine, method, thinking, gar=gar, llm=llm)
        protocol = Protocol(depth=depth, pool=pool, ignore_identical=not keep_identical, by=by, seed=seed)
        key = benched.folder_name(runs) if runs else model or retriever
        stated = {"query": query_prefix, "document": document_prefix}
        given: dict[str, Any] = {"stated": {side: text for side, text in stated.items() if text is not None}}
        given |= {"like": like, "base_url": base_url, "device": device, "trust": trust, "allow_hosts": hosts}
        if runs and (retriever != "bm25" or model or analyzer or generations):
            raise InputError("--runs are made already: leave --retriever, --model, --analyzer and rewrites out")
        factory = benched.saved(runs) if runs else benched.factory_of(name, retriever, model, analyzer, given)
        found = benched.measure(name, where, datasets, key, generations, factory, out=out, tag=tag, protocol=protocol)
        benched.put_benched(found, form)

    run.__doc__ = f"A retriever on the datasets of {title} that are there, with the published protocol; every deviation is said."
    return run


app.command("r2med")(command("r2med", "R2MED"))
app.command("cmirb")(command("cmirb", "CMIRB"))
app.add_typer(smmile, name="smmile")


@app.command("compare")
def compare(
    measured: list[str] = typer.Argument(..., metavar="MEASURED.json...", help="result.json of a run, or what --json printed."),
    published: str = typer.Option(
        "", "--published", metavar="CONFIG", help="Its name in the published table; known where by key."
    ),
    measure: str = typer.Option("nDCG@10", "--measure"),
    tolerance: float = typer.Option(None, "--tolerance", help="In points; 0.5, and for result files twice their rounding."),
    form: str = FORM,
    as_json: bool = JSON,
) -> None:
    """Measured beside published: the difference per dataset, and a verdict per row."""
    from qrelkit.bench.compare import HEAD, compare_files
    from qrelkit.cli.benched import checked, put_rows
    from qrelkit.cli.output import put_json, say, warn

    form = checked(form, as_json)
    found = [one for path in measured for one in compare_files(path, published, measure=measure, tolerance=tolerance)]
    for one in found:
        warn([f"{one.config}: {text}" for text in one.deviations])
    if not found:
        say(f"none of these configurations has a published {measure}; name one of the table's (--published CONFIG)")
    if form == "json":
        put_json([one.json() for one in found])
    else:
        put_rows(HEAD, [row for one in found for row in one.table()], form)

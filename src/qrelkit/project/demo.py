"""The demo: the whole line on a catalogue that qrelkit generates itself, told as a story.

Three real systems search 480 fashion products. Some attributes can only be seen in the pictures, so the best system on
text is not the best in truth; and since the truth is constructed, everything that is claimed can be checked.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qrelkit.core.collection import Collection
from qrelkit.core.errors import InputError
from qrelkit.core.files import write_whole
from qrelkit.core.qrels import Qrels
from qrelkit.core.records import Estimate
from qrelkit.core.run import Run
from qrelkit.formats.trec import write_run
from qrelkit.project.config import NAME, read_config
from qrelkit.project.judging import described_documents
from qrelkit.project.line import line_of
from qrelkit.project.project import Project
from qrelkit.project.reporting import report_of, write_report
from qrelkit.steps.evaluate import evaluate
from qrelkit.steps.gain import gain
from qrelkit.steps.judge import judge
from qrelkit.steps.plan import Line, Watch, plan
from qrelkit.steps.run import Done, run
from qrelkit.steps.stages import Stage
from qrelkit.steps.tally import Tally

MEASURE = "nDCG@10"
CONFIG = """\
# The project that `qrelkit demo` made. Change it and run it again: qrelkit run --project {folder}
collection: catalogue
runs: [runs/*.trec]
scale: product-3
depth: 20
measures: [nDCG@10, P@5, Judged@10]
by: [language]
describe: {{model: "{describer}"}}
judge: {{model: "{model}", route: described, analyzer: multi}}
"""
SYSTEMS = {
    "text": "BM25 over names and texts",
    "picture": "BM25 over names, texts and what the pictures show",
    "titles": "BM25 over names only",
}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What the demo found, ready to be told or printed as JSON."""

    done: Done
    text_only: Qrels
    gained: Mapping[str, Estimate]
    control: Mapping[str, Estimate]
    second: Tally
    page: Path

    @property
    def truth(self) -> Qrels:
        return next(iter(self.done.line.human.values()))

    def winners(self) -> dict[str, str]:
        """The best system by view: the constructed truth, the judge with pictures, the judge without."""
        assert self.done.judged is not None
        views = {"truth": self.truth, "judge": self.done.judged.qrels(), "text only": self.text_only}
        return {view: best(self.done.line.runs, qrels) for view, qrels in views.items()}


def prepare(folder: Path, model: str = "lexical") -> Project:
    """Writes catalogue, runs and qrelkit.yaml into a folder, what is missing of them; returns the project.

    A qrelkit.yaml that is there already stays as it is: somebody may have edited it. Raises InputError where its judge is
    not the `model` asked for.
    """
    from qrelkit.sources.demo import write_demo

    folder.mkdir(parents=True, exist_ok=True)
    write_demo(folder / "catalogue")
    file = folder / NAME
    if not file.exists():
        describer = "palette" if model == "lexical" else model
        write_whole(CONFIG.format(folder=folder, model=model, describer=describer).encode(), file)
    project = Project(read_config(file), folder)
    if project.config.judge.model != model:
        raise InputError(f"{file} has the judge {project.config.judge.model}; give another --folder, or change it there")
    if not all((folder / "runs" / f"{tag}.trec").exists() for tag in SYSTEMS):
        (folder / "runs").mkdir(exist_ok=True)
        for found in search(project.collection):
            write_run(found, folder / "runs" / f"{found.tag}.trec")
    return project


def search(collection: Collection) -> Iterator[Run]:
    """The three systems' runs. What `picture` knows of the pictures comes from their pixels, as a palette sees them."""
    from qrelkit.judges.palette import Palette
    from qrelkit.retrievers.bm25 import Bm25
    from qrelkit.steps.describe import describe
    from qrelkit.steps.retrieve import retrieve
    from qrelkit.stores.memory import MemoryStore

    seen = describe(collection, Palette(), store=MemoryStore()).texts
    options: dict[str, dict[str, Any]] = {
        "text": {},
        "picture": {"extra_texts": described_documents(collection, seen)},
        "titles": {"fields": ("title",)},
    }
    for tag, own in options.items():
        found = retrieve(collection, Bm25(collection, analyzer="multi", **own), 50)
        yield Run(found.frame, tag, found.notes)


def stages(project: Project) -> tuple[Line, list[Stage]]:
    """The line and its plan; judging is planned three times: with pictures, without, and with pictures permuted."""
    line = line_of(project)
    planned = plan(line)
    judging = planned[-1]
    if judging.usd != (0.0, 0.0):  # a model is paid for each of the three
        planned += [replace(judging, name=f"judge, {how}") for how in ("no pictures", "swapped")]
    return line, planned


def play(project: Project, line: Line, watch: Watch) -> Story | None:
    """The whole line, the two controls, and the same again, which asks nothing; None where it was stopped."""
    done = run(line, watch)
    if done.stopped or done.judged is None:
        return None
    pictured = done.judged.qrels()
    described = dict(line.store.descriptions(line.describer.key)) if line.describer else {}
    without = _judged_by(line, project, {}, watch, "judge without pictures", route="text")
    swapped = _judged_by(line, project, permuted(described), watch, "judge with pictures swapped")
    if without is None or swapped is None:
        return None
    truth = next(iter(line.human.values()))
    gained, control = gain(pictured, without, truth, seed=line.seed), gain(swapped, without, truth, seed=line.seed)
    second = run(line).tallies["judge"]
    rows = {"with its picture": gained, "control: another product's picture": control}
    about = "Agreement with the constructed truth, compared with the same judge without pictures (95 % by query)."
    report = report_of(done, project, title="The demo catalogue: which system is better?", picture={"about": about, "rows": rows})
    page, _ = write_report(report, project.at(project.config.report))
    return Story(done=done, text_only=without, gained=gained, control=control, second=second, page=page)


def permuted(described: Mapping[str, str], seed: int = 0) -> dict[str, str]:
    """Every image with another image's description: all there was to see, and none of it at its place."""
    digests = sorted(described)
    others = digests[:]
    random.Random(seed).shuffle(others)
    return {digest: described[other] for digest, other in zip(digests, others, strict=True)}


def _judged_by(
    line: Line, project: Project, described: Mapping[str, str], watch: Watch, name: str, **change: Any
) -> Qrels | None:
    """The pool as the same judge sees it with other descriptions, or on another route; None where it was stopped."""
    config = project.config.model_copy(update={"judge": project.config.judge.model_copy(update=change)})
    other = Project(config, project.folder)
    other.__dict__.update(store=line.store, collection=line.collection)
    assessor = other.judge(line.pool, described)
    with watch(name, len(line.pool)) as show:
        models, dials = line.models, {"at_once": line.at_once, "budget_usd": line.budget_usd, "terms": line.terms}
        found = judge(line.pool, assessor, line.collection, store=line.store, models=models, progress=show, **dials)  # type: ignore[arg-type]
    return None if found.tally.stopped else found.qrels(name)


def best(runs: Any, qrels: Qrels) -> str:
    """The tag of the system with the highest mean."""
    scores = evaluate([MEASURE], runs, qrels, resamples=2)
    return max(scores.tags, key=lambda tag: scores.estimate(tag, MEASURE).value)


def tell(story: Story, say: Callable[[str], None]) -> None:
    """The story, paragraph by paragraph."""
    done = story.done
    assert done.judged is not None
    outcomes = ", ".join(f"{count:,} {name}" for name, count in done.judged.outcomes.items() if name != "graded") or "none"
    say(f"Judged     {done.judged.frame.height:,} pairs; without a grade: {outcomes}. None of them is a 0.")
    figures = done.agreements[0].json()
    kappa, exact = figures["kappa_quadratic"], figures["exact"]
    say(f"Agreement  with the constructed truth: quadratic kappa {_told(kappa)}, exact {_told(exact)}.")
    gained, control = story.gained["kappa_quadratic"], story.control["kappa_quadratic"]
    say(f"Pictures   changed that kappa by {_signed(gained)}; with another product's picture by {_signed(control)},")
    say(
        "           "
        + ("so it is the picture that helps." if gained.low > 0 >= control.low else "so nothing can be concluded from that.")
    )
    by = done.by["language"]
    for language in (group for group in by.groups if group):
        cells = ", ".join(f"{tag} {_told(by.estimate(tag, MEASURE, group=language).json())}" for tag in by.tags)
        say(f"{'Languages  ' if language == by.groups[1] else '           '}{language}: {MEASURE} {cells}")
    _tell_who_won(story, say)
    say(f"Again      the same run: {story.second.asked} requests, {done.judged.frame.height:,} pairs known.")


def _tell_who_won(story: Story, say: Callable[[str], None]) -> None:
    done, winners = story.done, story.winners()
    assert done.scores is not None
    truth = {tag: done.scores.estimate(tag, MEASURE, qrels=story.truth.name) for tag in done.scores.tags}
    scores = ", ".join(f"{tag} {_told(value.json())}" for tag, value in truth.items())
    say(f"Who won    {winners['truth']}, by the constructed truth: {MEASURE} {scores}.")
    for pair in done.differences.json()["pairs"] if done.differences else ():
        if {pair["a"], pair["b"]} == {"text", "picture"}:
            span = f"[{pair['low']:.3f}, {pair['high']:.3f}]"
            say(f"           {pair['a']} − {pair['b']} = {pair['diff']:+.3f} {span}, randomisation p {_p(pair['p_rand'])}.")
    alone = "would have said so too" if winners["judge"] == winners["truth"] else f"would have said {winners['judge']}"
    blind = "would have said so too" if winners["text only"] == winners["truth"] else f"would have crowned {winners['text only']}"
    say(f"The judge  alone {alone}; the same judge without pictures {blind}.")


def _told(e: Mapping[str, Any]) -> str:
    return f"{e['value']:.3f} [{e['low']:.3f}, {e['high']:.3f}]" if e["low"] is not None else f"{e['value']:.3f}"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else "< 0.001"


def _signed(e: Estimate) -> str:
    return f"{e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]"

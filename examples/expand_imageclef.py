"""The whole expansion of ImageCLEFmed 2013's case-based qrels (arXiv 2506.17782), from the collection to the longer qrels.

python expand_imageclef.py [FOLDER] [--model provider:name] [--pairs N] [--out expanded.qrels]

FOLDER is the collection as its organisers hand it out; without one a small generated collection of the same layout stands in.
Without --model a rule stands in for one: it looks for the findings of the case in the article. The article's judge comes first
against people on the pairs that they judged, then fills the holes of several BM25 runs, at most --pairs of them.
"""

from __future__ import annotations

import argparse
import re
import tempfile

import polars as pl

import qrelkit as qk
from qrelkit.core.wire import Request
from qrelkit.judges.examples import pairs_shown
from qrelkit.models.scripted import Scripted, last_user_text
from qrelkit.project.config import checked
from qrelkit.project.project import Project
from qrelkit.sources.demo.cases import write_cases
from qrelkit.stores.sql import SqlStore

RUNS = {"all": ("text",), "title": ("title",), "abstract": ("abstract",), "fulltext": ("fulltext",), "captions": ("captions",)}
FINDING = re.compile(r"\b[a-z]+\d+ia\b")


def by_rule(request: Request) -> str:
    """What stands in for a model: an article is relevant where it names two findings of the case."""
    said = last_user_text(request)
    case = said.partition("</case>")[0]
    article = said.rpartition("<document>")[2]
    shared = set(FINDING.findall(case)) & set(FINDING.findall(article))
    return '{"verdict": "%s"}' % ("relevant" if len(shared) > 1 else "not_relevant")


def main(folder: str, model: str, pairs: int, out: str) -> None:
    project = Project(checked({"collection": folder, "scale": "binary", "judge": {"preset": "article", "model": model}}, "here"))
    collection, people = project.collection, next(iter(project.human().values()))
    print(collection)
    project.use(Scripted("scripted:rule", by_rule))

    # several runs, as the article's authors had: fields and weights of BM25
    runs = []
    for name, fields in RUNS.items():
        run = qk.retrieve(collection, qk.Bm25(collection, fields=fields, k1=0.9, b=0.4), depth=1000)
        runs.append(qk.Run(run.frame, name))
    judged_by_people = qk.pool([qk.Run.of(people.graded.with_columns(score=pl.lit(1.0)), "people")], depth=10**6)
    holes = qk.pool(runs, depth=1000, holes_of=people)
    holes = qk.Pool(holes.frame.sort("best_rank", "query_id").head(pairs).sort("query_id", "best_rank"), 1000, len(runs))

    with SqlStore(f"{out}.db") as store:
        dials = {"store": store, "models": project.judge_models(), "at_once": 32}
        checking = qk.judge(judged_by_people, project.judge(judged_by_people), collection, **dials)
        shown = project.examples(collection.queries["query_id"].to_list())
        print(qk.agree(checking.qrels("model"), [people], scale=project.scale, exclude=pairs_shown(shown)))
        filling = qk.judge(holes, project.judge(holes), collection, **dials)
    expansion = qk.expand(people, filling.qrels("model"), pool=holes, scale=project.scale)
    print(expansion.text())
    print(f"wrote {out} and {expansion.write(out).name}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", nargs="?", default="")
    options.add_argument("--model", default="scripted:rule")
    options.add_argument("--pairs", type=int, default=558_653 - 15_028)
    options.add_argument("--out", default="expanded.qrels")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as made:
        if not chosen.folder:
            write_cases(made)
        main(chosen.folder or made, chosen.model, chosen.pairs, chosen.out)

"""Have any OpenAI-compatible endpoint judge the first documents of some runs, pictures included.

    OPENAI_BASE_URL=http://localhost:8000/v1 python judge_with_an_endpoint.py COLLECTION MODEL OUT.qrels RUN…

MODEL is the name that the server knows. Call it again: nothing is asked twice, for the replies are in judge.db.
"""

from __future__ import annotations

import sys

import qrelkit as qk


def main(folder: str, name: str, out: str, *run_files: str) -> None:
    collection = qk.load(folder)
    pool = qk.pool([qk.read_run(path) for path in run_files], depth=10)

    model = qk.OpenAICompatible(f"openai:{name}")
    guideline = qk.Guideline(scale=qk.SCALES["product-3"], instructions="The shop sells fashion.")
    judge = qk.Pointwise(model.name, guideline, qk.read_prompt("pointwise"), look=qk.Look(route="shown"))

    with qk.SqlStore("judge.db") as store:
        judged = qk.judge(pool, judge, collection, store=store, models={model.name: model}, at_once=32)
    judged.write(out)  # and OUT.qrels.ungraded.tsv: what has no grade, which is never a 0

    print(judged)
    print(f"{judged.tally.asked} requests, {judged.tally.tokens_in} tokens in, {judged.tally.tokens_out} out")
    for warning in judged.tally.warnings:
        print("warning:", warning)


if __name__ == "__main__":
    main(*sys.argv[1:])

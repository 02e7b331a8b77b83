"""What did it change that the judge was shown examples? The gain on the same pairs, with its interval.

    python examples_and_ablation.py COLLECTION RUN HUMAN.qrels MODEL [N]

The same works for any two ways of judging: with and without pictures, guideline, another prompt, another model.
"""

from __future__ import annotations

import sys

import qrelkit as qk


def main(folder: str, run_file: str, qrels: str, name: str, n: str = "2") -> None:
    collection, human = qk.load(folder), qk.read_qrels(qrels)
    pool = qk.pool([qk.read_run(run_file)], depth=10)
    model = qk.OpenAICompatible(f"openai:{name}")
    guideline, prompt = qk.Guideline(scale=qk.SCALES["product-3"]), qk.read_prompt("pointwise")

    query_ids = pool.frame["query_id"].unique().to_list()
    examples = qk.draw_examples(human, collection, query_ids, qk.Draw(n=int(n), rule="other_queries", seed=0))
    shown = qk.pairs_shown(examples)  # what the judge has seen the answer to is no evidence
    held_out = qk.Qrels(human.frame.join(shown, on=["query_id", "doc_id"], how="anti"), "people")

    with qk.SqlStore("ablation.db") as store:

        def judged_by(judge: qk.Pointwise) -> qk.Qrels:
            return qk.judge(pool, judge, collection, store=store, models={model.name: model}).qrels()

        without = judged_by(qk.Pointwise(model.name, guideline, prompt, name="zero-shot"))
        with_them = judged_by(qk.Pointwise(model.name, guideline, prompt, examples=examples, name="few-shot"))

    print(f"{len(shown)} pairs were shown as examples and are left out")
    for figure, gained in qk.gain(with_them, without, held_out).items():
        print(f"{figure:16} {gained.value:+.3f} [{gained.low:+.3f}, {gained.high:+.3f}]")


if __name__ == "__main__":
    main(*sys.argv[1:])

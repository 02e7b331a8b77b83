"""Fewer tokens for the same judgments: how much of the input is a repeated prefix, and what 20,000 pairs cost by each option.

    python benchmarks/tokens.py [--prices benchmarks/prices.yaml] [--seed 0]

40 queries × 50 documents are generated: guidelines with translation, requirements and a note per grade, product texts of
about 600 characters, one square picture each. The requests are those of the real judges; nothing is sent, and tokens are
estimated. Needed: 60 % of the input tokens a repeated prefix. Replies are assumed: 90 tokens for one document, 60 for each
of several (their prompt asks for one to three sentences instead of two to five).
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qrelkit.core.guideline import SCALES, Guideline, QueryGuideline, Requirement
from qrelkit.core.records import Document, Image, Pair, Query
from qrelkit.core.wire import Reply, Request, Shrink, digest_of
from qrelkit.judges.groupwise import Groupwise
from qrelkit.judges.pointwise import Example, Look, Pointwise
from qrelkit.judges.prefix import prefix_share
from qrelkit.models.prices import Prices, read_prices, tokens_of_request
from qrelkit.text.prompt import read_prompt

QUERIES, DOCUMENTS, PAIRS = 40, 50, 20_000
WORDS_ONE, WORDS_EACH, WORDS_PICTURE = 90, 60, 100
CACHED_FROM = 1_024  # tokens; a shorter prefix is not cached by OpenAI, nor by most of Anthropic's models
GOES_ON = 5_315 / 9_260  # what Flan-T5 does not call 0 on DL19: the cascade of tests/judges/test_labels.py
PUBLISHED_EUR = 72
MODELS, THEN, EUR = ("gpt-4o", "gpt-4o-mini"), "gpt-4o-2024-05-13", "EUR"
HOWS: tuple[dict[str, bool], ...] = ({}, {"cached": True}, {"batch": True})
NOUNS = ("dress", "boots", "jacket", "shirt", "sneakers", "coat", "skirt", "trousers", "bag", "scarf", "sandals", "sweater")
TRAITS = ("red", "blue", "black", "striped", "plain", "leather", "cotton", "wool", "slim", "waterproof", "short", "formal")
FILLING = """made of soft material with a regular fit that feels light all day machine washable at thirty degrees two side pockets
and one inside pocket hidden zip fastening adjustable straps reinforced seams model is one metre eighty and wears size medium"""


@dataclass(frozen=True)
class Option:
    """A way of judging: the requests for all pairs, and how many tokens each reply has."""

    name: str
    requests: Sequence[Request]
    words: int

    def usd(self, prices: Prices, model: str, *, cached: bool = False, batch: bool = False) -> float:
        """Dollars for 20,000 pairs; `cached` counts repeated prefixes at the cached price, where they are long enough for it."""
        price = prices.table[model]
        tokens = sum(tokens_of_request(request, price) for request in self.requests)
        share = prefix_share(self.requests, lambda r: tokens_of_request(r, price), at_least=CACHED_FROM) if cached else 0.0
        documents = sum(_documents(request) for request in self.requests)
        reply = Reply(
            text="", tokens_in=tokens, tokens_cached=int(share * tokens), tokens_out=self.words * documents, batch=batch
        )
        return (price.cost(reply) or 0.0) * PAIRS / (QUERIES * DOCUMENTS)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prices", type=Path, default=Path(__file__).with_name("prices.yaml"))
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    prices, made = read_prices(chosen.prices), ways(chosen.seed)
    print(f"{QUERIES} queries × {DOCUMENTS} documents, seed {chosen.seed}. Prices: {prices.source}, {prices.date}.\n")
    show_prefixes(made)
    print()
    show_costs(made, prices)


def show_prefixes(made: Sequence[Option]) -> None:
    print("| requests | a pair, tokens in | a repeated prefix | of at least 1,024 tokens |\n|---|---|---|---|")
    for one in made:
        each = sum(map(tokens_of_request, one.requests)) / (QUERIES * DOCUMENTS)
        share, long = (prefix_share(one.requests, tokens_of_request, at_least=n) for n in (0, CACHED_FROM))
        print(f"| {one.name} | {each:,.0f} | {share:.1%} | {long:.1%} |")
    share = prefix_share(made[0].requests, tokens_of_request)
    print(f"\nNeeded: 60 % for {made[0].name}. {'Met' if share >= 0.6 else 'MISSED'}: {share:.1%}.")


def show_costs(made: Sequence[Option], prices: Prices) -> None:
    head = [f"{model}{how}" for model in MODELS for how in ("", ", cached", ", batch")]
    print(f"| {PAIRS:,} pairs | {' | '.join(head)} |\n|---|{'---|' * len(head)}")
    costs = {one.name: [one.usd(prices, model, **how) for model in MODELS for how in HOWS] for one in made}
    dear, cheap = costs["text"][:3], costs["text"][3:]
    costs["panel of 3, text"] = [3 * usd for usd in (*dear, *cheap)]
    costs[f"cascade, text: {MODELS[1]}, then {GOES_ON:.0%} {MODELS[0]}"] = [
        c + GOES_ON * d for c, d in zip(cheap, dear, strict=True)
    ]
    for name, usd in costs.items():
        cells = [f"€{one / prices.usd(1.0, EUR):,.2f}" for one in usd] + ["–"] * (len(head) - len(usd))
        print(f"| {name} | {' | '.join(cells)} |")
    then = [f"{one.name} €{one.usd(prices, THEN) / prices.usd(1.0, EUR):,.0f}" for one in made]
    print(f"\nBeside: €{PUBLISHED_EUR} (10 min) for multimodal GPT-4o with guidelines. At {THEN}'s price: {', '.join(then)}.")
    print("A panel's members are of the column's model. Descriptions, made once per picture, are not in these figures.")


def ways(seed: int) -> list[Option]:
    """Every option's requests. The first is the one that the share is needed of."""
    chance = random.Random(seed)
    queries = [made_query(chance, n) for n in range(QUERIES)]
    guideline = Guideline(scale=SCALES["product-3"], queries={q.query_id: made_guideline(chance, q) for q in queries})
    documents = [made_document(chance, n) for n in range(QUERIES * DOCUMENTS)]
    described = {d.images[0].digest: sentence(chance, 320) for d in documents}
    pairs = [
        [Pair(query=query, document=d) for d in documents[n * DOCUMENTS : (n + 1) * DOCUMENTS]] for n, query in enumerate(queries)
    ]
    prompt, group = read_prompt("pointwise@1"), read_prompt("group@1", "group")

    shots = [Example(query=queries[n], document=documents[n * DOCUMENTS], grade=n % 3) for n in range(4)]

    def alone(look: Look, examples: Sequence[Example] = ()) -> list[Request]:
        shown = {query.query_id: examples for query in queries}
        judge = Pointwise("m:x", guideline, prompt, look=look, descriptions=described, examples=shown)
        return [request for some in pairs for request in next(judge.flow(some))]

    def grouped(look: Look, size: int) -> list[Request]:
        judge = Groupwise("m:x", guideline, group, per_request=size, look=look, descriptions=described)
        return [request for some in pairs for request in next(judge.flow(some))]

    shown = {px: Look(route="shown", shrink=Shrink(max_side_px=px)) for px in (768, 512, 256)}
    return [
        Option("text", alone(Look()), WORDS_ONE),
        Option("text, per_request 5", grouped(Look(), 5), WORDS_EACH),
        Option("text, per_request 10", grouped(Look(), 10), WORDS_EACH),
        Option("text, 4 examples", alone(Look(), shots), WORDS_ONE),
        Option("described", alone(Look(route="described")), WORDS_ONE),
        Option("described, per_request 5", grouped(Look(route="described"), 5), WORDS_EACH),
        *(Option(f"shown at {px} px", alone(look), WORDS_ONE) for px, look in shown.items()),
        Option("shown at 512 px, per_request 5", grouped(shown[512], 5), WORDS_EACH),
    ]


def _documents(request: Request) -> int:
    """How many documents are in a request."""
    return sum(getattr(part, "text", "").startswith("<document>") for message in request.messages for part in message.parts)


# what is generated


def made_query(chance: random.Random, number: int) -> Query:
    words = f"{' '.join(chance.sample(TRAITS, 2))} {chance.choice(NOUNS)}"
    return Query(query_id=f"q{number}", text=words, fingerprint=f"q{number}")


def made_guideline(chance: random.Random, query: Query) -> QueryGuideline:
    names = ("product type", "colour", "material", "season", "fit")
    weights = ("must_have", "must_have", "approximate_is_okay", "approximate_is_okay", "nice_to_have")
    wants = tuple(Requirement(name=n, value=chance.choice(TRAITS), importance=w) for n, w in zip(names, weights, strict=True))
    notes = {label: sentence(chance, 140) for label in SCALES["product-3"].labels}
    return QueryGuideline(query_id=query.query_id, query=query.text, translation=query.text, requirements=wants, notes=notes)


def made_document(chance: random.Random, number: int) -> Document:
    title = f"{' '.join(chance.sample(TRAITS, 3))} {chance.choice(NOUNS)}".capitalize()
    image = Image(digest=digest_of(number), read=lambda: b"")
    text = f"{title} {sentence(chance, 560)}"
    return Document(doc_id=f"d{number}", text=text, title=title, images=(image,), fingerprint=f"d{number}")


def sentence(chance: random.Random, characters: int) -> str:
    """Words of so many characters."""
    words = " ".join(chance.choices(FILLING.split(), k=characters // 3))
    return words[:characters].strip().capitalize() + "."


if __name__ == "__main__":
    main()

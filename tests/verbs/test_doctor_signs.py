"""doctor: what is wrong ends with 1; the signs of a sick study are shown and do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from qrelkit.core.records import Judgment
from qrelkit.core.wire import Message, Reply, Request, text
from qrelkit.stores.sql import SqlStore
from servers.chat import ChatServer, rate_limited
from verbs.tiny import PAIRS, served, verdict, write_config, write_tiny

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(write_tiny(tmp_path))
    return tmp_path


def store_of(shop: Path, **options: Any) -> SqlStore:
    (shop / ".qrelkit").mkdir(exist_ok=True)
    return SqlStore(shop / ".qrelkit" / "store.db", **options)


def examined(capsys: Capture, code: int = 0) -> dict[str, tuple[bool, bool, str]]:
    found = call(capsys, "doctor", "--json")
    assert found.code == code, found.out
    return {row["what"]: (row["sound"], row["look"], row["found"]) for row in found.json}


def asked(words: str) -> Request:
    return Request(model="m:1", messages=(Message("user", (text(words),)),))


def test_a_healthy_study_has_no_sign(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        write_config(shop, **served(server.url))
        call(capsys, "judge")
        found = examined(capsys)
        assert [what for what, (sound, look, _) in found.items() if look or not sound] == []
        assert found["models"][2] == f"openai:tiny at 127.0.0.1:{server.port}"
        assert found["cache of replies"][2] == "judge 0% of 15 requests were known"
        assert found["provider's prompt cache"][2].startswith("judge 50% of ")  # the test server reads half from its cache
        assert found["time not spent waiting"][2].startswith("judge ")
        assert found["served models"][2] == "each judge by one"
        # exact: q1 p01 p03 p09 are 2 1 0 by both; q2 and q3 have two pairs each, too few
        assert found["lowest agreement"][2] == "openai:tiny: q1 100% of 3"
    table = call(capsys, "doctor").rows
    assert ["sent and never answered", "", "none"] in table
    assert any(row[:2] == ["store", "ok"] for row in table)


def test_every_model_of_a_cascade_is_opened(shop: Path, capsys: Capture) -> None:
    (shop / "judge.yaml").write_text("- {say: {verdict: irrelevant}}\n", encoding="utf-8")
    write_config(shop, judge={"cascade": [{"model": "scripted:judge.yaml"}, {"model": "openai:dear"}]})
    sound, _, said = examined(capsys, code=1)["models"]
    assert not sound
    assert "OPENAI_API_KEY" in said


def test_requests_that_were_sent_and_never_answered_are_listed(shop: Path, capsys: Capture) -> None:
    with store_of(shop, now=lambda: 1_700_000_000.0) as store:
        store.exchange(store.open_session("judge"), [asked("one").digest, asked("two").digest])
    _, look, said = examined(capsys)["sent and never answered"]
    assert look
    assert said.startswith("2 requests of 1 session that died, the last sent 2023-11-14T22:13:20")
    assert asked("one").digest in said
    assert asked("two").digest in said


def test_batches_on_their_way_are_listed_and_unconfirmed_ones_are_a_sign(shop: Path, capsys: Capture) -> None:
    with store_of(shop) as store:
        store.add_batch("qk1", [asked("one"), asked("two")])
        store.set_ticket("qk1", "batch_abc")
        assert examined(capsys)["batches on their way"] == (True, False, "batch_abc of m:1: 2 requests")
        store.add_batch("qk2", [asked("three")])
    _, look, said = examined(capsys)["batches on their way"]
    assert look
    assert said.endswith("; qk2 (not confirmed) of m:1: 1 request")


def test_two_grades_of_one_pair_under_the_same_keys(shop: Path, capsys: Capture) -> None:
    def judged(grade: int, **more: Any) -> Judgment:
        return Judgment(query_id="q1", doc_id="p01", grade=grade, outcome="graded", **more)

    with store_of(shop) as store:
        for key, name in (("k", "gpt"), ("human:ann", "ann")):
            store.add_judge(key, name, {})
        store.add_judgments("human:ann", [judged(1), judged(2)])  # a person may change her mind
        store.add_judgments("k", [judged(1), judged(2, sample=1), judged(0, query_key="another guideline"), judged(1)])
        assert examined(capsys)["two grades for one pair"] == (True, False, "none")
        store.add_judgments("k", [judged(2)])
    assert examined(capsys)["two grades for one pair"] == (True, True, "1 pair: gpt: q1 p01 [1, 2]")


def test_a_judge_that_agrees_with_nobody_on_a_query_is_a_sign(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=lambda body: wrong(body)) as server:
        write_config(shop, **served(server.url))
        call(capsys, "judge")
        _, look, said = examined(capsys)["lowest agreement"]
    assert look
    assert said == "openai:tiny: q1 0% of 3"


def wrong(body: dict[str, Any]) -> str:
    labels = ("irrelevant", "acceptable_substitute", "highly_relevant")
    right = labels.index(json.loads(verdict(body))["verdict"])
    return json.dumps({"reasoning": "no", "verdict": labels[(right + 1) % 3]})


def test_a_judge_that_was_served_by_two_models_is_a_sign_over_all_sessions(shop: Path, capsys: Capture) -> None:
    with store_of(shop) as store:
        store.add_judge("k", "gpt", {"model": "m:1"})
        for n, served_by in enumerate(("m-2025", "m-2025", "m-2026")):
            request = asked(f"document {n}")
            store.add_replies([(request, Reply(text="x", served=served_by))])
            one = Judgment(query_id="q1", doc_id=f"p0{n + 1}", grade=1, outcome="graded", request=request.digest)
            store.add_judgments("k", [one])
    assert examined(capsys)["served models"] == (True, True, "gpt was served by m-2025 (2), m-2026 (1)")


def test_failed_attempts_by_their_error_and_the_cache_that_hits(shop: Path, capsys: Capture) -> None:
    with ChatServer(answer=verdict) as server:
        server.next(rate_limited("0.01"), rate_limited("0.01"))
        write_config(shop, **served(server.url))
        call(capsys, "judge")
        _, look, said = examined(capsys)["failed attempts"]
        assert look
        assert said == "2 × openai:tiny at 127.0.0.1:#: 429 Rate limit reached"
    with store_of(shop) as store:
        store.add_spending("judge", "k", {"asked": 0, "known": PAIRS, "seconds": 20.0, "busy_s": 19.0})
    found = examined(capsys)
    assert found["cache of replies"][2] == "judge 47% of 32 requests were known"  # 15 of 15 + 17
    assert found["time not spent waiting"][1]


def test_a_store_that_cannot_be_opened_is_wrong_and_no_sign(shop: Path, capsys: Capture) -> None:
    (shop / ".qrelkit").mkdir()
    (shop / ".qrelkit" / "store.db").write_bytes(b"no database" * 100)
    found = examined(capsys, code=1)
    assert not found["store"][0]
    assert not any(look for _, look, _ in found.values())

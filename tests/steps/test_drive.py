"""The driver: what is asked, what is kept, and how it ends. Flows, model and store are real; only the model is scripted."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import InputError, RateLimited, Rejected, StoreError, Unreachable
from qrelkit.core.wire import Flow, Limits, Message, Reply, Request, Room, text
from qrelkit.steps.drive import drive
from qrelkit.steps.tally import Tally
from qrelkit.steps.terms import Terms
from qrelkit.stores.memory import MemoryStore
from qrelkit.stores.sql import SqlStore


class Endpoint:
    """A model for tests: `answer` gives a reply or an error; every call is kept. A reply costs `price` dollars."""

    name = "test:model"
    limits = Limits()
    price = ""
    room: Room | None = None

    def __init__(self, answer: Callable[[Request], Reply | Exception], *, at_most: int = 1, price: float | None = 0.0) -> None:
        self.answer, self.at_most, self.cost = answer, at_most, price
        self.calls: list[Sequence[Request]] = []
        self.now = self.most = 0

    async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.calls.append(requests)
        self.now += len(requests)
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= len(requests)
        answers = [self.answer(request) for request in requests]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [a for a in answers if isinstance(a, Reply)]

    def cost_usd(self, reply: Reply) -> float | None:
        return self.cost

    def tokens_in(self, request: Request) -> int:
        return 10

    async def close(self) -> None:
        return None


def ask(words: str, sample: int = 0) -> Request:
    return Request(model="test:model", messages=(Message("user", (text(words),)),), sample=sample)


def one(words: str) -> Flow[str]:
    (reply,) = yield [ask(words)]
    return reply.text or reply.outcome


def echo(request: Request) -> Reply:
    (part,) = request.messages[0].parts
    return Reply(text=part.text.upper())  # type: ignore[union-attr]


def run(flows: Any, model: Endpoint, store: MemoryStore | None = None, **dials: Any) -> tuple[list[Any], Tally]:
    out: list[Any] = []
    tally = drive(flows, models={"test:model": model}, store=store or MemoryStore(), done=out.append, **dials)
    return out, tally


def test_every_flow_ends_and_running_again_asks_nothing() -> None:
    model, store = Endpoint(echo), MemoryStore()
    out, tally = run((one(f"w{i}") for i in range(50)), model, store, at_once=8)
    assert sorted(out) == sorted(f"W{i}" for i in range(50))
    assert (tally.done, tally.asked, tally.known, tally.failed) == (50, 50, 0, 0)
    again, second = run((one(f"w{i}") for i in range(50)), model, store)
    assert (sorted(again), second.asked, second.known) == (sorted(out), 0, 50)
    assert len(model.calls) == 50


def test_no_more_than_at_once_are_in_flight_and_flows_are_pulled_lazily() -> None:
    model, pulled = Endpoint(echo), []

    def flows() -> Any:
        for i in range(40):
            pulled.append(i)
            assert len(pulled) <= tally_done() + 5 + 1
            yield one(f"w{i}")

    done: list[str] = []

    def tally_done() -> int:
        return len(done)

    drive(flows(), models={"test:model": model}, store=MemoryStore(), done=done.append, at_once=5)
    assert model.most == 5


def test_equal_requests_in_flight_are_asked_once() -> None:
    out, tally = run([one("same") for _ in range(10)], Endpoint(echo), at_once=10)
    assert out == ["SAME"] * 10
    assert (tally.asked, tally.joined) == (1, 9)


def test_a_round_of_several_is_asked_together_and_answered_in_order() -> None:
    def several() -> Flow[list[str]]:
        first = yield [ask("a"), ask("b", sample=1), ask("a", sample=2)]
        (second,) = yield [ask("".join(r.text for r in first))]
        return [r.text for r in first] + [second.text]

    ((words,), tally) = run([several()], Endpoint(echo))
    assert words == ["A", "B", "A", "ABA"]
    assert tally.asked == 4


def test_a_model_that_takes_several_gets_the_requests_of_a_turn_together() -> None:
    model = Endpoint(echo, at_most=4)
    out, _ = run((one(f"w{i}") for i in range(20)), model, at_once=10)
    assert len(out) == 20
    assert max(map(len, model.calls)) == 4
    assert len(model.calls) < 20


def test_a_reply_is_in_the_store_before_its_flow_goes_on() -> None:
    store, seen = MemoryStore(), []

    def checking() -> Flow[None]:
        request = ask("x")
        yield [request]
        seen.append(store.replies([request.digest])[request.digest].text)

    run([checking()], Endpoint(echo), store)
    assert seen == ["X"]


def test_rate_limits_and_broken_connections_are_tried_again_as_asked() -> None:
    answers = iter([RateLimited("slow down", 0.01), RateLimited("slow down", 0.01), Reply(text="at last")])
    out, tally = run([one("x")], Endpoint(lambda _: next(answers)))
    assert out == ["at last"]
    assert (tally.retried, tally.asked, tally.failed) == (2, 3, 0)


def test_a_request_that_never_succeeds_is_a_failed_reply_and_is_not_stored() -> None:
    store = MemoryStore()
    model = Endpoint(lambda r: Unreachable("reset") if r == ask("a") else Reply(text="ok"))
    out, tally = run([one("a"), one("b")], model, store, terms=Terms(retries=0))
    assert sorted(out) == ["failed", "ok"]
    assert tally.errors == {"reset": 1}
    assert store.replies([ask("a").digest]) == {}


def test_a_rejected_request_is_not_tried_again_and_the_others_go_on() -> None:
    model = Endpoint(lambda r: Rejected("too long") if r == ask("bad") else Reply(text="ok"))
    out, tally = run([one("bad"), one("good")], model)
    assert sorted(out) == ["failed", "ok"]
    assert tally.retried == 0


def test_a_key_that_is_refused_stops_everything_at_once() -> None:
    model = Endpoint(lambda _: Rejected("wrong key", fatal=True))
    with pytest.raises(Rejected, match="wrong key"):
        run((one(f"w{i}") for i in range(1000)), model, at_once=4)
    assert len(model.calls) <= 4


def test_an_endpoint_that_is_down_is_given_up() -> None:
    model = Endpoint(lambda _: Unreachable("refused"))
    with pytest.raises(Unreachable, match="20 requests in a row failed"):
        run((one(f"w{i}") for i in range(1000)), model, at_once=4, terms=Terms(retries=0))
    assert len(model.calls) < 40


def test_the_budget_stops_cleanly_before_it_is_exceeded_and_the_next_run_goes_on() -> None:
    model, store = Endpoint(echo, price=1.0), MemoryStore()
    out, tally = run((one(f"w{i}") for i in range(30)), model, store, at_once=4, budget_usd=10.0)
    assert tally.stopped == "budget"
    assert tally.cost_usd == len(out) == 10
    rest, second = run((one(f"w{i}") for i in range(30)), model, store, budget_usd=100.0)
    assert len(rest) == 30
    assert second.asked == 20


def test_a_budget_without_a_price_is_refused_before_anything_is_asked() -> None:
    model = Endpoint(echo, price=None)
    with pytest.raises(InputError, match="prices"):
        run([one("x")], model, budget_usd=1.0)
    assert model.calls == []


def test_replies_without_a_price_are_counted_and_not_free() -> None:
    _, tally = run([one("a"), one("b")], Endpoint(echo, price=None))
    assert (tally.unpriced, tally.cost_usd) == (2, 0.0)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent by os.kill")
def test_ctrl_c_keeps_what_was_answered_and_loses_nothing() -> None:
    store = MemoryStore()
    interrupted: list[bool] = []

    def answer(request: Request) -> Reply:
        if len(model.calls) >= 10 and not interrupted:
            interrupted.append(True)
            os.kill(os.getpid(), signal.SIGINT)
        return echo(request)

    model = Endpoint(answer)
    out, tally = run((one(f"w{i}") for i in range(1000)), model, store, at_once=4)
    assert tally.stopped == "interrupted"
    assert 10 <= len(out) < 1000
    assert len(store.replies([ask(f"w{i}").digest for i in range(1000)])) == len(model.calls)


def test_an_error_in_a_flow_is_raised_and_what_was_paid_for_is_kept() -> None:
    store = MemoryStore()

    def broken() -> Flow[str]:
        yield [ask("x")]
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        run([broken(), one("y")], Endpoint(echo), store, at_once=2)
    assert store.replies([ask("x").digest])


def test_a_store_that_fails_stops_the_drive_with_its_error() -> None:
    class Full(MemoryStore):
        def exchange(self, *turn: Any) -> Any:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError, match="full"):
        run((one(f"w{i}") for i in range(100)), Endpoint(echo), Full(), at_once=4)


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> list[Any]:
        return run([one("x")], Endpoint(echo))[0]

    assert asyncio.run(notebook()) == ["X"]


def test_it_works_in_another_thread() -> None:
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(run([one("x")], Endpoint(echo))[0]))
    thread.start()
    thread.join()
    assert box == [["X"]]


def test_a_model_that_changes_its_name_is_a_warning() -> None:
    names = iter(["model-a", "model-b"])
    _, tally = run([one("a"), one("b")], Endpoint(lambda _: Reply(text="x", served=next(names))), at_once=1)
    assert "model-a, model-b" in tally.warnings[0]


def test_an_endpoint_that_closes_for_the_day_ends_the_drive() -> None:
    with pytest.raises(Unreachable, match=r"24\.0 hours"):
        run([one("a"), one("b")], Endpoint(lambda _: RateLimited("quota spent", 86_400.0)))


def test_what_was_done_is_known_also_when_it_ends_in_an_error() -> None:
    tally = Tally()
    answers = iter([Reply(text="paid"), Rejected("wrong key", fatal=True)])
    with pytest.raises(Rejected):
        run([one("a"), one("b")], Endpoint(lambda _: next(answers), price=2.0), at_once=1, tally=tally)
    assert (tally.asked, tally.cost_usd, tally.failed) == (2, 2.0, 1)


def test_a_round_that_cannot_be_finished_keeps_what_was_paid_for() -> None:
    """Five requests together and money for three: none of the replies that came is lost."""
    store = MemoryStore()

    def five() -> Flow[None]:
        yield [ask("x", sample=n) for n in range(5)]

    out, tally = run([five()], Endpoint(echo, price=1.0), store, budget_usd=3.0)
    assert (out, tally.stopped, tally.asked) == ([], "budget", 3)
    assert len(store.replies([ask("x", sample=n).digest for n in range(5)])) == 3


def long(words: str) -> Flow[str]:
    (reply,) = yield [ask(f"{words} " + "material " * 500)]
    return reply.outcome


class Counting(Endpoint):
    """Reckons a token for four characters, as models do."""

    def tokens_in(self, request: Request) -> int:
        return len(request.messages[0].parts[0].text) // 4  # type: ignore[union-attr]


def test_a_prompt_that_the_server_cut_is_no_answer_and_many_end_the_drive() -> None:
    store = MemoryStore()
    model = Counting(lambda r: Reply(text="yes", tokens_in=400 if "w3 " in r.messages[0].parts[0].text else 1100))  # type: ignore[union-attr]
    out, tally = run((long(f"w{i} ") for i in range(8)), model, store, at_once=1)
    assert sorted(out) == ["answered"] * 7 + ["truncated_input"]
    assert tally.cut == 1
    assert run([long("w3 ")], model, store)[0] == ["truncated_input"]  # paid for: kept, and not asked again by itself
    with pytest.raises(Rejected, match="cut 10 prompts"):
        run((long(f"x{i}") for i in range(50)), Counting(lambda r: Reply(text="yes", tokens_in=300)), at_once=1)


def test_a_dense_script_and_a_frugal_tokenizer_are_no_false_alarm() -> None:
    model = Counting(lambda r: Reply(text="yes", tokens_in=int(0.6 * 1126)))
    assert run([long("w")], model)[0] == ["answered"]


def test_equal_rejections_in_a_row_end_the_drive_instead_of_burning_the_pool() -> None:
    def answer(request: Request) -> Exception:
        return Rejected(f"400 the image {request.sample} is too wide by {len(model.calls)} px")

    model = Endpoint(answer)
    with pytest.raises(Rejected, match="20 requests in a row were rejected alike"):
        run((one(f"w{i}") for i in range(500)), model, at_once=2)
    assert len(model.calls) <= 22


def test_now_and_then_a_rejection_ends_nothing() -> None:
    model = Endpoint(lambda r: Rejected("400 bad image") if int(r.messages[0].parts[0].text[1:]) % 3 else Reply(text="ok"))  # type: ignore[union-attr]
    out, _ = run((one(f"w{i}") for i in range(200)), model, at_once=4)
    assert len(out) == 200


def test_two_drives_over_one_store_share_the_work_and_pay_for_nothing_twice(tmp_path: Path) -> None:
    class Slow(Endpoint):
        async def replies(self, requests: Sequence[Request]) -> Sequence[Reply]:
            await asyncio.sleep(0.002)
            return await super().replies(requests)

    models = [Slow(echo), Slow(echo)]
    outs: list[list[Any]] = [[], []]

    def work(i: int) -> None:
        with SqlStore(tmp_path / "store.db") as store:
            outs[i], _ = run((one(f"w{j}") for j in range(300)), models[i], store, at_once=8)  # type: ignore[arg-type]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outs[0]) == sorted(outs[1]) == sorted(f"W{j}" for j in range(300))
    asked = [len(model.calls) for model in models]
    assert sum(asked) == 300
    assert min(asked) > 0  # both have done their part


def test_failed_attempts_are_in_the_ledger() -> None:
    store = MemoryStore()
    answers = iter([Unreachable("reset"), RateLimited("slow", 0.001), Reply(text="ok")])
    run([one("a")], Endpoint(lambda r: next(answers)), store)
    assert store.attempts()["error"].to_list() == ["reset", "slow"]
    assert store.unanswered().height == 0

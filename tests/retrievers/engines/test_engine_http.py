"""Engines over HTTP by their documented protocols: what they are sent, how their answers are read, and every way of failing."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from qrelkit.core.errors import InputError, Rejected, Unreachable
from qrelkit.core.records import Query
from qrelkit.core.run import Run
from qrelkit.retrievers.engines.config import engine_config
from qrelkit.retrievers.engines.engine import Engine
from qrelkit.retrievers.engines.web import retry_after_s
from servers.chat import answering, cut_off, dropped, slow
from servers.search_engines import (
    Fault,
    SearchServer,
    cluster_skipped,
    failing,
    moved,
    rate_limited,
    saying,
    shards_failed,
    solr_partial,
    timed_out,
)

TEXTS = {f"d{n:02}": "shoe " * (n % 4 + 1) for n in range(20)}  # d03, d07, … have the word four times
DOCUMENTS: dict[str, Any] = {
    **TEXTS,
    "t1": {"text": "boot", "title": "red boot", "group": "g1"},
    "t2": {"text": "boot boot", "group": "g1"},
}
DSL = '{"query": {"multi_match": {"query": {{ query | tojson }}, "fields": ["text", "title^{{ boost }}"]}}}'
HOSTILE = ["C++ AND (shoe", '"shoe', "Fußgängerschuhe shoe", "中文 shoe", "", "{!lucene} shoe [", "a\\ shoe", "{{ 7*7 }} shoe"]


@pytest.fixture
def server() -> Iterator[SearchServer]:
    with SearchServer(DOCUMENTS) as running:
        yield running


def queries(*texts: str) -> list[Query]:
    return [Query(query_id=f"q{n}", text=text) for n, text in enumerate(texts, 1)]


def opensearch(server: SearchServer, *, partial: bool = False, environment: Any = None, **more: Any) -> Engine:
    value = {"kind": "opensearch", "url": server.url, "index": "shop", "template": DSL, "grid": {"boost": [0]}, "tag": "os"}
    return Engine(engine_config(value | {"wait_s": 0.001} | more), partial=partial, environment=environment)


def solr(server: SearchServer, **more: Any) -> Engine:
    params = {"q": "{!edismax v=$asked}", "asked": "{{ query }}", "qf": "text"}
    return Engine(
        engine_config({"kind": "solr", "url": f"{server.url}/solr", "index": "shop", "params": params, "wait_s": 0.001} | more)
    )


def api(server: SearchServer, **more: Any) -> Engine:
    where = {"hits": "data.items", "id": "sku", "score": "why.score"}
    params = {"q": "{{ query }}", "per": "{{ size }}"}
    value = {"kind": "http", "url": f"{server.url}/api/search", "params": params, "wait_s": 0.001}
    return Engine(engine_config(value | where | more))


def found(run: Run, query_id: str = "q1") -> list[str]:
    return run.frame.filter(run.frame["query_id"] == query_id)["doc_id"].to_list()


BEST = ["d19", "d15", "d11", "d07", "d03"]  # of "shoe": the same score, so by id downwards, as in every run


# what is sent and read


def test_opensearch_is_asked_for_the_depth_and_ties_are_the_runs(server: SearchServer) -> None:
    run = opensearch(server).search(queries("shoe", "nothing"), 5)
    assert found(run) == BEST
    assert run.notes["without_hits"] == ["q2"]
    assert run.notes["cut_in_ties"] == 1  # the fifth ties with the fourth: had there been a sixth, the engine chose
    path, _, body = next(asked for asked in server.asked if "shoe" in asked[2])
    assert path == "/shop/_search"
    assert json.loads(body)["size"] == 5
    assert json.loads(body)["_source"] is False


@pytest.mark.parametrize("paging", [{"by": "offset", "size": 3}, {"by": "after", "size": 3}])
def test_opensearch_is_paged_until_the_depth_or_the_end(server: SearchServer, paging: dict[str, Any]) -> None:
    template = DSL[:-1] + ', "sort": [{"_score": "desc"}, {"id": "asc"}]}'
    run = opensearch(server, template=template, paging=paging).search(queries("shoe"), 12)
    assert len(server.asked) == 4
    assert found(run)[:5] == BEST
    assert len(run) == 12
    assert len(opensearch(server, template=template, paging=paging).search(queries("shoe"), 100)) == 20


def test_paging_by_after_needs_a_sort(server: SearchServer) -> None:
    with pytest.raises(InputError, match="needs a sort"):
        opensearch(server, paging={"by": "after"}).search(queries("shoe"), 5)


def test_what_the_depth_decides_is_not_the_templates(server: SearchServer) -> None:
    with pytest.raises(InputError, match="'size' is set by qrelkit"):
        opensearch(server, template='{"size": 3, "query": {{ query | tojson }}}').search(queries("shoe"), 5)


def test_variants_are_collapsed_to_the_parent_by_the_best_of_them(server: SearchServer) -> None:
    template = '{"query": {"match": {"query": {{ query | tojson }}}}, "fields": ["group"]}'
    run = opensearch(server, template=template, parent="fields.group", grid={}).search(queries("boot shoe"), 22)
    top = run.frame.filter(run.frame["doc_id"] == "g1")
    assert top["score"].to_list() == [2.0]  # t2's
    assert run.notes["collapsed"] == 1
    assert run.notes["without_parent"] == 20
    assert len(run) == 21


def test_pages_go_on_through_the_variants_of_one_parent() -> None:
    variants = {f"a{n}": {"text": "shoe " * 9, "group": "g1"} for n in range(7)}
    template = '{"query": {"match": {"query": {{ query | tojson }}}}, "fields": ["group"]}'
    with SearchServer({**TEXTS, **variants}) as server:
        paged = opensearch(server, template=template, parent="fields.group", grid={}, paging={"size": 2})
        run = paged.search(queries("shoe"), 4)
    assert found(run) == ["g1", "d11", "d07", "d03"]  # the engine gives equals by id upwards: d15, d19 were not on these pages
    assert run.notes["collapsed"] == 6


def test_an_engine_that_begins_anew_after_its_last_page_is_not_asked_for_ever(server: SearchServer) -> None:
    page = [saying({"data": {"items": [{"sku": f"d{n}{m}", "why": {"score": 5 - n}} for m in "ab"]}}) for n in (0, 1, 0)]
    server.next(*page)
    run = api(server, paging={"by": "offset"}, params={"q": "{{ query }}", "skip": "{{ offset }}"}).search(queries("x"), 9)
    assert found(run) == ["d0b", "d0a", "d1b", "d1a"]


@pytest.mark.parametrize("paging", [{"by": "offset", "size": 3}, {"by": "cursor", "size": 3}])
def test_solr_is_a_form_of_parameters_and_paged(server: SearchServer, paging: dict[str, Any]) -> None:
    run = solr(server, paging=paging).search(queries("shoe"), 5)
    assert found(run)[:2] == ["d15", "d11"] or found(run) == BEST
    assert "fl=id%2Cscore" in server.asked[0][2]
    assert len(solr(server, paging=paging).search(queries("shoe"), 100)) == 20


@pytest.mark.parametrize("text", HOSTILE)
def test_no_query_breaks_an_engine(server: SearchServer, text: str) -> None:
    for engine in (opensearch(server), solr(server), api(server), api(server, params={}, template='{"q": {{ query | tojson }}}')):
        run = engine.search(queries(text), 3)
        assert ("shoe" in text.split() or '"shoe' in text or "(shoe" in text) == bool(len(run))
        assert "failed" not in run.notes


def test_lucenes_own_syntax_is_escaped_where_it_is_asked_for(server: SearchServer) -> None:
    template = '{"query": {"query_string": {"query": {{ query | lucene | tojson }}}}}'
    assert len(opensearch(server, template=template, grid={}).search(queries("shoe ( AND"), 3)) == 3
    with pytest.raises(Unreachable, match="Failed to parse query"):
        opensearch(server, template=template.replace("| lucene ", ""), grid={}).search(queries("shoe ( AND"), 3)


@pytest.mark.parametrize(
    "more",
    [
        {"params": {"q": "{{ query }}", "per": "{{ size }}", "page": "{{ page }}"}, "paging": {"by": "page"}},
        {"params": {"q": "{{ query }}", "per": "{{ size }}", "skip": "{{ offset }}"}, "paging": {"by": "offset"}},
        {"params": {"q": "{{ query }}", "after": "{{ cursor }}"}, "paging": {"by": "cursor", "next": "next"}},
        {"params": {"q": "{{ query }}", "page": "{{ page }}"}, "paging": {"by": "page"}, "total": "data.count"},
    ],
)
def test_any_api_is_paged_also_where_it_gives_fewer_than_asked(server: SearchServer, more: dict[str, Any]) -> None:
    run = api(server, **more).search(queries("shoe"), 10)  # three come at a time
    assert len(run) == 10
    assert set(found(run)[:5]) == set(BEST)
    assert len(api(server, **more).search(queries("shoe"), 100)) == 20


def test_pages_that_do_not_turn_are_a_failure(server: SearchServer) -> None:
    with pytest.raises(Unreachable, match="repeats the one before: does the request use `offset`"):
        api(server, paging={"by": "offset"}).search(queries("shoe"), 10)


def test_an_answer_that_was_cut_is_told_where_the_engine_says_how_many_there_are(server: SearchServer) -> None:
    run = api(server, total="data.count").search(queries("shoe"), 10)
    assert run.notes["cut_short"] == ["q1"]
    assert len(run) == 3


def test_hits_can_count_by_their_order(server: SearchServer) -> None:
    run = api(server, score="rank").search(queries("shoe"), 3)
    assert found(run) == ["d03", "d07", "d11"]  # as the engine gave them
    assert run.frame["score"].to_list() == [-1.0, -2.0, -3.0]


def test_scores_that_rise_are_refused(server: SearchServer) -> None:
    items = [{"sku": f"d{n}", "why": {"score": n}} for n in range(5)]
    server.next(saying({"data": {"items": items}}))
    with pytest.raises(InputError, match="the lower is the better there"):
        api(server).search(queries("shoe"), 5)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"data": {"items": [{"why": {"score": 1}}]}}, "no id"),
        ({"data": {"items": [{"sku": "a", "why": {"score": None}}]}}, "has the score None"),
        ({"data": {"items": [{"sku": "a", "why": {"score": "high"}}]}}, "`score: rank`"),
        ({"data": {"items": None}}, "no list of hits at 'data.items'"),
        ({"error": "quota"}, "no list of hits"),
        ({"degraded": True, "data": {"items": []}}, "not whole: degraded is True"),
    ],
)
def test_an_answer_without_what_it_must_have_is_a_failure_and_not_empty(server: SearchServer, answer: Any, told: str) -> None:
    server.next(saying(answer))
    with pytest.raises(Unreachable) as error:
        api(server, incomplete="degraded", retries=0).search(queries("shoe"), 5)
    assert told in str(error.value)


# failures


@pytest.mark.parametrize(
    "fault",
    [
        rate_limited("0"), failing(503), failing(502), failing(500), timed_out(), shards_failed(), cluster_skipped(),
        answering(b'{"hits": {"hits": [{"_id"'), cut_off, dropped,
    ],
)  # fmt: skip
def test_what_may_pass_is_asked_again(server: SearchServer, fault: Fault) -> None:
    server.next(fault)
    assert found(opensearch(server).search(queries("shoe"), 5)) == BEST
    assert len(server.asked) == 2


def test_solrs_partial_results_are_no_result(server: SearchServer) -> None:
    server.next(solr_partial())
    with pytest.raises(Unreachable, match="partialResults"):
        solr(server, retries=0).search(queries("shoe"), 5)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (timed_out(), "timed_out"),
        (shards_failed(), "1 of 2 shards failed: Data too large"),
        (cluster_skipped(), "1 of 2 clusters failed"),
        (rate_limited(), "HTTP 429: rejected execution of search"),
        (answering(b"<html>"), "no JSON: <html>"),
        (saying({"acknowledged": True}), "no hits.hits"),
    ],
)
def test_a_query_that_failed_is_never_an_empty_answer(server: SearchServer, fault: Fault, told: str) -> None:
    server.whenever = lambda text: fault if "bad" in text else None
    run = opensearch(server, retries=1, partial=True).search(queries("shoe", "bad", "none"), 5)
    assert told in run.notes["failed"]["q2"]
    assert run.notes["without_hits"] == ["q3"]
    with pytest.raises(Unreachable, match="1 of 3 queries not answered"):
        opensearch(server, retries=1).search(queries("shoe", "bad", "none"), 5)


def test_what_came_is_kept_and_only_the_rest_is_asked(server: SearchServer) -> None:
    engine = opensearch(server, retries=0)
    server.whenever = lambda text: timed_out() if "bad" in text else None
    with pytest.raises(Unreachable):
        engine.search(queries("shoe", "bad"), 5)
    server.whenever, before = (lambda text: None), len(server.asked)
    assert engine.search(queries("shoe", "bad"), 5).notes["without_hits"] == ["q2"]
    assert len(server.asked) == before + 1


def test_after_so_many_failures_in_a_row_no_more_is_asked(server: SearchServer) -> None:
    server.whenever = lambda text: failing(500) if "bad" in text else None
    engine = opensearch(server, retries=0, at_once=1, give_up_after=3)
    with pytest.raises(Unreachable, match="7 of 8 queries not answered: gave up after 3 failures in a row"):
        engine.search(queries("shoe", *["bad"] * 7), 5)
    assert len(server.asked) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 302])
def test_what_would_be_the_same_for_every_query_ends_it_at_once(server: SearchServer, status: int) -> None:
    server.whenever = lambda text: moved("http://127.0.0.1:9/elsewhere") if status == 302 else failing(status)
    with pytest.raises(Rejected, match=str(status)):
        opensearch(server, at_once=1).search(queries(*["shoe"] * 5), 5)
    assert len(server.asked) == 1


def test_the_result_window_is_the_engines_to_say() -> None:
    with SearchServer(TEXTS, window=4) as server, pytest.raises(Unreachable, match="Result window is too large"):
        opensearch(server).search(queries("shoe"), 5)


def test_an_engine_that_is_too_slow_or_away_is_a_failure(server: SearchServer) -> None:
    server.next(slow(5))
    with pytest.raises(Unreachable, match=r"no whole answer within 0\.2 s"):
        opensearch(server, timeout_s=0.2, retries=0).search(queries("shoe"), 5)
    away = {"kind": "http", "url": "http://127.0.0.1:9/x", "hits": "h", "id": "i", "score": "s", "retries": 0}
    with pytest.raises(Unreachable, match="1 of 1 query not answered"):
        Engine(engine_config(away)).search(queries("shoe"), 5)


# manners


def test_requests_are_spread_and_bounded() -> None:
    with SearchServer(TEXTS, delay_s=0.03) as server:
        opensearch(server, at_once=3).search(queries(*[f"shoe {n}" for n in range(9)]), 2)
        assert server.most_at_once == 3
        server.at.clear()
        opensearch(server, requests_per_second=20).search(queries(*[f"shoe {n}" for n in range(6)]), 2)
        assert server.at[-1] - server.at[0] >= 0.2  # five steps of 0.05 s, less what the first connection took
        server.at.clear()
        opensearch(server, at_once=1, pause_s=0.05).search(queries("shoe", "shoe b"), 2)
        assert server.at[1] - server.at[0] >= 0.07


def test_an_engine_that_asks_for_patience_gets_it(server: SearchServer) -> None:
    server.next(rate_limited("0.3"))
    started = time.monotonic()
    opensearch(server, at_once=1).search(queries("shoe"), 2)
    assert time.monotonic() - started >= 0.29


def test_patience_is_asked_for_in_seconds_or_until_a_date() -> None:
    from datetime import UTC, datetime, timedelta
    from email.utils import format_datetime

    assert retry_after_s("1.5") == 1.5
    assert retry_after_s("soon") is None
    assert retry_after_s("") is None
    soon = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True))
    assert soon is not None
    assert 25 < soon <= 30
    assert retry_after_s("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0


# who asks


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"user": "reader", "password_env": "SECRET"}, "Basic " + base64.b64encode(b"reader:s3cret-of-mine").decode()),
        ({"api_key_env": "SECRET"}, "ApiKey s3cret-of-mine"),
        ({"bearer_env": "SECRET"}, "Bearer s3cret-of-mine"),
    ],
)
def test_secrets_come_from_the_environment_and_are_never_told(auth: dict[str, str], header: str) -> None:
    with SearchServer(TEXTS, authorization=header) as server:
        run = opensearch(server, auth=auth, environment={"SECRET": "s3cret-of-mine"}).search(queries("shoe"), 2)
        assert "s3cret" not in json.dumps(run.notes)
        server.authorization = "Basic other"
        with pytest.raises(Rejected, match="unable to authenticate") as error:
            opensearch(server, auth=auth, environment={"SECRET": "s3cret-of-mine"}).search(queries("shoe"), 2)
    assert "s3cret" not in str(error.value)
    assert header.split()[1] not in str(error.value)
    with pytest.raises(InputError, match="variable SECRET is not set"):
        opensearch(server, auth=auth, environment={}).search(queries("shoe"), 2)


def test_a_key_can_stand_in_a_header_of_its_own(server: SearchServer) -> None:
    auth = {"api_key_env": "SECRET", "api_key_header": "X-Search-Key"}
    opensearch(server, auth=auth, headers={"X-Tenant": "7"}, environment={"SECRET": "abc"}).search(queries("shoe"), 2)
    assert server.headers[0]["X-Search-Key"] == "abc"
    assert server.headers[0]["X-Tenant"] == "7"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """An authority of our own and the certificate and key of a server at 127.0.0.1."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("tls")
    ca, ca_key, cert, key, request, more = (folder / n for n in ("ca.pem", "ca.key", "cert.pem", "key.pem", "request", "more"))
    more.write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\n", encoding="utf-8")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def call(*words: str | Path) -> None:
        subprocess.run([openssl, *map(str, words)], check=True, capture_output=True)

    uses = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    call("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-subj", "/CN=Our authority", "-days", "2", *uses)
    call("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=search")
    call(
        "x509",
        "-req",
        "-in",
        request,
        "-CA",
        ca,
        "-CAkey",
        ca_key,
        "-CAcreateserial",
        "-out",
        cert,
        "-days",
        "2",
        "-extfile",
        more,
    )
    return ca, cert, key


def test_a_certificate_is_checked_against_the_authority_that_is_named(authority: Sequence[Path]) -> None:
    ca, cert, key = authority
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    with SearchServer(TEXTS, tls=context) as server:
        assert len(opensearch(server, ca_file=str(ca)).search(queries("shoe"), 5)) == 5
        with pytest.raises(Rejected, match="certificate is not trusted"):
            opensearch(server).search(queries("shoe"), 5)
        with pytest.raises(InputError, match="no file of certificates"):
            opensearch(server, ca_file=str(key)).search(queries("shoe"), 5)


def test_a_search_works_where_an_event_loop_runs_already(server: SearchServer) -> None:
    import asyncio

    async def notebook() -> Run:
        return opensearch(server).search(queries("shoe"), 5)

    assert found(asyncio.run(notebook())) == BEST

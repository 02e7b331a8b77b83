"""`may_leave`: what is not in the list gets into no request, whatever prompt, route or example asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.calling import call
from qrelkit.core.errors import InputError
from qrelkit.core.records import Document, Image, Query
from qrelkit.judges.pointwise import Look
from qrelkit.text.leaving import body_of, leaving_document, leaving_query
from servers.chat import ChatServer
from verbs.tiny import PAIRS, images_of, served, write_config, write_lines, write_tiny

Capture = pytest.CaptureFixture[str]
NOSY = """---
name: nosy
version: 1
for: judge
---
{% block system %}You judge.{% endblock %}
{% block query %}<query>{{ query.text }}</query> {{ query.query_id }} {{ query.columns }}{% endblock %}
{% block example %}{{ query.columns }} {{ document.text }} {{ document.columns }}{% endblock %}
{% block document %}<document>{{ document.doc_id }} {{ document.title }} {{ document.text }} {{ document.columns }}
{% for image in document.images %}{{ image.name }} {{ image.caption }}{% endfor %}</document>{% endblock %}
{% block ask %}?{% endblock %}
{% block again %}?{% endblock %}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny shop whose documents have a brand, a price and captions, and whose queries have a language."""
    monkeypatch.chdir(write_tiny(tmp_path))
    corpus = tmp_path / "shop" / "corpus.jsonl"
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    more = {"brand": "Zorbex", "price": "4711"}
    pictures = [[{"path": row.pop("image"), "caption": "kaption"}] for row in rows]
    write_lines(corpus, [row | more | {"images": images} for row, images in zip(rows, pictures, strict=True)])
    (tmp_path / "nosy.jinja").write_text(NOSY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(answer=lambda body: '{"verdict": "irrelevant"}') as found:
        yield found


def said(server: ChatServer) -> str:
    """All words that were sent, without the pictures."""
    words = [part for body in server.bodies for message in body["messages"] for part in _texts(message["content"])]
    return "\n".join(words)


def _texts(content: Any) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]


def test_the_default_is_what_route_fields_and_prompt_use(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url, route="shown", fields=["brand"]))
    assert call(capsys, "judge").code == 0
    assert all(word in said(server) for word in ("Zorbex", "kaption", "Red summer dress", "number p01"))
    assert "4711" not in said(server)
    assert len(images_of(server.bodies[0])) == 1


@pytest.mark.parametrize(
    ("may_leave", "sent", "withheld"),
    [
        (["title"], ("Red summer dress", "red dress"), ("number p01", "Zorbex", "4711", "kaption", "'en'", "p01", "q1", ".png")),
        (["text"], ("number p01", "red dress"), ("dress Red", "Zorbex", "kaption", "q1")),
        (["text", "brand", "doc_id"], ("number p01", "Zorbex", "<document>p01"), ("4711", "kaption", "q1")),
        (["title", "language"], ("Red summer dress", "{'language': 'en'}"), ("number p01", "Zorbex", "q1", "traffic")),
    ],
)
def test_a_prompt_of_ones_own_gets_no_more(
    shop: Path, server: ChatServer, capsys: Capture, may_leave: list[str], sent: tuple[str, ...], withheld: tuple[str, ...]
) -> None:
    examples = {"n": 2, "rule": "other_queries"}
    write_config(shop, **served(server.url, prompt="nosy.jinja", examples=examples), may_leave=may_leave)
    assert call(capsys, "judge").code == 0
    assert len(server.bodies) == PAIRS
    words = said(server)
    assert [word for word in sent if word not in words] == []
    assert [word for word in withheld if word in words] == []


def test_a_prompt_that_names_what_may_not_leave_is_refused(shop: Path, server: ChatServer, capsys: Capture) -> None:
    (shop / "nosy.jinja").write_text(NOSY.replace("query.columns }}", "query.columns.language }}"), encoding="utf-8")
    write_config(shop, **served(server.url, prompt="nosy.jinja"), may_leave=["text"])
    found = call(capsys, "judge")
    assert found.code == 1
    assert "prompt nosy, block query: " in found.err
    assert "'language'" in found.err
    assert server.bodies == []


def test_without_images_only_their_descriptions_leave(shop: Path, server: ChatServer, capsys: Capture) -> None:
    write_config(shop, **served(server.url, route="described"), may_leave=["text", "descriptions"])
    assert call(capsys, "describe").code == 0  # palette, on this machine
    assert call(capsys, "judge").code == 0
    assert "Visual description of image 1:" in said(server)
    assert "kaption" not in said(server)
    assert [images_of(body) for body in server.bodies if images_of(body)] == []


def test_a_guide_writer_gets_no_more_either(shop: Path, capsys: Capture) -> None:
    asks = "{% block system %}s{% endblock %}{% block ask %}?{% endblock %}{% block again %}{{ problem }}{% endblock %}"
    prompt = "{% block query %}{{ query.text }} {{ query.columns }} {{ query.query_id }}{% endblock %}" + asks
    (shop / "asks.jinja").write_text(prompt, encoding="utf-8")
    answer = {"translation": "x", "specificity": "broad", "requirements": [], "notes": {}}
    with ChatServer(answer=lambda body: json.dumps(answer)) as server:
        guide = {"model": "openai:tiny", "prompt": "asks.jinja"}
        write_config(shop, **served(server.url), guide=guide, may_leave=["text", "language"])
        assert call(capsys, "guide").code == 0
        assert "red dress {'language': 'en'} \n" in said(server) + "\n"
        assert "traffic" not in said(server)


def test_another_list_is_another_judge_and_the_same_list_is_the_same(shop: Path, server: ChatServer, capsys: Capture) -> None:
    for may_leave, known in ((None, 0), (["title", "text"], 0), (["text", "title"], PAIRS), (["text"], 0), (None, PAIRS)):
        write_config(shop, **served(server.url), may_leave=may_leave)
        assert call(capsys, "judge", "--json").json["known"] == known


@pytest.mark.parametrize(
    ("may_leave", "config", "says"),
    [
        (["title", "text"], {"judge": {"route": "shown"}}, "judge.route: shown sends images, which may not leave"),
        (["title", "text"], {"judge": {"route": "described"}}, "add descriptions"),
        (["title", "brand"], {"judge": {"fields": ["brand", "price"]}}, "judge.fields: price may not leave"),
        (["images"], {}, "nothing of a document may leave"),
        ([], {}, "nothing of a document may leave"),
        (["text"], {"describe": {"model": "openai:tiny"}}, "openai:tiny is sent images, and they may not leave"),
    ],
)
def test_a_configuration_that_asks_for_more_is_refused(
    shop: Path, server: ChatServer, capsys: Capture, may_leave: list[str], config: dict[str, Any], says: str
) -> None:
    base = served(server.url, **config.get("judge", {}))
    write_config(shop, **base, may_leave=may_leave, **({"describe": config["describe"]} if "describe" in config else {}))
    command = "describe" if "describe" in config else "judge"
    assert says in call(capsys, command).error
    assert server.bodies == []


def test_what_is_taken_out_by_hand() -> None:
    image = Image(digest="ab" * 32, read=lambda: b"x", caption="c", position=1, name="a.png")
    whole = Document(doc_id="d", text="Boots Warm boots", title="Boots", images=(image,), columns={"a": 1, "b": 2})
    assert body_of(whole) == "Warm boots"
    assert leaving_document(whole, None) is whole
    assert leaving_document(whole, ["text", "b"]) == Document(doc_id="", text="Warm boots", columns={"b": 2})
    assert leaving_document(whole, ["title"]).text == "Boots"
    assert leaving_document(whole, ["title", "text"]).text == whole.text
    (seen,) = leaving_document(whole, ["descriptions"]).images
    assert (seen.digest, seen.caption, seen.name, seen.position) == (image.digest, "", "", 1)
    with pytest.raises(InputError, match="may not leave"):
        seen.read()
    only_title = Document(doc_id="d", text="Boots", title="Boots")
    assert (body_of(only_title), leaving_document(only_title, ["text"]).text) == ("", "")
    untitled = Document(doc_id="d", text="Boots")
    assert (body_of(untitled), leaving_document(untitled, ["title"]).text) == ("Boots", "")
    query = Query(query_id="q", text="boots", images=(image,), columns={"a": 1}, fingerprint="f")
    assert leaving_query(query, ["title"]) == Query(query_id="", text="boots")
    assert leaving_query(query, ["images"]).images == (image,)


def test_a_look_says_so_itself() -> None:
    with pytest.raises(InputError, match="may not leave"):
        Look(route="shown", may_leave=("text",))
    assert Look(may_leave=("text",)).may_leave == ("text",)

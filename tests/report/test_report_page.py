"""The HTML page: safe whatever a document says, whole without a network, and usable by everybody."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from qrelkit.reports.html import html, thumbnail
from qrelkit.reports.report import Report
from report.example_report import HOSTILE, TAGS, example

VOID = {"meta", "img"}


class Page(HTMLParser):
    """The page as a browser reads it: every tag with its attributes, its text, and which tags were left open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).split())


@pytest.fixture(scope="module")
def source() -> str:
    return html(example())


@pytest.fixture(scope="module")
def page(source: str) -> Page:
    return Page(source)


def test_every_tag_is_closed(page: Page) -> None:
    assert page.open == []


def test_hostile_text_is_shown_and_never_run(page: Page) -> None:
    assert HOSTILE in page.words  # as text, also in titles, reasons, queries and provenance
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_nothing_is_fetched(page: Page, source: str) -> None:
    addresses = [a[key] or "" for _, a in page.tags for key in ("src", "href", "srcset", "action") if key in a]
    assert all(address.startswith(("#", "data:image/")) for address in addresses)
    assert "url(" not in source
    assert "@import" not in source


def test_the_policy_forbids_scripts_and_network(page: Page) -> None:
    policy = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_only_data_is_taken_for_a_picture() -> None:
    assert thumbnail("data:image/jpeg;base64,AAAA")
    for bad in ("https://example.org/x.png", "data:image/svg+xml,<svg onload=alert(1)>", "data:text/html,x", None, 7):
        assert thumbnail(bad) == ""


def test_tables_have_captions_and_scopes_and_pictures_have_words(page: Page, source: str) -> None:
    assert source.count("<table") == source.count("<caption>") > 10
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    assert page.all("img")
    assert all(image.get("alt") for image in page.all("img"))
    outer = [svg for svg in page.all("svg") if svg.get("class") != "dot"]
    assert all(svg.get("aria-label") or svg.get("aria-hidden") for svg in outer)


def test_links_lead_somewhere_and_ids_are_unique(page: Page) -> None:
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.all("a")} <= {f"#{name}" for name in ids}


def test_a_number_that_is_none_says_why(page: Page) -> None:
    assert "n/a no query has a relevant document" in page.words
    assert "n/a fewer than 10 systems" in page.words
    assert "nan" not in page.words.lower().split()


def test_an_ungraded_pair_is_shown_as_such_and_never_as_0(page: Page) -> None:
    assert "lexical no grade" in page.words
    assert "refused by the model" in page.words
    assert "not judged" in page.words


def test_the_view_from_the_plot_says_its_numbers(page: Page) -> None:
    labels = [svg["aria-label"] or "" for svg in page.all("svg") if "aria-label" in svg]
    assert [label.partition(":")[0] for label in labels[:3]] == ["fused-rrf", "dense-clip", "bm25"]
    assert all(view in labels[0] for view in ("human 0.", "model 0.", "mixed 0."))


@pytest.mark.parametrize("name", sorted(example([None]).sections))
def test_any_single_section_makes_a_page(name: str) -> None:
    page = Page(html(Report.of(**{name: example([None]).sections[name]})))
    assert page.open == []


def test_absent_sections_are_left_out() -> None:
    page = Page(html(Report.of(title="Only scores", scores={"human": {"a": {"P@5": {"value": 0.5, "n": 2}}}})))
    assert [s["id"] for s in page.all("section")] == ["scores"]
    assert "Provenance" not in page.words


def test_a_run_without_answers_says_so() -> None:
    query = {"query_id": "q", "query": "", "columns": {}, "scores": {TAGS[0]: 0.0}, "documents": {TAGS[0]: []}}
    assert "nothing retrieved" in Page(html(Report.of(differences=[query]))).words

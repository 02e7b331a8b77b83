"""ImageCLEF's XML: how liberally it is read, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrelkit.core.errors import InputError
from qrelkit.sources.imageclef_xml import Figure, Topic, read_article, read_topics

ARTICLE = """<article doi="10.1186/1471(07)-3"><title>A <i>p</i>53 story</title>
<authors><author>Ada  Low</author><author>Bo Ek</author></authors><abstract>Short.</abstract>
<fulltext><sec><title>Methods</title><p>One
 and two.</p><p>Three.</p></sec></fulltext>
<figures><figure iri="x-1"><caption>A
 scan.</caption></figure><figure iri="x-2"/></figures></article>"""


def test_an_article_is_its_sections_and_its_figures_in_order() -> None:
    found = read_article(ARTICLE.encode(), "a.xml")
    assert found is not None
    assert (found.doi, found.title, found.authors) == ("10.1186/1471(07)-3", "A p53 story", "Ada Low, Bo Ek")
    assert (found.abstract, found.fulltext) == ("Short.", "Methods\nOne\nand two.\nThree.")
    assert found.figures == (Figure("x-1", "A scan."), Figure("x-2", ""))


def test_names_are_read_in_any_case_and_namespace() -> None:
    text = '<m:Article xmlns:m="urn:m" m:DOI="10.1/a"><m:TITLE>T</m:TITLE><FullText>body</FullText></m:Article>'
    found = read_article(text.encode(), "a.xml")
    assert found is not None
    assert (found.doi, found.title, found.fulltext, found.figures) == ("10.1/a", "T", "body", ())


@pytest.mark.parametrize(
    "doctype", ["", '<!DOCTYPE article SYSTEM "articles.dtd">', '<!DOCTYPE article PUBLIC "-//X" "http://x/x.dtd">']
)
def test_cdata_and_named_characters_are_text(doctype: str) -> None:
    text = f"{doctype}<article doi='1'><abstract><![CDATA[p < 0.05 & </abstract>]]> &lt;b&gt; "
    text += "&beta; &#945; &odd;</abstract></article>"
    found = read_article(text.encode(), "a.xml")
    assert found is not None
    assert found.abstract == "p < 0.05 & </abstract> <b> β α &odd;"


def test_another_root_is_no_article() -> None:
    assert read_article(b"<html/>", "a.xml") is None


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "windows-1252"])
def test_an_encoding_is_believed(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><article doi='1'><title>Ménière</title></article>"
    found = read_article(text.encode(encoding), "a.xml")
    assert found is not None
    assert found.title == "Ménière"


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><article doi="1">&b;</article>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/hostname">]><article doi="1">&a;</article>'
PARAMETER = '<!DOCTYPE a [<!ENTITY % a SYSTEM "file:///etc/hostname"> %a;]><article doi="1"/>'


@pytest.mark.parametrize("text", [LAUGHS, OUTSIDE, PARAMETER])
def test_a_file_that_declares_entities_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"a\.xml: declares the entity"):
        read_article(text.encode(), "a.xml")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "a.xml:1: not well-formed XML"),
        (b"<article>\n<title></article>", "a.xml:2: not well-formed XML .mismatched tag"),
        (b"<article>\n\xff</article>", "a.xml:2: not well-formed XML .not well-formed .invalid token"),
        (b"<?xml version='1.0' encoding='klingon'?><article/>", "a.xml:1: not well-formed XML .unknown encoding: klingon"),
        (b"<?xml version='1.0' encoding='gb2312'?><article>x</article>", "a.xml:1: not well-formed XML"),
        (b"<article>" + b"<p>" * 600, "a.xml: elements lie more than 500 deep"),
    ],
)
def test_what_is_no_xml_is_refused_with_its_place(data: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        read_article(data, "a.xml")


@pytest.mark.parametrize("name", ["EN-DESCRIPTION", "EN_DESCRIPTION", "en-description"])
def test_topics_have_a_description_and_images(name: str) -> None:
    text = f"<topics><TOPIC><ID> 1 </ID><{name}>A man\n of 43.</{name}><FR-DESCRIPTION>Un homme.</FR-DESCRIPTION>"
    text += "<image>Case/1_1.jpg</image><Image> Case/1_2.jpg </Image></TOPIC><topic><id>2</id></topic></topics>"
    assert read_topics(text.encode(), "t.xml") == [
        Topic(topic_id="1", text="A man\nof 43.", images=("Case/1_1.jpg", "Case/1_2.jpg")),
        Topic(topic_id="2", text="", images=()),
    ]


def test_a_file_without_topics_and_a_topic_without_id_are_refused() -> None:
    with pytest.raises(InputError, match=r"t\.xml: has no TOPIC inside 'article'"):
        read_topics(b"<article/>", "t.xml")
    with pytest.raises(InputError, match=r"t\.xml: topic 2 of 2 has no ID"):
        read_topics(b"<TOPICS><TOPIC><ID>1</ID></TOPIC><TOPIC/></TOPICS>", "t.xml")


def test_nothing_is_opened_that_a_file_names(tmp_path: Path) -> None:
    (tmp_path / "x.dtd").write_text('<!ENTITY a "taken from outside">', encoding="utf-8")
    text = f'<!DOCTYPE article SYSTEM "{(tmp_path / "x.dtd").as_uri()}"><article doi="1"><title>&a;</title></article>'
    found = read_article(text.encode(), "a.xml")
    assert found is not None
    assert found.title == "&a;"

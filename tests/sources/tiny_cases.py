"""A case-based collection in ImageCLEF's layout, written by hand: four cases, and articles as odd as real ones."""

from __future__ import annotations

from pathlib import Path

from verbs.tiny import drawn

TOPICS = """<?xml version="1.0" encoding="UTF-8"?>
<TOPICS>
<TOPIC><ID>1</ID><EN-DESCRIPTION>A man of 43 with   fever &amp; cough.</EN-DESCRIPTION>
  <image>CaseQueryImages2013/1_1.jpg</image><image>CaseQueryImages2013/1_2.jpg</image></TOPIC>
<TOPIC><ID>2</ID><EN_DESCRIPTION>A woman of 60 who fell.</EN_DESCRIPTION><image>CaseQueryImages2013/2_1.jpg</image></TOPIC>
<TOPIC><ID>3</ID><EN-DESCRIPTION>A child with a rash.</EN-DESCRIPTION>
  <image>CaseQueryImages2013/3_1.jpg</image><image>CaseQueryImages2013/3_2.jpg</image></TOPIC>
<TOPIC><ID>4</ID><EN-DESCRIPTION></EN-DESCRIPTION><image>CaseQueryImages2013/4_1.jpg</image></TOPIC>
</TOPICS>
"""
FEVER = """<article doi="10.1016/S0140-6736(12)60001-2"><title>Fever
and cough</title><authors><author>A. One</author><author>B. Two</author></authors>
<abstract>Two <i>cases</i> of fever.</abstract>
<fulltext><p>First &lt;paragraph&gt;.</p><p><![CDATA[Second & last.]]></p></fulltext>
<figures><figure iri="fever-1"><caption>The lung, &alpha; view.</caption></figure>
<figure iri="fever-2"><caption>Lost in the post.</caption></figure>
<figure iri="fever-3"><caption>The lung, later.</caption></figure></figures></article>"""
FALL = """<article doi="10.1/fall"><title>A fall</title><authors/><abstract/><fulltext>Bones break.</fulltext>
<figures><figure iri="fall-1"><caption>A bone.</caption></figure></figures></article>"""
BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><article doi="10.1/bomb"><title>&b;</title></article>'
ARTICLES = {
    "article_1.xml": FEVER,
    "article_2.xml": FALL,
    "article_3.xml": '<article doi="10.1/fall"><title>A fall again</title></article>',
    "article_4.xml": '<article doi="10.1/bare"><title>Only a title</title><figures/></article>',
    "article_5.xml": "<article><title>Nobody knows my number</title></article>",
    "article_6.xml": '<article doi="10.1/torn"><title>Torn',
    "article_7.xml": BOMB,
    "article_8.xml": "<letter>no article</letter>",
}
FIGURES = ("a/fever-1.jpg", "b/fever-3.jpg", "fall-1.jpg")  # fever-2 is missing
QRELS = (("1", "10.1016/S0140-6736(12)60001-2", 1), ("1", "10.1/bare", 0), ("2", "10.1/fall", 0), ("2", "10.1/gone", 1))


def write_layout(folder: Path) -> Path:
    """The collection, in `folder`/clef."""
    top = folder / "clef"
    files = {"case-based-topics.xml": TOPICS.encode()}
    files |= {f"meta-xml/one-file-per-article/{name}": text.encode() for name, text in ARTICLES.items()}
    files |= {f"figures/{name}": drawn("red", number) for number, name in enumerate(FIGURES)}
    cases = ("1_1", "1_2", "2_1", "3_1", "4_1")  # 3_2 is missing
    files |= {f"CaseQueryImages2013/{name}.jpg": drawn("blue", number) for number, name in enumerate(cases)}
    files["qrels/qrel-2013-case_based.txt"] = "".join(f"{q}\t0\t{d}\t{g}\n" for q, d, g in QRELS).encode()
    for name, data in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return top

"""What kind of text a rewriter is to write, by a short name: the end of the sentence "Write …" in its prompt.

R2MED (arXiv 2505.14558) asks for another text in each of its data sets, CMIRB (arXiv 2410.20050) for one of three; the wording is
ours. Any other text is taken as it is: `--task "the description of a product as a shop would give it"`.
"""

from __future__ import annotations

from collections.abc import Mapping

TASKS: Mapping[str, str] = {
    "passage": "a passage that answers the query",
    # R2MED: Biology, Bioinformatics, Medical-Sciences; MedXpertQA-Exam; MedQA-Diag; PMC-Treatment; PMC-Clinical, IIYi-Clinical
    "post": "a passage of a textbook, an encyclopedia or a paper with the knowledge that answers the question in this post",
    "exam": "a passage of a medical reference work that explains what one must know to answer this exam question",
    "diagnosis": "a passage of a medical textbook about the disease that the patient described here most likely has",
    "treatment": "a passage of the medical literature on how a patient like the one described here is treated, and why",
    "case": "the report of another patient with the same disease: findings, course, diagnosis and treatment like those described",
    # CMIRB: a question, a title or a text, each answered by a text
    "q2p": "一段能够回答上述问题的医学文献内容",
    "t2p": "一篇以上述文字为标题的医学文章的正文",
    "p2p": "另一篇与上述文献主题相近的医学文献的标题和摘要",
}


def task_of(name: str) -> str:
    """The words behind a name; what is no name is the words themselves."""
    return TASKS.get(name, name)

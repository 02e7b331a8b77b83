"""Whether two texts are the same, or one a copy of a part of the other."""

from __future__ import annotations

from qrelkit.text.alike import letters, likeness


def test_texts_are_alike_by_their_letters() -> None:
    assert letters("Ｈeart  attack—Symptoms?") == "heartattacksymptoms"
    assert likeness(letters("强迫症的表现是什么？"), letters("强迫症的表现 是什么")) == "same"
    assert likeness("a" * 20, "b" + "a" * 20) == likeness("b" + "a" * 20, "a" * 20) == "contained"
    assert likeness("a" * 19, "b" + "a" * 19) == ""  # too short to mean anything
    assert likeness("", "") == ""

"""The catalogue of ka doctor: every finding has its words, and a test of the lab that makes it for real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.operate.doctor.catalogue import AILMENTS, CATEGORIES, RETIRED, Ailment, document

CHECKOUT = Path(__file__).parents[3]
PLACE = re.compile(r"\{(\w+)")


def test_every_finding_is_made_for_real() -> None:
    told = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / "tests" / "lab").glob("test_doctor*.py"))
    assert [code for code in AILMENTS if code not in told] == []


def test_every_finding_can_be_found() -> None:
    rooms = (CHECKOUT / "app" / "operate" / "doctor").glob("*.py")
    named = set(re.findall(r'"(KA\d{4})"', "".join(path.read_text(encoding="utf-8") for path in rooms)))
    assert named == set(AILMENTS)
    assert not named & RETIRED


@pytest.mark.parametrize("ailment", AILMENTS.values(), ids=lambda ailment: str(ailment.code))
def test_its_words(ailment: Ailment) -> None:
    assert re.fullmatch(r"KA\d{4}", ailment.code)
    assert ailment.category in CATEGORIES.values()
    assert not ailment.sentence.endswith(".")
    assert ailment.why.endswith(".")
    assert "\n" not in ailment.sentence + ailment.cure
    assert ailment.sentence.count("`") == 0, "it stands between back-ticks in the document"


def test_the_document_has_them_all_and_an_anchor_for_each() -> None:
    headings = re.findall(r"^### (KA\d{4})$", document(), re.MULTILINE)
    assert headings == list(AILMENTS)

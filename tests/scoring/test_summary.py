from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.summary import summary
from scoring.types import Channel, Turn

CALL = [
    ("agent", "Thank you for calling Lantern Bank, how can I help?"),
    ("customer", "Hello. I paid my bill on the third and you charged me a late fee. That is not right."),
    ("agent", "Let me look. Do you have your statement there?"),
    ("customer", "Yes, it says thirty five dollars for late payment."),
    ("agent", "I'm refunding the thirty five dollars right now. Is there anything else?"),
    ("customer", "No, thank you, that's kind."),
]


def turns(lines: list[tuple[str, str]]) -> list[Turn]:
    return [Turn(Channel(who), 4000 * n, 4000 * n + 3000, text, 0.9) for n, (who, text) in enumerate(lines)]


def test_what_it_is_about_and_where_it_stands() -> None:
    about, standing = summary(turns(CALL))
    assert about == "“I paid my bill on the third and you charged me a late fee.”"
    assert standing == "Agent: “I'm refunding the thirty five dollars right now.”"


def test_before_any_step_it_says_so() -> None:
    about, standing = summary(turns(CALL[:4]))
    assert "late fee" in about
    assert standing.startswith("No step promised yet. Caller: “")


def test_nothing_said_is_nothing_summed_up() -> None:
    assert summary([]) == ("", "")
    assert summary(turns([("customer", ""), ("agent", "Hello?")])) == ("", "")


words = st.lists(
    st.sampled_from(
        ["I", "you", "call", "charged", "not", "the", "a", "refund", "will?", "by.", "Friday,", "…", "é", "”"]
    ),
    max_size=60,
)


@given(st.lists(st.tuples(st.sampled_from(["customer", "agent"]), words.map(" ".join)), max_size=12))
@settings(max_examples=100, deadline=None)
def test_every_line_is_a_quote_of_what_was_said(lines: list[tuple[str, str]]) -> None:
    said = " ".join(" ".join(text.split()) for _, text in lines)
    for line in summary(turns(lines)):
        if line:
            quote = line[line.index("“") + 1 : line.rindex("”")].removesuffix(" …")
            assert quote in said

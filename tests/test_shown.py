"""What a notebook shows of results: tables with every text escaped."""

from headroles.shown import html_table


def test_a_table_escapes_its_texts_and_folds_what_is_long():
    text = html_table("a & b", ("x", "y"), [(number, "<i>") for number in range(5)], most=3)
    assert text.startswith("<table><caption>a &amp; b</caption><thead><tr><th>x</th><th>y</th></tr></thead>")
    shown, _, folded = text.partition("<details><summary>and 2 more</summary>")
    assert shown.count("<td>&lt;i&gt;</td>") == 3 and folded.count("<td>&lt;i&gt;</td>") == 2 and "<i>" not in text

"""What a notebook shows of results: tables with every text escaped."""

from headroles.shown import html_table


def test_a_table_escapes_its_texts_and_says_what_it_leaves_out():
    text = html_table("a & b", ("x", "y"), [(number, "<i>") for number in range(5)], most=3)
    assert text.startswith("<table><caption>a &amp; b</caption><thead><tr><th>x</th><th>y</th></tr></thead>")
    assert text.count("<td>&lt;i&gt;</td>") == 3 and "<i>" not in text and "and 2 more" in text

"""Tables for papers: what LaTeX would read as a command is text, and every result has one."""

import pandas as pd
import pytest

from headroles.adapt.adapter.adapter import Adapter
from headroles.adapt.comparison.summary import Summary
from headroles.adapt.results.adapted import Adapted
from headroles.adapt.results.average_curve import AverageCurve
from headroles.errors import InputError
from headroles.files.documents import Document
from headroles.files.latex import Tabled, escape, write_latex
from headroles.reports.report import Report


def test_what_means_something_to_latex_is_escaped():
    assert escape("50% of a_b & {c} $x^2\\\nd~#<|>") == (
        r"50\% of a\_b \& \{c\} \$x\textasciicircum{}2\textbackslash{} d\textasciitilde{}\#"
        r"\textless{}\textbar{}\textgreater{}"
    )


def test_a_table_has_rules_a_caption_and_a_row_a_row():
    frame = pd.DataFrame({"p_color": [0.12345, None], "name": ["a_b", "c"], "sure": [True, False], "n": [1, 200]})
    assert write_latex(frame, "5% of it", "tab:x").splitlines() == [
        r"\begin{table}", r"\centering", r"\caption{5\% of it}\label{tab:x}", r"\begin{tabular}{rllr}", r"\toprule",
        r"p color & name & sure & n \\", r"\midrule", r"0.123 & a\_b & yes & 1 \\", r"-- & c & no & 200 \\",
        r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    long = write_latex(pd.DataFrame({"n": range(41)}), "many")
    assert long.startswith(r"\begin{longtable}{r}") and long.count(r"\\") == 43 and r"\endhead" in long


def test_a_role_map_is_typeset_by_the_columns_that_fit(random_role_map, tmp_path):
    role_map = random_role_map()
    text = role_map.to_latex()
    assert r"name & role & concept & concept share & entropy &" in text and text.count("\nL") == len(role_map)
    assert r"\caption{Role map: tiny, layers 1, 2:" in text and "texts" not in text
    role_map.save(tmp_path / "roles.tex")
    assert (tmp_path / "roles.tex").read_text() == text
    assert r"texts \\" in role_map.to_latex(columns=["name", "texts"])
    with pytest.raises(InputError, match=r"columns must be among name, layer, .* got 'p'"):
        role_map.to_latex(columns=["p"])


@pytest.mark.parametrize("kind", [Document, Adapter, Adapted, AverageCurve, Summary, Report])
def test_all_that_has_a_frame_has_a_table(kind):
    assert issubclass(kind, Tabled) and kind.to_latex is Tabled.to_latex

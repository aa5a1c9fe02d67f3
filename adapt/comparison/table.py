"""Tables of a summary for people: as text, Markdown, LaTeX, HTML or CSV."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from headroles.adapt.comparison.crossed import CrossedMean
from headroles.adapt.comparison.summary import Difference, ScoreSummary, Summary
from headroles.errors import InputError
from headroles.shown import html_table, show_p

FORMATS = ("text", "markdown", "csv", "latex", "html")
"""What a comparison can be printed as; CSV has the numbers of all tables in one."""


@dataclass(frozen=True)
class MethodFacts:
    """What stands behind a method's means."""

    trained: float
    """Trained numbers, mean over cells: they can depend on the number of classes."""
    seconds: float | None
    """Of a training, mean over cells; None where nobody knows."""
    memory: int | None
    """Most bytes of any cell; None where nobody knows."""


@dataclass(frozen=True)
class Table:
    """A table in words."""

    caption: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(summary: Summary, facts: Mapping[str, MethodFacts]) -> list[Table]:
    """Of every protocol its means and its differences."""
    protocols = dict.fromkeys(each.score.protocol for each in summary.scores)
    some = ([each for each in summary.scores if each.score.protocol == name] for name in protocols)
    return [table for scores in some for table in (_means(summary, scores, facts), _differences(summary, scores))]


def _over(summary: Summary, scores: Sequence[ScoreSummary]) -> str:
    block = scores[0].block
    counts = f"{count_of(len(block.tasks), 'task')} x {count_of(len(block.seeds), 'seed')}"
    return counts + (f" without {', '.join(summary.without)}" if summary.without else "")


def count_of(number: int, name: str) -> str:
    """Such as 1 task, 2 tasks."""
    return f"{number} {name}" + "s" * (number != 1)


def _means(summary: Summary, scores: Sequence[ScoreSummary], facts: Mapping[str, MethodFacts]) -> Table:
    heading = ("method", *(each.score.title for each in scores), "trained", "seconds", "MiB")
    rows = tuple(
        (name, *(_percent(each.means.get(name)) for each in scores), *_facts(facts.get(name)))
        for name in summary.methods
        if any(name in each.means for each in scores)
    )
    return Table(f"{scores[0].score.protocol}: percent of right answers, {_over(summary, scores)}", heading, rows)


def _differences(summary: Summary, scores: Sequence[ScoreSummary]) -> Table:
    heading = ("method", *(f"{each.score.title} (p; wins/ties/losses)" for each in scores))
    rows = tuple(
        (name, *(_gap(each.differences.get(name)) for each in scores))
        for name in summary.methods
        if any(name in each.differences for each in scores)
    )
    return Table(f"{scores[0].score.protocol}: minus {summary.reference}, {_over(summary, scores)}", heading, rows)


def _percent(mean: CrossedMean | None, sign: str = "") -> str:
    if mean is None:
        return "-"
    found = f"{100 * mean.mean:{sign}.1f}"
    if mean.half is None:
        return found
    # An interval that is wider than all percents says nothing, and its width no more.
    return f"{found} ± {100 * mean.half:.1f}" if mean.half <= 1 else f"{found} ± > 100"


def _gap(gap: Difference | None) -> str:
    if gap is None:
        return "-"
    p = "-" if gap.adjusted is None else show_p(gap.adjusted)
    return f"{_percent(gap.mean, '+')} ({p}; {gap.wins}/{gap.ties}/{gap.losses})"


def _facts(facts: MethodFacts | None) -> tuple[str, str, str]:
    if facts is None:
        return "0", "-", "-"  # The frozen CLIP's own line.
    seconds = "-" if facts.seconds is None else f"{facts.seconds:.1f}"
    return f"{facts.trained:,.0f}", seconds, "-" if facts.memory is None else f"{facts.memory / 2**20:,.0f}"


def check_format(form: str) -> None:
    """InputError for a form that is none of `FORMATS`."""
    if form not in FORMATS:
        raise InputError(f"format must be one of {', '.join(FORMATS)}, got {form!r}")


def write_tables(tables: Sequence[Table], notes: Sequence[str], form: str) -> str:
    """All tables and notes as text, markdown, latex or html."""
    write, note = _WRITERS[form]
    return "\n\n".join([*map(write, tables), *(["\n".join(map(note, notes))] if notes else [])])


def _text(table: Table) -> str:
    rows = [table.heading, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join([table.caption, *(line.rstrip() for line in lines)])


def _markdown(table: Table) -> str:
    rows = (table.heading, ("---", *("---:" for _ in table.heading[1:])), *table.rows)
    return "\n".join([table.caption, "", *("| " + " | ".join(row) + " |" for row in rows)])


def _latex(table: Table) -> str:
    lines = [" & ".join(map(_escape, row)) + r" \\" for row in (table.heading, *table.rows)]
    columns = "l" + "r" * (len(table.heading) - 1)
    body = [r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"]
    return "\n".join([f"% {table.caption}", rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}"])


def _escape(cell: str) -> str:
    signs = {"±": r"$\pm$", "<": "$<$", ">": "$>$", "-": "$-$", "+": "$+$"}
    text = re.sub(r"([&%_#$])", r"\\\1", cell)
    text = re.sub(r"(?<![\w)])[-+](?=[\d])", lambda found: signs[found[0]], text)
    return re.sub("[±<>]", lambda found: signs[found[0]], text)


def _html(table: Table) -> str:
    return html_table(table.caption, table.heading, table.rows, most=len(table.rows))


def _note_html(note: str) -> str:
    return f"<p>{note.replace('&', '&amp;').replace('<', '&lt;')}</p>"


_WRITERS: Mapping[str, tuple[Callable[[Table], str], Callable[[str], str]]] = {
    "text": (_text, str),
    "markdown": (_markdown, "- {}".format),
    "latex": (_latex, "% {}".format),
    "html": (_html, _note_html),
}

"""A Validation as text for a terminal."""

from __future__ import annotations

from headroles.causal.costs import CORRELATIONS
from headroles.causal.validation import Validation
from headroles.roles.judged import describe_overlap
from headroles.shown import show_p


def to_table(validation: Validation) -> str:
    """The matrix of `times`, each test's own figures, and the rank correlations, as text."""
    names = [concept.name for concept in validation.concepts]
    wide = max(map(len, [*names, *(test.concept for test in validation.tests)]))
    how = f"{validation.settings['effect']} effect, {validation.settings['mode']} in place of a cut head"
    lines = [f"margin lost a head, in times that of a head of the matched sets of all tests ({how})"]
    lines += [" " * wide + "  " + " ".join(f"{name[:10]:>10}" for name in names) + "  heads cut"]
    for test in validation.tests:
        cells = ("-" if (value := test.costs[name].times.value) is None else f"{value:.2f}" for name in names)
        lines.append(
            f"{test.concept:<{wide}}  " + " ".join(f"{cell:>10}" for cell in cells) + f"  {','.join(test.heads)}"
        )
    lines.append("own concept, with 95% intervals over images (-: what it is held against loses nothing)")
    against = [f"against {name}" for name in ("its matched sets", "Generalization", "other concepts")]
    lines.append(" " * wide + "  " + " ".join(f"{title:<24}" for title in ["margin lost (nats)", *against]) + "p")
    for test in validation.tests:
        own = test.costs.get(test.concept)
        numbers = (own and own.margin, test.against_random, test.against_general, test.against_others)
        p = "-" if test.p_value is None else f"{show_p(test.p_value)} (of {test.ranked_among + 1} sets)"
        lines.append(f"{test.concept:<{wide}}  " + " ".join(f"{cell or '-'!s:<24}" for cell in numbers) + p)
    if validation.p_value is not None:
        lines.append(f"all tests together, each ranked among its matched sets: p {show_p(validation.p_value)}")
    for name, words in CORRELATIONS.items():
        if name in validation.correlations:
            found = validation.correlations[name]
            lines.append(f"causal selectivity of {found.heads} heads and {words}: Spearman {found}")
    lines += _dose_lines(validation, wide)
    if validation.overlap:
        lines.append(describe_overlap(validation.overlap))
    return "\n".join(lines)


def _dose_lines(validation: Validation, wide: int) -> list[str]:
    """What each concept's margin gains by every factor on its heads, and below it by that on matched sets."""
    if not validation.doses:
        return []
    factors = [point.factor for point in validation.doses[0].points]
    lines = ["margin gained (nats) where a concept's heads are scaled; below, where matched sets are, on average"]
    lines.append(" " * wide + "".join(f"{'x ' + format(factor, 'g'):>29}" for factor in factors))
    for curve in validation.doses:
        own = [str(point.gained) for point in curve.points]
        random = ["-" if point.random is None else str(point.random) for point in curve.points]
        lines += [f"{name:<{wide}}" + "".join(f"{cell:>29}" for cell in row) for name, row in
                  ((curve.concept, own), ("", random))]  # fmt: skip
    return lines

"""A Validation as text for a terminal."""

from __future__ import annotations

from headroles.causal.validation import Validation
from headroles.roles.judged import describe_overlap


def to_table(validation: Validation) -> str:
    """The matrix of `times`, each test's own figures, and the rank correlation, as text."""
    names = [concept.name for concept in validation.concepts]
    wide = max(map(len, [*names, *(test.concept for test in validation.tests)]))
    how = f"{validation.settings['effect']} effect, {validation.settings['mode']} in place of a cut head"
    lines = [f"margin lost a head, in times that of a matched random head ({how})"]
    lines += [" " * wide + "  " + " ".join(f"{name[:10]:>10}" for name in names) + "  heads cut"]
    for test in validation.tests:
        cells = ("-" if (value := test.costs[name].times.value) is None else f"{value:.2f}" for name in names)
        lines.append(
            f"{test.concept:<{wide}}  " + " ".join(f"{cell:>10}" for cell in cells) + f"  {','.join(test.heads)}"
        )
    lines.append("own concept, with 95% intervals over images (-: what it is held against loses nothing)")
    against = [f"against {name}" for name in ("matched random", "Generalization", "other concepts")]
    lines.append(" " * wide + "  " + " ".join(f"{title:<24}" for title in ["margin lost (nats)", *against]) + "p")
    for test in validation.tests:
        own = test.costs.get(test.concept)
        numbers = (own and own.margin, test.against_random, test.against_general, test.against_others)
        p = "-" if test.p_value is None else f"{test.p_value:.3f} ({test.distinct} sets)"
        lines.append(f"{test.concept:<{wide}}  " + " ".join(f"{cell or '-'!s:<24}" for cell in numbers) + p)
    if validation.p_value is not None:
        lines.append(f"all tests together against matched random heads: p {validation.p_value:.3g}")
    if validation.correlation:
        found = validation.correlation
        lines.append(
            f"Concept Entropy and causal selectivity of {found.heads} heads: Spearman {found.rho:.2f} "
            f"[{found.low:.2f}, {found.high:.2f}], p {found.p_value:.2g}"
        )
    if validation.overlap:
        lines.append(describe_overlap(validation.overlap))
    return "\n".join(lines)

"""What `headroles diff` says of three role maps or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from headroles.roles.consensus import Consensus


def report_consensus(found: Consensus) -> None:
    """How far each two agree, then every head with what most maps say of it."""
    from headroles.roles.consensus import letter_of

    letters = [letter_of(number) for number in range(len(found.names))]
    for letter, name in zip(letters, found.names, strict=True):
        click.echo(f"{letter}: {name}")
    click.echo(f"{'':<5} {'same role':<10} {'kappa':<21} {'entropy, Spearman':<21} {'same concept':<13} kappa")
    for pair in found.pairs:
        both = "-".join(letters[place] for place in pair.maps)
        concept = "-" if pair.same_concept is None else f"{pair.same_concept:.0%}"
        kappa = "-" if pair.concept_kappa is None else str(pair.concept_kappa)
        line = f"{both:<5} {pair.same_role:<10.0%} {pair.kappa!s:<21} {pair.entropy_correlation!s:<21} {concept:<13} "
        click.echo(line + kappa)
    total, most = len(found.heads), sum(head.role != "" for head in found)
    click.echo(f"all agree on the role of {len(found.agreed)} of {total} heads, most of them on that of {most}")
    click.echo(
        f"{'head':<8} {'role':<15} {'concept':<12} votes  " + "  ".join(f"{each:<14}" for each in letters).rstrip()
    )
    for head in found:
        own = f"{head.name:<8} {head.role or '-':<15} {head.concept or '-':<12} {head.votes:>5}  "
        click.echo((own + "  ".join(f"{role:<14}" for role in head.roles)).rstrip())

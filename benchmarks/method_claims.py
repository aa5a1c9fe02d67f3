"""Which claims about methods the rows of a comparison bear out: one method over another, on base, novel or both.

Written before any comparison of all methods was run. What papers claim are the signs of their own tables (CLIP
ViT-B/16, 16 shots, 11 data sets); their differences stand beside ours where `headroles.adapt.reproduction` has both.
Ours are means over tasks and seeds, with two-way 95% intervals (tasks crossed with seeds) and p-values after Holm over
the whole list: a claim holds where its difference is above 0 with p <= .05, is reversed where it is below 0 with
p <= .05, and else is not shown. Of several models, what is judged is the mean of their differences, cell by cell; this
was written down before the second model's figures were looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click
from jaxtyping import Float
from numpy import ndarray
from role_tables import print_head, print_line

from headroles.adapt import Comparison
from headroles.adapt.comparison.crossed import CrossedMean, adjust_holm
from headroles.adapt.comparison.summary import OF_MEANS
from headroles.adapt.reproduction.published import MEAN, find_published
from headroles.errors import InputError
from headroles.shown import show_p

TABLE, SHOTS = "base-to-novel", 16
BASE, NOVEL, HM = "base", "novel", OF_MEANS
SIGNIFICANT = 0.05


class Claim(NamedTuple):
    """`first` is better than `second` on `part`, says `source`."""

    first: str
    second: str
    part: str
    source: str


CLAIMS = (
    Claim("coop", "zero-shot", BASE, "CoOp"),
    Claim("zero-shot", "coop", NOVEL, "CoCoOp"),
    Claim("cocoop", "coop", NOVEL, "CoCoOp"),
    Claim("maple", "cocoop", HM, "MaPLe"),
    Claim("promptsrc", "maple", HM, "PromptSRC"),
    Claim("mmrl", "promptsrc", HM, "MMRL"),
    Claim("mmrl", "coop", NOVEL, "MMRL"),
    Claim("mmrlpp", "mmrl", NOVEL, "MMRL++"),
    Claim("clip-cite", "promptsrc", HM, "CLIP-CITE"),
    Claim("clip-cite", "fine-tuning", NOVEL, "CLIP-CITE"),
    Claim("skip-tuning", "promptsrc", HM, "Skip Tuning"),
    Claim("skip-tuning", "fine-tuning", NOVEL, "Skip Tuning"),
    Claim("clip-svd", "clip-lora", NOVEL, "CLIP-SVD"),
    Claim("tac", "promptsrc", HM, "TAC"),
    Claim("tip-adapter", "zero-shot", BASE, "Tip-Adapter"),
    Claim("tip-adapter-f", "tip-adapter", BASE, "Tip-Adapter"),
    Claim("talo", "zero-shot", BASE, "TaLo, of language models"),
    Claim("ltv", "zero-shot", NOVEL, "task vectors; the carrying over is ours"),
    Claim("role", "mmrl", BASE, "DeAR"),
    Claim("role", "mmrlpp", HM, "DeAR"),
    Claim("role", "open", NOVEL, "DeAR: masks protect"),
    Claim("dear", "open", NOVEL, "ours: soft masks protect"),
    Claim("mmrlpp+roles", "mmrlpp", NOVEL, "ours: masks protect"),
    Claim("clip-cite+roles", "clip-cite", NOVEL, "ours: averages by role protect"),
)


def print_claims(by: str, found: Sequence[Comparison]) -> None:
    """A Markdown table of the claims whose methods were all compared, if any, under a title that ends with `by`.

    Each comparison is of another model, on the same tasks and with the same seeds.
    """
    scores = [[each for each in one.summary().scores if not each.score.where] for one in found]
    if any({each.block for each in some} != {each.block for each in scores[0]} for some in scores):
        raise InputError("claims: the comparisons are of other tasks or seeds; compare the same with every model")
    models = [{each.score.part: each.tables for each in some} for some in scores]
    told = [each for each in CLAIMS if all(_knows(tables, each) for tables in models)]
    if not told:
        return
    click.echo(f"\nWhich claims hold{by}\n")
    means = [CrossedMean.of(sum(_difference(tables, each) for tables in models) / len(models)) for each in told]
    adjusted = adjust_holm([mean.p_value for mean in means])
    print_head("claim", "on", "by", "published", "here, points", "p", "here it")
    for claim, mean, p in zip(told, means, adjusted, strict=True):
        shown = "-" if p is None else show_p(p)
        ours = _show(mean), shown, _verdict(mean, p)
        print_line(f"{claim.first} over {claim.second}", claim.part, claim.source, _published(claim), *ours)


_Tables = Mapping[str, Mapping[str, Float[ndarray, "task seed"]]]


def _knows(tables: _Tables, claim: Claim) -> bool:
    return {claim.first, claim.second} <= tables.get(claim.part, {}).keys()


def _difference(tables: _Tables, claim: Claim) -> Float[ndarray, "task seed"]:
    return tables[claim.part][claim.first] - tables[claim.part][claim.second]


def _published(claim: Claim) -> str:
    part = "hm" if claim.part == HM else claim.part
    both = [find_published(TABLE, name, MEAN, part, SHOTS) for name in (claim.first, claim.second)]
    return f"{both[0][0].percent - both[1][0].percent:+.1f}" if all(both) else "-"


def _show(mean: CrossedMean) -> str:
    if mean.half is None:
        return f"{100 * mean.mean:+.1f}"
    low, high = (100 * (mean.mean + side * mean.half) for side in (-1, 1))
    return f"{100 * mean.mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def _verdict(mean: CrossedMean, p_value: float | None) -> str:
    if p_value is None or p_value > SIGNIFICANT:
        return "is not shown"
    return "holds" if mean.mean > 0 else "is reversed"

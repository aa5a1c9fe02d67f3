"""edit(): a checkpoint whose heads, or directions of heads, are scaled in its weights, for anybody to load.

z E W_O is what scaling heads makes of z W_O (`headroles.heads.parts`), so W_O -> E W_O does it once for all, at no cost
afterwards. A mean that is to stay goes into the bias: b_O -> b_O + m (I - E) W_O, which is one for all tokens.
"""

from __future__ import annotations

import os
from pathlib import Path

from headroles.checks import check_kinds, typed
from headroles.errors import InputError
from headroles.heads.names import Part
from headroles.heads.parts import Parts, find_parts
from headroles.images.images import Images
from headroles.models.checkpoints.checkpoint import find_checkpoint
from headroles.models.checkpoints.rewrite import check_own
from headroles.models.hooked_clip import Tower
from headroles.models.load import open_model
from headroles.models.weights_check import check_weights
from headroles.roles.role_heads import check_same_weights, concept_parts
from headroles.roles.role_map import RoleMap
from headroles.uses.edit_run import EditRun
from headroles.uses.edited import Edited

TOWERS = ("visual", "text")


@typed
def edit(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    heads: Parts | None = None,
    damp: str | None = None,
    any_role: bool = False,
    factor: float = 0.0,
    role_map: RoleMap | str | os.PathLike[str] | None = None,
    keep_mean: str | os.PathLike[str] | Images | None = None,
    count: int = 500,
    seed: int = 2,
    tower: str = "visual",
    device: str = "auto",
    batch: int = 64,
    workers: int = 0,
) -> Edited:
    """Write the model's checkpoint into the folder `output`, with some heads, or directions, times `factor`.

    `model`: a name, folder, file or hub id, as `load` takes it. Scaled are `heads` ("L6.H5,L7.H0.D0-2"), or what speaks
    of the concept `damp` in the `role_map`: of its Attribute heads (`any_role`: of all heads) the directions that write
    it, where the map is by weights and knows directions, else the heads themselves. `factor`: 0 takes them out, 1
    changes no bit, more strengthens.

    Weights know no mean, so 0 is zero-ablation. `keep_mean` (a folder of images, "shapes", or open images; `count` of
    them, of `seed` where rendered) writes the parts' mean output into the biases. A bias is one for all tokens: it is
    CLS's mean, so that 0 is mean-ablation in the last layer and nearly so before it; where attention pools the
    embedding, the mean over all tokens.

    The copy has the source's own layout (OpenAI's files become OpenCLIP's), tokenizer and preprocessing; weights are
    safetensors of the stored type. It is loaded again before it takes its place. Raises InputError where `output`
    holds something already, a head is not in the model, or the role map is another model's.
    """
    place = Path(output)
    _check_new(place)
    if tower not in TOWERS:
        raise InputError(f"tower must be one of {', '.join(TOWERS)}, got {tower!r}")
    if (heads is None) == (damp is None):
        raise InputError("heads: give either heads by name, or a concept to damp and a role map")
    check_kinds({"factor": factor}, {"factor": "float"})
    found = find_checkpoint(str(model))
    check_own(found)
    opened, origin = open_model(str(model), device)
    check_weights(opened, str(model))
    if tower == "text":
        opened.check_text()
    scored = None if role_map is None else RoleMap.of(role_map)
    if scored is not None:
        check_same_weights(scored, opened)
        if scored.tower != tower:
            raise InputError(f"tower: the role map is of the {scored.tower} tower, got {tower!r}; give that one")
    sizes: Tower = getattr(opened, tower)
    parts = find_parts(sizes, heads) if heads is not None else _parts_of(scored, str(damp), any_role)
    run = EditRun(found, opened, origin, sizes, tower, parts, float(factor), scored)
    means, kept, settings = run.read_means(keep_mean, count, seed, batch, workers)
    return run.write(place, means, kept, {"damp": damp, "any_role": any_role, **settings})


def _check_new(folder: Path) -> None:
    """InputError where the folder holds anything: an edit overwrites nothing."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise InputError(f"output: {folder} holds something already; give a new folder: edit overwrites nothing")


def _parts_of(role_map: RoleMap | None, concept: str, any_role: bool) -> tuple[Part, ...]:
    if role_map is None:
        raise InputError(f"damp: which heads speak of {concept}? give the role map of this model, or heads by name")
    return concept_parts(role_map, concept, any_role, "damp")

"""Heads of a text tower, read on texts: exact sums, the naive picks, a record that says what went in."""

import json
from importlib import resources

import jsonschema
import pytest
import torch

from headroles import InputError, ProbeBank, RoleMap, score, text_contributions
from headroles.heads.moments import HeadMoments
from headroles.models.hooked_clip import HookedCLIP
from headroles.passes.image_pass import PassOptions
from headroles.passes.text_pass import fold_texts
from headroles.roles.config import ScoreConfig
from headroles.roles.picks import pick_texts

BANK = ProbeBank("some", ProbeBank.load("shapes").texts[::9], ProbeBank.load("shapes").labels[::9])
SETTINGS = {"tower": "text", "layers": "1-2", "null_draws": 19, "bootstraps": 2, "texts_per_head": 4}


@pytest.fixture(scope="module", params=["clip", "siglip"])
def model(request, make_clip, make_siglip, tokenizer):
    make = make_clip if request.param == "clip" else make_siglip
    return HookedCLIP(make().double(), "tiny", tokenizer)


@pytest.fixture(scope="module")
def parts(model):
    """Every head's part of the unit embedding of each text, stored."""
    found = text_contributions(model, list(BANK.texts))
    return (found.heads / found.total().norm(dim=-1)[:, None, None, None])[:, 1:]


@pytest.fixture(scope="module")
def moments(model):
    return fold_texts(model, BANK.texts, (1, 2), 4, PassOptions(unit=7))[0]


def naive_picks(outputs, texts, picks):
    """TextSpan as published, on stored contributions: project off, one text after another."""
    outputs, texts = outputs - outputs.mean(0), texts.clone()
    _, sizes, rows = torch.linalg.svd(outputs, full_matrices=False)
    own = rows[sizes / sizes[0] > 1e-9]
    texts = texts @ own.T @ own
    found = []
    for _ in range(picks):
        best = int((outputs @ texts.T).var(0).argmax())
        found.append(best)
        q = texts[best] / texts[best].norm()
        outputs, texts = outputs - torch.outer(outputs @ q, q), texts - torch.outer(texts @ q, q)
    return found


@torch.no_grad()
def test_moments_are_those_of_stored_contributions(model, moments, parts, tmp_path):
    bases = model.text.bases()[[1, 2]]
    mean = torch.einsum("lhk,lhkd->lhd", moments.mean(), bases)
    covariance = bases.mT @ moments.covariance()[0] @ bases
    centred = parts - parts.mean(0)
    expected = torch.einsum("ilhd,ilhe->lhde", centred, centred) / len(parts)
    torch.testing.assert_close(mean, parts.mean(0), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(covariance, expected, rtol=1e-9, atol=1e-9)
    assert (moments.count > 0).all() and moments.images == len(BANK.texts)
    moments.save(tmp_path / "m.safetensors")
    assert HeadMoments.load(tmp_path / "m.safetensors").tower == "text"


def test_picks_are_those_of_the_published_procedure(model, moments, parts):
    found = pick_texts(model, moments, BANK, ScoreConfig(**SETTINGS)).whole.index[0].tolist()
    texts = model.embed_texts(BANK.texts)
    assert found == [naive_picks(head, texts, 4) for head in parts.flatten(1, 2).unbind(1)]


def test_order_of_the_texts_that_go_in_changes_no_role(model):
    role_map = score(model, probes=BANK, texts=list(BANK.texts), batch=7, **SETTINGS)
    turned = score(model, probes=BANK, texts=list(BANK.texts[::-1]), **SETTINGS)
    for one, other in zip(role_map, turned, strict=True):
        assert [text.text for text in one.texts] == [text.text for text in other.texts]
        assert one.role == other.role and abs(one.entropy - other.entropy) < 1e-5


def test_the_command_and_what_it_records(run, clip_folder, tmp_path):
    (tmp_path / "own.txt").write_text("a red thing\n\nblue\nfour big squares\na dark star on the left\n")
    own = ("score", "--model", clip_folder, "--tower", "text", "--null-draws", "19", "--bootstraps", "2")
    code, text, errors = run(*own, "--texts", tmp_path / "own.txt", "--output", tmp_path / "a")
    assert code == 0 and "texts: own.txt, 4, into the text tower" in errors and "roles of 4 texts are rough" in errors
    assert "moments.safetensors" in text
    role_map = RoleMap.load(tmp_path / "a")
    assert (role_map.tower, role_map.images.source, role_map.images.count) == ("text", "own.txt", 4)
    assert role_map.evidence == "4 texts (own.txt) into the text tower, general bank"
    schema = json.loads((resources.files("headroles.roles") / "role_map.schema.json").read_text())
    jsonschema.validate(role_map.to_dict(), schema)
    code, _, errors = run("report", tmp_path / "a", "--output", tmp_path / "page.html")
    assert code == 0, errors
    assert "--tower text --texts own.txt" in (tmp_path / "page.html").read_text()
    code, _, errors = run("validate", tmp_path / "a", "--images", "shapes")
    assert code == 2 and "it is of the text tower" in errors
    for options, expected in (
        (("--by", "images"), "tower: labels are of images"),
        (("--images", "shapes"), "images: heads of the text tower see none"),
        (("--count", "5"), "--count has no effect here"),
        (("--shard", "1/2"), "shard: it belongs to images"),
        (("--constants", "heads"), "constants: heads is defined for images' CLS token"),
        (("--texts", "nowhere"), "texts: no file nowhere"),
        (("--by", "weights", "--texts", "shapes"), "--texts has no effect here"),
    ):
        code, _, errors = run(*own[:5], *options, "--output", tmp_path / "b")
        assert code == 2 and expected in errors and len(errors.splitlines()) == 1, errors
        assert not (tmp_path / "b").exists()


def test_what_is_no_list_of_texts_is_refused(model):
    for texts in (["alone"], ["one", " "]):
        with pytest.raises(InputError, match="texts: expected a file or at least two texts"):
            score(model, probes=BANK, texts=texts, **SETTINGS)
    with pytest.raises(InputError, match="texts: they go into the text tower"):
        score(model, probes=BANK, texts=["one", "two"], layers="1-2")

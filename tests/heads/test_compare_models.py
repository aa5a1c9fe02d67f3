"""Two models by weights: equal ones differ in nothing, and a change is found where it was made, as large as it was."""

import pytest
import torch

from headroles import InputError, ModelDiff, diff_models
from headroles.models.hooked_clip import HookedCLIP


@pytest.fixture
def tuned(make_clip, tokenizer):
    return HookedCLIP(make_clip(), "tuned", tokenizer)


def attention(model, layer):
    return model.clip.vision_model.encoder.layers[layer].self_attn


def test_equal_models_differ_in_nothing(model, tuned):
    for tower in ("visual", "text"):
        found = diff_models(model, tuned, tower=tower)
        assert found.changed == () and found.tensors == {} and len(found.heads) == 12
        for head in found.heads:
            assert head.change == head.writes == head.reads == 0 and head.rotation < 1e-5


@torch.no_grad()
def test_a_head_in_another_inner_basis_is_the_same_head(model, tuned):
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    part, own = attention(tuned, 1), slice(8, 16)
    for name, matrix in (("v_proj", turn.T), ("q_proj", turn.T), ("k_proj", turn.T)):
        module = getattr(part, name)
        module.weight[own] = (matrix @ module.weight[own].double()).float()
        module.bias[own] = (matrix @ module.bias[own].double()).float()
    part.out_proj.weight[:, own] = (part.out_proj.weight[:, own].double() @ turn).float()
    found = diff_models(model, tuned)
    assert len(found.tensors) == 7
    assert all(max(head.change, head.writes, head.reads) < 1e-6 for head in found.heads)


@torch.no_grad()
def test_changes_are_found_in_their_heads_and_as_large_as_they_are(model, tuned):
    attention(tuned, 2).out_proj.weight[:, 8:16] *= 1.5
    attention(tuned, 0).q_proj.weight[24:] *= 0.9
    attention(tuned, 0).q_proj.bias[24:] *= 0.9
    found = diff_models(model, tuned, leading=2)
    written, looked = found.changed
    assert (written.name, looked.name) == ("L2.H1", "L0.H3") and found.heads[0] is written
    assert (written.change, written.writes, written.reads) == pytest.approx((0.5, 0.5, 0))
    assert (looked.change, looked.writes, looked.reads) == pytest.approx((0, 0, 0.1), abs=1e-6)
    assert written.rotation == pytest.approx(0, abs=1e-4)
    for each in written.directions:
        assert each.sigma_after == pytest.approx(1.5 * each.sigma) and each.turned == pytest.approx(0, abs=1e-4)
    assert "L2.H1" in found.to_text() and "2 of 12 heads" in found.to_text() and len(found.to_frame()) == 12
    (cells, *_) = found.plot("map").axes[0].collections
    assert cells.get_array().max() == pytest.approx(0.5)
    assert ModelDiff.from_dict(found.to_dict()) == found


@torch.no_grad()
def test_a_head_that_writes_nothing_more_is_changed_wholly_and_turned_nowhere(model, tuned):
    attention(tuned, 1).out_proj.weight[:, :8] = 0
    (head,) = diff_models(model, tuned).changed
    assert head.name == "L1.H0" and head.change == pytest.approx(1) and head.rotation is None
    assert all(each.sigma_after == 0 and each.turned is None for each in head.directions)
    (back,) = diff_models(tuned, model).changed
    assert back.change == 1


def test_models_of_unlike_shape_are_refused_in_one_line(model, make_clip, make_vision, tokenizer):
    with pytest.raises(InputError, match=r"2 layers of 4 heads.*only models of one shape"):
        diff_models(model, HookedCLIP(make_clip(layers=2), "short", tokenizer))
    with pytest.raises(InputError, match="only models of one shape"):
        diff_models(model, HookedCLIP(make_vision("vit"), "vit"))
    with pytest.raises(InputError, match="leading must be"):
        diff_models(model, model, leading=9)


@pytest.mark.parametrize("family", ["siglip", "dinov2"])
@torch.no_grad()
def test_pooling_heads_and_scaled_layers_are_compared_too(make_siglip, make_vision, family):
    make = make_siglip if family == "siglip" else lambda: make_vision("dinov2")
    models = [HookedCLIP(make(), f"{name} {family}") for name in ("base", "tuned")]
    assert diff_models(*models).changed == ()
    layers = range(models[1].visual.layers + models[1].visual.pooling)
    for layer in layers:
        models[1].visual.output(layer).weight[:, 16:24] *= 0.5
    found = diff_models(*models)
    writes = {head.name: head.writes for head in found.heads if head.writes > 0}
    assert writes == pytest.approx({f"L{layer}.H2": 0.5 for layer in layers}, rel=1e-5)
    # Through a pooling head, what every head writes into the embedding has changed too.
    assert len(found.changed) == (13 if family == "siglip" else 3)

"""Head purification: sums and gates in single heads, and the distance between domains, which reaches gates alone."""

import dataclasses
import logging

import pytest
import torch
from torch.nn.functional import normalize

from headroles.adapt.methods.features import Batch
from headroles.adapt.methods.head_purification import HeadPurification, HeadPurificationConfig, discrepancy
from headroles.errors import InputError

NAMES, ROW = ("red", "green", "blue"), ["mixed", "general", "color", "silent"]


def begin(model, role_map=None, domains=None, **settings) -> tuple[HeadPurification, Batch]:
    method = HeadPurification(model, role_map, HeadPurificationConfig(**settings))
    shape = (4, 3, model.image_size, model.image_size)
    pixels = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    texts = method.class_trunk(NAMES, "a {}")
    return method, Batch(method.image_trunk(pixels), torch.tensor([0, 2, 0, 1]), texts, domains=domains)


def disturb(method: HeadPurification) -> None:
    """As a training would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)


def test_untrained_it_is_the_frozen_clip_and_its_sums_are_of_the_published_ranks(model):
    method, batch = begin(model)
    assert torch.equal(method.encode_images(batch.trunk), method.frozen_images(batch.trunk))
    tower = model.visual
    ranks = [method.sums[f"{layer}/{matrix}/A"].shape[1] for layer in range(tower.layers) for matrix in "qkv"]
    assert ranks == [2, 2, 2, *[8] * 6] and list(method(batch)[1]) == ["ce"]
    numbers = 3 * sum(ranks[::3]) * tower.heads * (tower.width + tower.head_width) + tower.layers * tower.heads
    assert method.trained_count == numbers


def test_every_head_has_its_own_sums_and_gate(model):
    method, batch = begin(model, strength=0.5)
    disturb(method)
    tower, weights = model.visual, dict(model.clip.named_parameters())
    names = {id(weight): name for name, weight in weights.items()}
    expected, k = {}, tower.head_width
    for layer in range(tower.layers):
        for matrix, module in tower.projections(layer).items():
            weight = module.weight.detach().clone()
            for head in range(tower.heads):
                own = slice(head * k, head * k + k)
                if matrix == "o":
                    weight[:, own] *= method.gates[layer, head].clamp(0, 1)
                else:
                    a, b = (method.sums[f"{layer}/{matrix}/{each}"][head] for each in "AB")
                    weight[own] += 0.5 * b @ a
            expected[names[id(module.weight)]] = weight
    found = method.tensors()
    assert found.keys() == expected.keys()
    assert all(torch.allclose(found[name], weight, atol=1e-6) for name, weight in expected.items())
    pixels = torch.randn(4, 3, model.image_size, model.image_size, generator=torch.Generator().manual_seed(0))
    vision = {name.removeprefix("vision_model."): weight for name, weight in expected.items()}
    pooled = torch.func.functional_call(model.clip.vision_model, vision, kwargs={"pixel_values": pixels}).pooler_output
    images = normalize(model.clip.visual_projection(pooled), dim=-1)
    assert torch.allclose(method.encode_images(batch.trunk), images, atol=1e-5)


def test_a_gate_stays_within_its_bounds_and_can_come_back(model):
    method, batch = begin(model)
    with torch.no_grad():
        method.gates[0, :2] = torch.tensor([-0.5, 1.5])
    assert method.gate[0].tolist() == [0, 1, 1, 1]
    method(batch)[1]["ce"].backward()
    assert (method.gates.grad[0, :2] != 0).all()


def test_the_distance_between_domains_reaches_gates_alone(model):
    domains = torch.tensor([0, 0, 1, 1])
    method, batch = begin(model, domains=domains, mmd=3.0)
    disturb(method)
    losses = method(batch)[1]
    points = [f"visual.blocks.{layer}.attn.hook_z" for layer in range(model.visual.layers)]
    seen = {}
    with model.hooks(
        fwd_hooks=[(point, lambda z, hook: seen.update({hook.name: z[:, 0].detach()})) for point in points]
    ):
        method.encode_images(batch.trunk)
    total = 0.0
    for layer, point in enumerate(points):
        rows = (seen[point] * method.gates[layer].clamp(0, 1)[:, None]).flatten(1)
        apart = [[((one - other) ** 2).sum() for other in rows] for one in rows]
        width = sum(apart[i][j] for i in range(4) for j in range(4)) / 12
        kernel = [[torch.exp(-each / width) for each in row] for row in apart]
        within = sum(kernel[i][j] for i in range(4) for j in range(4) if (i < 2) == (j < 2)) / 4
        total += within - 2 * sum(kernel[i][j] for i in range(2) for j in (2, 3)) / 4
    assert losses["mmd"].item() == pytest.approx(3 * total.item() / len(points), rel=1e-4)
    losses["mmd"].backward()
    assert all(parameter.grad is None for parameter in method.sums.values()) and method.gates.grad.any()
    assert losses["ce"].requires_grad


def test_distance_of_one_domain_is_0_and_a_factor_changes_none():
    rows = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    assert discrepancy(rows, torch.zeros(6, dtype=torch.long)) == 0
    domains = torch.tensor([0, 0, 1, 1, 2, 2])
    assert discrepancy(7 * rows, domains).item() == pytest.approx(discrepancy(rows, domains).item(), rel=1e-5)
    same = rows[:2].repeat(3, 1)
    assert discrepancy(same, domains).abs() < 1e-6 < discrepancy(same + 3.0 * domains[:, None], domains)
    assert discrepancy(torch.ones(3, 2), torch.tensor([0, 1, 2])) == 0


def test_gates_begin_by_role_and_tell_how_they_moved(model, make_role_map):
    role_map = make_role_map(model, [ROW])
    gates = {}
    for begun in ("role", "inverted"):
        method, _ = begin(model, role_map, gates=begun, generalization=0.9)
        gates[begun] = method.gates[-1].tolist()
        assert (method.gates[:-1] == 1).all()
    assert gates["role"] == pytest.approx([1, 0.9, 0.5, 1]) and gates["inverted"] == pytest.approx([1, 0.5, 0.9, 1])
    with pytest.raises(InputError, match="none has moved"):
        method.correlate(role_map)
    heads = [dataclasses.replace(head, entropy=0.1 + 0.2 * head.head) for head in role_map]
    with torch.no_grad():
        method.gates[-1, :3] -= torch.tensor([0.3, 0.2, 0.1])
    rho, _ = method.correlate(dataclasses.replace(role_map, head_roles=tuple(heads)))
    assert rho == pytest.approx(1)  # The fourth is silent.


def test_it_says_where_there_are_no_domains(model, caplog):
    method, batch = begin(model)
    with caplog.at_level(logging.INFO, logger="headroles"):
        method.start(lambda view: iter([batch]))
    assert "the training images have no domains, so that cross-entropy alone is trained" in caplog.text
    with pytest.raises(InputError, match="matrices must be some of q, k, v"):
        HeadPurificationConfig(matrices=("o",))

"""What a console shows of large things is one line."""

import torch

from headroles import HeadMoments, ProbeBank, image_contributions


def test_banks_heads_and_sums_are_one_short_line(random_role_map, model):
    pixels = torch.randn(2, 3, model.image_size, model.image_size)
    shown = {
        repr(ProbeBank.load("shapes")): "ProbeBank(shapes: 556 texts of 9 concepts)",
        repr(HeadMoments.empty(model, [1, 2], 8)): (
            "HeadMoments(0 images in 8 blocks; layers 1, 2, 4 heads of width 8, visual tower)"
        ),
        repr(image_contributions(model, pixels)): (
            "Contributions(2 inputs: 3 layers of 4 heads, MLPs and biases, embedding 24)"
        ),
    }
    assert [*shown] == [*shown.values()]
    role_map = random_role_map(silent=("L1.H0",))
    silent, *others = map(repr, role_map)
    assert silent == "HeadRole(L1.H0, silent, entropy 1.00)"
    assert all("; first: a red thing)" in each and len(each) < 100 for each in others)
    assert role_map[1, 0] is role_map["L1.H0"] is role_map.heads(role="silent")[0]

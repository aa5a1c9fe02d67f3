"""A card a head: its texts, its role, whichever heads are chosen."""

from dataclasses import replace

from headroles.figures.texts import texts_figure
from headroles.roles.role_map import RoleMap


def test_texts_figure_shows_chosen_heads_with_eight_texts(role_map, words):
    shown = words(texts_figure(role_map, ["L3.H7", "L1.H0"]))
    names = [word for word in shown if word.startswith("L") and ".H" in word]
    assert names == ["L3.H7", "L1.H0"]
    assert shown.count("a text number 7, $5 or $6") == 2
    assert "a text number 8, $5 or $6" not in shown


def test_default_texts_are_of_the_purest_head_of_each_concept(make_map, general, words):
    role_map = make_map(range(6), 12, general)
    names = [word for word in words(texts_figure(role_map)) if word.startswith("L") and ".H" in word]
    heads = [role_map[name] for name in names]
    assert len(heads) == 9 == len({head.concept for head in heads})
    assert all(head == role_map.heads(concept=head.concept)[0] for head in heads)


def test_a_head_without_texts_still_gets_its_card(role_map, words, assert_nothing_cut):
    silent = RoleMap(**{**vars(role_map), "head_roles": (replace(role_map["L1.H0"], texts=()),)})
    figure = texts_figure(silent)
    assert "L1.H0" in words(figure)
    assert_nothing_cut(figure)


def test_a_silent_head_says_so_on_its_card_and_is_none_of_the_default_ones(random_role_map, words, assert_nothing_cut):
    role_map = random_role_map(silent=("L1.H0", "L1.H1"))
    figure = texts_figure(role_map, ["L1.H0"])
    assert {"silent", "says nothing, whatever is in the image"} <= set(words(figure))
    assert "L1.H0" not in words(texts_figure(role_map))
    everyone = random_role_map(silent=[f"L{layer}.H{head}" for layer in (1, 2) for head in range(3)])
    for each in (figure, texts_figure(everyone)):
        assert_nothing_cut(each)

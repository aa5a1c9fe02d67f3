"""Prompts: every line of a template gives every name a text, unless the name has texts of its own."""

import pytest

from headroles import InputError
from headroles.images.prompts import check_named, write_prompts

OWN = "a {}.\na drawing of a {}.\nbig dog\ta large dog\ta hound"


def test_each_line_is_a_text_of_every_name_but_those_with_their_own():
    assert write_prompts("a {}.", ["red_cat"]) == (("a red cat.",),)
    assert write_prompts(OWN, ["cat", "big_dog"]) == (("a cat.", "a drawing of a cat."), ("a large dog", "a hound"))
    check_named(OWN, ["cat", "big_dog"])
    assert write_prompts("cat\tone\ndog\ttwo", ["dog"]) == (("two",),)


@pytest.mark.parametrize("template", ["", "a cat", "a {} {}", "a {}\n", "cat\t", "\tone", "cat\tone\ncat\ttwo"])
def test_what_is_no_template_is_refused(template):
    with pytest.raises(InputError, match=r"template: expected one \{\}"):
        write_prompts(template, ["cat"])


def test_a_name_without_a_text_and_a_text_without_a_name_are_refused():
    with pytest.raises(InputError, match="'dog' has no text"):
        write_prompts("cat\tone", ["cat", "dog"])
    with pytest.raises(InputError, match="texts for 'big dog', which is no class; classes: cat, dog"):
        check_named(OWN, ["cat", "dog"])

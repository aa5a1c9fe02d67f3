"""Values that are names: completed on Tab, refused with the near one, and looked up before torch is imported."""

import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from headroles.cli.main import _COMMANDS, group
from headroles.cli.options import choices
from headroles.cli.options.kinds import RoleMapFile
from headroles.cli.options.sections import SectionedCommand


@pytest.fixture(scope="module")
def commands():
    """Every command by its name."""
    context = click.Context(group)
    return {name: group.get_command(context, name) for name in _COMMANDS}


def complete(*words):
    """What Tab offers for the last word."""
    found = ShellComplete(group, {}, "headroles", "_HEADROLES_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found if item.type == "plain"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("task"), ["task-heads"]),
        (("adapt", "--select-e"), ["--select-epoch"]),
        (("score", "--model", "shapes-"), ["shapes-natural"]),
        (("adapt", "--task", "shapes:ti"), ["shapes:tiny"]),
        (("adapt", "--root", "data", "--task", "euro"), ["eurosat"]),
        (("compare", "--methods", "dear,coc"), ["dear,cocoop"]),
        (("score", "--probes", "gen"), ["general"]),
        (("validate", "--mode", ""), ["mean", "zero", "resample"]),
        (("adapt", "--log", "csv,ten"), ["csv,tensorboard"]),
    ],
)
def test_tab_completes(words, offered):
    assert complete(*([words] if isinstance(words, str) else words)) == offered


def test_tab_completes_concepts_of_the_role_map(random_role_map, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random_role_map().save("own/role_map.json")
    assert complete("attend", "own", "--concept", "s") == ["shape", "size"]
    assert complete("attend", "none", "--concept", "s") == []


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("scoer",), "score"),
        (("score", "--modle", "shapes"), "--model"),
        (("score", "--model", "shaps"), "shapes"),
        (("score", "--probes", "genral"), "general"),
        (("score", "--roles-by", "nul"), "null"),
        (("adapt", "--task", "shapes:tinny"), "tiny"),
        (("adapt", "--task", "eurosatt"), "eurosat"),
        (("adapt", "--method", "deer"), "dear"),
        (("compare", "--methods", "coop,deer+roles", "--tasks", "shapes:tiny", "--output", "x"), "dear"),
    ],
)
def test_a_wrong_name_says_the_near_one(run, words, near):
    code, out, err = run(*words)
    assert (code, out) == (2, "") and "id you mean" in err and near in err.partition("id you mean")[2]


def test_a_wrong_concept_says_the_near_one(random_role_map):
    with pytest.raises(ValueError, match="did you mean shape"):
        random_role_map().heads(concept="shap")


_SLIPS = """
import sys
from headroles.cli import main
for line in sys.argv[1:]:
    sys.argv = ["headroles", *line.split()]
    try:
        main.main()
    except SystemExit as stop:
        assert stop.code == 2, line
    assert not {"torch", "transformers", "matplotlib", "datasets"} & set(sys.modules), line
"""


def test_a_slip_is_said_before_torch_is_imported():
    lines = [
        "score --model shaps", "score --images nowhere", "score --probes shaps", "score --ablate L1",
        "adapt --model shaps", "adapt --method deer", "adapt --role-map nowhere", "adapt --retention shapes:x",
        "adapt --tasks shapes:tiny,shapes:hollow --retention none", "task-heads nothing", "predict nowhere a.png",
        "evaluate nowhere", "export nowhere", "merge nowhere", "merge-adapters nowhere --output x", "plot nowhere",
        "validate nowhere", "debias nowhere", "retrieve nowhere", "report nowhere", "edit shapes --heads L --output x",
        "attend nowhere --image x", "doctor shaps", "compare --methods dear --tasks nothing --output x",
        "reproduce --root nowhere",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, "-c", _SLIPS, *lines], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Error: ") == len(lines)


def test_every_role_map_may_be_given_by_its_folder(commands, random_role_map, tmp_path):
    random_role_map().save(tmp_path / "role_map.json")
    kinds = {
        name: option.type for name, each in commands.items() for option in each.params if option.name == "role_map"
    }
    assert {"adapt", "attend", "compare", "debias", "edit", "report", "retrieve", "task-heads", "validate"} <= {*kinds}
    for kind in kinds.values():
        assert isinstance(kind, RoleMapFile) and kind.convert(str(tmp_path), None, None) == tmp_path / "role_map.json"


def test_words_to_choose_among_are_the_librarys():
    from headroles.adapt.comparison.table import FORMATS
    from headroles.adapt.methods.mmrl import INFERENCES
    from headroles.adapt.reproduction.benchmark import TABLES
    from headroles.adapt.results.protocols import PROTOCOLS
    from headroles.adapt.training.log import LOGS
    from headroles.heads import ablate, constants, upstream
    from headroles.models.precision import PRECISIONS
    from headroles.roles import concepts, discovery, explained, rules, textspan
    from headroles.uses import cue_bench, index_build

    for ours, theirs in (
        (choices.FORMATS, FORMATS), (choices.INFERENCES, INFERENCES), (choices.PROTOCOLS, PROTOCOLS),
        (choices.TABLES, TABLES),
        (choices.EFFECTS, ablate.EFFECTS), (choices.MODES, ablate.MODES), (choices.TOWERS, ablate.TOWERS),
        (choices.CONSTANTS, constants.CONSTANTS), (choices.READINGS, upstream.READINGS), (choices.RULES, rules.RULES),
        (choices.PRECISIONS, PRECISIONS), (choices.WEIGHTS, concepts.WEIGHTS), (choices.NOISE, discovery.NOISE),
        (choices.SHARES, explained.SHARES), (choices.SELECTIONS, textspan.SELECTIONS), (choices.LOGS, LOGS),
        (choices.CLASSIFIERS, cue_bench.CLASSIFIERS), (choices.NUMBERS, index_build.PRECISIONS),
    ):  # fmt: skip
        assert sorted(ours) == sorted(theirs)


def test_large_commands_have_their_options_in_sections(commands):
    for name, command in commands.items():
        options = {each.name for each in command.params if isinstance(each, click.Option)}
        assert len(options) <= 12 or isinstance(command, SectionedCommand), name
        if isinstance(command, SectionedCommand):
            claimed = [each for names in command.sections.values() for each in names]
            assert sorted(claimed) == sorted(options), name


def test_commands_are_listed_in_the_order_of_work(run):
    _, out, _ = run("--help")
    names = ("score", "plot", "validate", "attend", "adapt", "evaluate", "compare")
    first = [out.index(f"\n  {name} ") for name in names]
    assert first == sorted(first)

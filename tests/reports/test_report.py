"""The page carries exactly the numbers of its inputs, takes nothing from outside, and runs no foreign word."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from importlib import resources

import pytest
from adapter_folder import write_adapter

from headroles.errors import InputError
from headroles.reports.adaptation import read_adaptation
from headroles.reports.render import SCRIPTS, embed_json
from headroles.reports.report import LIMIT, Report, report
from headroles.roles.diff import diff
from headroles.roles.role_map import RoleMap

HOSTILE = (
    "</script><script>document.title='hacked'</script>",
    "<img src=x onerror=\"document.title='hacked'\">",
    "--><!--<b>&amp;</b>",
    "$data ${style}\u2028\u2029\x00\ud800 ünïcode",
)


class Page(HTMLParser):
    """The parts of a page: attributes of its tags, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside.append("")

    def handle_data(self, text):
        if self.tags and self.tags[-1][0] in ("script", "style") and self.inside:
            self.inside[-1] += text

    @property
    def data(self) -> dict:
        return json.loads(next(text for text in self.inside if text.startswith("{")))


@pytest.fixture
def role_map(random_role_map, tmp_path) -> RoleMap:
    """Saved as role_map.json in tmp_path."""
    role_map = random_role_map()
    role_map.save(tmp_path / "role_map.json")
    return role_map


def test_the_page_carries_every_number_of_its_inputs(run, role_map, tmp_path):
    for seed in (1, 2):
        write_adapter(tmp_path / "job" / f"seed-{seed}", seed)
    code, text, errors = run("report", tmp_path / "role_map.json", "--run", tmp_path / "job", "--images", "none")
    assert code == 0, errors
    page = tmp_path / "report.html"
    assert f"wrote {page}" in text and [path.name for path in tmp_path.glob("report*")] == ["report.html"]
    assert page.stat().st_size < LIMIT
    data = Page(page.read_text(encoding="utf-8")).data
    assert RoleMap.from_dict(data["role_map"]) == role_map
    (job,) = data["adaptations"]
    assert job["seeds"] == [1, 2] and job["name"] == "job"
    for seed, history in zip((1, 2), job["histories"], strict=True):
        written = json.loads((tmp_path / "job" / f"seed-{seed}" / "metrics.json").read_text())
        assert history == {"seed": seed, "epochs": written["history"]}
        rows = [{key: value for key, value in row.items() if key != "per_class"} for row in written["rows"]]
        assert [row for row in job["rows"] if row["seed"] == seed] == rows
        single = json.loads(embed_json(vars(read_adaptation(tmp_path / "job" / f"seed-{seed}"))))
        assert single["summary"] == written["summary"] and single["name"] == f"job/seed-{seed}"
    assert job["summary"][0]["adapted_interval"] is not None and job["summary"][0]["seeds"] == 2
    assert any(line.startswith("headroles adapt") and "--seeds 1,2" in line for line in data["commands"])
    assert any(f"--role-map {tmp_path}/job/seed-1/role_map.json" in line for line in data["commands"])
    assert any(line.startswith("headroles score --model tiny --images photos --count 11") for line in data["commands"])


def test_the_page_carries_the_validation_and_refuses_one_of_another_role_map(
    run, role_map, random_role_map, random_validation, tmp_path
):
    validation = random_validation(role_map)
    validation.save(tmp_path / "validation.json")
    own = ("report", tmp_path / "role_map.json", "--images", "none", "--validation")
    code, _, errors = run(*own, tmp_path / "validation.json")
    assert code == 0, errors
    data = Page((tmp_path / "report.html").read_text(encoding="utf-8")).data
    assert data["validation"] == json.loads((tmp_path / "validation.json").read_text(encoding="utf-8"))
    random_validation(random_role_map(seed=1)).save(tmp_path / "other.json")
    (tmp_path / "torn.json").write_text("[1]")
    for name, message in {"other": "tests another role map", "torn": "expected the JSON", "gone": "no file"}.items():
        code, _, errors = run(*own, tmp_path / f"{name}.json", "--output", tmp_path / "new" / "page.html")
        assert code == 2 and message in errors and len(errors.strip().splitlines()) == 1, errors
    assert not (tmp_path / "new").exists()


def test_a_report_is_made_of_paths_or_of_objects(role_map, random_validation, tmp_path):
    validation = random_validation(role_map)
    validation.save(tmp_path / "validation.json")
    write_adapter(tmp_path / "job")
    by_paths = report(tmp_path, tmp_path, tmp_path / "job")
    assert report(role_map, validation, [read_adaptation(tmp_path / "job")], "none") == by_paths
    assert by_paths.role_map == role_map and by_paths.validation == validation and by_paths.illustrations is None
    assert by_paths.to_frame().equals(role_map.to_frame()) and "validated, no images, 1 adapters" in repr(by_paths)
    with pytest.raises(InputError, match="no file"):
        report(tmp_path, tmp_path / "none.json")


def test_a_second_map_stands_beside_the_first_with_the_differences_of_diff(run, role_map, random_role_map, tmp_path):
    other = random_role_map(seed=1, name="tuned")
    other.save(tmp_path / "tuned" / "role_map.json")
    own = ("report", tmp_path, "--images", "none", "--against")
    code, _, errors = run(*own, tmp_path / "tuned")
    assert code == 0, errors
    data = Page((tmp_path / "report.html").read_text(encoding="utf-8")).data
    assert RoleMap.from_dict(data["against"]) == other
    made = [line.split() for line in data["commands"] if line.startswith("headroles score")]
    assert [words[3] for words in made] == ["tiny", "tuned"]
    assert [words[-2:] for words in made] == [["--output", f"{tmp_path}"], ["--output", f"{tmp_path / 'tuned'}"]]
    assert data["changes"] == json.loads(embed_json(diff(role_map, other).to_dict())) and data["changes"]["heads"]
    loaded = Report.load(tmp_path / "report.html")
    assert loaded.against == other and loaded.changes == diff(role_map, other) and "against tuned" in repr(loaded)
    random_role_map(seed=1, heads=2).save(tmp_path / "small" / "role_map.json")
    code, _, errors = run(*own, tmp_path / "small", "--overwrite")
    assert code == 2 and "only maps of models of one size" in errors and len(errors.strip().splitlines()) == 1


def test_concepts_of_both_banks_have_looks_and_the_first_ones_keep_their_colours(role_map):
    other = dataclasses.replace(role_map, bank=dataclasses.replace(role_map.bank, counts={"color": 3, "mood": 4}))
    both, alone = (Report(role_map, against=each).to_dict()["looks"]["concepts"] for each in (other, None))
    assert [(look["name"], look["color"]) for look in both[:-1]] == [(look["name"], look["color"]) for look in alone]
    assert both[-1]["name"] == "mood" and len({look["code"] for look in both}) == len(both)


def test_a_saved_page_is_read_again(role_map, random_validation, tmp_path):
    write_adapter(tmp_path / "job")
    page = tmp_path / "report.html"
    found = dataclasses.replace(report(role_map, random_validation(role_map), tmp_path / "job"), commands=HOSTILE)
    found.save(page)
    assert Report.load(page).to_html() == found.to_html()
    for text, message in (("<html>", "no numbers"), (page.read_text().replace('"head_roles"', '"heads"'), "head")):
        (tmp_path / "other.html").write_text(text)
        with pytest.raises(InputError, match=f"is no page of this headroles .*{message}"):
            Report.load(tmp_path / "other.html")
    with pytest.raises(InputError, match="no file"):
        Report.load(tmp_path / "none.html")


def test_a_notebook_frames_the_page_and_escapes_it(role_map):
    text = Report(role_map, commands=HOSTILE)._repr_html_()
    assert text.startswith('<iframe srcdoc="') and text.count("<") == 2
    assert 'sandbox="allow-scripts allow-downloads"' in text


def test_the_page_takes_nothing_from_outside(role_map):
    text = Report(role_map).to_html()
    page = Page(text)
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "img"), tag
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")], attributes
        assert attributes.get("href", "#").startswith("#")
    policy = next(each["content"] for tag, each in page.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;") and "unsafe" not in policy
    style, script = (
        next(text for text in page.inside if start in text) for start in ("color-scheme", "JSON.parse(document")
    )
    assert not re.search(r"url\(|@import|@font-face", style)
    assert set(re.findall(r"https?://[^\"' ]*", text)) == {"http://www.w3.org/2000/svg"}, "a namespace, not a place"
    assert not re.search(r"fetch\(|XMLHttp|import\(|WebSocket|sendBeacon|\beval\b|new Function", script)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", script), "texts are no markup"


def test_every_asset_is_on_the_page():
    folder = resources.files("headroles.reports") / "page"
    assert {path.name for path in folder.iterdir()} == {f"{name}.js" for name in SCRIPTS} | {"page.html", "style.css"}


def test_hostile_texts_stay_texts(random_role_map):
    role_map = random_role_map(HOSTILE, name="<b>$title</b>")
    text = Report(role_map, commands=HOSTILE).to_html()
    assert text.lower().count("</script") == 2 and text.count("<script") == 2 and "<img" not in text
    page = Page(text)
    assert RoleMap.from_dict(page.data["role_map"]) == role_map and page.data["commands"] == list(HOSTILE)
    assert "<title>Head roles of &lt;b&gt;$title&lt;/b&gt;</title>" in text


def test_the_same_report_gives_the_same_bytes(role_map, tmp_path):
    first, second = tmp_path / "a.html", tmp_path / "b.htm"
    Report(role_map).save(first)
    Report(RoleMap.load(tmp_path / "role_map.json")).save(second)
    assert first.read_bytes() == second.read_bytes()


def test_a_large_map_fits_and_one_beyond_the_limit_is_refused(random_role_map, tmp_path):
    texts = tuple(f"a photo of quite a long probe text with number {number}" for number in range(60))
    large = random_role_map(texts, layers=tuple(range(24)), heads=16)
    assert len(Report(large).to_html().encode()) < LIMIT
    with pytest.raises(InputError, match="MB"):
        Report(large, commands=("x" * LIMIT,)).save(tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_mistakes_are_one_line_and_exit_2_and_leave_nothing(run, role_map, tmp_path):
    write_adapter(tmp_path / "foreign", model_hash="other")
    write_adapter(tmp_path / "torn")
    (tmp_path / "torn" / "metrics.json").write_text('{"history": [1]}')
    (tmp_path / "taken.html").write_text("mine")
    own = ("report", tmp_path / "role_map.json", "--images", "none")
    mistakes = {
        ("report", tmp_path / "none.json"): "no file",
        (*own, "--run", tmp_path / "none"): "is no adapter folder",
        (*own, "--run", tmp_path / "foreign"): "adapts other weights",
        (*own, "--run", tmp_path / "torn"): "copy the whole folder",
        (*own, "--output", tmp_path / "new" / "page.pdf"): "must end in .html",
        (*own, "--output", tmp_path / "taken.html"): "exists already",
    }
    for arguments, message in mistakes.items():
        code, _, errors = run(*arguments)
        assert code == 2 and message in errors and len(errors.strip().splitlines()) == 1, (arguments, errors)
    assert (tmp_path / "taken.html").read_text() == "mine"
    assert not (tmp_path / "new").exists() and not (tmp_path / "report.html").exists()
    code, _, _ = run(*own, "--output", tmp_path / "taken.html", "--overwrite")
    assert code == 0 and (tmp_path / "taken.html").read_text().startswith("<!doctype html>")


def test_looks_tell_every_concept_apart(role_map):
    looks = Report(role_map).to_dict()["looks"]["concepts"]
    fills = {(look["color"], look["hatch"]) for look in looks}
    assert len({look["code"] for look in looks}) == len(fills) == len(role_map.concepts) > 8


def test_broken_numbers_never_reach_the_page(role_map):
    head = dataclasses.replace(role_map.head_roles[0], entropy=float("nan"))
    with pytest.raises(ValueError):
        Report(dataclasses.replace(role_map, head_roles=(head, *role_map.head_roles[1:]))).to_html()

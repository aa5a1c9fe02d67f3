"""Domains: of folders, lists and built-in tasks; all but one to train on, one to test on."""

import shutil
from collections import Counter
from itertools import pairwise

import pytest
from PIL import Image

from headroles.adapt.data.domains import check_domains, keep_domain, leave_domain_out, name_domains
from headroles.adapt.data.tasks import open_task
from headroles.errors import InputError
from headroles.shapes.tasks import POOL, find_task

DOMAINS, CLASSES = ("art_painting", "photo", "Real World"), ("dog", "elephant")


def write_domains(root, counts=(5, 5, 5), classes=CLASSES):
    """Folders DOMAIN/CLASS/ as PACS and OfficeHome have them; every picture is another one."""
    for number, (domain, count) in enumerate(zip(DOMAINS, counts, strict=True)):
        for label, name in enumerate(classes):
            for index in range(count):
                path = root / domain / name / f"pic_{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (5, 4), (40 * number, 40 * label, 10 * index)).save(path)
    return root


@pytest.fixture
def folder(tmp_path):
    return write_domains(tmp_path / "PACS")


def everything(task):
    return (*task.train, *task.val, *task.test)


def test_domain_folders_are_read_by_name_and_by_the_name_alone_again(folder):
    task = open_task(str(folder), domains=True)
    assert task.classes == CLASSES and name_domains(task) == check_domains(task) == tuple(sorted(DOMAINS))
    assert Counter(e.domain for e in everything(task)) == dict.fromkeys(DOMAINS, 10)
    assert all(e.key.startswith(f"{e.domain}/{CLASSES[e.label]}/") for e in everything(task))
    assert task.name == f"{folder}?domains=folders" and open_task(task.name) == task
    assert open_task(str(folder)).classes == tuple(sorted(DOMAINS)), "unasked, folders are classes"


def test_a_domain_may_bring_its_splits(folder):
    for domain in DOMAINS:
        for label, name in enumerate(CLASSES):
            for part in ("train", "test"):
                path = folder.parent / "split" / domain / part / name / "0.png"
                path.parent.mkdir(parents=True)
                Image.new("RGB", (5, 4), (label, 0, 0)).save(path)
    task = open_task(str(folder.parent / "split"), domains=True)
    for split in (task.train, task.test):
        assert Counter((e.domain, e.label) for e in split) == {(domain, n): 1 for domain in DOMAINS for n in (0, 1)}
    assert keep_domain(task, "photo").test == tuple(e for e in task.test if e.domain == "photo")


def test_one_left_out_is_never_trained_and_wholly_tested(folder):
    task = open_task(str(folder), domains=True)
    for domain in DOMAINS:
        few = leave_domain_out(task.few_shot(2, 1, each_domain=True), domain)
        assert Counter((e.domain, e.label) for e in few.train) == {
            (other, label): 2 for other in DOMAINS if other != domain for label in (0, 1)
        }
        tested = keep_domain(task, domain)
        assert len(tested.test) == 10 and {e.domain for e in tested.test} == {domain}
        assert not {e.key for e in few.train} & {e.key for e in tested.test}


def test_shots_of_other_domains_stay_whichever_is_left_out(folder):
    few = open_task(str(folder), domains=True).few_shot(2, 3, each_domain=True)
    first, second = (
        {e.key for e in leave_domain_out(few, domain).train if e.domain == "photo"} for domain in DOMAINS[::2]
    )
    assert first == second and len(first) == 4


def test_too_few_images_of_a_class_in_a_domain_are_all_used_and_said(tmp_path):
    task = open_task(str(write_domains(tmp_path, (9, 9, 3))), domains=True)
    few = task.few_shot(4, 1, each_domain=True)
    assert any("4 a class and domain were asked for; class 'dog' in Real World has " in note for note in few.notes)
    counts = Counter((e.domain, e.label) for e in few.train)
    assert counts["photo", 0] == 4 and 0 < counts["Real World", 0] < 4


def test_a_list_names_its_column_of_domains(folder):
    lines = [f"PACS/{d}/{c}/pic_{n}.png,{c},{d}" for d in DOMAINS for c in CLASSES for n in range(5)]
    (folder.parent / "list.csv").write_text("\n".join(["path,label,style", *lines]))
    task = open_task(f"{folder.parent}/list.csv?domains=style")
    assert name_domains(task) == tuple(sorted(DOMAINS)) and task.notes == ()
    assert open_task(task.name) == task
    with pytest.raises(InputError, match=r"domains: .*list.csv has no column 'kind'; its columns: path, label, style"):
        open_task(f"{folder.parent}/list.csv?domains=kind")


def test_a_built_in_task_is_its_shifts_too_and_no_scene_of_training_is_tested():
    task, shifts = open_task("shapes:pastel", domains=True), find_task("pastel").shifts
    assert task.name == "shapes:pastel?domains=shifts" and open_task(task.name) == task
    assert set(name_domains(task)) == {"plain", *shifts}
    for split, count in POOL.items():
        assert Counter(e.domain for e in getattr(task, split)) == dict.fromkeys(("plain", *shifts), 16 * count)
    assert keep_domain(task, "blur").test == open_task("shapes:pastel@blur").test
    assert {e.domain for e in open_task("shapes:pastel@blur").train} == {"blur"}


def test_what_cannot_be_left_out_is_one_line(tmp_path, folder):
    one, other = tmp_path / "one", write_domains(tmp_path / "other", classes=("cat", "dog"))
    shutil.copytree(folder / "photo", one / "photo")
    shutil.rmtree(other / "photo" / "cat")
    for place, expected in (
        (one, "one.* has one domain, 'photo'; to leave one out it needs two or more: expected PATH/DOMAIN/CLASS"),
        (other, "domain 'photo' of .* has no class 'cat', which 'Real World' has; all domains need the same classes"),
        (folder / "photo", "photo/dog holds images and no class folders, so it is no domain; expected .*/DOMAIN/CLASS"),
    ):
        with pytest.raises(InputError, match=expected):
            check_domains(open_task(str(place), domains=True))
    for spec, expected in (
        (f"{folder}?domains=style", "domains: .* has no list of its images with a column 'style'"),
        ("shapes:tiny?domains=folders", "domains: .* is a built-in task, whose domains are shifts, got 'folders'"),
    ):
        with pytest.raises(InputError, match=expected):
            open_task(spec)
    with pytest.raises(InputError, match="has no domains; to leave one out"):
        check_domains(open_task(str(folder)))
    with pytest.raises(InputError, match=r"has no domain 'clipart', which was left out of the training; its domains: "):
        keep_domain(open_task(str(other), domains=True), "clipart")


def test_folders_that_look_like_domains_are_said(folder, tmp_path):
    (note,) = open_task(str(folder)).notes
    assert note.endswith("the same folders (dog, elephant); if these are the classes, say --domains folders")
    (tmp_path / "PACS" / "photo" / "dog").rename(tmp_path / "PACS" / "photo" / "cat")
    assert open_task(str(folder)).notes == ()


def test_shots_of_one_seed_do_not_nest():
    """As CoOp's loaders draw them: the images of 1 shot are not among those of 2, and so on."""
    task = open_task("shapes:tiny")
    drawn = [{e.key for e in task.few_shot(shots, 1).train} for shots in (1, 2, 4)]
    assert any(not less <= more for less, more in pairwise(drawn))

"""Lists of verified models: what is read exactly is recorded, `headroles models` shows it, nothing else is replaced."""

import dataclasses
from itertools import pairwise

import pytest

from headroles import InputError, VerifiedModels, load, record, verified_models
from headroles.diagnosis import doctor
from headroles.models.known_models import BUNDLED
from headroles.models.verified import SHIPPED


@pytest.fixture(scope="module")
def diagnosis(clip_folder):
    return doctor.doctor(clip_folder, batch=1)


@pytest.fixture
def own(monkeypatch, tmp_path):
    """Where the user's own list will be."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path / "headroles" / "verified.json"


def test_a_record_says_what_was_read_with_what_and_how_exactly(diagnosis, own):
    assert record(diagnosis) == own
    (entry,) = VerifiedModels.load(own).models
    assert (entry.model, entry.weights_hash, entry.family) == (diagnosis.model, diagnosis.weights_hash, "clip")
    assert set(entry.exactness) == {f"{side} {dtype}" for side in ("image", "text") for dtype in ("float32", "float64")}
    assert 0 < entry.exactness["image float32"] <= 1e-5 and entry.versions.keys() >= {"headroles", "transformers"}
    record(diagnosis)
    record(dataclasses.replace(diagnosis, model="other"))
    assert [each.model for each in VerifiedModels.load(own).models] == [diagnosis.model, "other"]
    assert verified_models().find("other").weights_hash == diagnosis.weights_hash
    assert len(verified_models().to_frame()) == 4


def test_models_shows_what_is_verified(diagnosis, own, run):
    record(dataclasses.replace(diagnosis, model="openai/clip-vit-base-patch32"))
    record(diagnosis)
    code, text, _ = run("models")
    lines = text.splitlines()
    assert code == 0 and lines[-1].startswith(f"{diagnosis.model}: clip; verified 20")
    assert max(map(len, lines)) <= 100
    # What is indented belongs to the name above it.
    below = [(above, line) for above, line in pairwise(lines[:-1]) if line.startswith("  ")]
    marked = {above.split()[0] for above, line in below if "verified 20" in line}
    assert marked == {"shapes", "shapes-natural", "ViT-B/32", "ViT-B-32:openai"}


def test_what_ships_is_the_bundled_models_as_they_are():
    found = {entry.model: entry.weights_hash for entry in VerifiedModels.load(SHIPPED).models}
    assert found == {name: load(name, "cpu").weights_hash() for name in BUNDLED}


def test_nothing_wrong_is_recorded_and_no_other_file_replaced(diagnosis, own, tmp_path):
    broken = dataclasses.replace(diagnosis.exactness[0], error=0.1)
    with pytest.raises(InputError, match=r"record: .* is not read exactly .*error 1.0e-01"):
        record(dataclasses.replace(diagnosis, exactness=(broken, *diagnosis.exactness[1:])))
    assert not own.exists()
    other = tmp_path / "notes.json"
    other.write_text("{}")
    with pytest.raises(InputError, match="is no list of verified models"):
        record(diagnosis, other)
    assert other.read_text() == "{}"
    with pytest.raises(InputError, match=r"expected a file that ends in \.json"):
        record(diagnosis, tmp_path)


def test_the_command_records(run, own, monkeypatch, diagnosis):
    monkeypatch.setattr(doctor, "doctor", lambda *_, **__: diagnosis)
    code, _, errors = run("doctor", diagnosis.model, "--record")
    assert code == 0 and errors == f"recorded in {own}\n"
    code, _, errors = run("doctor", diagnosis.model, "--record", own.parent / "mine.json")
    assert code == 0 and len(VerifiedModels.load(own.parent / "mine.json").models) == 1

"""An index holds what heads write, however wide."""

import json


def test_heads_of_a_pooling_tower_are_indexed(make_siglip, tokenizer, color_folder, run, tmp_path):
    make_siglip().save_pretrained(tmp_path / "siglip")
    tokenizer.save_pretrained(tmp_path / "siglip")
    names = [path for value in ("red", "green") for path in sorted((color_folder / "train" / value).iterdir())]
    rows = [f"{path},{path.parent.name},{number % 2}" for number, path in enumerate(names)]
    (tmp_path / "labels.csv").write_text("\n".join(["path,color,parity", *rows]) + "\n")
    scoring = ("--by", "images", "--images", tmp_path / "labels.csv", "--layers", "1-2", "--output", tmp_path / "map")
    code, _, errors = run("score", "--model", tmp_path / "siglip", *scoring)
    assert code == 0, errors
    search = ("--heads", "L1.H0", "--images", color_folder / "train", "--query", names[0], "--json")
    code, text, errors = run("retrieve", tmp_path / "map" / "role_map.json", *search)
    assert code == 0 and "red" in json.dumps(json.loads(text)), errors

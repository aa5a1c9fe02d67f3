"""`headroles task-heads`: one line for what does not fit, before any work."""


def test_wrong_options_are_one_line(run, tmp_path):
    taken = tmp_path / "taken.json"
    taken.write_text("mine")
    for options, expected in (
        (["--learn", "dear"], "learn: expected some of ltv, head-purification, talo, got 'dear'"),
        (["--images", "3"], "images must be at least 10, got 3"),
        (["--output", "found.txt"], "output: must end in .json or .csv or .tex, got found.txt"),
        (["--output", taken], "exists already"),
        (["--figure", "found.txt"], "found.txt"),
    ):
        code, out, error = run("task-heads", "shapes:tiny", *options)
        assert code == 2 and not out and expected in error and error.count("\n") == 1, error
    assert taken.read_text() == "mine"

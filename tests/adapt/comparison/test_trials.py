"""Trials: the caption says what was chosen, apart from what was set for all, and which trials were as good."""

from headroles.adapt.comparison.trials import Trial, say_tuned


def test_the_caption_tells_chosen_settings_from_given_ones_and_names_ties_and_ends():
    def tried(method, number, accuracy, chosen=False, **settings):
        return Trial(method, number, {"epochs": 5, **settings}, "task", accuracy, chosen)

    (line,) = say_tuned(
        [
            *(tried("coop", 1, 0.5), tried("coop", 2, 0.75, True, lr=0.02), tried("coop", 3, 0.25, lr=2.0)),
            *(tried("talo", 1, 0.5, True), tried("talo", 2, 0.5, units="heads"), tried("talo", 3, None, units="all")),
        ]
    )
    assert line.startswith("tuned: 3 trials a method on validation images of 1 task, with a seed that is not reported")
    assert line.endswith("; chosen: coop lr=0.02; talo unchanged (1 of the others as good)")
    (line,) = say_tuned([tried("coop", 1, 0.5), tried("coop", 2, 0.75, True, lr=0.02)])
    assert line.endswith("; chosen: coop lr=0.02* (*: the highest that was tried, so more may be better)")
    assert say_tuned([]) == []

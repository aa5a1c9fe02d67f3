"""Lanes: every cell once, a task and seed by one process while there are others, and nobody idle before the end."""

import pytest

from headroles.adapt.comparison.crew import Lanes
from headroles.adapt.comparison.entries import read_entries
from headroles.adapt.comparison.grid import Grid

METHODS = ("zero-shot", "tip-adapter", "coop", "dear", "mmrl", "ltv")


def deal(cells, count):
    """(process, cell) in the order in which they are taken, the processes one after another."""
    lanes, taken, left = Lanes(cells, count), [], True
    while left:
        found = [(lane, lanes.take(lane)) for lane in range(count)]
        left = any(cell is not None for _, cell in found)
        taken += [(lane, cell) for lane, cell in found if cell is not None]
    return taken


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_every_cell_is_taken_once_and_the_processes_get_as_much(count):
    cells = Grid("shapes", read_entries(METHODS), ("shapes:tiny", "shapes:lamp"), (1, 2, 3)).cells
    taken = deal(cells, count)
    assert sorted(str(cell) for _, cell in taken) == sorted(map(str, cells))
    shares = [sum(lane == number for lane, _ in taken) for number in range(count)]
    assert max(shares) - min(shares) <= 1


def test_a_task_and_seed_is_of_one_process_while_there_are_enough():
    cells = Grid("shapes", read_entries(METHODS), ("shapes:tiny", "shapes:lamp"), (1, 2)).cells
    for block in {(cell.task, cell.seed) for cell in cells}:
        assert len({lane for lane, cell in deal(cells, 2) if (cell.task, cell.seed) == block}) == 1


def test_one_block_is_shared_out_and_what_is_put_back_comes_last():
    cells = Grid("shapes", read_entries(METHODS), ("shapes:tiny",), (1,)).cells
    lanes = Lanes(cells, 2)
    first, other = lanes.take(0), lanes.take(1)
    assert (first, other) == (cells[0], cells[3]), "half of what is left"
    lanes.put_back(0, first)
    assert [lanes.take(0) for _ in range(3)] == [cells[1], cells[2], first]
    assert [lanes.take(1) for _ in range(2)] == [cells[4], cells[5]]
    assert lanes.take(0) is None is lanes.take(1)

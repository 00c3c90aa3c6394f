"""How much there is to read: what is counted, and what lies before the answers of questions."""

import json

import pytest

import questions
import reading
import toc

PAGES = sorted(path.stem for path in reading.BOOK.iterdir() if path.suffix in (".ipynb", ".md"))


def notebook(folder, *cells):
    path = folder / "page.ipynb"
    cells = [
        {"cell_type": kind, "source": source, "metadata": {"tags": tags}}
        for kind, source, tags in cells
    ]
    path.write_text(json.dumps({"cells": cells}))
    return path


def test_prose_counts_without_formulas_code_and_addresses():
    assert reading.words("The *rate* falls.") == 3
    assert reading.words("See [the page](page.ipynb#place) {cite:p}`smith2017`.") == 4
    assert reading.words("It is $\\eta_0 / 2$ then") == 4  # the formula is read as a word
    assert reading.words("Before\n\n```python\na = 1\nb = 2\n```\n\nafter") == 2
    assert reading.words("::::{grid} 1 2\n:::{card} Learn\n:link: why\nOne topic.\n:::\n::::") == 2
    assert reading.words("```{glossary}\nstep\n  One update.\n```") == 3


def test_code_counts_where_it_is_shown(tmp_path):
    page = notebook(
        tmp_path,
        ("markdown", "# Two words\n\nand three more", []),
        ("code", "import torch\n\nx = torch.ones(2)\nprint(x)", []),
        ("code", "y = 1", ["hide-input"]),
        ("code", "z = 1", ["remove-cell"]),
        ("code", "\n".join(f"a{k} = {k}" for k in range(21)), []),
    )
    counts = reading.count(page)
    assert counts.words == 5
    assert counts.lines == 24
    assert counts.plumbing == 2
    assert counts.cells == 2
    assert counts.long_cells == 1


def test_code_in_markdown_counts(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# Recipes\n\n```python\nimport torch\nx = 1\n```\n\nLast words.\n")
    counts = reading.count(page)
    assert (counts.words, counts.lines, counts.plumbing) == (3, 2, 1)


def test_pages_keep_to_their_measure():
    """Learn and On trial together are a book of some 16,000 words; code is what is copied."""
    total = reading.Counts()
    for name in PAGES:
        if name.startswith(("learn_", "trial_")):
            counts = reading.count(questions.page(name))
            assert counts.words <= (1_500 if name.startswith("learn_") else 1_000), name
            assert counts.lines <= 80, name
            assert counts.long_cells == 0, name
            total = total.plus(counts)
    assert total.words <= 16_000
    assert total.lines <= 1_800
    assert total.plumbing < total.lines / 5


def test_the_guide_is_short():
    assert reading.count(questions.page("which_schedule")).words <= 500


@pytest.mark.parametrize("question", questions.QUESTIONS, ids=lambda question: question.text)
def test_answers_are_near_the_front_page(question):
    read = questions.cost(question)
    assert read.words <= 400
    assert read.lines <= 30


def test_lists_are_read_up_to_what_is_chosen():
    first, second = toc.names()[1:3]
    title = questions.title(second)
    by_side = questions.Question("?", (f"side:{second}",), title)
    listed = reading.words(questions.title(first)) + reading.words(title)
    assert questions.cost(by_side).words == listed + reading.words(title)
    above, chosen = questions.headings(second)[:2]
    by_section = questions.Question("?", (f"side:{second}", f"section:{chosen}"), chosen)
    among = reading.words(above) + reading.words(chosen)
    assert questions.cost(by_section).words == listed + among + reading.words(chosen)


def test_what_is_not_there_is_not_found():
    lost = questions.Question("?", ("which_schedule",), "no such words at all")
    with pytest.raises(LookupError, match="which_schedule has no"):
        questions.cost(lost)
    with pytest.raises(LookupError, match="index has no"):
        questions.cost(lost._replace(path=("learn_groups",)))

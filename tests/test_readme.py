"""The README's examples run, one after another, and what it links to is there."""

import doctest
import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


class Block(NamedTuple):
    language: str
    line: int
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a Markdown text, with the line their content begins at."""
    found, language, begin, content = [], None, 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.match(r"```(\w*)", line)
        if language is None and fence:
            language, begin, content = fence[1], number + 1, []
        elif language is not None and line.rstrip() == "```":
            found.append(Block(language, begin, "\n".join(content) + "\n"))
            language = None
        elif language is not None:
            content.append(line)
    if language is not None:
        raise ValueError(f"the block from line {begin} is never closed")
    return found


def run(text: str, name: str = "README.md") -> int:
    """Execute every Python and console block in one namespace; how many there were."""
    namespace: dict = {"__name__": "__main__"}
    count = 0
    for block in blocks(text):
        if block.language in ("pycon", "python") and block.text.lstrip().startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(
                block.text, namespace, name, name, block.line - 1
            )
            output: list[str] = []
            runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
            failed, _ = runner.run(test, out=output.append, clear_globs=False)
            if failed:
                raise AssertionError("".join(output))
            namespace |= test.globs
        elif block.language in ("py", "python"):
            # so that a traceback shows the line of the file
            exec(compile("\n" * (block.line - 1) + block.text, name, "exec"), namespace)
        else:
            continue
        count += 1
    return count


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_example_of_the_readme_runs():
    assert run(README.read_text()) > 0


def test_the_readme_opens_with_a_short_example_of_all_three_uses():
    first = next(block for block in blocks(README.read_text()) if block.language == "python")
    assert all(name in first.text for name in ("ag.grad", "nn.fit", "ag.render"))
    assert len([line for line in first.text.splitlines() if line.strip()]) <= 15
    run(f"```python\n{first.text}```\n")
    drawn = [path.name for path in Path.cwd().iterdir()]
    assert drawn and all(re.search(re.escape(name), first.text) for name in drawn)


def test_what_the_readme_links_to_exists():
    targets = re.findall(r"\]\(([^)\s]+)\)", README.read_text())
    local = [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]
    assert [target for target in local if not (ROOT / target).exists()] == []


# The runner itself. ------------------------------------------------------------------------------


def test_blocks_share_a_namespace():
    assert run("```python\nx = 2\n```\ntext\n```python\nassert x == 2\n```\n") == 2


def test_console_blocks_are_compared_with_what_they_print():
    assert run("```python\nx = 2\n```\n```pycon\n>>> x + 1\n3\n>>> y = 5\n```\n"
               "```python\nassert y == 5\n```\n") == 3
    with pytest.raises(AssertionError, match="Expected:"):
        run("```pycon\n>>> 1 + 1\n3\n```\n")
    with pytest.raises(AssertionError, match="Expected:"):
        run("```python\n>>> 1 + 1\n3\n```\n")


def test_a_failing_block_fails_at_its_line():
    with pytest.raises(ZeroDivisionError) as caught:
        run("text\n\n```python\nx = 0\n1 / x\n```\n")
    assert caught.traceback[-1].lineno + 1 == 5
    assert str(caught.traceback[-1].path).endswith("README.md")


def test_other_languages_are_not_run():
    assert run("```\nmake demo\n```\n```sh\nrm -rf x\n```\n") == 0


def test_an_open_block_is_an_error():
    with pytest.raises(ValueError, match="line 3 is never closed"):
        run("a\n```python\nx = 1\n")

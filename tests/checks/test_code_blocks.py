"""The runner of code blocks finds what is wrong, so that a page that passes is right."""

import os
from pathlib import Path

import pytest
from code_blocks import BlockFailed, parse_blocks, run_page

GOOD_PAGES = {
    "python": "```python\nassert 1 + 1 == 2\n```",
    "a program that a console block runs": '```python title="a.py"\nprint(1)\n```\n```console\n$ python a.py\n1\n```',
    "a program that something else runs": (
        '```python title="a.py"\napp = 1\n```\n```console\n$ python -c "import a" # as uvicorn a:app does\n```'
    ),
    "a program that stays": (
        '```python title="a.py"\nimport time\nprint("ready", flush=True)\ntime.sleep(99)\n```\n'
        "```console\n$ python a.py &\nready\n$ echo on\non\n```"
    ),
    "output with gaps": "```console\n$ printf 'a 12 b\\nc\\nd\\ne\\n'\na … b\n…\ne\n```",
    "a command over two lines": "```console\n$ echo a \\\n    b\na b\n```",
    "output that is not shown": "```console\n$ echo a\n```",
    "a failure that is announced": "```console status=2\n$ true\n$ echo oh; exit 2\noh\n```",
    "a make target": "```console\n$ make test\n```",
    "json": '```json\n{"a": 1}\n```',
    "toml": '```toml\na = "b"\n```',
    "a file in two parts": (
        '```json title="a"\n[1]\n```\n```json title="a" append\n[2]\n```\n```console\n$ cat a\n[1]\n[2]\n```'
    ),
    "a block in a list": "- so:\n  ```python\n  assert True\n  ```\n",
    "text": "```text\nno program\n```",
    "ports that other programs hold here": (
        "```console\n$ printf 'port = %d\\n' $((4040 * 2)) >a.toml\n$ cat a.toml\nport = 8080\n```\n"
        "```python\nassert 8080 != 4040 * 2\n```"
    ),
}

BAD_PAGES = {
    "python that raises": ("```python\nassert False\n```", "AssertionError"),
    "python that does not compile": ("```python\n(\n```", "SyntaxError"),
    "a program that nothing runs": ('```python title="a.py"\n```', "no console block runs a.py"),
    "other output": ("```console\n$ echo a\nb\n```", "instead of"),
    "more output": ("```console\n$ printf 'a\\nb\\n'\na\n```", "instead of"),
    "less output": ("```console\n$ echo a\na\nb\n```", "instead of"),
    "a failure that is not announced": ("```console\n$ false\n```", "exit status 1"),
    "a failure before the last command": ("```console status=1\n$ false\n$ false\n```", "exit status 1 instead of 0"),
    "an announced failure that does not come": ("```console status=1\n$ true\n```", "exit status 0"),
    "an unknown make target": ("```console\n$ make no-such-target\n```", "no-such-target"),
    "a console block without a command": ("```console\nmake test\n```", r"\$ command"),
    "a program that dies at once": ("```console\n$ echo oh &\nready\n```", "oh"),
    "a program that never says it is ready": ("```console\n$ sleep 99 &\n```", "when it is ready"),
    "broken json": ("```json\n{\n```", "line 1"),
    "broken toml": ("```toml\na\n```", "line 1"),
    "a setting that cannot work": ('```toml title="nameplate.toml"\nissuer = 1\n```', "line 1: issuer"),
    "an unknown language": ("text\n\n```sh\nls\n```", "line 3: a block in sh"),
    "no language": ("```\nls\n```", "no language"),
    "an unknown option": ("```json titel=a\n1\n```", "titel"),
    "a block without an end": ("```python\n", "does not end"),
}


@pytest.mark.parametrize("page", GOOD_PAGES.values(), ids=GOOD_PAGES)
def test_a_page_that_is_right_passes(page: str, tmp_path: Path) -> None:
    run_page(page, tmp_path)


@pytest.mark.parametrize(("page", "problem"), BAD_PAGES.values(), ids=BAD_PAGES)
def test_a_page_that_is_wrong_fails(page: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(BlockFailed, match=problem):
        run_page(page, tmp_path)


def test_a_program_in_the_background_is_stopped_when_a_later_block_fails(tmp_path: Path) -> None:
    page = "```console\n$ bash -c 'echo $$ >pid; echo ready; exec sleep 99' &\nready\n$ false\n```"
    with pytest.raises(BlockFailed, match="exit status 1"):
        run_page(page, tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_longer_fence_holds_a_shorter_one() -> None:
    (block,) = parse_blocks("````text\n```python\n```\n````\n")
    assert block.text == "```python\n```\n"

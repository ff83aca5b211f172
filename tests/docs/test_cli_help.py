"""Every command's help starts with a verb, shows an example that it understands, and explains each option."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from gridopt.cli.main import COMMANDS, main

VERBS = {
    "Check",
    "Explain",
    "Find",
    "Follow",
    "Forecast",
    "Let",
    "List",
    "Live",
    "Make",
    "Plan",
    "Print",
    "Read",
    "Send",
    "Serve",
    "Show",
    "Sign",
    "Stop",
    "Take",
    "Tell",
    "Write",
}
"""A new command adds its verb here, and nothing that is none."""


Path = tuple[str, ...]


def walk(command: click.Command, context: click.Context, path: Path) -> Iterator[tuple[Path, click.Command]]:
    """Every command of the tree with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, name
            yield from walk(found, click.Context(found, context, name), (*path, name))


TREE = list(walk(main, click.Context(main, info_name="gridopt"), ("gridopt",)))
IDS = [" ".join(path) for path, _ in TREE]


def help_of(path: Path) -> str:
    result = CliRunner().invoke(main, [*path[1:], "--help"], prog_name="gridopt")
    assert result.exit_code == 0, result.output
    return result.stdout


def example_lines(text: str) -> list[str]:
    """Lines under ``Example:`` up to the next blank line."""
    _, found, rest = text.partition("Example:\n")
    assert found, text
    return [line.strip() for line in rest.split("\n\n")[0].splitlines()]


def test_the_tree_is_all_there() -> None:
    assert {path[1] for path, _ in TREE if len(path) > 1} == set(COMMANDS)


@pytest.mark.parametrize(("path", "command"), TREE, ids=IDS)
def test_help_starts_with_a_verb(path: Path, command: click.Command) -> None:
    assert command.help is not None
    first = command.help.strip().splitlines()[0]
    assert first.split()[0] in VERBS
    assert first.endswith(".")
    if len(path) > 1:
        assert len(first) <= 45, "the list of commands would cut it"
    assert first in " ".join(help_of(path).split())


@pytest.mark.parametrize(("path", "command"), TREE, ids=IDS)
def test_help_shows_an_example_that_the_command_understands(path: Path, command: click.Command) -> None:
    lines = example_lines(help_of(path))
    assert lines
    for line in lines:
        words = shlex.split(line.split(">")[0])
        assert tuple(words[: len(path)]) == path
        if not isinstance(command, click.Group):
            context = click.Context(command, info_name=path[-1])
            values, left, _ = command.make_parser(context).parse_args(words[len(path) :])
            assert left == []
            given = {p.name for p in command.params if isinstance(p, click.Argument) and values.get(p.name)}
            assert given >= {p.name for p in command.params if p.required and isinstance(p, click.Argument)}


@pytest.mark.parametrize(("path", "command"), TREE, ids=IDS)
def test_every_option_is_explained(path: Path, command: click.Command) -> None:
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{' '.join(path)} {option.opts[-1]}"
            assert option.help.endswith(".")


def test_the_list_of_commands_is_not_cut() -> None:
    listed = help_of(("gridopt",)).split("Commands:\n")[1]
    assert "..." not in listed
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)

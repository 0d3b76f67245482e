"""Shell completion: a script for bash, or for zsh through its bash mode. Pure."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

_FRAME = """# sagastream completion: eval "$(sagastream completion SHELL)"
{zsh}_sagastream() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" path="" word words
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in
{paths}
    esac
  done
  case "$path" in
{offers}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _sagastream sagastream
"""
SHELLS = ("bash", "zsh")


def completion(root: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion script for a parser: commands, verbs, options, choices."""
    found = list(_commands(root, ()))
    paths = [f'      "{_key(path[:-1])} {path[-1]}") path="{_key(path)}" ;;' for path, _ in found if path]
    offers = [f'    "{_key(path)}") words="{" ".join(offered)}" ;;' for path, offered in found]
    zsh = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
    return _FRAME.format(zsh=zsh, paths="\n".join(paths), offers="\n".join(offers))


def _commands(parser: argparse.ArgumentParser, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield the path of each command and verb, with every word that may follow it."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    words = [name for action in below for name in action.choices]
    options = [text for action in parser._actions if action.help != argparse.SUPPRESS for text in action.option_strings]
    yield path, [*words, *_choices(parser), *options]
    for action in below:
        for name, child in action.choices.items():
            yield from _commands(child, (*path, name))


def _choices(parser: argparse.ArgumentParser) -> list[str]:
    """Return the allowed values of the arguments."""
    chosen = [action.choices for action in parser._actions if not isinstance(action, argparse._SubParsersAction)]
    return list(dict.fromkeys(str(word) for each in chosen if each for word in each))


def _key(path: Sequence[str]) -> str:
    return "".join(f"/{name}" for name in path)

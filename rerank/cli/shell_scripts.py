"""The completion scripts of the shells, made from a list of commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rerank.cli.completion import Argument, Command


def bash_script(commands: Sequence[Command]) -> str:
    """For bash 4 and later; a value of which nothing is known is completed as a file name.

    Parameters
    ----------
    commands : sequence of Command

    Returns
    -------
    str
    """
    values, options, words = [], [], []
    for command in commands:
        path = " ".join(command.path)
        flags = " ".join(name for a in command.arguments for name in a.names)
        options.append(f'        "{path}") _rerank_words "{flags}";;')
        for argument in command.arguments:
            if argument.names and argument.value.kind != "none":
                cases = "|".join(f'"{path} {name}"' for name in argument.names)
                values.append(f"        {cases}) {_bash_reply(argument)}; return;;")
        plain = [a for a in command.arguments if not a.names]
        if command.below:
            names = " ".join(name for name, _ in command.below)
            words.append(f'        "{path}") _rerank_words "{names}";;')
        elif plain:
            words.append(f'        "{path}") {_bash_reply(plain[0])};;')
        else:
            words.append(f'        "{path}") _rerank_words "{flags}";;')
    groups = "|".join(" ".join(c.path) for c in commands if c.below and c.path)
    return f"""\
# Completion of rerank for bash: eval "$(rerank completion bash)"
_rerank_words() {{
    compopt +o default
    COMPREPLY=($(compgen -W "$1" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
_rerank_folders() {{
    compopt +o default -o filenames
    COMPREPLY=($(compgen -d -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
_rerank() {{
    COMPREPLY=()
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" path="" word
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        case "$path" in
        "") [[ $word == -* ]] || path=$word;;
        {groups}) [[ $word == -* ]] || path="$path $word"; [[ $path == *" "* ]] && break;;
        *) break;;
        esac
    done
    case "$path $before" in
{chr(10).join(values)}
    esac
    if [[ $current == -* ]]; then
        case "$path" in
{chr(10).join(options)}
        esac
    else
        case "$path" in
{chr(10).join(words)}
        esac
    fi
}}
complete -o default -F _rerank rerank
"""


def _bash_reply(argument: Argument) -> str:
    value = argument.value
    if value.kind == "words":
        return f'_rerank_words "{" ".join(value.words)}"'
    return {"folder": "_rerank_folders", "file": ":", "text": '_rerank_words ""'}[value.kind]


def zsh_script(commands: Sequence[Command]) -> str:
    """For zsh, by its function `_arguments`.

    Parameters
    ----------
    commands : sequence of Command

    Returns
    -------
    str
    """
    functions = []
    for command in reversed(commands):
        lines = [_zsh_argument(argument) for argument in command.arguments if argument.names]
        plain = [argument for argument in command.arguments if not argument.names]
        name = _zsh_name(command)
        if not command.below:
            lines += [
                f"'{'*' if argument.many else index}:value:{_zsh_reply(argument)}'"
                for index, argument in enumerate(plain, 1)
            ]
            functions.append(_zsh_function(name, lines))
            continue
        lines += [f"'1:command:{name}_commands'", "'*::argument:->below'"]
        described = "\n".join(
            f"        {_quoted(f'{below}:{summary}')}" for below, summary in command.below
        )
        cases = "\n".join(f"        {below}) {name}_{below};;" for below, _ in command.below)
        functions.append(
            f"{name}_commands() {{\n    local -a found\n    found=(\n{described}\n    )\n"
            "    _describe command found\n}\n"
            + _zsh_function(name, lines, f"    case $line[1] in\n{cases}\n    esac\n")
        )
    return (
        '#compdef rerank\n# Completion of rerank for zsh: eval "$(rerank completion zsh)"\n'
        + "".join(functions)
        + "compdef _rerank rerank\n"
    )


def _zsh_function(name: str, lines: Sequence[str], below: str = "") -> str:
    arguments = " \\\n        ".join(lines)
    head = "    local line state context\n    typeset -A opt_args\n"
    return f"{name}() {{\n{head}    _arguments -C \\\n        {arguments}\n{below}}}\n"


def _zsh_name(command: Command) -> str:
    return "_".join(("_rerank", *command.path))


def _zsh_argument(argument: Argument) -> str:
    summary = argument.summary.translate({ord(c): f"\\{c}" for c in "[]:"})
    value = "" if argument.value.kind == "none" else f":value:{_zsh_reply(argument)}"
    star = "*" if argument.many else ""
    return " ".join(_quoted(f"{star}{name}[{summary}]{value}") for name in argument.names)


def _zsh_reply(argument: Argument) -> str:
    value = argument.value
    if value.kind == "words":
        return f"({' '.join(value.words)})"
    return {"folder": "_files -/", "file": "_files", "text": " "}[value.kind]


def fish_script(commands: Sequence[Command]) -> str:
    """For fish 3 and later.

    Parameters
    ----------
    commands : sequence of Command

    Returns
    -------
    str
    """
    lines = ["# Completion of rerank for fish: rerank completion fish | source"]
    for command in commands:
        condition = _fish_condition(command)
        for name, summary in command.below:
            lines.append(
                f"complete -c rerank -f -n {condition} -a {name} -d {_quoted(summary, fish=True)}"
            )
        for argument in command.arguments:
            flags = "".join(
                f" -l {name[2:]}" if name.startswith("--") else f" -s {name[1:]}"
                for name in argument.names
            )
            if not flags and command.below:
                continue
            about = f" -d {_quoted(argument.summary, fish=True)}" if flags else ""
            lines.append(f"complete -c rerank -n {condition}{flags}{_fish_reply(argument)}{about}")
    return "\n".join(lines) + "\n"


def _fish_condition(command: Command) -> str:
    if not command.path:
        return "__fish_use_subcommand"
    seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in command.path)
    if command.below:
        names = " ".join(name for name, _ in command.below)
        seen += f"; and not __fish_seen_subcommand_from {names}"
    return f'"{seen}"'


def _fish_reply(argument: Argument) -> str:
    value = argument.value
    if value.kind == "none":
        return ""
    needed = " -x" if argument.names else " -f"
    if value.kind == "words":
        return f'{needed} -a "{" ".join(value.words)}"'
    if value.kind == "folder":
        return f'{needed} -a "(__fish_complete_directories)"'
    if value.kind == "file":
        return " -r -F" if argument.names else " -F"
    return needed


def _quoted(text: str, fish: bool = False) -> str:
    """A word in single quotes for a shell."""
    text = " ".join(text.split())
    return "'" + text.replace("'", "\\'" if fish else "'\\''") + "'"

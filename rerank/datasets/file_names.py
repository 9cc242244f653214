"""Names of files as a user means them, whatever system they come from.

A name is its NFC form, so that "é" of a Mac (two characters) is "é" of everybody else (one). An
ending is the same in upper and lower case. Files that systems put beside others are not there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

from rerank.datasets.problems import file_error, unreadable_error

#: Endings of files that are taken for images.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
#: Folders that macOS, Windows and file servers put beside others.
STRAY_FOLDERS = frozenset(
    {"__MACOSX", "$RECYCLE.BIN", "System Volume Information", "@eaDir", "lost+found"}
)


def composed(text: str) -> str:
    """The NFC form of a text: letters and their accents as one character where there is one."""
    return unicodedata.normalize("NFC", text)


def name_of(path: Path) -> str:
    """The NFC form of a file's name without its ending.

    Examples
    --------
    >>> name_of(Path("images/e\\u0301t\\u00e9.PNG")) == "\\u00e9t\\u00e9"
    True
    """
    return composed(path.stem)


def files_in(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder with certain endings, in the order of their names.

    Hidden files, such as the `._*` of macOS, are left out, and what is no file, such as a pipe.
    A link to nothing is listed, so that it is missed where it is read.

    Parameters
    ----------
    folder : Path
    suffixes : sequence of str
        In lower case, with the point.

    Returns
    -------
    list of Path
        Empty where there is no such folder.

    Raises
    ------
    DataError
        If the folder may not be read, or a file's name is no text.
    """
    found = [
        path
        for path in _entries(folder)
        if path.suffix.lower() in suffixes and (path.is_file() or not path.exists())
    ]
    for path in found:
        if _is_no_text(path.name):
            raise file_error(
                str(path).encode("utf-8", "backslashreplace").decode(),
                "the file's name is not UTF-8",
                "rename it",
            )
    return found


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder that the user put there, in the order of their names.

    Raises
    ------
    DataError
        If the folder may not be read.
    """
    return [path for path in _entries(folder) if path.is_dir() and path.name not in STRAY_FOLDERS]


def without_suffix(name: str, known: Collection[str] = ()) -> str:
    """The name that a line of a list means: lists of other programs may have endings.

    Parameters
    ----------
    name : str
    known : collection of str
        Names of files without endings. A line that is one of them means it, so that the image
        `a.png.jpg` can be listed as `a.png`.

    Returns
    -------
    str

    Examples
    --------
    >>> without_suffix("a.JPG"), without_suffix("v1.2"), without_suffix("a.png", ["a.png"])
    ('a', 'v1.2', 'a.png')
    """
    path = Path(name)
    if name in known or path.suffix.lower() not in IMAGE_SUFFIXES or path.name != name:
        return name
    return path.stem


def lines_of(path: Path, what: str = "list") -> list[str]:
    """The lines of a text file that are not blank, as any editor or system may have written it.

    Lines end in LF, CR LF or CR; a byte order mark says whether the text is UTF-8 or UTF-16, and
    without one it is UTF-8. Blanks around a line are dropped, and the lines are in NFC form.

    Parameters
    ----------
    path : Path
    what : str
        What errors call it.

    Returns
    -------
    list of str

    Raises
    ------
    DataError
        If the file cannot be read, is larger than 64 MiB, or is no text.
    """
    remedy = f"write the {what} as UTF-8, one name a line"
    try:
        if path.exists() and not path.is_file():
            raise file_error(path, f"the {what} is not a file", remedy)
        if path.stat().st_size > _MOST_TEXT:
            raise file_error(path, f"the {what} is larger than {_MOST_TEXT >> 20} MiB", remedy)
        content = path.read_bytes()
    except OSError as error:
        problem = f"the {what} cannot be read as text"
        raise unreadable_error(path, what, error, remedy, problem) from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise file_error(path, f"the {what} cannot be read as text ({error})", remedy) from error
    if "\0" in text:
        raise file_error(path, f"the {what} cannot be read as text (it holds zeros)", remedy)
    # Not `splitlines`, which also splits at characters that a name may hold.
    return [line for raw in re.split("\r\n|\r|\n", text) if (line := composed(raw.strip()))]


def text_file(folder: Path, name: str) -> Path:
    """The file `NAME.txt` of a folder; that with an ending in upper case where only it is there.

    Parameters
    ----------
    folder : Path
    name : str
        Without the ending.

    Returns
    -------
    Path
        `NAME.txt`, whether or not it is there, where no other is.
    """
    usual = folder / f"{name}.txt"
    if usual.is_file():
        return usual
    return next((path for path in files_in(folder, (".txt",)) if name_of(path) == name), usual)


_MOST_TEXT = 64 << 20
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def _entries(folder: Path) -> list[Path]:
    try:
        if not folder.is_dir():
            return []
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise unreadable_error(folder, "folder", error, "give a folder of files") from error
    return sorted(found, key=lambda path: (composed(path.name), path.name))


def _is_no_text(name: str) -> bool:
    # Python stands for bytes that are no UTF-8 by these.
    return any("\ud800" <= character <= "\udfff" for character in name)

"""A process of its own that sets one document: a job as JSON comes in at stdin, a PDF goes out at stdout.

The typesetter keeps what it computed for as long as its process lives (some 90 MB for each 1,000 lines), so
each document gets a process. It imports nothing of ours: it is run as a file.
"""

import json
import re
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typst

TEMPLATE: Final = Path(__file__).with_name("statement.typ")
STANDARDS: "Final[list[typst.PDFStandard]]" = ["a-3a", "ua-1"]
FORBIDDEN: Final = frozenset({"Cc", "Co", "Cs", "Cn"})
"""What no font draws and PDF/A forbids: controls, private use, halves of pairs, what is no character."""
BYTE_ORDER_MARK: Final = "\ufeff"
NO_GLYPH: Final = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')


def pdf(template: bytes, data: Any, timestamp: int) -> bytes:
    """Set the document. What its fonts have no sign for is written as its number: `[U+65E5]`."""
    data = replaced(data, forbidden)
    try:
        return compiled(template, data, timestamp)
    except typst.TypstError as error:
        signs = {c for found in NO_GLYPH.findall(error.diagnostic) for c in unescaped(found)}
        if not signs:
            raise
    return compiled(template, replaced(data, signs.__contains__), timestamp)


def forbidden(sign: str) -> bool:
    """Whether PDF/A has no place for it, whatever the font. Lines may end."""
    return sign == BYTE_ORDER_MARK or (sign != "\n" and unicodedata.category(sign) in FORBIDDEN)


def compiled(template: bytes, data: Any, timestamp: int) -> bytes:
    """The document's bytes: with the fonts of the wheel only, so that they are the same on every machine."""
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
    compiler = typst.Compiler(template, font_paths=fonts, sys_inputs={"data": json.dumps(data)})
    made = compiler.compile(format="pdf", pdf_standards=STANDARDS, timestamp=timestamp)
    assert isinstance(made, bytes), "one PDF, not pages"
    return made


def replaced(data: Any, is_meant: Callable[[str], bool]) -> Any:
    """The data with each sign that is meant written as its number, in every text, however deep."""
    match data:
        case str():
            return "".join(f"[U+{ord(c):04X}]" if is_meant(c) else c for c in data)
        case list():
            return [replaced(item, is_meant) for item in data]
        case dict():
            return {key: replaced(value, is_meant) for key, value in data.items()}
        case _:
            return data


def unescaped(text: str) -> str:
    """The signs that an error names: Rust writes some as `\\u{7}`."""
    plain = re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), text)
    return re.sub(r"\\(.)", r"\1", plain)


if __name__ == "__main__":
    job = json.load(sys.stdin)
    sys.stdout.buffer.write(pdf(TEMPLATE.read_bytes(), job["data"], job["timestamp"]))

"""Finds a recogniser that can write the languages on screen, by the characters it knows.

RapidOCR's wheel carries one for Chinese, Japanese and the languages in Latin letters. For others, the user names a file
or folder of PaddleOCR's recognisers in ONNX, as RapidOCR publishes them, such as `cyrillic_PP-OCRv5_rec_mobile.onnx`.
What a recogniser knows is read from the file itself, never from its name. Nothing is downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from pixr.errors import MissingExtra, ModelError, ModelNotFound

__all__ = ["LETTERS", "find_recogniser", "of_the_wheel"]

_LATIN: Final = "abcdefghijklmnopqrstuvwxyz"
_CYRILLIC: Final = "абвгдежзиклмнопрстуфхцчш"

# What a recogniser must be able to write for a language: its letters, or common characters if it has thousands.
LETTERS: Final[dict[str, str]] = {
    "en": _LATIN,
    "id": _LATIN,
    "ms": _LATIN,
    "de": _LATIN + "äöüß",
    "fr": _LATIN + "àâçéèêëîïôùûüœ",
    "es": _LATIN + "áéíñóúü",
    "it": _LATIN + "àèéìòù",
    "pt": _LATIN + "ãáâàçéêíõóôú",
    "nl": _LATIN + "éëï",
    "pl": _LATIN + "ąćęłńóśźż",
    "cs": _LATIN + "áčďéěíňóřšťúůýž",
    "sk": _LATIN + "áäčďéíĺľňóôŕšťúýž",
    "sl": _LATIN + "čšž",
    "hr": _LATIN + "čćđšž",
    "hu": _LATIN + "áéíóöőúüű",
    "ro": _LATIN + "ăâîșț",
    "tr": _LATIN + "çğıöşü",
    "sv": _LATIN + "åäö",
    "da": _LATIN + "æøå",
    "no": _LATIN + "æøå",
    "fi": _LATIN + "äö",
    "et": _LATIN + "äõöü",
    "lv": _LATIN + "āčēģīķļņšūž",
    "lt": _LATIN + "ąčęėįšųūž",
    "vi": _LATIN + "ăâđêôơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ",
    "el": "αβγδεζηθικλμνξοπρστυφχψωςάέήίόύώ",
    "ru": _CYRILLIC + "ёйщъыьэюя",
    "uk": _CYRILLIC + "ґєіїйщьюя",
    "be": _CYRILLIC + "ёійўыьэюя",
    "bg": _CYRILLIC + "йщъьюя",
    "sr": _CYRILLIC + "ђјљњћџ",
    "zh": "的一是不了人我在有他这个们来国说时会",
    "zh-hant": "這個們來國說時會",
    "ja": "あいうえおかきくけこさしすせそたちつてとアイウエオカキクケコ日本語",
    "ko": "가나다라마바사아자차카타파하한국어",
    "th": "กขคงจฉชซญดตถทธนบปผพฟมยรลวศสหอะาิีุูเแโไ",
    "hi": "अआइईउऊएऐओऔकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसह",
    "ta": "அஆஇஈஉஊஎஏஐஒஓகஙசஞடணதநபமயரலவழளறன",
    "te": "అఆఇఈఉఊఎఏఐఒఓకఖగఘచఛజఝటఠడఢణతథదధనపఫబభమయరలవశషసహ",
    "kn": "ಅಆಇಈಉಊಎಏಐಒಓಕಖಗಘಚಛಜಝಟಠಡಢಣತಥದಧನಪಫಬಭಮಯರಲವಶಷಸಹ",
}


def find_recogniser(languages: Sequence[str], model: str | os.PathLike[str] | None) -> Path | None:
    """The recogniser that can write all the languages; None stands for the one in RapidOCR's wheel.

    Args:
        languages: two-letter codes (and "zh-hant"); if there are none, `model` alone decides.
        model: an ONNX file, or a folder of several. Unless it is a file, the wheel's own is tried first.

    Raises:
        ModelNotFound: there is nothing at `model`.
        ModelError: a language is not known here, or none of the recognisers can write them; the message says which
            letters each lacks.
        MissingExtra: rapidocr or onnxruntime is not installed.
    """
    wanted = [language.lower() for language in languages]
    if unknown := [language for language in wanted if language not in LETTERS]:
        raise ModelError(f"words on screen in {', '.join(unknown)} can't be asked for; known are {', '.join(LETTERS)}")
    given = _candidates(model)
    if not wanted:
        return given[0] if given else None
    letters = set("".join(LETTERS[language] for language in wanted))
    lacking: list[str] = []
    for path in ([] if model is not None and Path(model).is_file() else [of_the_wheel("rec")]) + given:
        if not (missing := letters - _characters(path)):
            return path
        shown = "".join(sorted(missing)[:8])
        lacking.append(f"{path.name} lacks {len(missing)} letters ({shown}{'…' if len(missing) > 8 else ''})")
    raise ModelError(
        f"no recogniser at hand can write {', '.join(wanted)}: {'; '.join(lacking)}. Name a file or folder of "
        "PaddleOCR's recognisers in ONNX: RapidOCR publishes them for cyrillic, korean, th, devanagari, ta, te, ka, el"
    )


def of_the_wheel(kind: Literal["det", "rec"]) -> Path:
    """The detector or the recogniser in RapidOCR's wheel.

    Raises:
        MissingExtra: rapidocr is not installed.
        ModelNotFound: it carries none.
    """
    try:
        import rapidocr
    except ImportError as error:
        raise MissingExtra("rapidocr", "screen", error) from error
    folder = Path(rapidocr.__file__).parent / "models"
    found = sorted(folder.glob(f"*_{kind}_*.onnx"))
    if not found:
        raise ModelNotFound(f"rapidocr carries no model of {kind!r}: there is none in {folder}")
    return found[0]


def _candidates(model: str | os.PathLike[str] | None) -> list[Path]:
    if model is None:
        return []
    path = Path(model)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ModelNotFound(f"there is no recogniser of words on screen at {path}")
    found = sorted(path.glob("*rec*.onnx")) or sorted(path.glob("*.onnx"))
    if not found:
        raise ModelNotFound(f"{path} has no ONNX file; a PaddleOCR recogniser was looked for (*rec*.onnx)")
    return found


def _characters(path: Path) -> set[str]:
    """The characters that a recogniser can write, by its own metadata."""
    from pixr.encoders.onnx import CPU_PROVIDER, import_onnxruntime

    onnxruntime = import_onnxruntime()
    try:
        session = onnxruntime.InferenceSession(str(path), providers=[CPU_PROVIDER])
    except Exception as error:
        raise ModelError(f"{path} can't be loaded: {error}") from error
    known = session.get_modelmeta().custom_metadata_map.get("character")
    if known is None:
        raise ModelError(f"{path} is no PaddleOCR recogniser: it doesn't say which characters it knows")
    return set(known.split("\n"))

"""The languages that files name in three letters, by the codes that the speech models use."""

from __future__ import annotations

__all__ = ["language_code"]

# ISO 639-2 to Whisper's codes, which are ISO 639-1 but for "jw". Some languages have two codes of three letters.
_PAIRS = """
afr:af alb:sq amh:am ara:ar arm:hy asm:as aze:az bak:ba baq:eu bel:be ben:bn bod:bo bos:bs bre:br bul:bg bur:my
cat:ca ces:cs chi:zh cmn:zh cym:cy cze:cs dan:da deu:de dut:nl ell:el eng:en est:et eus:eu fao:fo fas:fa fil:tl
fin:fi fra:fr fre:fr geo:ka ger:de glg:gl gre:el guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu hye:hy ice:is
ind:id isl:is ita:it jav:jw jpn:ja kan:kn kat:ka kaz:kk khm:km kor:ko lao:lo lat:la lav:lv lin:ln lit:lt ltz:lb
mac:mk mal:ml mao:mi mar:mr may:ms mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nep:ne nld:nl nno:nn nob:no
nor:no oci:oc pan:pa per:fa pol:pl por:pt pus:ps ron:ro rum:ro rus:ru san:sa sin:si slk:sk slo:sk slv:sl sna:sn
snd:sd som:so spa:es sqi:sq srp:sr sun:su swa:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tib:bo tuk:tk
tur:tr ukr:uk urd:ur uzb:uz vie:vi wel:cy yid:yi yor:yo zho:zh
"""
_OF_THREE_LETTERS = dict(pair.split(":") for pair in _PAIRS.split())
_OF_TWO_LETTERS = {"iw": "he", "in": "id", "ji": "yi", "jv": "jw", "nb": "no"}
_NONE = frozenset(("", "und", "mis", "mul", "zxx"))


def language_code(tag: str | None) -> str | None:
    """The code of the language of a tag such as "ger", "deu", "de" or "de-AT": "de". None if it names no language.

    A tag that is not known is returned as it is, in small letters, so that equal ones are still equal.
    """
    primary = (tag or "").strip().lower().replace("_", "-").partition("-")[0]
    if primary in _NONE:
        return None
    return _OF_THREE_LETTERS.get(primary) or _OF_TWO_LETTERS.get(primary) or primary

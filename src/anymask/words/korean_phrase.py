"""Korean phrases: "빨간 차 두 대", "왼쪽에서 두 번째 사람", "가장 큰 개"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from anymask.words.korean import stems
from anymask.words.parts import Colour, Order, Parts, Place, Size
from anymask.words.vocabulary import Vocabulary


def _table(text: str) -> dict[str, Any]:
    """ "red: 빨간 빨강; blue: 파란" as a table from each Korean word."""
    pairs = (line.split(":") for line in text.split(";"))
    return {word: name.strip() for name, words in pairs for word in words.split()}


COLOURS: Mapping[str, Colour] = _table(
    "black: 검은 검정 검정색 검은색 까만 까만색; white: 흰 흰색 하얀 하얀색 하양 백색; grey: 회색 잿빛 은색;"
    "red: 빨간 빨강 빨간색 붉은 붉은색 새빨간 적색; orange: 주황 주황색 주홍색 오렌지색;"
    "yellow: 노란 노랑 노란색 샛노란 황색 금색; green: 초록 초록색 녹색 연두색; purple: 보라 보라색 자주색;"
    "blue: 파란 파랑 파란색 푸른 푸른색 새파란 하늘색 남색 청색; pink: 분홍 분홍색 핑크 핑크색; brown: 갈색 밤색 고동색 베이지색"
)
SIZES: Mapping[str, Size] = _table(
    "large: 큰 커다란 거대한 대형; small: 작은 조그만 조그마한 자그마한 소형; tall: 키큰 높은; short: 낮은;"
    "wide: 넓은; narrow: 좁은"
)
PLACES: Mapping[str, Place] = _table(
    "left: 왼쪽 왼편 좌측 왼; right: 오른쪽 오른편 우측 오른; top: 위쪽 위 윗쪽 상단 위편; bottom: 아래쪽 아래 밑 하단 아랫쪽;"
    "middle: 가운데 중앙 중간 한가운데"
)
MOST = frozenset("가장 제일 맨 젤".split())
NUMBERS = {
    word: number for number, words in enumerate(
        ("한 하나", "두 둘", "세 셋 석", "네 넷 넉", "다섯", "여섯", "일곱", "여덟", "아홉", "열"), 1)
    for word in words.split()
}  # fmt: skip
COUNTERS = frozenset(
    "마리 개 명 대 권 장 송이 그루 잔 병 켤레 벌 척 채 자루 쌍 분 인 조각 그릇 통 포기 알 줄 접시 사람 곳 점 기 량 필 갑 봉지 상자 판"
    .split()
)  # fmt: skip
FIRST = ("첫", "첫번째", "첫째")
FILLERS = frozenset(
    "모든 모두 전부 다 저 이 그 있는 것 거 보이는 찾아줘 찾아 보여줘 골라줘 선택해줘 잘라줘 사진 그림 화면 이미지 색 색깔의 색의 그리고 와 과 에 의 쪽 쪽의 모양"
    .split()
)  # fmt: skip
NEGATIONS = frozenset("말고 아닌 아니라 제외 제외하고 제외한 빼고 뺀 없는 아닌것".split())
OBJECTS = ("을", "를", "에", "에서", "과", "와", "위에", "옆에", "앞에", "뒤에", "이", "가")
PIECES = re.compile(r"(\d+|[^\d\s]+)")
COUNTED = re.compile(rf"({'|'.join(NUMBERS)}|\d+)({'|'.join(sorted(COUNTERS, key=len, reverse=True))})")
NTH = re.compile(rf"({'|'.join(NUMBERS)}|첫|\d+)번째")


def read(text: str, known: Vocabulary) -> Parts:
    """Take the words apart. The noun is the last one that is known."""
    parts = Parts()
    words = _joined(text.replace(",", " ").split())
    words = _orders(_numbers([word for word in words if not _negates(word, parts)], parts), parts)
    start, end = _noun_span(words, known)
    parts.noun = " ".join(words[start:end]) or text
    before, after = _described(words[:start], parts), words[end:]
    parts.context = (*words[:start], *words[end:], *parts.context)
    for word in (*before, *after):
        _attribute(word, parts)
    return parts


def _joined(words: Sequence[str]) -> list[str]:
    """ "두 번째" becomes "두번째", "키 큰" becomes "키큰"."""
    joined: list[str] = []
    for word in words:
        if joined and (word.startswith(("번째", "번 째")) or (word == "큰" and joined[-1] in ("키", "키가"))):
            joined[-1] = joined[-1].removesuffix("가") + word
        else:
            joined.append(word)
    return joined


def _negates(word: str, parts: Parts) -> bool:
    parts.negated |= word in NEGATIONS
    return word in NEGATIONS


def _numbers(words: list[str], parts: Parts) -> list[str]:
    """Take "두 대", "3마리", "세 명의" out."""
    left: list[str] = []
    at = 0
    while at < len(words):
        pair = "".join(words[at : at + 2])
        for taken, text in ((1, words[at]), (2, pair)):
            found = next((m for form in (text, *stems(text)) if (m := COUNTED.fullmatch(form))), None)
            if found:
                parts.number = _number(found[1])
                is_alone = at + taken == len(words) and not left  # "두 개" is two dogs
                left += [found[2]] if is_alone else []
                parts.context = (*parts.context, found[2])
                break
        else:
            left.append(words[at])
            taken = 1
        at += taken
    return left


def _number(text: str) -> int | None:
    number = NUMBERS.get(text) or int(text)
    return number if 1 <= number <= 1000 else None


def _orders(words: list[str], parts: Parts) -> list[str]:
    """Take "왼쪽에서 두번째", "맨 왼쪽", "가장 큰", "두번째로 큰" out."""
    left: list[str] = []
    nth = 1
    place: Place | None = None
    is_most = False
    for word in words:
        forms = (word, *stems(word))
        ordinal = next((m for form in forms if (m := NTH.fullmatch(form))), None)
        if ordinal or word in FIRST:
            nth = 1 if word in FIRST or ordinal and ordinal[1] == "첫" else NUMBERS.get(ordinal[1]) or int(ordinal[1])  # type: ignore[index]
            parts.order = Order(max(nth, 1), place or "left")
        elif word in MOST:
            is_most = True
        elif is_most or (parts.order and not place and any(form in SIZES for form in forms)):
            by = next((SIZES.get(form) or PLACES.get(form) for form in forms if form in SIZES or form in PLACES), None)
            if by is None:
                left.append(word)
            else:
                parts.order = Order(max(nth, 1), by)
            is_most = False
        elif word.endswith("에서") and word.removesuffix("에서") in PLACES:
            place = PLACES[word.removesuffix("에서")]
        else:
            left.append(word)
    return left


def _noun_span(words: Sequence[str], known: Vocabulary) -> tuple[int, int]:
    """Where the noun is: the longest known name that ends last; attributes only if there is nothing else."""
    for plain in (True, False):
        for end in range(len(words), 0, -1):
            if plain and _is_attribute(words[end - 1]):
                continue
            for start in range(end):
                name = " ".join(words[start:end])
                if known.find(name, guess=False) and not (end - start > 1 and _is_attribute(words[start])):
                    return start, end
    rest = [n for n, word in enumerate(words) if not _is_attribute(word)]
    return (rest[-1], rest[-1] + 1) if rest else (0, len(words))


def _is_attribute(word: str) -> bool:
    forms = (word, *stems(word))
    return any(form in table for form in forms for table in (COLOURS, SIZES, PLACES, FILLERS, MOST))


def _described(words: Sequence[str], parts: Parts) -> list[str]:
    """What is said of the noun itself; "빨간 모자를 쓴" is about a hat and goes to what is not understood."""
    for at in range(len(words) - 1, 0, -1):
        is_other = not _is_attribute(words[at]) and not _is_attribute(words[at - 1])
        if is_other and words[at - 1].endswith(OBJECTS):
            parts.ignored.append(" ".join(words[: at + 1]))
            return list(words[at + 1 :])
    return list(words)


def _attribute(word: str, parts: Parts) -> None:
    """Put what a word says into `parts`."""
    for form in (word, *stems(word)):
        if form in COLOURS:
            parts.colours.append(COLOURS[form])
            return
        if form in SIZES:
            parts.size = SIZES[form]
            return
        if form in PLACES:
            parts.places.append(PLACES[form])
            return
        if form in FILLERS:
            return
    parts.ignored.append(word)

"""The packaged nouns: what is in, what a noun is taken for, and what is said when nobody knows it."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anymask.errors import BadPrompt, WeightsError
from anymask.files import sha256_of
from anymask.words import korean, understand
from anymask.words.vocabulary import WEIGHTS, Vocabulary, default_vocabulary

# Everyday synonyms, British names and plurals, and the name they should lead to (or a kind or part of it).
SYNONYMS = dict(
    tuple(pair.split(": "))
    for pair in """
sofa: couch; settee: couch; automobile: car; auto: car; motorcar: car; lorry: truck; bike: bicycle;
motorbike: motorcycle; aeroplane: airplane; plane: airplane; aircraft: airplane; television: tv;
telly: tv; fridge: refrigerator; icebox: refrigerator; mobile phone: cell phone; smartphone: cell
phone; cellphone: cell phone; phone: cell phone; doughnut: donut; necktie: tie; spectacles: glasses;
eyeglasses: glasses; shades: sunglasses; trousers: pants; slacks: pants; trainers: sneaker; tennis
shoe: sneaker; rucksack: backpack; knapsack: backpack; pocketbook: wallet; purse: handbag; brolly:
umbrella; hairdryer: hair drier; blow dryer: hair drier; remote control: remote; laptop computer:
laptop; computer mouse: mouse; baseball mitt: baseball glove; fireplug: fire hydrant; traffic
signal: traffic light; stoplight: traffic light; tennis racquet: tennis racket; wineglass: wine
glass; houseplant: potted plant; pot plant: potted plant; kitty: kitten; bunny: rabbit; puppy:
puppy; doggy: dog; hound dog: dog; pony: pony; mare: mare; infant: baby; kid: child; youngster:
child; lad: boy; lass: girl; lady: lady; policeman: police officer; cop: police officer; fireman:
firefighter; postman: mailman; cabinet: cabinet; cupboard: cupboard; bookshelf: bookshelf; carpet:
rug; drapes: curtain; windowpane: window; sidewalk: sidewalk; railway track: railroad; ocean: ocean;
stone: rock; soil: dirt; woods: forest; shrub: bush; blossom: flower; trash can: garbage can;
rubbish: trash; dustbin: garbage can; pram: baby carriage; stroller: baby carriage; nappy: diaper;
torch: torch; aubergine: eggplant; courgette: zucchini; prawn: shrimp; maize: corn; chips: french
fries; burger: hamburger; frankfurter: hot dog; soda can: can; mug: mug; pail: bucket; faucet:
faucet; tap: tap; cooker: stove; microwave oven: microwave; washer: washing machine; hoover: vacuum
cleaner; lift: elevator; gas station: gas station; petrol station: gas station; street lamp: street
light; lamppost: street light; zebra crossing: crosswalk; numberplate: license plate; tyre: tire;
bonnet: bonnet
""".replace("\n", " ")
    .strip()
    .split("; ")
)


@pytest.fixture(scope="module")
def words() -> Vocabulary:
    return default_vocabulary()


def test_there_are_more_than_ten_thousand_nouns_with_vectors(words: Vocabulary) -> None:
    assert len(words.names) >= 10_000
    assert words.vectors_WD.shape == (len(words.names), 128)
    assert np.allclose(np.linalg.norm(words.vectors_WD, axis=1), 1, atol=1e-5)
    assert len({name.lower() for name in words.names}) == len(words.names)


def test_the_card_belongs_to_the_files_and_states_licences() -> None:
    card = json.loads((WEIGHTS / "words.json").read_text("utf-8"))
    assert card["sha256"] == {name: sha256_of(WEIGHTS / name) for name in card["sha256"]}
    assert card["words"] == len(default_vocabulary().names)
    assert "Princeton" in (WEIGHTS / "words.licence.txt").read_text("utf-8")
    assert "Apache-2.0" in card["encoder"]["licence"]


def test_the_words_take_little_of_the_wheel() -> None:
    import zlib

    package = WEIGHTS.parent
    files = [*WEIGHTS.glob("words.*"), *(package / "words" / "tables").iterdir()]
    assert sum(len(zlib.compress(path.read_bytes(), 9)) for path in files) < 2.5e6


def test_vectors_of_like_things_are_alike(words: Vocabulary) -> None:
    def cosine(first: str, second: str) -> float:
        rows = [words.row(first), words.row(second)]
        return float(np.prod(words.vectors_WD[rows], axis=0).sum())  # type: ignore[index]

    assert cosine("car", "truck") > 0.5 > cosine("car", "banana")
    assert cosine("dog", "puppy") > cosine("dog", "spoon") + 0.3


def test_imagenet_classes_are_words_of_their_own(words: Vocabulary) -> None:
    rows = words.imagenet_rows
    assert rows.shape == (1000,) and len(set(rows.tolist())) == 1000
    names = [words.names[row] for row in rows]
    assert names[1] == "goldfish" and names[340] == "zebra" and names[985] == "daisy"
    assert names[134].startswith("crane (") and names[517] == "crane"  # the bird and the machine


def test_what_lies_under_what(words: Vocabulary) -> None:
    def row(name: str) -> int:
        found = words.row(name)
        assert found is not None
        return found

    assert row("animal") in words.ancestors(row("dog")) and row("dog") in words.descendants(row("animal"))
    assert row("vehicle") in words.ancestors(row("car")) and row("fruit") in words.ancestors(row("apple"))
    assert row("person") in words.ancestors(row("woman")) and row("food") in words.ancestors(row("pizza"))
    assert row("cat") not in words.related(row("dog"))
    assert {"dog", "animal", "poodle"} <= words.related_names(row("dog"))
    assert all(row not in words.ancestors(row) for row in range(0, len(words.names), 37))


def test_everyday_synonyms_lead_to_the_right_noun(words: Vocabulary) -> None:
    wrong = {}
    for asked, expected in SYNONYMS.items():
        found = words.find(asked)
        row, wanted = (None if found is None else found.row), words.row(expected)
        if row is None or wanted is None or (row != wanted and row not in words.related(wanted)):
            wrong[asked] = None if found is None else found.name
    assert len(wrong) <= 0.05 * len(SYNONYMS), wrong


@pytest.mark.parametrize(
    ("asked", "name", "how"),
    [
        ("dog", "dog", "exact"), ("DOG", "dog", "exact"), ("ｄｏｇ", "dog", "exact"),
        (" dog. ", "dog", "exact"),
        ("dogs", "dog", "plural"), ("children", "child", "plural"), ("mice", "mouse", "plural"),
        ("knives", "knife", "plural"), ("firemen", "firefighter", "plural"), ("shoes", "shoe", "plural"),
        ("scissor", "scissors", "plural"), ("sofas", "couch", "plural"),
        ("grey wolves", "grey wolf", "plural"), ("kites", "kite", "plural"), ("capes", "cape", "plural"),
        ("buses", "bus", "plural"), ("crosses", "cross", "plural"), ("hydrants", "fire hydrant", "plural"),
        ("tea-pot", "teapot", "alias"), ("pyjamas", "pajamas", "alias"), ("dog's", "dog", "alias"),
        ("zebre", "zebra", "guess"), ("elephnat", "elephant", "guess"), ("bicycel", "bicycle", "guess"),
        ("🐶", "dog", "emoji"), ("☂️", "umbrella", "emoji"), ("👩🏽", "woman", "emoji"),
    ],
)  # fmt: skip
def test_a_noun_is_found(words: Vocabulary, asked: str, name: str, how: str) -> None:
    found = words.resolve(asked)
    assert (found.name, found.how) == (name, how)


def test_a_guess_and_another_name_are_told(words: Vocabulary) -> None:
    assert words.resolve("zebre").note == '"zebre" is unknown; guessed zebra'
    assert words.resolve("sofa").note == '"sofa" is read as couch'
    assert words.resolve("dogs").note == ""
    assert "mouse (rodent)" in words.resolve("mouse").others


def test_a_slip_that_may_be_several_words_is_no_guess(words: Vocabulary) -> None:
    with pytest.raises(BadPrompt, match=r'unknown word: "boak"; nearest known: '):
        words.resolve("boak")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"), ("   ", "empty"), ("...", "empty"), ("\u200b", "empty"), ("\ufe0f", "empty"),
        ("dog" * 100, "at most 200 characters, got 300"), ("do\x07g", r"control character \(U\+0007\)"),
        ("\ud800", "control character"), ("кошка", r'"кошка" \(Cyrillic\)'), ("猫", "Chinese characters"),
        ("ネコ", "Katakana"), ("كلب", "Arabic"), ("❤", "unknown word"), ("asdfghjkl", "nearest known: "),
        ("가나다라", "nearest known: 사다리"), ("12345", "no noun in"), ("<script>", "unknown word"),
    ],
)  # fmt: skip
def test_what_is_no_noun_is_refused_with_a_reason(text: str, message: str) -> None:
    with pytest.raises(BadPrompt, match=message):
        understand(text)


@given(st.text(max_size=60))
@example("\u0130")
@example("ﬃ 개는")
@example("두 개의 의")
@example("on the left")
@example("0 dogs")
@example("²³ dogs")
@example("없는")
@example("의")
@example("no")
def test_nothing_but_a_bad_prompt_is_raised(text: str) -> None:
    try:
        phrase = understand(text)
    except BadPrompt as error:
        assert "\n" not in str(error)
    else:
        assert phrase.noun.name


MIX = """the two red largest second from left on of in with dog car
왼쪽 빨간 차 두 대 개 마리 가장 큰 에서 번째 3 10 not no and"""


@given(st.lists(st.sampled_from(MIX.split()), min_size=1, max_size=8))
def test_words_in_any_order_raise_nothing_but_a_bad_prompt(words: list[str]) -> None:
    try:
        understand(" ".join(words))
    except BadPrompt as error:
        assert str(error)


def test_a_noun_of_another_language_than_its_phrase_is_found() -> None:
    assert understand("빨간 car").noun.name == "car"
    assert understand("빨간 car").colours == ("red",)


def test_a_folder_without_the_files_is_no_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no vocabulary"):
        Vocabulary(tmp_path)


def test_every_korean_noun_leads_to_a_word(words: Vocabulary) -> None:
    lines = (Path(korean.TABLE)).read_text("utf-8").splitlines()
    nouns = [line.split("\t")[0] for line in lines if not line.startswith("#")]
    assert len(nouns) >= 1500
    assert len(nouns) == len(set(nouns))
    targets = {name for entry in korean.entries().values() for name in (entry.name, *entry.cues)}
    assert [name for name in targets if name.lower() not in words.rows] == []
    assert all(korean.is_korean(noun) for noun in nouns)


@pytest.mark.parametrize("text", ["🫠", "❤", "1+1"])
def test_nothing_is_near_to_a_text_without_letters(words: Vocabulary, text: str) -> None:
    assert words.nearest(text) == []
    with pytest.raises(BadPrompt) as refused:
        words.resolve(text)
    assert "nearest" not in str(refused.value)


def test_every_emoji_leads_to_a_word(words: Vocabulary) -> None:
    assert len(words.emoji) >= 300
    assert [symbol for symbol, name in words.emoji.items() if name.lower() not in words.rows] == []


def test_names_of_the_training_data_are_known(words: Vocabulary, shared_data: Path) -> None:
    names = set()
    for path in shared_data.glob("*/*.tar"):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    record = json.load(tar.extractfile(member))  # type: ignore[arg-type]
                    names |= {a["category"] for a in record["annotations"] if a.get("category")}
                    names |= set(record.get("exhaustive_categories", []))
    assert len(names) > 150
    assert [name for name in names if words.row(name) is None] == []


def test_kinds_of_the_duts_photos_are_the_words_of_their_names(words: Vocabulary, shared_data: Path) -> None:
    kinds = json.loads((shared_data / "train" / "duts_names.json").read_text("utf-8"))
    assert [key for key, kind in kinds.items() if words.row_of_sense(key) != words.row(kind["name"])] == []
    assert [s for kind in kinds.values() for s in kind["synonyms"] if words.row(s) is None] == []
    assert words.names[words.row_of_sense("n07930864")] == "cup"  # punch in WordNet, crockery in the photos

"""The words of the bundled corpus: two vocabularies without a common noun, verb, name or adjective.

Each *kind* of word is a slot in the templates of ``paradigms``. The words of a kind have the same
grammar (``treat``: verbs whose object must be a person) and fit into the same sentences, so that
any of them gives a natural sentence. ``DEVELOPMENT`` is used for the training and validation
sentences, ``TEST`` for the test sentences.

Verb classes follow Levin 1993, *English Verb Classes and Alternations*, part I (which verbs allow
which arguments); the selection and the word lists are our own.
"""

from dataclasses import dataclass

IRREGULAR_VERBS = {
    "ban": ("banned", "banned"),
    "break": ("broke", "broken"),
    "bring": ("brought", "brought"),
    "build": ("built", "built"),
    "buy": ("bought", "bought"),
    "catch": ("caught", "caught"),
    "choose": ("chose", "chosen"),
    "deter": ("deterred", "deterred"),
    "draw": ("drew", "drawn"),
    "drip": ("dripped", "dripped"),
    "find": ("found", "found"),
    "forget": ("forgot", "forgotten"),
    "hear": ("heard", "heard"),
    "hide": ("hid", "hidden"),
    "hold": ("held", "held"),
    "hurt": ("hurt", "hurt"),
    "keep": ("kept", "kept"),
    "know": ("knew", "known"),
    "leave": ("left", "left"),
    "lend": ("lent", "lent"),
    "let": ("let", "let"),
    "lose": ("lost", "lost"),
    "make": ("made", "made"),
    "say": ("said", "said"),
    "see": ("saw", "seen"),
    "sell": ("sold", "sold"),
    "send": ("sent", "sent"),
    "shake": ("shook", "shaken"),
    "sleep": ("slept", "slept"),
    "steal": ("stole", "stolen"),
    "take": ("took", "taken"),
    "tell": ("told", "told"),
    "think": ("thought", "thought"),
    "throw": ("threw", "thrown"),
    "wear": ("wore", "worn"),
}
"""Simple past and past participle of irregular verbs."""


@dataclass(frozen=True, slots=True)
class Word:
    """A noun, verb, adjective or name, with the forms that a template can use.

    >>> word = Word("carry")
    >>> f"{word} {word.s} {word.past} {word.ing}"
    'carry carries carried carrying'
    """

    base: str

    def __str__(self) -> str:
        """The base form, ``{kind}`` in a template."""
        return self.base

    @property
    def s(self) -> str:
        """Plural of a noun or third person singular of a verb; both are spelled the same way."""
        if self.base.endswith(("s", "x", "z", "ch", "sh")):
            return f"{self.base}es"
        return f"{self._stem('i')}es" if self._drops_y else f"{self.base}s"

    @property
    def past(self) -> str:
        """Simple past of a verb."""
        return IRREGULAR_VERBS.get(self.base, (self._regular_past,))[0]

    @property
    def participle(self) -> str:
        """Past participle of a verb."""
        return IRREGULAR_VERBS.get(self.base, (self._regular_past,))[-1]

    @property
    def regular(self) -> str:
        """Past of a verb as if it were regular, such as ``bringed``, which is not English."""
        return self._regular_past

    @property
    def ing(self) -> str:
        """Present participle of a verb."""
        return f"{self._stem('') if self.base.endswith('e') else self.base}ing"

    @property
    def _drops_y(self) -> bool:
        return self.base.endswith("y") and self.base[-2] not in "aeiou"

    @property
    def _regular_past(self) -> str:
        if self._drops_y:
            return f"{self._stem('i')}ed"
        return f"{self.base}{'d' if self.base.endswith('e') else 'ed'}"

    def _stem(self, last: str) -> str:
        return self.base[:-1] + last


Lexicon = dict[str, tuple[Word, ...]]
"""Kind -> its words, in a fixed order."""


TIMES = "yesterday, last week, last night, this morning, on Monday"
"""Time expressions are treated as function words: both vocabularies use them."""


def _lexicon(girl: str, boy: str, **kinds: str) -> Lexicon:
    """The words of each kind; ``time`` and ``name`` are added."""
    kinds = {"time": TIMES, "girl": girl, "boy": boy, "name": f"{girl}, {boy}", **kinds}
    return {kind: tuple(Word(word) for word in words.split(", ")) for kind, words in kinds.items()}


DEVELOPMENT = _lexicon(
    # people
    girl="Mary, Anna, Susan, Linda, Laura, Alice, Sarah, Helen",
    boy="John, Peter, David, Thomas, Robert, Paul, Henry, Frank",
    woman="mother, sister, aunt, queen, grandmother, princess, girl",
    man="father, brother, uncle, king, grandfather, prince, boy",
    person="teacher, doctor, farmer, student, lawyer, singer, painter, driver, baker, visitor, "
    "guard, writer, manager, judge, dancer",
    helper="friend, assistant, cousin, neighbor",
    mood="tired, careful, famous, polite, nervous, patient, honest",
    # things
    thing="lamp, vase, basket, mirror, chair, table, kettle, jacket, wagon, clock, painting, "
    "ladder",
    place="window, door, wall, gate, tree, bridge, fence",
    town="village, city, office, school, factory, club",
    container="bucket, bowl, box, barrel",
    stuff="water, soup, mud, paint",
    burden="trouble, pain, expense, danger",
    quality="heavy, dirty, expensive, old, beautiful, useful, small",
    # verbs with an object: a thing, a person, a reflexive pronoun
    handle="repair, remove, examine, obtain, damage, discard, carry, touch",
    strong="steal, choose, take",
    irregular="break, bring, build, buy, draw, find, lose, sell",
    treat="praise, blame, thank, greet, ignore, invite, support, admire",
    oneself="hurt, blame, defend, admire, convince",
    # verbs without an object
    rest="smile, sleep, cough, wait, laugh, faint, yawn",
    # verbs with a clause or a verb phrase
    bridge="say, think, believe",
    know="know, remember",
    wonder="ask, debate",
    claim="claim, complain",
    persuade="force, order, allow",
    prevent="prevent, ban",
    make="make, see, let",
    ask="want, tell",
    # verbs that differ only in the form of their arguments
    fill="fill, cover, stain",
    pour="pour, spill, drip",
    spare="spare, save",
    explain="explain, describe, mention",
)

TEST = _lexicon(
    girl="Emma, Julia, Karen, Nancy, Rachel, Diana",
    boy="George, Michael, Daniel, Steven, Walter, Edward",
    woman="daughter, niece, duchess, widow, stepmother",
    man="son, nephew, duke, widower, stepfather",
    person="nurse, engineer, sailor, journalist, tailor, pilot, librarian, mechanic, scientist, "
    "butcher, gardener",
    helper="colleague, partner, rival, guest",
    mood="cheerful, generous, cautious, anxious, confident, stubborn",
    thing="carpet, blanket, cabinet, guitar, necklace, bicycle, helmet, camera, pillow",
    place="tower, fountain, bench, staircase, statue, hedge",
    town="town, museum, hospital, theater, library",
    container="jar, pan, tray, crate",
    stuff="honey, oil, glue, syrup",
    burden="success, victory, promotion",
    quality="fragile, cheap, dusty, ugly, huge, valuable",
    handle="fix, replace, inspect, acquire, restore, display, measure",
    strong="hide, throw, forget",
    irregular="catch, hold, keep, leave, lend, send, shake, wear",
    treat="criticize, welcome, respect, punish, reward, insult, comfort",
    oneself="injure, criticize, protect, embarrass, comfort",
    rest="sneeze, hesitate, stumble, blush, tremble, shiver, snore",
    bridge="suspect, assume, imagine",
    know="recall, realize",
    wonder="inquire, ponder",
    claim="boast, declare",
    persuade="urge, encourage, instruct",
    prevent="discourage, dissuade, deter",
    make="hear, watch",
    ask="expect, persuade",
    fill="coat, drench, smother",
    pour="dump, ladle, scoop",
    spare="envy, begrudge",
    explain="announce, reveal, demonstrate",
)

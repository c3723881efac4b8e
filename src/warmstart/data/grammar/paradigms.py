"""The sentence templates of the bundled corpus, and their syntax.

``[a|b]``
    a *place*: the choice of alternatives decides whether the sentence is acceptable. A template
    with two places is a *square*: a sentence is acceptable if both places use their first or both
    their second alternative. A template with one place is acceptable with its first alternative.
``<a|b>``
    a random choice, which is the same for all sentences of a block (for example, singular or
    plural of a noun between subject and verb).
``{kind}``, ``{kind2}``, ``{kind.past}``
    a word of ``lexicon``; a digit means another word of the same kind.

Between two places there is at least one fixed word. In the four sentences of a square, every word
and every pair of neighbouring words therefore occurs equally often in acceptable and unacceptable
sentences. Counting words or word pairs gives no information; only the relation of the places does.

Only the paradigm ``inflection`` has templates with one place: ``bringed`` is wrong in every
sentence. A model can memorise such forms, which helps on the validation split but not on the test
split, whose verbs are different. These sentences make learning easier at the start: with squares
only, the small bundled model stays at chance level for hundreds of steps.

An island template has three places because an island is an interaction: the question word alone is
acceptable and the clause alone is acceptable, but moving the question word out of this clause is
not.
"""

SQUARE = (
    ((0, 0), (0, 1)),
    ((1, 1), (1, 0)),
)
"""The pairs of a square: the alternatives (index per place) of an acceptable sentence, and of the
unacceptable sentence that differs from it in the second place."""

PAIR = (((0,), (1,)),)
"""The pair of a template with one place: acceptable with the first alternative only."""

ISLAND = (
    ((0, 0, 0), (0, 2, 0)),  # What did Mary say that he touched?  *What did Mary smile because …?
    ((0, 1, 0), (0, 1, 1)),  # What did Mary think that he touched?  *… think that he touched it?
    ((1, 2, 1), (1, 0, 0)),  # Did Mary smile because he touched it?  *Did Mary say that he touched?
)
"""The pairs of an island template. Its places are: question word or none; two clauses that allow a
gap and one that is an island; gap or object. The first pair tests the island. The other two use the
same words, to keep the counts balanced; they test that a question word requires a gap."""

AGREEMENT_PHRASE = (
    "The [{thing}|{thing.s}] near the <{place}|{place.s}> [is|are] {quality}.",
    "The [{helper}|{helper.s}] of the <{person}|{person.s}> [was|were] very {mood}.",
)
AGREEMENT_CLAUSE = (
    "The [{person}|{person.s}] who {treat.past} the <{person2}|{person2.s}> [is|are] {mood}.",
    "The [{thing}|{thing.s}] that the <{person}|{person.s}> {handle.past} [was|were] {quality}.",
)
REFLEXIVE = (
    "The [{woman}|{woman.s}] near the <{man}|{man.s}> {oneself.past} [herself|themselves] {time}.",
    "<{girl}|{boy}> {bridge.past} that the [{woman}|{man}] would {oneself} [herself|himself].",
)
DETERMINER_NOUN = (
    "{name} {handle.past} [this|these] {quality} [{thing}|{thing.s}] {time}.",
    "[Every|Many] {mood} [{person}|{person.s}] {rest.past} {time}.",
)
AUXILIARY = (
    "The {person} [has|will] never [{handle.participle}|{handle}] the {thing}.",
    "[Has|Did] the {person} [{strong.participle}|{strong}] the {quality} {thing}?",
    "The {mood} {person.s} [are|must] not [{rest.ing}|{rest}] near the {place}.",
    "{name} [was|had] already [{handle.ing}|{handle.participle}] the {quality} {thing}.",
    "[Is|Will] the {person} from the {town} [{rest.ing}|{rest}] again tonight?",
    "[Have|Should] the {person.s} ever [{treat.participle}|{treat}] {name}?",
    "The {person} [had|might] not [{strong.participle}|{strong}] the {thing}.",
)
TENSE = (
    "[Yesterday|Tomorrow] the {person} [{handle.past}|will {handle}] the {quality} {thing}.",
    "The {person} [{strong.past}|will {strong}] the {thing} [last|next] <week|month>.",
    "[Last|Next] <Monday|Friday>, {name} [{rest.past}|will {rest}] near the {place}.",
    "[Yesterday|Right now] the {person.s} [{handle.past}|are {handle.ing}] the {thing}.",
    "The {person.s} from the {town} [{treat.past}|will {treat}] {name} [yesterday|tomorrow].",
)
INFLECTION = (
    "The {person} [{irregular.past}|{irregular.regular}] the {quality} {thing} {time}.",
    "{name} [{irregular.past}|{irregular.regular}] the {thing} near the {place}.",
    "The {person.s} who [{irregular.past}|{irregular.regular}] the {thing} were {mood}.",
    "The {mood} {helper} [{irregular.past}|{irregular.regular}] a {thing} from the {town}.",
    "The {person} has never [{irregular.participle}|{irregular.regular}] the {thing}.",
    "{name} and the {person} had [{irregular.participle}|{irregular.regular}] the {thing} before.",
    "{name} {bridge.past} that the {person} [{irregular.past}|{irregular.regular}] the {thing}.",
    "The {thing} that {name} [{irregular.past}|{irregular.regular}] {time} was {quality}.",
)
TRANSITIVITY = (
    "The {person} {know.s} [what|that] {name} [{handle.past}|{rest.past}] {time}.",
    "[Which {thing}|Why] did the {person} [{handle}|{rest}] {time}?",
)
ALTERNATION = (
    "The {person} [{fill.past}|{pour.past}] the [{container} with the {stuff}|{stuff} into the "
    "{container}].",
    "The {person} [{spare.past}|{explain.past}] the [{person2} the {burden}|{burden} to the "
    "{person2}].",
)
COMPLEMENT = (
    "The {person} [{persuade.past}|{prevent.past}] {name} [to {handle}|from {handle.ing}] the "
    "{thing}.",
    "The {person} [{make.past}|{ask.past}] {name} [{rest}|to {rest}] {time}.",
    "{name} [{wonder.past}|{claim.past}] again [whether|that] the {person} was {mood}.",
    "{name} was [{persuade.participle}|{prevent.participle}] again [to {rest}|from {rest.ing}].",
    "Did the {person} [{make}|{ask}] the {person2} [{handle}|to {handle}] the {thing}?",
)
ISLANDS = (
    "[What did|Did] {name} [{bridge} that|{bridge2} that|{rest} <because|when>] the {person} "
    "{handle.past} [|the {thing}] {time}?",
    "[What did|Did] {name} [{bridge} that the {person}|{bridge2} that the {person}|{treat} the "
    "{person} who] {handle.past} [|the {thing}] {time}?",
)
COORDINATION = (
    "[What did the {person} {handle}|Did the {person} {handle} the {thing}] and {handle2} [|the "
    "{thing2}] {time}?",
    "[Which {thing} has {name} {handle.participle}|Has {name} {handle.participle} the {thing}] "
    "and {handle2.participle} [|the {thing2}] before?",
)
POLARITY = (
    "{name} [never|always] {rest.s}, and [neither|so] does the {person}.",
    "{name} [cannot|can] {handle} the {thing}, and [neither|so] can the {person}.",
    "[No|Every] {person} {treat.past} {name}, and [neither|so] did the {man}.",
    "{girl} [did not {rest}|{rest.past}] {time}, and {boy} did [not either|too].",
    "[Nobody|Everybody] {handle.past} the {thing}, and the {person} did [not either|too].",
)
CORRELATIVE = (
    "The {person} is [more|as] {mood} [than|as] {name}.",
    "The {thing} was [so|too] {quality} [that {name} {rest.past}|to {handle}].",
    "The {person} {handle.past} [both|either] the {thing} [and|or] the {thing2} {time}.",
    "[Both|Neither] {girl} [and|nor] {boy} {rest.past} {time}.",
    "{name} {treat.past} [more|as many] {person.s} [than|as] the {person2}.",
    "The {person} was [less|so] {mood} [than {name}|that {name} {rest.past}].",
)

PARADIGMS: dict[str, tuple[str, ...]] = {
    "agreement_phrase": AGREEMENT_PHRASE,
    "agreement_clause": AGREEMENT_CLAUSE,
    "reflexive": REFLEXIVE,
    "determiner_noun": DETERMINER_NOUN,
    "auxiliary": AUXILIARY,
    "tense": TENSE,
    "inflection": INFLECTION,
    "transitivity": TRANSITIVITY,
    "alternation": ALTERNATION,
    "complement": COMPLEMENT,
    "island": ISLANDS,
    "coordination": COORDINATION,
    "polarity": POLARITY,
    "correlative": CORRELATIVE,
}
"""Paradigm -> its templates. The name of the paradigm is in the first column of the corpus."""

"""Stop words: the English list of Lucene (33 words) and the German list of Snowball (as Lucene ships it, 232 words).

`TELLING` has frequent ones that tell one of the two languages from the other.
"""

from __future__ import annotations

_ENGLISH = """
    a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was
    will with
"""

_GERMAN = """
    aber alle allem allen aller alles als also am an ander andere anderem anderen anderer anderes anderm andern anderr anders
    auch auf aus bei bin bis bist da damit dann das dass dasselbe dazu daß dein deine deinem deinen deiner deines dem demselben
    den denn denselben der derer derselbe derselben des desselben dessen dich die dies diese dieselbe dieselben diesem diesen
    dieser dieses dir doch dort du durch ein eine einem einen einer eines einig einige einigem einigen einiger einiges einmal er
    es etwas euch euer eure eurem euren eurer eures für gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm ihn
    ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist jede jedem jeden jeder jedes jene jenem jenen jener jenes jetzt
    kann kein keine keinem keinen keiner keines können könnte machen man manche manchem manchen mancher manches mein meine meinem
    meinen meiner meines mich mir mit muss musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen
    seiner seines selbst sich sie sind so solche solchem solchen solcher solches soll sollte sondern sonst um und uns unser
    unsere unserem unseren unseres unter viel vom von vor war waren warst was weg weil weiter welche welchem welchen welcher
    welches wenn werde werden wie wieder will wir wird wirst wo wollen wollte während würde würden zu zum zur zwar zwischen über
"""
_TELLING_ENGLISH = "the and of to is with for that are this by or not be it"
_TELLING_GERMAN = "der und das ist nicht mit für von auf ein eine einem dem sich auch werden oder bei zum zur aus"

ENGLISH = frozenset(_ENGLISH.split())
GERMAN = frozenset(_GERMAN.split())
BOTH = (ENGLISH | GERMAN) - {"bin", "den", "die", "hat", "man", "nun", "war"}  # German ones that name things in English
TELLING = {
    "english": frozenset(_TELLING_ENGLISH.split()),
    "german": frozenset(_TELLING_GERMAN.split()),
}

"""Grammars of our own: templates and word lists of plain, harmless sentences in thirteen languages.

A template holds slots in braces; a slot is a list of which one is drawn, and may hold slots itself. `{number}` is a
number in digits that the voice reads out. Words are chosen for the mouth: many m b p f v w, and every vowel of the
language. Words that must agree stand in one phrase, so what is drawn is grammatical, though seldom sensible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Grammar:
    templates: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]


def _grammar(templates: str, **slots: str) -> Grammar:
    """One template a line; the entries of a slot are parted by bars."""
    lines = tuple(line.strip() for line in templates.strip().splitlines())
    return Grammar(lines, {name: tuple(entry.strip() for entry in text.split("|")) for name, text in slots.items()})


_ENGLISH = _grammar(
    """
    {Who} {verb_past} {thing} {place}.
    {Who} {verb_past} {thing} {when}, and {who} {verb_past} {thing}.
    {When}, {who} {verb_past} {thing}.
    {Who} will {verb} {thing} {when}.
    Would you please {verb} {thing} {place}?
    Why did {who} {verb} {thing}?
    How many {plural} did {who} {verb} {when}?
    Do you think {who} should {verb} {thing}?
    What a {adjective} {noun}!
    {Exclaim} {Who} {verb_past} {thing}!
    {Exclaim} That {noun} is {adjective}.
    The {noun} is {adjective}, but the {noun} is {adjective}.
    I {feel} {adjective} because {who} {verb_past} {thing}.
    We need {number} {plural}, {number} {plural} and a {noun}.
    First {verb} {thing}, then {verb} {thing}.
    My {kin} lives in {town} and works as a {job}.
    My number is {digit} {digit} {digit}, {digit} {digit} {digit} {digit}.
    {Name}, {name} and {name} met {place}.
    The {job} from {town} {verb_past} {thing} {place}.
    If {who} can {verb} {thing}, so can you.
    {Yes}, we {verb_past} {thing} {when}.
    It was {hour} when {who} {verb_past} {thing}.
    Nobody {verb_past} {thing}, except {name}.
    {Sound} {sound}, {sound} {sound}.
    {Number} {plural} for {number} {plural}: that sounds {adjective}.
    """,
    who="the {adjective} {noun}|my {kin}|the {job}|{name}|five {plural}|some {plural}|a {job} from {town}|we|they|you",
    Who="The {adjective} {noun}|My {kin}|The {job}|{name}|Five {plural}|Some {plural}|A {job} from {town}|We|They|You",
    Name="{name}",
    Number="{number}",
    name="Paul|Emma|Bob|Pam|Fiona|Victor|Wanda|Moira|Theo|Judith|Oscar|Eve|Ruth|Yusuf|Priya|Hugh|Zoe|Mabel|Owen|Faith",
    kin="mother|father|brother|sister|cousin|uncle|aunt|nephew|best friend|neighbour",
    job="baker|farmer|painter|pilot|plumber|weaver|waiter|fisherman|gardener|beekeeper|carpenter|teacher|nurse|poet",
    town="Paris|Boston|Vienna|Mumbai|Warsaw|Oslo|Lima|Cairo|Bombay Beach|Oxford|Geneva|Havana|Perth|York",
    noun="bowl|map|book|window|van|bridge|puppy|monkey|apple pie|umbrella|piano|violin|wolf|feather|fountain|mushroom|"
    "teapot|balloon|robot|river|boat|shoe|jewel|mouth|leaf|thumb|beach|bush|voice|valley|cloud|engine|village|blanket",
    plural="bowls|maps|books|windows|vans|bridges|puppies|monkeys|apples|umbrellas|pianos|wolves|feathers|mushrooms|"
    "teapots|balloons|robots|boats|shoes|jewels|leaves|thumbs|beaches|pumpkins|peaches|bees|frogs|thieves|oceans",
    adjective="brave|warm|wooden|purple|smooth|funny|quiet|very old|peaceful|huge|bumpy|fresh|thoughtful|plain|violet|"
    "beautiful|famous|unusual|slow|wise|bright|simple|wet|fuzzy|joyful|thin|heavy|perfect|round|royal",
    thing="the {noun}|a {adjective} {noun}|{number} {plural}|my {noun}|the {adjective} {plural}|every {noun}|"
    "a few {plural}|the {noun} of the {job}|a map of {town}|both {plural}|more {plural} than {number} {plural}",
    verb="move|push|paint|borrow|watch|measure|polish|follow|open|forget|invent|remember|wrap|save|admire|choose|join",
    verb_past="moved|pushed|painted|borrowed|watched|measured|polished|followed|opened|forgot|invented|remembered|"
    "wrapped|saved|admired|bought|brought|found|threw away|gave up|showed us|chose",
    place="above the harbour|behind the farm|in the park|by the pool|near {town}|under the bridge|on the roof|"
    "between two walls|at the market|in front of the office|beyond the woods|upon the beach",
    when="every morning|before breakfast|on Wednesday|last February|this evening|after the movie|in five weeks|"
    "twice a month|when the wind was warm|at half past {small}|in {year}",
    When="Every morning|Before breakfast|On Wednesday|Last February|This evening|After the movie|"
    "Twice a month|In {year}",
    feel="feel|felt|am|was",
    hour="{small} o'clock|half past {small}|almost {small}|exactly noon|just before midnight",
    small="two|three|four|five|six|seven|eight|nine|ten|eleven",
    year="1904|1956|1987|1999|2005|2012|2018|2024",
    digit="zero|one|two|three|four|five|six|seven|eight|nine|oh",
    Exclaim="Wow!|Oh my!|Hooray!|Bravo!|Please wait!|Look out!|Beware!|Good heavens!",
    Yes="Yes|No|Maybe|Of course|Well|Oh|Hmm|Indeed|Perhaps|I believe",
    Sound="Mama|Papa|Boom|Wow|Puff|Fee fi fo|Bravo|Pop|Whoosh|Moo|Meow|Oh me oh my|Va va voom",
    sound="mama|papa|boom|wow|puff|bravo|pop|whoosh|moo|meow|viva|hop|bubble|muffin|waffle|yo-yo",
)

_SPANISH = _grammar(
    """
    {Quien} {hace} {cosa} {cuando}.
    {Cuando}, {quien} {hace} {cosa}.
    ¿Por qué {hace} {cosa} {quien}?
    ¿Dónde está {cosa}?
    ¡Qué {adj} es {quien}!
    Hay {number} {plural} y {number} {plural} {lugar}.
    {Quien} {hace} {cosa} {lugar}, pero {quien} {hace} {cosa}.
    """,
    Quien="Mi hermano|Mi prima|La vecina|El panadero|Pablo|Beatriz|El profesor|Una famosa bailarina|Fabio|Julia",
    quien="mi hermano|mi prima|la vecina|el panadero|Pablo|Beatriz|el profesor|una famosa bailarina|Fabio|Julia",
    hace="compra|busca|pinta|mueve|lleva|prepara|olvida|abre|vende|empuja|mira|guarda|limpia",
    cosa="un mapa viejo|la puerta blanca|el libro verde|una manzana|el barco|la ventana|una bufanda|el pan fresco|"
    "la fiesta",
    cuando="cada mañana|el viernes|por la noche|en febrero|después de la lluvia|a las {number}|muy pronto",
    Cuando="Cada mañana|El viernes|Por la noche|En febrero|Después de la lluvia|Muy pronto",
    adj="amable|alegre|valiente|feliz|interesante|fuerte|elegante",
    lugar="en el bosque|bajo el puente|en la playa|cerca de Bilbao|en Valparaíso|sobre la mesa",
    plural="libros|manzanas|pájaros|botes|puertas|mapas|familias|abejas",
)

_FRENCH = _grammar(
    """
    {Qui} {fait} {chose} {quand}.
    {Quand}, {qui} {fait} {chose}.
    Pourquoi est-ce que {qui} {fait} {chose} ?
    Où est {chose} ?
    Il y a {number} {pluriel} et {number} {pluriel} {lieu}.
    {Qui} {fait} {chose} {lieu}, mais {qui} {fait} {chose}.
    Bravo ! {Qui} {fait} {chose} !
    """,
    Qui="Mon frère|Ma cousine|La voisine|Le boulanger|Paul|Véronique|Le vieux monsieur|Une bonne amie|François|Ève",
    qui="mon frère|ma cousine|la voisine|le boulanger|Paul|Véronique|le vieux monsieur|une bonne amie|François",
    fait="prépare|pousse|trouve|ouvre|porte|peint|vend|cherche|oublie|montre|regarde|emballe",
    chose="une pomme|le beau bateau|la fenêtre|un petit pain|le vin blanc|une robe bleue|la voiture|un feu|le violon",
    quand="chaque matin|vendredi|ce soir|en février|après la pluie|à {number} heures|bientôt",
    Quand="Chaque matin|Vendredi|Ce soir|En février|Après la pluie|Bientôt",
    lieu="sous le pont|près de Paris|dans la forêt|devant le bureau|au bord du fleuve|sur la table",
    pluriel="pommes|livres|bateaux|fleurs|enfants|voitures|ponts|abeilles|chapeaux",
)

_GERMAN = _grammar(
    """
    {Wer} {tut} {was} {wann}.
    {Wann} {tut} {wer} {was}.
    Warum {tut} {wer} {was}?
    Wo ist {mein} {ding}?
    Es gibt {number} {plural} und {number} {plural} {ort}.
    {Wer} {tut} {was} {ort}, aber {wer} {tut} {was}.
    Wie {adj} das ist!
    """,
    Wer="Mein Bruder|Meine Mutter|Der Bäcker|Die Frau vom Fluss|Paul|Eva|Der junge Pfarrer|Professor Wolf|Frau Böhm",
    wer="mein Bruder|meine Mutter|der Bäcker|die Frau vom Fluss|Paul|Eva|der junge Pfarrer|Professor Wolf",
    tut="kauft|malt|öffnet|bewegt|sucht|findet|vergisst|prüft|bringt|verpackt|beobachtet|wäscht|bewundert",
    was="einen Apfel|das alte Buch|die blaue Brücke|fünf Vögel|ein schönes Bild|den weißen Wagen|die Pfeife|das Boot",
    wann="am Morgen|am Mittwoch|im Februar|nach dem Regen|um {number} Uhr|heute Abend|viel zu früh",
    Wann="Am Morgen|Am Mittwoch|Im Februar|Nach dem Regen|Heute Abend|Viel später",
    mein="das|mein|dein|unser",
    ding="Buch|Boot|Bild|Fahrrad|Wörterbuch|Pferd|Fenster",
    ort="im Wald|unter der Brücke|in Wien|am Ufer|vor dem Büro|auf dem Berg|bei Hamburg",
    plural="Bücher|Äpfel|Vögel|Brücken|Pferde|Schuhe|Wolken|Bäume|Freunde",
    adj="schön|mutig|wunderbar|früh|bequem|weich|komisch",
)

_ITALIAN = _grammar(
    """
    {Chi} {fa} {cosa} {quando}.
    {Quando} {chi} {fa} {cosa}.
    Perché {chi} {fa} {cosa}?
    Dove si trova {cosa}?
    Ci sono {number} {plurale} e {number} {plurale} {luogo}.
    {Chi} {fa} {cosa} {luogo}, ma {chi} {fa} {cosa}.
    Bravo! {Chi} {fa} {cosa}!
    """,
    Chi="Mio fratello|La mamma|Il fornaio|Fabio|Beatrice|Un bravo pittore|La vicina|Il professore|Paola",
    chi="mio fratello|la mamma|il fornaio|Fabio|Beatrice|un bravo pittore|la vicina|il professore|Paola",
    fa="compra|prepara|muove|apre|porta|dipinge|vende|trova|dimentica|guarda|spinge|aspetta",
    cosa="una mela|il vino bianco|la barca|un libro|la finestra|il pane fresco|una farfalla|il ponte|la festa",
    quando="ogni mattina|venerdì|questa sera|in febbraio|dopo la pioggia|alle {number}|molto presto",
    Quando="Ogni mattina|Venerdì|Questa sera|In febbraio|Dopo la pioggia|Molto presto",
    luogo="sotto il ponte|nel bosco|vicino a Bologna|sulla spiaggia|davanti al museo|a Palermo",
    plurale="libri|mele|barche|ponti|uccelli|fiori|bambini|porte|amici",
)

_PORTUGUESE = _grammar(
    """
    {Quem} {faz} {coisa} {quando}.
    {Quando}, {quem} {faz} {coisa}.
    Por que {quem} {faz} {coisa}?
    Onde está {coisa}?
    Há {number} {plural} e {number} {plural} {lugar}.
    {Quem} {faz} {coisa} {lugar}, mas {quem} {faz} {coisa}.
    """,
    Quem="Meu irmão|A minha avó|O padeiro|Paulo|Beatriz|Uma boa amiga|O professor|A vizinha|Fábio",
    quem="meu irmão|a minha avó|o padeiro|Paulo|Beatriz|uma boa amiga|o professor|a vizinha|Fábio",
    faz="compra|prepara|move|abre|leva|pinta|vende|procura|esquece|empurra|limpa|guarda",
    coisa="uma maçã|o barco azul|a janela|um livro velho|o pão fresco|uma bola|o vinho|a ponte|um mapa",
    quando="toda manhã|na sexta-feira|à noite|em fevereiro|depois da chuva|às {number} horas|em breve",
    Quando="Toda manhã|Na sexta-feira|À noite|Em fevereiro|Depois da chuva|Em breve",
    lugar="na praia|debaixo da ponte|perto de Lisboa|na floresta|em Brasília|sobre a mesa",
    plural="livros|maçãs|barcos|pontes|pássaros|flores|amigos|pombas|mapas",
)

_DUTCH = _grammar(
    """
    {Wie} {doet} {wat} {wanneer}.
    {Wanneer} {doet} {wie} {wat}.
    Waarom {doet} {wie} {wat}?
    Er zijn {number} {meervoud} en {number} {meervoud} {plek}.
    {Wie} {doet} {wat} {plek}, maar {wie} {doet} {wat}.
    Wat mooi!
    """,
    Wie="Mijn broer|Mijn moeder|De bakker|Pim|Eva|De oude buurman|Professor Bos|Een goede vriend|Fleur",
    wie="mijn broer|mijn moeder|de bakker|Pim|Eva|de oude buurman|professor Bos|een goede vriend|Fleur",
    doet="koopt|bouwt|opent|zoekt|vindt|vergeet|verft|brengt|bewaart|bewondert|wast|verkoopt",
    wat="een appel|het witte boek|de brug|vijf bomen|een mooie fiets|de warme soep|het vuur|een paraplu|de boot",
    wanneer="elke morgen|op woensdag|in februari|na de regen|om {number} uur|vanavond|veel te vroeg",
    Wanneer="Elke morgen|Op woensdag|In februari|Na de regen|Vanavond|Veel later",
    meervoud="boeken|appels|bomen|bruggen|paarden|schoenen|wolken|vogels|vrienden",
    plek="in het bos|onder de brug|bij Utrecht|op het plein|voor het museum|aan de oever",
)

_POLISH = _grammar(
    """
    {Kto} {robi} {co} {kiedy}.
    {Kiedy} {kto} {robi} {co}.
    Dlaczego {kto} {robi} {co}?
    {Kto} {robi} {co} {gdzie}, a {kto} {robi} {co}.
    Jaki piękny dom!
    To kosztuje {number} złotych.
    """,
    Kto="Mój brat|Moja mama|Piekarz|Paweł|Ewa|Stary pan|Profesor Wójcik|Dobry przyjaciel|Babcia",
    kto="mój brat|moja mama|piekarz|Paweł|Ewa|stary pan|profesor Wójcik|dobry przyjaciel|babcia",
    robi="kupuje|maluje|otwiera|buduje|pokazuje|pamięta|przynosi|sprzedaje|myje|obserwuje|pakuje",
    co="jabłko|białe okno|nowy most|ciepły chleb|piękny obraz|mapę|pomarańczę|pudełko|wóz|małą łódź",
    kiedy="każdego ranka|w piątek|wieczorem|po deszczu|bardzo wcześnie|o ósmej|w lutym",
    Kiedy="Każdego ranka|W piątek|Wieczorem|Po deszczu|Bardzo wcześnie|W lutym",
    gdzie="w lesie|pod mostem|w Warszawie|nad wodą|przed domem|na plaży|koło Poznania",
)

_RUSSIAN = _grammar(
    """
    {Кто} {делает} {что} {когда}.
    {Когда} {кто} {делает} {что}.
    Почему {кто} {делает} {что}?
    {Кто} {делает} {что} {где}, а {кто} {делает} {что}.
    Какая прекрасная погода!
    Мой номер {number}.
    """,
    Кто="Мой брат|Моя мама|Пекарь|Павел|Вера|Старый мастер|Профессор Волков|Хороший друг|Бабушка",
    кто="мой брат|моя мама|пекарь|Павел|Вера|старый мастер|профессор Волков|хороший друг|бабушка",
    делает="покупает|открывает|продаёт|показывает|помнит|забывает|пробует|моет|выбирает|строит|ломает",
    что="яблоко|белое окно|новый мост|тёплый хлеб|красивый шарф|фонарь|большую вазу|пирог|маленький плот",
    когда="каждое утро|в пятницу|вечером|после дождя|очень рано|в феврале|по выходным",
    Когда="Каждое утро|В пятницу|Вечером|После дождя|Очень рано|В феврале",
    где="в лесу|под мостом|в Москве|у воды|перед домом|на пляже|возле фермы",
)

_TURKISH = _grammar(
    """
    {Kim} {ne_zaman} {neyi} {yapar}.
    {Ne_zaman} {kim} {neyi} {yapar}.
    {Kim} neden {neyi} {yapar}?
    {Kim} {nerede} {neyi} {yapar}, {kim} {neyi} {yapar}.
    Ne güzel bir ev!
    Burada {number} kitap ve {number} elma var.
    """,
    Kim="Babam|Küçük kardeşim|Fırıncı|Bülent|Pınar|Yaşlı komşu|Profesör|Vefa|Büyükannem",
    kim="babam|küçük kardeşim|fırıncı|Bülent|Pınar|yaşlı komşu|profesör|Vefa|büyükannem",
    yapar="alır|açar|boyar|bulur|satar|unutur|getirir|bekler|yıkar|sever|taşır|görür",
    neyi="bir elma|beyaz pencereyi|yeni köprüyü|sıcak ekmeği|mavi şapkayı|haritayı|büyük kutuyu|kayığı|öbür vapuru",
    ne_zaman="her sabah|cuma günü|bu akşam|şubatta|yağmurdan sonra|çok erken",
    Ne_zaman="Her sabah|Cuma günü|Bu akşam|Şubatta|Yağmurdan sonra|Çok erken",
    nerede="ormanda|köprünün altında|Ankara'da|plajda|evin önünde|vapurda",
)

_HINDI = _grammar(
    """
    {कौन} {कब} {क्या} {करता}।
    {कब} {कौन} {क्या} {करता}।
    {कौन} {क्या} क्यों {करता}?
    {कौन} {कहाँ} {क्या} {करता}, और {कौन} {क्या} {करता}।
    वाह! आज मौसम बहुत अच्छा है।
    मेरे पास {number} किताबें हैं।
    """,
    कौन="मेरा भाई|राम|पड़ोसी|बूढ़ा माली|मोहन|विमल|मेरा दोस्त|दुकानदार|पिता",
    कब="हर सुबह|शुक्रवार को|शाम को|बारिश के बाद|बहुत जल्दी|फरवरी में|कभी कभी",
    क्या="एक सेब|सफ़ेद फूल|नई किताब|गरम रोटी|बड़ा बक्सा|पुराना नक्शा|पीला आम|मीठा फल",
    करता="खरीदता है|बेचता है|ढूँढता है|भूलता है|लाता है|देखता है|मापता है|बाँटता है|पकड़ता है",
    कहाँ="बाग में|पुल के नीचे|मुंबई में|नदी के पास|घर के सामने|बाज़ार में",
)

_JAPANESE = _grammar(
    """
    {だれ}わ {いつ} {なに}お {する}。
    {いつ} {だれ}わ {なに}お {する}。
    {だれ}わ {どこ}で {なに}お {する}。
    {だれ}わ なぜ {なに}お {する}か。
    {いつ} {なに}お {する}、そして {なに}お {する}。
    """,
    だれ="わたし|あに|ともだち|せんせい|まなぶさん|ふみこさん|おとなりの ひと|パンやさん|おばあさん",
    いつ="まいあさ|きんようびに|こんばん|にがつに|あめの あとで|とても はやく|ときどき|ふゆやすみに",
    なに="りんご|しろい まど|ふるい ほん|あおい ふね|あたらしい ちず|おちゃ|やさい|ぼうし|ピアノ|バイオリン",
    する="かいます|うります|さがします|わすれます|はこびます|みます|みがきます|ほめます|つくります|えらびます",
    どこ="もりの なか|はしの した|うみべ|えきの まえ|ふくおか|こうえん|びじゅつかん",
)

# Pinyin with tone numbers: the voice reads letters, not characters.
_MANDARIN = _grammar(
    """
    {shei} {shijian} {zuo} {shenme}.
    {shijian} {shei} {zuo} {shenme}.
    {shei} zai4 {nali} {zuo} {shenme}.
    wei4shen2me5 {shei} {zuo} {shenme}?
    {shei} {zuo} {shenme}, {shei} {zuo} {shenme}.
    {shi} ge4 ping2guo3, {shi} ben3 shu1.
    """,
    shei="wo3|wo3 ba4ba5|wo3 ma1ma5|peng2you5|lao3shi1|mei4mei5|wang2 xian1sheng5|bai2 nv3shi4|ye2ye5",
    shijian="mei3tian1|xing1qi1wu3|wan3shang5|er4yue4|hen3 zao3|yu3 hou4|jin1tian1 xia4wu3",
    zuo="mai3|mai4|kan4|zhao3|xi3huan5|wang4 le5|da3kai1|bang1mang2 ban1|fang4xia4|hua4",
    shenme="ping2guo3|bai2 chuang1hu5|xin1 shu1|mian4bao1|da4 mao4zi5|di4tu2|xiao3 chuan2|bo1li5 bei1|fei1ji1 mo2xing2",
    nali="gong1yuan2|qiao2 xia4|bei3jing1|hai3bian1|men2 qian2|tu2shu1guan3|wu3fan4 zhuo1 pang2",
    shi="yi2|liang3|san1|si4|wu3|liu4|qi1|ba1|jiu3|shi2",
)

GRAMMARS: dict[str, Grammar] = {
    "en": _ENGLISH, "es": _SPANISH, "fr": _FRENCH, "de": _GERMAN, "it": _ITALIAN, "pt": _PORTUGUESE, "nl": _DUTCH,
    "pl": _POLISH, "ru": _RUSSIAN, "tr": _TURKISH, "hi": _HINDI, "ja": _JAPANESE, "cmn": _MANDARIN,
}  # fmt: skip

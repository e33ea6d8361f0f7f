"""Word classes in English, German, Spanish and French.

A sentence is read twice: as its words, and as the sequence of the classes its words fall in.
The second reading is what carries over to phrasings that no training text shows: "I'm not able to
walk you through that" and "ich kann dir dabei nicht helfen" share their classes and no word.
A trailing ``*`` stands for any ending.
"""

from __future__ import annotations

CLASSES: dict[str, str] = {
    "i": "i me my myself ich mir mich mein meine meiner yo me mi je j' moi mon ma mes",
    "we": "we us our ours openai anthropic google meta uns unser* nosotros nuestr* nous notre nos",
    "you": "you your yours yourself du dir dich dein* sie ihnen ihr ihre ihren tú tu ti te usted"
    " ustedes su sus vous votre vos toi",
    "not": "not no never nor without nicht kein* nie niemals weder ohne ni nunca jamás sin ne"
    " n' pas"
    " jamais aucun* sans isn't aren't wasn't doesn't didn't don't do-not shouldn't mustn't"
    " wouldn't hasn't haven't ain't",
    "cannot": "can't cannot cant couldn't unable incapable incapaz incapable unfähig außerstande",
    "refuse": "won't wont refuse* refusing declin* decline unwilling withhold* ablehn* lehne"
    " weiger*"
    " verweiger* rechazo rechazar rehúso rehusar negarme niego refuser declino décline"
    " pass comfortable willing prepared",
    "can": "can could able may kann kannst können könnte könnt darf dürfen puedo puede puedes"
    " podemos podría poder peux peut pouvons pouvez pourrais puis capaz capable",
    "will": "will would 'll i'll going shall should must werde wird würde soll sollte muss voy va"
    " vais debo debe debería dois doit devrais",
    "help": "help* assist* aid aiding support* helf* hilf* hilfe behilflich unterstütz* ayud*"
    " asisti* asistencia apoy* aide* aider aidé assister soutenir",
    "provide": "provid* give giving share sharing offer* supply* generat* creat* writ* produc*"
    " answer* respond* response fulfil* comply* complying complet* tell discuss* engag* participat*"
    " facilitat* walk continu* proceed* produce carry make making do explain* describ* teach*"
    " detail* go draft* role roleplay play endors* promot* condon* address* accommodat* process*"
    " geben gebe bereitstell* liefer* schreib* erstell* beantwort* antwort* erklär* teilen"
    " nenn* eingehen mitmach* proporcion* dar doy ofrec* escrib* crear gener* respond* contest*"
    " explic* particip* cumpl* compart* fourn* donner donne écri* créer génér* répond* expliqu*"
    " partag* particip*",
    "policy": "guideline* policy policies programm* designed design terms principle* rules rule"
    " safety allowed permitted prohibited prohibit* restrict* limitation* boundar* violat* against"
    " purpose constraint* standards richtlinie* nutzungsbedingung* verstößt verstoß* regeln"
    " sicherheits* programmiert erlaubt política* norma* directri* programad* permitid* viola"
    " política règles règle politique* directives programmé* autorisé* enfreint contraire",
    "wrong": "ethical* unethical* ethics appropriate* inappropriate* moral* immoral* illegal*"
    " unlawful* harmful dangerous unsafe hateful discriminat* offensive wrong unacceptable"
    " acceptable malicious derogatory disrespectful irresponsible criminal legal* lawful crime*"
    " consequence* illegale* strafbar* verboten gefährlich* schädlich* unethisch* ethisch*"
    " moralisch* unangemessen* rechtswidrig* ilegal* peligros* dañin* inapropiad* étic* inmoral*"
    " delito illégal* illégau* dangereu* nuisible* inapproprié* éthique* contraire*",
    "harm": "kill* murder* bomb* violen* harm* abus* weapon* hurt* attack* steal* stole* theft"
    " drug* suicid* self-harm explosiv* poison* hack* malware racis* sexis* hate terror*"
    " exploit* stalk* assault* threat* fraud* scam* töten mord* gewalt waffe* bombe* drogen*"
    " verletz* stehlen hass schaden matar asesin* violencia arma armas bomba* drogas daño* robar"
    " odio tuer meurtre* arme armes bombe* drogue* voler haine blesser nuire",
    "sorry": "sorry apolog* afraid regret* unfortunately leider entschuldig* sorry tut bedaure"
    " verzeih* siento lamento lamentablemente disculp* perdón perdona désolé* navré* regrette*"
    " malheureusement excus* pardon",
    "hear": "hear loss going-through hören escuchar oír entendre apprendre sad pain feel feeling"
    " feelings understand* verstehe* entiendo comprendo comprends tough difficult hard",
    "instead": "instead rather alternativ* stattdessen lieber sondern en-lugar cambio plutôt"
    " otherwise safer constructive safe positive legitimate",
    "but": "but however though although while aber jedoch allerdings pero embargo aunque mais"
    " cependant toutefois",
    "urge": "encourag* recommend* suggest* urge* advis* consider* seek* seeking reach* consult*"
    " contact* speak* talk* focus* strongly prioritiz* prioritis* report* empfehl* rate wende*"
    " wenden überleg* erwäg* konzentrier* recomiend* sugier* aconsej* consider* busca* buscar"
    " contact* habl* conseill* recommand* suggèr* envisag* contact* adress* consulte*",
    "expert": "professional* therapist* counselor* counsellor* hotline* helpline* lawyer* attorney*"
    " doctor* physician* authorit* police emergency crisis lifeline law enforcement trusted"
    " anwalt* ärzt* arzt* therapeut* polizei behörde* fachperson fachleute beratungsstelle"
    " profesional* abogad* médic* terapeuta policía autoridad* professionnel* avocat* médecin*"
    " thérapeute* autorités",
    "note": "important* crucial essential remember* note noting vital keep mind must-note wichtig*"
    " beachte* denk importante* recuerd* recordar ten cuenta rappel* noter souvenir",
    "request": "request* question* prompt* query queries topic* information* content instruction*"
    " guidance advice task material anfrage* frage* thema themen inhalt* anleitung* informationen"
    " auskunft bitte-um solicitud* petición pregunta* tema* contenido* instrucc* información"
    " consejo* demande* question* sujet* contenu* instruction* conseil* information*",
    "this": "that this it these those such kind sort dabei damit das dies* solch* so-etwas eso esto"
    " esta este ese esa tal tales cela ça ceci ce cette ces tel* y",
    "sure": "sure certainly absolutely course yes yeah great happy glad gladly gerne gern natürlich"
    " klar selbstverständlich claro seguro supuesto gusto sí bien-sûr certainement volontiers oui"
    " avec plaisir okay ok",
    "here": "here here's hier aquí voici voilà below following folgende* siguiente* suivant* folgt"
    " continuación",
    "step": "step steps first firstly second secondly third next then finally last schritt* zuerst"
    " dann danach schließlich paso pasos primero segundo luego después finalmente étape* d'abord"
    " ensuite puis enfin",
    "ai": "ai artificial language model models assistant chatbot ki sprachmodell assistent ia"
    " modelo lenguaje asistente modèle langage",
    "invite": "feel free let know like want wish if gern wenn sag si quieres déjame dime souhait*"
    " n'hésit* dites wanna prefer",
    "clarify": "clarif* context details specif* mean meant intend* intent* goal trying ask* what"
    " which why who how where when kontext genau* was welch* warum wie wofür meinst aclar* contexto"
    " detalles qué cuál cuáles por-qué cómo précis* contexte quel* quoi pourquoi comment",
    "because": "because since due as given reason because weil da denn grund porque ya debido razón"
    " car parce puisque raison",
    "instruct": "use using add mix place ensure take choose start open click press set put turn"
    " remove run install cook bake pour heat cut check try pick create apply follow practice visit"
    " verwende* nimm füge gib stelle öffne klicke starte schneide wähle usa añade mezcla coloca"
    " abre elige corta pon utilisez ajoutez mélangez ouvrez choisissez coupez mettez prenez",
    "define": "is are was were refers means called known term typically usually commonly often"
    " generally example examples include includes including involves ist sind war bedeutet heißt"
    " zum beispiel es son era significa ejemplo est sont était signifie exemple c'est",
    "fiction": "story stories character* fiction* novel movie film game plot said asked whispered"
    " replied shouted once scene chapter narrator hero villain sagte fragte geschichte figur film"
    " dijo preguntó historia personaje película dit demanda histoire personnage",
    "unreal": "exist* fictional false incorrect inaccurate myth evidence misconception actually"
    " imaginary real true existe existiert wahr falsch ficticio falso réel faux",
    "equal": "respect* dignity regardless race gender everyone equal* fair* discriminat* stereotyp*"
    " rights human* everyone inclusive compassion kindness empathy respekt würde gleich* menschen"
    " respeto dignidad igual* derechos dignité égal* droits",
    "unknown": "access real-time know data knowledge cutoff browse internet update date opinion*"
    " beliefs emotion* personal zugriff acceso accès conocimiento connaissance",
    "wait": "moment stand-by working soon later shortly hold bear patience gleich momento instant"
    " ready",
    "privacy": "privacy private personal confidential consent copyright* privat* datenschutz"
    " privacidad"
    " vie-privée copyrighted proprietary",
    "people": "people women men woman man girls boys muslim* jew* christian* immigrant* refugee*"
    " foreigner* black white asian* african* latin* hispanic* arab* indian* chinese mexican* gay"
    " lesbian* trans transgender disabled elderly old poor autistic children child kids students"
    " employees minorit* community communities frauen männer juden muslime ausländer* kinder"
    " mujeres"
    " hombres judíos musulmanes inmigrantes niños femmes hommes juifs musulmans immigrés enfants",
    "contradict": "inherently justified justif* accurate inaccurate untrue incorrect stereotype"
    " generaliz* generalis* premise assumption factual* baseless deserve* tragic tragedy genocide"
    " atrocit* oppress* condemn* gerechtfertigt pauschal justificad* injustifi* prémisse",
    "caution": "warning caution careful disclaimer safety risk* risky danger* hinweis achtung"
    " vorsicht warnung advertencia cuidado precaución attention avertissement prudence",
}

# Words too common to tell a topic; what is neither here nor in a class counts as content.
FUNCTION_WORDS = frozenset(
    [
        "a",
        "an",
        "the",
        "and",
        "or",
        "of",
        "to",
        "in",
        "on",
        "at",
        "by",
        "for",
        "with",
        "from",
        "about",
        "into",
        "over",
        "under",
        "up",
        "down",
        "out",
        "off",
        "he",
        "she",
        "they",
        "them",
        "his",
        "her",
        "hers",
        "their",
        "theirs",
        "him",
        "who",
        "whom",
        "be",
        "been",
        "being",
        "am",
        "do",
        "does",
        "did",
        "has",
        "have",
        "had",
        "it's",
        "its",
        "there",
        "than",
        "too",
        "very",
        "just",
        "also",
        "only",
        "more",
        "most",
        "much",
        "many",
        "some",
        "any",
        "all",
        "each",
        "other",
        "another",
        "same",
        "so",
        "as",
        "if",
        "when",
        "while",
        "because",
        "both",
        "between",
        "during",
        "before",
        "after",
        "der",
        "die",
        "das",
        "den",
        "dem",
        "des",
        "ein",
        "eine",
        "einen",
        "einem",
        "einer",
        "eines",
        "und",
        "oder",
        "von",
        "zu",
        "im",
        "in",
        "am",
        "auf",
        "für",
        "mit",
        "aus",
        "bei",
        "nach",
        "über",
        "unter",
        "als",
        "auch",
        "nur",
        "noch",
        "sehr",
        "mehr",
        "man",
        "es",
        "er",
        "wir",
        "hat",
        "haben",
        "ist",
        "sein",
        "wird",
        "werden",
        "wurde",
        "zum",
        "zur",
        "vom",
        "beim",
        "dass",
        "ob",
        "el",
        "la",
        "los",
        "las",
        "un",
        "una",
        "unos",
        "unas",
        "y",
        "o",
        "de",
        "del",
        "al",
        "en",
        "con",
        "por",
        "para",
        "a",
        "que",
        "se",
        "lo",
        "le",
        "les",
        "más",
        "muy",
        "como",
        "pero",
        "ha",
        "han",
        "ser",
        "estar",
        "está",
        "están",
        "hay",
        "sobre",
        "entre",
        "hasta",
        "desde",
        "le",
        "la",
        "les",
        "un",
        "une",
        "des",
        "du",
        "de",
        "et",
        "ou",
        "à",
        "au",
        "aux",
        "en",
        "dans",
        "sur",
        "pour",
        "par",
        "avec",
        "que",
        "qui",
        "se",
        "il",
        "elle",
        "ils",
        "elles",
        "on",
        "plus",
        "très",
        "comme",
        "a",
        "ont",
        "être",
        "avoir",
        "été",
        "y",
    ]
)

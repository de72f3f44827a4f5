"""Word lists of the synthetic corpus. Everything here was written by hand for this script.

`Lexicon("train")` and `Lexicon("test")` share common words but hold disjoint names, places,
companies, code names, products and tools, so that the evaluation meets unseen ones.
"""
W = str.split
FIRST = W("""
    Ada Adam Agnes Aisha Alan Albert Alice Amara Amir Ana Andre Angela Anita Anna Anton Ari
    Arjun Astrid Ava Axel Beatriz Ben Bianca Bjorn Bruno Camila Carl Carmen Cecilia Chen Chloe
    Clara Claude Conrad Cora Dalia Dana Daniel Daria David Deepa Derek Diana Diego Dina Dmitri
    Dora Edgar Edith Elena Eli Elif Eliza Ella Elsa Emil Emma Enzo Erik Esther Eva Fatima Felix
    Fiona Florian Frank Freya Gabriel Gemma George Gita Grace Greta Gustav Hana Hannah Harold
    Hassan Hector Heidi Helen Henry Hilda Hugo Ibrahim Ida Igor Ilse Imani Ines Ingrid Iris
    Isaac Ivan Jack Jamal James Jana Jasper Jean Jin Joan John Jonas Jorge Judith Julia Kai
    Karin Karl Kate Kavya Kenji Kira Klaus Lara Lars Laura Layla Lea Leo Lena Liam Lina Linda
    Lisa Louis Lucia Lukas Luna Mads Maja Malik Marco Maria Mark Marta Martin Mary Mateo Maya
    Mei Mia Mila Miles Mina Mohamed Mona Nadia Naomi Nasir Nia Nico Nils Nina Noah Nora Olga
    Oliver Omar Oscar Otto Pablo Paula Pedro Petra Philip Pia Priya Rahul Ralf Ravi Rita Robert
    Rosa Ruth Sam Samir Sara Selma Sean Simon Sofia Stella Sven Tara Tariq Theo Thomas Tim Tina
    Tom Uma Ursula Vera Victor Viola Wanda Wei Willem Xenia Yara Yusuf Zara Zoe
""")
LAST = W("""
    Abbott Adler Ahmed Alvarez Andersen Arnold Baker Barnes Bauer Becker Bell Berg Bishop Blake
    Bond Boyd Brandt Braun Brooks Brown Burke Carter Castro Chang Clark Cole Cooper Costa Craig
    Cruz Dahl Dean Diaz Dixon Doyle Dubois Duarte Egan Ellis Evans Farrell Fischer Flores Foster
    Fox Frost Fuchs Garcia Gibbs Gomez Grant Gray Green Haas Hall Hansen Harper Hayes Hill Holm
    Hoffman Hughes Hunt Ibsen Iqbal Ito Jansen Jensen Jones Kane Kaur Keller Khan Kim King Klein
    Knight Koch Kovacs Kumar Lane Lang Larsen Lee Lehman Lopez Lund Marsh Mason Mehta Meyer
    Mills Moore Moreau Morgan Moser Murphy Nash Nguyen Nolan Novak Nunez Olsen Ortega Osborne
    Owens Park Patel Pauli Perez Petrov Pierce Pohl Porter Quinn Ramos Rao Reed Reyes Rhodes
    Rios Roberts Rossi Roth Ruiz Sato Schmidt Scott Sharma Shaw Silva Singh Sloan Smith Snow
    Sokolov Stone Strand Suzuki Tanaka Taylor Torres Tran Turner Vance Vargas Vega Vogel Wagner
    Walker Walsh Wang Ward Weber West White Winter Wolf Wong Wood Wright Yang Young Zhang Zimmer
""")
CITY = W("""
    Accra Aarhus Almaty Amsterdam Antwerp Athens Auckland Austin Baku Baltimore Bangkok
    Barcelona Basel Beirut Belfast Bergen Berlin Bern Bilbao Bogota Bologna Bonn Boston Bremen
    Brisbane Bristol Brno Brussels Bucharest Budapest Cairo Calgary Cardiff Chicago Cologne
    Copenhagen Cork Dakar Dallas Delhi Denver Detroit Dresden Dublin Durban Edinburgh Essen
    Florence Frankfurt Geneva Genoa Ghent Glasgow Graz Hamburg Hanoi Havana Helsinki Houston
    Istanbul Jakarta Kampala Kiel Krakow Kyoto Lagos Leeds Leipzig Lima Linz Lisbon Liverpool
    London Lucerne Lyon Madrid Malaga Malmo Manila Marseille Melbourne Memphis Miami Milan
    Montreal Moscow Mumbai Munich Nairobi Naples Nice Odessa Oporto Osaka Oslo Ottawa Oxford
    Palermo Paris Perth Phoenix Porto Prague Quito Reykjavik Riga Rome Rotterdam Salzburg
    Santiago Seattle Seoul Seville Sofia Split Stockholm Sydney Tallinn Tampere Tbilisi Tokyo
    Toronto Trieste Tunis Turin Utrecht Valencia Venice Vienna Vilnius Warsaw York Zagreb Zurich
""")
CODENAME = W("""
    Acorn Albatross Amber Anchor Antelope Apollo Arrow Aspen Atlas Aurora Badger Bamboo Basalt
    Beacon Birch Bison Blizzard Bluefin Bramble Breeze Bronze Canyon Caribou Cascade Cedar
    Cinder Citadel Clover Cobalt Comet Compass Condor Copper Coral Cosmos Coyote Crane Crater
    Cricket Crimson Crow Crystal Cypress Daisy Delta Dolphin Dragon Drift Dune Eagle Ebony Echo
    Eclipse Elk Ember Emerald Falcon Fern Finch Firefly Flint Fjord Foxglove Gale Garnet Gecko
    Ginger Glacier Granite Grove Gull Harbor Hawk Hazel Heron Hickory Horizon Hornet Hyena Ibis
    Indigo Iris Ivory Jackal Jade Jaguar Jasmine Juniper Kestrel Kiwi Lagoon Lantern Larch Lark
    Laurel Lemur Lichen Lilac Lion Lotus Lynx Magnet Mango Maple Marble Marlin Meadow Mercury
    Meteor Mirage Moss Nebula Nettle Nimbus Nova Oak Oasis Obsidian Ocelot Olive Onyx Opal Orca
    Orchid Orion Osprey Otter Panda Panther Pearl Pelican Pepper Phoenix Pine Pluto Polaris
    Prairie Puffin Puma Quartz Quasar Raven Reef Ridge Robin Ruby Saffron Sage Salmon Sapphire
    Saturn Sequoia Shadow Sierra Silver Sparrow Spruce Stork Summit Swan Tango Tempest Thistle
    Thunder Tiger Topaz Trout Tulip Tundra Umber Vector Velvet Viper Vortex Walnut Walrus Willow
    Wolf Wren Zebra Zenith Zephyr
""")
COLOUR = W("""
    red blue green yellow orange purple black white grey brown pink silver gold teal navy maroon
    turquoise beige violet crimson olive magenta
""")
ANIMAL = W("""
    dog cat horse rabbit parrot hamster goat sheep cow pig duck goose turtle snake lizard frog
    fox wolf bear otter owl falcon donkey camel mouse hedgehog ferret pony llama chicken canary
    goldfish
""")
FOOD = W("""
    pizza pasta sushi curry soup salad bread cheese rice ramen tacos pancakes waffles dumplings
    risotto lasagna stew paella falafel hummus omelette burger chili noodles porridge kebab
    gnocchi quiche tofu lentils pierogi goulash
""")
JOB = [
    "teacher", "nurse", "engineer", "carpenter", "baker", "pilot", "librarian", "chef",
    "electrician", "plumber", "architect", "journalist", "lawyer", "dentist", "gardener", "painter",
    "musician", "designer", "translator", "accountant", "data scientist", "product manager",
    "system administrator", "tailor", "farmer", "mechanic", "photographer", "pharmacist", "surgeon",
    "editor", "biologist", "chemist", "firefighter", "social worker", "tour guide"
]
HOBBY = [
    "chess", "gardening", "painting", "climbing", "cycling", "running", "knitting", "sailing",
    "pottery", "photography", "hiking", "swimming", "reading", "dancing", "fishing", "baking",
    "bird watching", "playing the piano", "playing the guitar", "woodworking", "astronomy", "yoga",
    "skiing", "tennis", "origami", "karate"
]
TECH = W("""
    Postgres MySQL SQLite Redis Kafka RabbitMQ MongoDB Cassandra Elasticsearch Rust Go Python
    Java Kotlin Swift TypeScript Ruby Scala Elixir Haskell Terraform Ansible Docker Kubernetes
    Nginx Envoy Grafana Prometheus Jenkins Django Flask React Vue Svelte Angular GraphQL gRPC
    Parquet Arrow Spark Flink Airflow Kibana Vault Consul Nomad Bazel CMake Gradle Maven
    WebAssembly OAuth LDAP
""")
LANGUAGE = W("""
    English German French Spanish Italian Portuguese Dutch Swedish Danish Norwegian Finnish
    Polish Czech Greek Turkish Arabic Hindi Japanese Korean Chinese Swahili Hebrew Russian
    Ukrainian
""")
MATERIAL = W("""
    oak pine steel glass cotton wool leather plastic copper bamboo ceramic marble rubber linen
    brass silk aluminium paper concrete carbon
""")
DAY = W("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTH = W("""
    January February March April May June July August September October November December
""")
COUNTRY = W("""
    Argentina Australia Austria Belgium Brazil Canada Chile China Colombia Croatia Denmark Egypt
    Estonia Finland France Germany Ghana Greece Hungary Iceland India Ireland Italy Japan Kenya
    Latvia Mexico Morocco Nepal Nigeria Norway Peru Poland Portugal Romania Senegal Serbia
    Slovenia Spain Sweden Switzerland Thailand Tunisia Turkey Uganda Ukraine Uruguay Vietnam
    Zambia
""")
ADJ = W("""
    small large old new quiet loud bright dark heavy light narrow wide early late long short
    warm cold cool soft hard clean dusty simple complex strange normal common rare cheap costly
    fast slow steady gentle rough smooth sharp round flat deep shallow empty full busy calm
    careful clever curious eager friendly grand honest humble lazy lively lonely lucky neat
    patient pleasant polite proud rainy ready rusty sandy silent sleepy spare stormy stable
    sunny sturdy tidy tiny useful weary windy wooden yellow young broken hidden modern local
    main public recent final usual green silver golden
""")
NOUN = W("""
    apple arch attic bag ball bank barn basket bell bench bicycle bird blanket board boat book
    bottle bowl box branch bread bridge broom brush bucket bus button cable cabin camera candle
    canoe carpet cart castle chair chart church clock cloud coat coin cottage cup curtain desk
    diary dish door drawer drum engine fan farm fence field film fire flag flower folder forest
    fountain frame garage garden gate glove hall hammer harbour hat helmet hill hotel house hut
    ink island jacket jar journal kettle key kitchen kite knife ladder lake lamp lantern leaf
    letter library lid lighthouse lock locker machine mailbox map market mill mirror mountain
    mug museum needle net notebook oven paint palace pan paper park path pen pencil phone piano
    picture pillow pipe plate pocket pond pool poster pot printer pump purse radio rail ring
    river road rock roof room rope safe sail scarf school screen sea shed shelf ship shirt shoe
    shop sign sofa spoon square stable stage stair stamp station statue stone stove street
    suitcase table tank tent theatre ticket tool tower town toy tractor train tray tree truck
    trunk tunnel umbrella valley van vase vault village wagon wall watch well wheel whistle
    window yard
""")
PEOPLE = W("""
    neighbours visitors farmers students teachers workers children tourists drivers sailors
    bakers painters doctors players singers guests travellers volunteers colleagues engineers
    designers managers reviewers customers readers writers
""")
VERB_PAST = W("""
    passed crossed watched repaired cleaned painted opened closed moved carried followed visited
    admired found left noticed remembered described photographed measured covered touched
    reached circled ignored loved liked avoided borrowed used checked lifted pushed pulled
    turned sketched
""")
ADV = W("""
    slowly quickly quietly often rarely usually carefully gladly calmly together again twice
    early late outside gently happily already almost sometimes simply mostly
""")
TOPIC = [
    "the weather", "the traffic", "the food", "the music", "the football match", "the old film",
    "the holidays", "the garden", "the news", "the new building", "coffee", "the long winter",
    "the summer heat", "the train delays", "gardening", "the local market", "the neighbours",
    "breakfast", "the school play", "the view", "old books", "the noise", "the paint on the walls",
    "the office plants", "lunch", "the parking situation", "the elevator", "the coffee machine"
]
SYL = W("""
    ba be bi bo bu da de di do du fa fe fi fo ga ge go gu ha he hi ho ja jo ka ke ki ko ku la le
    li lo lu ma me mi mo mu na ne ni no nu pa pe pi po ra re ri ro ru sa se si so su ta te ti to
    tu va ve vi vo wa we za ze zi zo zu bar bel cor dan del fen gar hal jor kan kel lan lin mar
    mer nor pel quin ras ren sol tan tor val ven wil zan tri sta ble cra dro fli gro kra pla pre
    shi sku spo thu tro
""")
CODECH = "ABCDEFGHJKLMNPQRSTUVWXYZ"
OBJECT = [
    "the billing service", "the login page", "the search index", "the release notes",
    "the user database", "the payment gateway", "the mobile app", "the backup job",
    "the report generator", "the test suite", "the data pipeline", "the admin dashboard",
    "the email templates", "the cache layer", "the image server", "the deployment script",
    "the onboarding guide", "the monitoring alerts", "the customer portal", "the inventory system",
    "the booking form", "the API gateway", "the audit log", "the config parser",
    "the message queue", "the rate limiter", "the scheduler", "the recommendation engine",
    "the home page", "the chat widget", "the invoice export", "the permission model",
    "the file upload", "the notification service", "the analytics job", "the staging cluster",
    "the build server", "the mobile layout", "the error handler", "the user manual",
    "the sales report", "the budget plan", "the contract draft", "the travel plan",
    "the training slides", "the warehouse layout", "the price list", "the floor plan", "the menu",
    "the garden shed", "the kitchen sink", "the old roof", "the newsletter", "the survey",
    "the press release", "the job posting", "the meeting notes", "the photo archive",
    "the donor list", "the guest list"
]
VERB_TASK = [
    "review", "update", "rewrite", "test", "fix", "document", "migrate", "replace", "clean up",
    "redesign", "simplify", "archive", "translate", "measure", "rename", "split", "extend",
    "publish", "prepare", "check", "finish", "remove", "automate", "refactor", "audit", "draft",
    "ship", "secure", "benchmark", "inspect"
]
PURPOSE = [
    "before the launch", "without downtime", "in small steps", "for the new customers",
    "for the audit", "with the new style guide", "after the demo", "for the spring release",
    "with fewer dependencies", "in one week", "for the board meeting", "with the old data",
    "on the staging cluster first", "for the mobile users", "with a feature flag"
]
DOMAIN = {
    "billing": "invoice refund payment charge subscription receipt discount credit fee tax",
    "travel": "flight hotel luggage passport airport visa itinerary cruise boarding ticket",
    "cooking": "recipe oven ingredients sauce dough spices frying soup baking dinner",
    "health": "headache fever doctor medicine symptoms allergy vaccine clinic diet sleep",
    "sports": "match team goal player league coach stadium score tournament training",
    "weather": "rain forecast temperature storm wind sunshine snow humidity clouds frost",
    "finance": "stocks bonds savings interest loan investment portfolio market pension fund",
    "coding": "function bug compiler variable code library loop exception unit-test refactoring",
    "devops": "deployment cluster container pipeline server rollback monitoring logs uptime proxy",
    "legal": "contract lawsuit clause copyright lawyer court liability patent witness agreement",
    "education": "homework exam teacher school lesson student course university grade essay",
    "music": "song guitar melody concert album piano rhythm band orchestra chord",
    "gardening": "plants soil seeds roses watering weeds compost pruning lawn tomatoes",
    "cars": "engine brakes tyres oil garage mileage gearbox battery windscreen clutch",
    "history": "empire war king century revolution ancient castle treaty pharaoh museum",
    "astronomy": "planet star telescope galaxy moon orbit comet eclipse nebula asteroid",
    "pets": "dog puppy cat kitten leash vet litter fur parrot aquarium",
    "movies": "film actor director cinema scene trailer script sequel screenplay oscar",
    "fashion": "dress shoes jacket fabric style trousers scarf shirt designer suit",
    "real estate": "apartment rent mortgage landlord tenant lease bedroom property deposit house",
    "human resources":
    "vacation salary hiring interview payroll employee resume promotion onboarding overtime",
    "shipping": "parcel delivery courier tracking package warehouse customs freight address pallet",
    "security": "password phishing firewall malware breach encryption login hacker antivirus token",
    "mathematics": "equation triangle fraction algebra integral matrix angle theorem prime sum",
    "photography": "camera lens shutter portrait aperture tripod exposure flash zoom pixels",
    "games": "chess puzzle dice board player level console quest card controller",
    "databases": "query table index schema transaction replica join backup column row",
    "networking": "router bandwidth packet switch latency ethernet wifi subnet dns modem",
}
GREET = W("""
    hi hello hey Hi Hello Hey hi! Hello! Hey! Hi! hello! hey! Hello. Hi. yo greetings Greetings
    Howdy
""") + [
    "good morning", "Good morning!", "Good evening", "good afternoon", "Hi there", "hello there",
    "Hey there!", "Hello, how are you?", "hi, can you help me?", "Good day"
]
ACK = [
    "Got it.", "Noted.", "Okay, noted.", "Understood.", "Thanks, I will keep that in mind.",
    "Sure.", "All right.", "I see.", "OK, I have noted that.", "Thank you, noted."
]
FILLER = [
    "The {ADJ} {NOUN} stood near the {ADJ} {NOUN}.",
    "Some {PEOPLE} {VERB_PAST} the {NOUN} {ADV}.",
    "The {PEOPLE} talked about {TOPIC} for a while.",
    "Nobody {VERB_PAST} the {ADJ} {NOUN} that day.",
    "It was a {ADJ} day and the {NOUN} looked {ADJ}.",
    "We had a nice chat about {TOPIC}.",
    "The {NOUN} beside the {NOUN} was {ADJ} as always.",
    "By noon the {PEOPLE} had {VERB_PAST} the {NOUN}.",
    "I am not sure what to think about {TOPIC}.",
    "Sounds good to me.",
    "Let me think about it for a moment.",
    "That is an interesting point about {TOPIC}.",
    "Anyway, {TOPIC} can wait.",
    "The {PEOPLE} {ADV} {VERB_PAST} a {NOUN} and went home.",
    "There was a {NOUN} on the {NOUN} near the {NOUN}.",
    "Every {NOUN} in the {NOUN} seemed {ADJ}.",
    "Someone left a {NOUN} in the hallway again.",
    "In the evening the {NOUN} became {ADJ} and {ADJ}.",
    "A {NOUN} is not the same as a {NOUN}, of course.",
    "Thanks a lot, that was helpful.",
    "I will take another look at it later.",
    "Sorry for the late reply, the day was {ADJ}.",
    "The {PEOPLE} were {ADJ}, and the {PEOPLE} were {ADJ}.",
    "My {NOUN} is a bit {ADJ} lately, but never mind.",
    "Did you see {TOPIC} yesterday?",
    "People often complain about {TOPIC}.",
    "The {NOUN} made a {ADJ} sound.",
    "We walked past the {ADJ} {NOUN} and the {ADJ} {NOUN}.",
    "Perhaps the {PEOPLE} will come back to {TOPIC} another time.",
    "The {ADJ} {NOUN} was {VERB_PAST} by the {PEOPLE}.",
    "Nothing special happened after that.",
    "Let us come back to the topic.",
    "The {PEOPLE} enjoyed {TOPIC} more than expected.",
    "It is always nice to talk about {TOPIC}.",
    "A {ADJ} {NOUN} and a {ADJ} {NOUN} were all they had.",
    "Behind the {NOUN} there was a {ADJ} {NOUN}.",
    "The story about the {NOUN} went on and on.",
    "I had to laugh about {TOPIC}.",
    "Hmm, that makes sense.",
    "I guess we will see.",
    "The meeting took longer than planned because of {TOPIC}.",
    "As usual, the {NOUN} was {ADJ} and the {NOUN} was {ADJ}.",
    "Most {PEOPLE} prefer a {ADJ} {NOUN} to a {ADJ} one.",
    "While the {PEOPLE} waited, the {NOUN} stayed {ADJ}.",
    "If the {NOUN} were less {ADJ}, the {PEOPLE} would like it.",
    "Writing about {TOPIC} is harder than it looks.",
    "The {ADJ} {PEOPLE} rested under the {ADJ} {NOUN}.",
    "One more thing about {TOPIC}: it never gets old.",
    "There is little to say about the {NOUN}.",
    "Later the {PEOPLE} {VERB_PAST} the {NOUN} and the {NOUN}.",
    "The {NOUN} smelled of rain and {NOUN}s.",
    "You know how {PEOPLE} are.",
    "What a {ADJ} {NOUN}!",
    "Well, that was {ADJ}.",
    "The light fell on the {ADJ} {NOUN} and the {PEOPLE} smiled.",
    "Honestly, {TOPIC} does not matter much here.",
    "This part is only background and can be skipped.",
    "The logs look normal and nothing stands out.",
    "The build finished without warnings.",
    "The {NOUN} test passed again on the second try.",
    "Everything is running as expected so far.",
]
CAPITALS = dict(
    zip(
        W("""
    France Germany Italy Spain Portugal Austria Belgium Denmark Norway Sweden Finland Poland
    Hungary Greece Ireland Japan China India Russia Egypt Kenya Canada Mexico Brazil Argentina
    Chile Peru Cuba Turkey Thailand Vietnam Australia Iceland Latvia Estonia Lithuania Croatia
    Romania Bulgaria Ukraine Morocco Senegal Ghana
"""), [
            "Paris", "Berlin", "Rome", "Madrid", "Lisbon", "Vienna", "Brussels", "Copenhagen",
            "Oslo", "Stockholm", "Helsinki", "Warsaw", "Budapest", "Athens", "Dublin", "Tokyo",
            "Beijing", "New Delhi", "Moscow", "Cairo", "Nairobi", "Ottawa", "Mexico City",
            "Brasilia", "Buenos Aires", "Santiago", "Lima", "Havana", "Ankara", "Bangkok", "Hanoi",
            "Canberra", "Reykjavik", "Riga", "Tallinn", "Vilnius", "Zagreb", "Bucharest", "Sofia",
            "Kyiv", "Rabat", "Dakar", "Accra"
        ]))


class Lexicon:
    """The names of one split, "train" or "test"; every eighth name belongs to the test split."""

    def __init__(self, split):

        def pick(xs):
            return [x for i, x in enumerate(xs) if (i % 8 == 5) == (split == "test")]

        self.split = split
        self.first, self.last = pick(FIRST), pick(LAST)
        self.city, self.code = pick(CITY), pick(CODENAME)

//! Text that says nothing of importance, in plain sentences.

use crate::measure::random::Random;

/// Names of projects, services and teams; those of planted facts come from here.
pub(super) const NAMES: &[&str] = &[
    "Acorn", "Amber", "Anchor", "Apollo", "Aspen", "Aurora", "Badger", "Basalt", "Beacon", "Birch",
    "Bison", "Bramble", "Canyon", "Caribou", "Cedar", "Citadel", "Clover", "Cobalt", "Comet",
    "Condor", "Coral", "Coyote", "Crater", "Cypress", "Dolphin", "Dragon", "Eagle", "Echo",
    "Ember", "Falcon", "Finch", "Flint", "Garnet", "Gecko", "Glacier", "Granite", "Harbor", "Hawk",
    "Heron", "Hornet", "Indigo", "Jackal", "Jaguar", "Juniper", "Kestrel", "Lagoon", "Lantern",
    "Larch", "Lynx", "Magnet", "Maple", "Meteor", "Nebula", "Nimbus", "Oak", "Onyx", "Orchid",
    "Osprey", "Otter", "Panther", "Pebble", "Pelican", "Phoenix", "Pine", "Quartz", "Raven",
    "Saffron", "Salmon", "Sequoia", "Sparrow", "Spruce", "Tango", "Thistle", "Tiger", "Topaz",
    "Tundra", "Velvet", "Walnut", "Willow", "Zephyr",
];

/// First names of people.
pub(super) const PEOPLE: &[&str] = &[
    "Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas",
    "Karin", "Leo", "Marta", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tara", "Victor",
];

/// Languages.
pub(super) const LANGUAGES: &[&str] = &[
    "German",
    "French",
    "Spanish",
    "Italian",
    "Portuguese",
    "Dutch",
    "Swedish",
    "Danish",
    "Finnish",
    "Polish",
    "Czech",
    "Greek",
    "Turkish",
    "Hindi",
    "Japanese",
    "Korean",
];

/// Months.
pub(super) const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Things that work is done on.
pub(super) const OBJECTS: &[&str] = &[
    "the login page",
    "the search index",
    "the release notes",
    "the user database",
    "the payment gateway",
    "the mobile app",
    "the backup job",
    "the report generator",
    "the test suite",
    "the data pipeline",
    "the admin dashboard",
    "the email templates",
    "the cache layer",
    "the image server",
    "the deployment script",
    "the onboarding guide",
    "the customer portal",
    "the booking form",
    "the audit log",
    "the message queue",
];

/// What is done to them.
pub(super) const VERBS: &[&str] = &[
    "review",
    "update",
    "rewrite",
    "test",
    "document",
    "migrate",
    "replace",
    "redesign",
    "simplify",
    "archive",
    "translate",
    "measure",
    "rename",
    "split",
    "publish",
];

/// Things.
pub(super) const NOUNS: &[&str] = &[
    "apple", "basket", "bell", "bench", "bicycle", "blanket", "board", "boat", "bottle", "bridge",
    "bucket", "button", "camera", "candle", "carpet", "chair", "clock", "cloud", "coat", "curtain",
    "desk", "door", "drum", "engine", "fence", "field", "flag", "flower", "forest", "fountain",
    "garden", "glove", "hammer", "hat", "house", "jacket", "kettle", "key", "ladder", "lake",
    "lamp", "leaf", "letter", "machine", "map", "mirror", "mountain", "picture", "river", "road",
];

const ADJECTIVES: &[&str] = &[
    "small", "large", "old", "quiet", "loud", "bright", "dark", "heavy", "narrow", "wide", "warm",
    "cold", "soft", "clean", "dusty", "simple", "strange", "rare", "cheap", "slow", "gentle",
    "rough", "round", "deep", "empty", "busy", "calm", "curious", "friendly", "humble",
];

const GROUPS: &[&str] = &[
    "neighbours",
    "visitors",
    "farmers",
    "students",
    "teachers",
    "workers",
    "children",
    "tourists",
    "drivers",
    "painters",
    "players",
    "guests",
    "travellers",
    "colleagues",
    "readers",
];

const DEEDS: &[&str] = &[
    "passed",
    "crossed",
    "watched",
    "repaired",
    "cleaned",
    "painted",
    "opened",
    "moved",
    "carried",
    "visited",
    "admired",
    "found",
    "noticed",
    "described",
    "measured",
    "covered",
    "lifted",
];

const TOPICS: &[&str] = &[
    "the weather",
    "the traffic",
    "the music",
    "the football match",
    "the holidays",
    "the garden",
    "the new building",
    "coffee",
    "the long winter",
    "the train delays",
    "the local market",
    "breakfast",
    "the view",
    "old books",
    "lunch",
    "the parking situation",
];

const SYLLABLES: &[&str] = &[
    "ba", "do", "fen", "gar", "ho", "jin", "ka", "lor", "mi", "nar", "pel", "qua", "ri", "sol",
    "tam", "ur", "vel", "wen", "yor", "zan",
];

/// One of `items`.
///
/// # Panics
/// If there are none.
pub(super) fn choice<'a>(random: &mut Random, items: &[&'a str]) -> &'a str {
    items[random.below(items.len())]
}

/// A made-up name of three syllables.
pub(super) fn made_up_name(random: &mut Random) -> String {
    let word: String = (0..3).map(|_| choice(random, SYLLABLES)).collect();
    capitalised(&word)
}

/// A sentence without facts.
pub(super) fn filler(random: &mut Random) -> String {
    let (a, b) = (choice(random, ADJECTIVES), choice(random, ADJECTIVES));
    let (n, m) = (choice(random, NOUNS), choice(random, NOUNS));
    let (group, deed) = (choice(random, GROUPS), choice(random, DEEDS));
    let topic = choice(random, TOPICS);
    match random.below(12) {
        0 => format!("The {a} {n} stood near the {b} {m}."),
        1 => format!("Some {group} {deed} the {n} together."),
        2 => format!("The {group} talked about {topic} for a while."),
        3 => format!("Nobody {deed} the {a} {n} that day."),
        4 => format!("The {n} beside the {m} was {a} as always."),
        5 => format!("By noon the {group} had {deed} the {n}."),
        6 => format!("There was a {n} on the {m}."),
        7 => format!("Every {n} in the {m} seemed {a}."),
        8 => format!("In the evening the {n} became {a} and {b}."),
        9 => format!("The {group} were {a}, and nobody mentioned {topic}."),
        10 => format!("We walked past the {a} {n} and the {b} {m}."),
        _ => format!("The {a} {n} was {deed} by the {group}."),
    }
}

/// A line of a log, without facts.
pub(super) fn log_line(random: &mut Random) -> String {
    let (n, m) = (choice(random, NOUNS), choice(random, NOUNS));
    match random.below(3) {
        0 => format!("the {n} job finished in {} ms.", 10 + random.below(90)),
        1 => format!("checked the {n} list: {} items.", 10 + random.below(90)),
        _ => format!("the {n} job is waiting for the {m} job."),
    }
}

/// `text` with an upper-case first letter.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

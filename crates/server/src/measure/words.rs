//! The words of which text prompts are made, and whose tokens make up prompts of token ids.

/// Short and common, because such words are one token in most vocabularies; in no order, because
/// prompts draw from them. Many begin with different letters, so that different words also begin
/// with different tokens where a vocabulary splits them.
pub(crate) const WORDS: &[&str] = &[
    "apple", "bridge", "cloud", "dance", "early", "forest", "green", "house", "island", "juice",
    "kitchen", "light", "money", "north", "ocean", "paper", "queen", "river", "stone", "table",
    "under", "voice", "water", "young", "zero", "animal", "board", "chair", "door", "earth",
    "field", "glass", "horse", "idea", "join", "king", "letter", "music", "night", "open", "plant",
    "quick", "road", "school", "train", "until", "visit", "window", "year", "zone", "answer",
    "black", "clear", "drive", "enter", "floor", "great", "heart", "image", "just", "keep",
    "large", "metal", "never", "order", "point", "quite", "radio", "small", "three", "union",
    "value", "world", "yellow", "about", "brown", "cover", "dream", "every", "fresh", "garden",
    "hand", "iron", "job", "know", "learn", "mother", "nature", "offer", "people", "question",
    "ready", "street", "today", "upper", "very", "winter", "after", "bread", "city", "dark",
    "eight", "friend", "game", "hour", "inside", "jump", "kind", "long", "market", "number",
    "office", "picture", "quiet", "round", "sound", "time", "usual", "village", "white", "youth",
    "again", "book", "child", "deep", "engine", "family", "gold", "hill", "ice", "journey", "key",
    "lake", "morning", "name", "old", "place", "rain", "summer", "tree", "useful", "view", "wall",
    "yard", "art", "ball", "car", "day", "east", "fire", "girl", "head", "ink", "judge", "kept",
    "land", "man", "new", "oil", "park", "red", "sea", "town", "unit", "vote", "wind", "yes",
];

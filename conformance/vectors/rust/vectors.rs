//! The vector files, ours held against them, and the list of differences that are meant to be.
//!
//! A codec of ours answers a case as the reference did; the two answers are the same, or a rule of `differences.json` says why not.
//! A rule has a name, a reason (there), and a function that says whether it is the one at work (with the codec): so the same list
//! serves the files, whose cases it names one by one, and generated inputs that nobody has listed.

#![allow(dead_code, reason = "shared by tests that need different parts of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::tree::{Tree, from_hex, to_hex};

/// One question and the answer of the reference.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) operation: Operation,
    /// Messages to decode (maps of `text` or `hex`), or packets to encode.
    pub(crate) input: Vec<Tree>,
    pub(crate) options: Options,
    pub(crate) expect: Outcome,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Decode,
    Encode,
}

/// What a codec has to be told.
#[derive(Clone, Default, Debug, Deserialize)]
pub(crate) struct Options {
    #[serde(default)]
    pub(crate) binary: bool,
    #[serde(default)]
    pub(crate) max_payload: usize,
}

/// What came of a case.
#[derive(Clone, Default, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// Decoded packets, those before an error included.
    #[serde(default)]
    pub(crate) packets: Vec<Tree>,
    /// Encoded messages: maps of `text` or `hex`.
    #[serde(default)]
    pub(crate) messages: Vec<Tree>,
    /// What the parser said when it gave up.
    pub(crate) error: Option<String>,
    /// How many inputs were taken before the one that failed. Of ours only.
    #[serde(skip)]
    pub(crate) taken: usize,
}

impl Outcome {
    /// Whether ours is the same, apart from places where `allowed` says that values may differ.
    pub(crate) fn matches(&self, ours: &Self, allowed: fn(&Tree, &Tree) -> bool) -> bool {
        let all = |one: &[Tree], other: &[Tree]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.matches(other, allowed))
        };
        let errors = match (&self.error, &ours.error) {
            (None, None) => true,
            // Engine.IO has no other words; for Socket.IO ours are those of the reference, without the details.
            (Some(error), Some(ours)) => error == "parser error" || error.starts_with(ours.as_str()),
            _ => false,
        };
        errors && all(&self.packets, &ours.packets) && all(&self.messages, &ours.messages)
    }

    /// Whether ours stops at something that the reference reads, or complains about in other words, or later: the packets before
    /// it are the same, apart from places where `allowed` says that values may differ.
    pub(crate) fn refused_by(&self, ours: &Self, allowed: fn(&Tree, &Tree) -> bool) -> bool {
        ours.error.is_some()
            && ours.packets.len() <= self.packets.len()
            && self.packets.iter().zip(&ours.packets).all(|(one, other)| one.matches(other, allowed))
    }
}

/// Whether a difference is of this kind: the case with the answer of the reference, and ours.
pub(crate) type Rule = fn(&Case, &Outcome) -> bool;

/// A codec of ours, with the rules that it may differ by.
pub(crate) struct Codec {
    /// The name of its file.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Case) -> Outcome,
    pub(crate) rules: &'static [(&'static str, Rule)],
}

/// What ours is to the reference in one case.
pub(crate) enum Judgement {
    Same,
    /// Rules that explain the difference.
    Listed(Vec<&'static str>),
    Wrong(String),
}

impl Codec {
    /// Answers the case, and says whether that is the reference's answer.
    pub(crate) fn judge(&self, case: &Case) -> Judgement {
        let ours = (self.run)(case);
        if case.expect.matches(&ours, |_, _| false) {
            return Judgement::Same;
        }
        let rules: Vec<_> = self.rules.iter().filter(|(_, rule)| rule(case, &ours)).map(|(name, _)| *name).collect();
        if rules.is_empty() {
            return Judgement::Wrong(format!(
                "{} {}\n  input     {:?} {:?}\n  reference {:?}\n  ours      {ours:?}",
                self.name, case.id, case.input, case.options, case.expect
            ));
        }
        Judgement::Listed(rules)
    }
}

#[derive(Deserialize)]
struct File {
    codec: String,
    cases: Vec<RawCase>,
}

#[derive(Deserialize)]
struct RawCase {
    id: String,
    operation: Operation,
    input: Vec<Tree>,
    #[serde(default)]
    options: Options,
    expect: Box<RawValue>,
}

/// A case as it stands in a file.
fn resolved(case: RawCase) -> Case {
    let RawCase { id, operation, input, options, expect } = case;
    Case { id, operation, input: input.into_iter().map(plain).collect(), options, expect: outcome(expect.get()) }
}

/// A value of a file, its long texts written out.
fn plain(value: Tree) -> Tree {
    let Tree::Map(mut entries) = value.resolved() else { panic!("messages and packets are objects") };
    for (key, value) in &mut entries {
        if (key == "text" || key == "hex")
            && let Tree::List(runs) = value
        {
            let run = |run: &Tree| match run {
                Tree::List(run) => match &run[..] {
                    [Tree::Text(piece), Tree::Number(times)] => piece.repeat(*times as usize),
                    _ => panic!("a run is a piece and how often it stands there"),
                },
                _ => panic!("a run is a pair"),
            };
            *value = Tree::Text(runs.iter().map(run).collect());
        }
    }
    Tree::Map(entries)
}

/// The answer of the reference, from its JSON.
pub(crate) fn outcome(json: &str) -> Outcome {
    let Outcome { packets, messages, error, taken } = serde_json::from_str(json).unwrap();
    let resolved = |trees: Vec<Tree>| trees.into_iter().map(plain).collect();
    Outcome { packets: resolved(packets), messages: resolved(messages), error, taken }
}

#[derive(Deserialize)]
struct Difference {
    rule: String,
    reason: String,
    /// Ids of cases, by codec.
    vectors: BTreeMap<String, BTreeSet<String>>,
}

fn read(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn differences(directory: &Path) -> Vec<Difference> {
    serde_json::from_str(&read(directory, "differences.json")).unwrap()
}

/// The cases of a codec's file.
pub(crate) fn cases(codec: &str, directory: &Path) -> impl Iterator<Item = Case> {
    let file: File = serde_json::from_str(&read(directory, &format!("{codec}.json"))).unwrap();
    assert_eq!(file.codec, codec);
    file.cases.into_iter().map(resolved)
}

/// Every case of the codec's file, against the list.
///
/// Fails for a difference that is not listed, or under another rule; for one that is listed and does not differ any more; and for
/// rules that the list and the codec do not both have.
pub(crate) fn check(codec: &Codec, directory: &Path) {
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    let mut rules = BTreeSet::new();
    for Difference { rule, reason, mut vectors } in differences(directory) {
        assert!(!reason.is_empty(), "{rule} has no reason");
        let Some(ids) = vectors.remove(codec.name) else { continue };
        assert!(!ids.is_empty(), "{rule} has no vectors");
        for id in ids {
            assert!(listed.insert(id.clone(), rule.clone()).is_none(), "{id} is listed twice");
        }
        rules.insert(rule);
    }
    let known: BTreeSet<_> = codec.rules.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut faults: Vec<_> =
        rules.symmetric_difference(&known).map(|rule| format!("{rule} is only listed, or only in the code")).collect();

    let mut seen = BTreeSet::new();
    for case in cases(codec.name, directory) {
        assert!(seen.insert(case.id.clone()), "{} is there twice", case.id);
        let under = listed.remove(&case.id);
        match (codec.judge(&case), under) {
            (Judgement::Same, None) => {}
            (Judgement::Same, Some(rule)) => {
                faults.push(format!("{} is listed under {rule} and does not differ", case.id))
            }
            (Judgement::Listed(rules), Some(rule)) if rules.contains(&rule.as_str()) => {}
            (Judgement::Listed(rules), under) => {
                faults.push(format!("{} differs by {rules:?}, and is listed under {under:?}", case.id))
            }
            (Judgement::Wrong(what), _) => faults.push(what),
        }
    }
    faults.extend(listed.keys().map(|id| format!("{id} is listed and not in the file")));
    assert!(faults.is_empty(), "{} faults:\ncodec {}\n{}", faults.len(), codec.name, faults.join("\n"));
}

/// The text or the bytes of an input.
pub(crate) fn content(input: &Tree) -> Content {
    match (input.get("text"), input.get("hex")) {
        (Some(Tree::Text(text)), None) => Content::Text(text.clone()),
        (None, Some(Tree::Text(hex))) => Content::Bytes(from_hex(hex)),
        _ => panic!("{input:?} has neither text nor bytes, or both"),
    }
}

/// One or the other.
pub(crate) enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// A message in the form of the files.
pub(crate) fn message(content: Content) -> Tree {
    let (key, value) = match content {
        Content::Text(text) => ("text", text),
        Content::Bytes(bytes) => ("hex", to_hex(&bytes)),
    };
    Tree::Map(vec![(key.to_owned(), Tree::Text(value))])
}

//! Reads the vector files, and compares our codecs with them and with the list of intended differences.
//!
//! Each case has the outcome of the reference. Our codec must have the same outcome, or a rule of `differences.json` must explain the
//! difference. The file has the name, reason and known cases of a rule. The codec has a function for it, which detects whether the rule
//! applies. So the same rules work for the vector files and for generated inputs, which no list can contain.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::tree::{Tree, from_hex, to_hex};

/// One input, and the outcome of the reference for it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) operation: Operation,
    /// Messages to decode (maps of `text` or `hex`), or packets to encode.
    pub(crate) input: Vec<Tree>,
    pub(crate) options: Options,
    pub(crate) expect: Outcome,
}

/// What the codec must do with the input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Decode,
    Encode,
}

/// The settings of a codec.
#[derive(Clone, Default, Debug, Deserialize)]
pub(crate) struct Options {
    #[serde(default)]
    pub(crate) binary: bool,
    #[serde(default)]
    pub(crate) max_payload: usize,
}

/// The result of a case.
#[derive(Clone, Default, Debug, Deserialize)]
pub(crate) struct Outcome {
    /// The decoded packets, including those before an error.
    #[serde(default)]
    pub(crate) packets: Vec<Tree>,
    /// The encoded messages: maps of `text` or `hex`.
    #[serde(default)]
    pub(crate) messages: Vec<Tree>,
    /// The error text of the parser.
    pub(crate) error: Option<String>,
    /// The number of inputs that our codec accepted before one failed. The files do not record it.
    #[serde(skip)]
    pub(crate) taken: usize,
}

impl Outcome {
    /// Returns whether our outcome is the same, apart from values whose difference `allowed` accepts.
    pub(crate) fn matches(&self, ours: &Self, allowed: fn(&Tree, &Tree) -> bool) -> bool {
        let all = |one: &[Tree], other: &[Tree]| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.matches(other, allowed))
        };
        let errors = match (&self.error, &ours.error) {
            (None, None) => true,
            // Engine.IO has only this error text. Our texts for Socket.IO are those of the reference, without its details.
            (Some(error), Some(ours)) => error == "parser error" || error.starts_with(ours.as_str()),
            _ => false,
        };
        errors && all(&self.packets, &ours.packets) && all(&self.messages, &ours.messages)
    }

    /// Returns whether our codec rejects an input that the reference accepts, or rejects later or with a different error text.
    ///
    /// The packets before it must be the same, apart from values whose difference `allowed` accepts.
    pub(crate) fn refused_by(&self, ours: &Self, allowed: fn(&Tree, &Tree) -> bool) -> bool {
        ours.error.is_some()
            && ours.packets.len() <= self.packets.len()
            && self.packets.iter().zip(&ours.packets).all(|(one, other)| one.matches(other, allowed))
    }
}

/// Returns whether a rule explains the difference between the reference (in the case) and our outcome.
pub(crate) type Rule = fn(&Case, &Outcome) -> bool;

/// One of our codecs, with the rules by which it may differ from the reference.
pub(crate) struct Codec {
    /// The name of its vector file, without `.json`.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Case) -> Outcome,
    pub(crate) rules: &'static [(&'static str, Rule)],
}

/// The result of comparing our codec with the reference for one case.
pub(crate) enum Comparison {
    Same,
    /// The rules that explain the difference.
    Listed(Vec<&'static str>),
    Wrong(String),
}

impl Codec {
    /// Runs the case and compares the outcome with that of the reference.
    pub(crate) fn compare(&self, case: &Case) -> Comparison {
        let ours = (self.run)(case);
        if case.expect.matches(&ours, |_, _| false) {
            return Comparison::Same;
        }
        let rules: Vec<_> = self.rules.iter().filter(|(_, rule)| rule(case, &ours)).map(|(name, _)| *name).collect();
        if rules.is_empty() {
            return Comparison::Wrong(format!(
                "{} {}\n  input     {:?} {:?}\n  reference {:?}\n  ours      {ours:?}",
                self.name, case.id, case.input, case.options, case.expect
            ));
        }
        Comparison::Listed(rules)
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

/// Resolves a case as read from a file.
fn resolved(case: RawCase) -> Case {
    let RawCase { id, operation, input, options, expect } = case;
    Case { id, operation, input: input.into_iter().map(plain).collect(), options, expect: outcome(expect.get()) }
}

/// Resolves a message or packet of a file and expands its abbreviated long texts.
fn plain(value: Tree) -> Tree {
    let Tree::Map(mut entries) = value.resolved() else { panic!("messages and packets are objects") };
    for (key, value) in &mut entries {
        if (key == "text" || key == "hex")
            && let Tree::List(runs) = value
        {
            let run = |run: &Tree| match run {
                Tree::List(run) => match &run[..] {
                    [Tree::Text(piece), Tree::Number(times)] => piece.repeat(*times as usize),
                    _ => panic!("a run must be a text and a count"),
                },
                _ => panic!("a run must be a pair"),
            };
            *value = Tree::Text(runs.iter().map(run).collect());
        }
    }
    Tree::Map(entries)
}

/// Parses the outcome of the reference.
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

/// Reads the cases of a codec.
pub(crate) fn cases(codec: &str, directory: &Path) -> impl Iterator<Item = Case> {
    let file: File = serde_json::from_str(&read(directory, &format!("{codec}.json"))).unwrap();
    assert_eq!(file.codec, codec);
    file.cases.into_iter().map(resolved)
}

/// Compares our codec with the reference for every case of the codec's file.
///
/// Fails if a difference is not listed or listed under another rule, if a listed case no longer differs, and if a rule exists only in the
/// list or only in the code.
pub(crate) fn check(codec: &Codec, directory: &Path) {
    let mut listed: BTreeMap<String, String> = BTreeMap::new();
    let mut rules = BTreeSet::new();
    for Difference { rule, reason, mut vectors } in differences(directory) {
        assert!(!reason.is_empty(), "{rule} has no reason");
        let Some(ids) = vectors.remove(codec.name) else { continue };
        assert!(!ids.is_empty(), "{rule} lists no cases of {}", codec.name);
        for id in ids {
            assert!(listed.insert(id.clone(), rule.clone()).is_none(), "{id} is listed twice");
        }
        rules.insert(rule);
    }
    let known: BTreeSet<_> = codec.rules.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut faults: Vec<_> = rules
        .symmetric_difference(&known)
        .map(|rule| format!("rule {rule} exists only in differences.json, or only in the code"))
        .collect();

    let mut seen = BTreeSet::new();
    for case in cases(codec.name, directory) {
        assert!(seen.insert(case.id.clone()), "the id {} is not unique", case.id);
        let under = listed.remove(&case.id);
        match (codec.compare(&case), under) {
            (Comparison::Same, None) => {}
            (Comparison::Same, Some(rule)) => {
                faults.push(format!("{} is listed under {rule}, but does not differ", case.id))
            }
            (Comparison::Listed(rules), Some(rule)) if rules.contains(&rule.as_str()) => {}
            (Comparison::Listed(rules), under) => {
                faults.push(format!("{} differs by {rules:?}, but is listed under {under:?}", case.id))
            }
            (Comparison::Wrong(what), _) => faults.push(what),
        }
    }
    faults.extend(listed.keys().map(|id| format!("{id} is listed, but the file has no such case")));
    assert!(faults.is_empty(), "{} faults:\ncodec {}\n{}", faults.len(), codec.name, faults.join("\n"));
}

/// Returns the text or the bytes of an input.
pub(crate) fn content(input: &Tree) -> Content {
    match (input.get("text"), input.get("hex")) {
        (Some(Tree::Text(text)), None) => Content::Text(text.clone()),
        (None, Some(Tree::Text(hex))) => Content::Bytes(from_hex(hex)),
        _ => panic!("{input:?} must have either text or bytes"),
    }
}

/// The content of a message.
pub(crate) enum Content {
    Text(String),
    Bytes(Vec<u8>),
}

/// Creates a message in the format of the files.
pub(crate) fn message(content: Content) -> Tree {
    let (key, value) = match content {
        Content::Text(text) => ("text", text),
        Content::Bytes(bytes) => ("hex", to_hex(&bytes)),
    };
    Tree::Map(vec![(key.to_owned(), Tree::Text(value))])
}

//! The inputs of the codecs. `node.js` creates the same inputs.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone)]
pub struct Item {
    pub id: u32,
    pub name: String,
    pub ok: bool,
    pub v: f64,
    pub tags: Vec<String>,
}

/// The typed argument of the larger inputs.
#[derive(Serialize, Deserialize, Clone)]
pub struct Object {
    pub items: Vec<Item>,
    pub n: Option<u32>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only deserialized")]
pub struct BorrowedItem<'a> {
    id: u32,
    name: &'a str,
    ok: bool,
    v: f64,
    #[serde(borrow)]
    tags: smallvec::SmallVec<[&'a str; 4]>,
}

/// Like [`Object`], but borrows from the input.
#[derive(Deserialize)]
#[allow(dead_code, reason = "only deserialized")]
pub struct BorrowedObject<'a> {
    #[serde(borrow)]
    pub items: Vec<BorrowedItem<'a>>,
    n: Option<u32>,
}

/// Creates an object of about this many bytes of JSON.
pub fn object(size: usize) -> Object {
    let mut object = Object { items: vec![], n: None };
    while serde_json::to_string(&object).unwrap().len() < size.saturating_sub(60) || object.items.is_empty() {
        let id = object.items.len() as u32;
        object.items.push(Item {
            id,
            name: format!("user {id}"),
            ok: true,
            v: f64::from(id * 7) + 0.5,
            tags: vec!["a".into(), "b".into()],
        });
    }
    object
}

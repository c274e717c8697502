//! Where in a JSON schema is what llguidance refuses, which its errors do not say.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// Longer searches end at the schema around the place.
const MOST: Duration = Duration::from_millis(50);

const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// The JSON pointer of the innermost schema that `fails` as the whole does, such as `/properties/name`.
pub fn find(root: &Value, fails: impl Fn(Value) -> bool) -> String {
    let end = Instant::now() + MOST;
    let mut pointer = String::new();
    let mut at = root;
    'deeper: loop {
        for (path, child) in subschemas(at) {
            if Instant::now() > end {
                break 'deeper;
            }
            if fails(with_definitions(child, root)) {
                pointer += &path;
                at = at.pointer(&path).unwrap_or(at);
                continue 'deeper;
            }
        }
        break;
    }
    pointer
}

/// The schemas directly in a schema, with their pointers.
fn subschemas(schema: &Value) -> Vec<(String, &Map<String, Value>)> {
    let mut found = Vec::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        let key = escaped(key);
        match value {
            Value::Array(list) => {
                let objects = list.iter().enumerate().filter_map(|(i, each)| Some((i, each.as_object()?)));
                found.extend(objects.map(|(i, each)| (format!("/{key}/{i}"), each)));
            }
            Value::Object(named) if ["properties", "patternProperties"].contains(&key.as_str()) => {
                let objects = named.iter().filter_map(|(name, each)| Some((name, each.as_object()?)));
                found.extend(objects.map(|(name, each)| (format!("/{key}/{}", escaped(name)), each)));
            }
            Value::Object(single) if !DEFINITIONS.contains(&key.as_str()) => found.push((format!("/{key}"), single)),
            _ => {}
        }
    }
    found
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A schema alone, which may refer to definitions of the whole.
fn with_definitions(schema: &Map<String, Value>, root: &Value) -> Value {
    let mut alone = schema.clone();
    for key in DEFINITIONS {
        if let Some(definitions) = root.get(key) {
            alone.entry(key).or_insert_with(|| definitions.clone());
        }
    }
    Value::Object(alone)
}

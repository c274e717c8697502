//! XGrammar's structural tags (`{"structures": [{"begin", "schema", "end"}], "triggers": []}`) as llguidance's Lark: free text,
//! in which a trigger must go on as the beginning of one of the structures that start with it.

use serde_json::Value;

/// A Lark string.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn text_of<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name].as_str().ok_or_else(|| format!("{name} is {} and not a text", value[name]))
}

pub fn to_lark(tag: &Value) -> Result<String, String> {
    let list = |name: &str| tag[name].as_array().ok_or_else(|| format!("{name} is {} and not a list", tag[name]));
    let structures = list("structures")?;
    let triggers = list("triggers")?;
    for (i, structure) in structures.iter().enumerate() {
        let begin = text_of(structure, "begin")?;
        if !triggers.iter().filter_map(Value::as_str).any(|trigger| begin.starts_with(trigger)) {
            return Err(format!("structures[{i}] begins with no trigger, so that nothing would hold it to its schema"));
        }
    }
    let mut rules = String::new();
    let mut starts = Vec::new();
    for (i, trigger) in triggers.iter().enumerate() {
        let trigger = trigger.as_str().filter(|text| !text.is_empty());
        let trigger = trigger.ok_or_else(|| format!("triggers[{i}] is not a text that has characters"))?;
        let mut choices = Vec::new();
        for structure in structures {
            let begin = text_of(structure, "begin")?;
            let Some(rest) = begin.strip_prefix(trigger) else { continue };
            let end = text_of(structure, "end")?;
            let parts = [
                if rest.is_empty() { String::new() } else { quoted(rest) },
                format!("%json {}", structure["schema"]),
                if end.is_empty() { String::new() } else { quoted(end) },
            ];
            choices.push(parts.join(" ").trim().to_string());
        }
        if choices.is_empty() {
            return Err(format!("no structure begins with the trigger {}", quoted(trigger)));
        }
        rules.push_str(&format!("tag_{i}: trigger_{i} ({})\n", choices.join("\n  | ")));
        rules.push_str(&format!("trigger_{i}[lazy]: TEXT {}\n", quoted(trigger)));
        starts.push(format!("tag_{i}"));
    }
    if starts.is_empty() {
        return Err("triggers is empty".to_string());
    }
    Ok(format!("start: ({})* rest\nrest: TEXT\nTEXT: /(.|\\n)*/\n{rules}", starts.join(" | ")))
}

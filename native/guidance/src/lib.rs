//! The C interface of guidance.h over llguidance.

mod schema_place;
mod structural_tag;

use std::ffi::{c_char, c_int, CStr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use llguidance::api::{StopReason, TopLevelGrammar};
use llguidance::{Matcher, ParserFactory};
use serde_json::{json, Value};
use toktrie::{ApproximateTokEnv, TokRxInfo, TokTrie};

pub struct Guidance {
    factory: ParserFactory,
}

pub struct GuidanceMatcher {
    matcher: Matcher,
}

#[repr(C)]
pub struct GuidanceError {
    text: *mut c_char,
    size: usize,
}

type Failure = String;

impl GuidanceError {
    /// Cuts at a character.
    unsafe fn write(&mut self, message: &str) {
        if self.text.is_null() || self.size == 0 {
            return;
        }
        let mut end = message.len().min(self.size - 1);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        std::ptr::copy_nonoverlapping(message.as_ptr(), self.text.cast(), end);
        *self.text.add(end) = 0;
    }
}

/// Runs `body`; what fails in it, a panic too, is written to `error`.
unsafe fn guard<T>(error: *mut GuidanceError, body: impl FnOnce() -> Result<T, Failure>) -> Option<T> {
    let message = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return Some(value),
        Ok(Err(message)) => message,
        Err(_) => "llguidance failed".to_string(),
    };
    if let Some(error) = error.as_mut() {
        error.write(&message);
    }
    None
}

/// The message alone, with where it is: backtraces and parser states are not for users.
fn told(error: impl std::fmt::Display) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let mut message = shortened(lines.next().unwrap_or_default().trim_end_matches(':'));
    if message == StopReason::NoExtensionBias.to_string() {
        return "no token is allowed".to_string();
    }
    if message.ends_with("regex parse error") {
        // The expression, carets below what is wrong, the reason.
        let (_, carets, reason) = (lines.next(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if let Some(column) = carets.find('^') {
            message += &format!(" at column {}", column - REGEX_INDENT.min(column) + 1);
        }
        message += reason.strip_prefix("error").unwrap_or_default();
    }
    for place in lines.filter_map(|line| line.strip_prefix("  while processing ")) {
        message += &format!(" in {place}");
    }
    message
}

const REGEX_INDENT: usize = 4;

/// Without the middle, where a long text of the user's is quoted.
fn shortened(message: &str) -> String {
    const MOST: usize = 200;
    let characters: Vec<char> = message.chars().collect();
    if characters.len() <= MOST {
        return message.to_string();
    }
    let (start, end) = (&characters[..MOST / 2], &characters[characters.len() - MOST / 2..]);
    start.iter().chain(&[' ', '.', '.', '.', ' ']).chain(end).collect()
}

/// The error of a regular expression, which llguidance makes a grammar of: without the place in that.
fn told_of(kind: c_int, error: impl std::fmt::Display) -> Failure {
    let message = told(error);
    match message.find("regex parse error") {
        Some(at) if kind == 2 => message[at..].to_string(),
        _ => message,
    }
}

unsafe fn slice<'a, T>(data: *const T, count: usize) -> &'a [T] {
    if count == 0 {
        &[]
    } else {
        std::slice::from_raw_parts(data, count)
    }
}

/// # Safety
/// The arrays are as guidance.h says.
#[no_mangle]
pub unsafe extern "C" fn guidance_open(
    bytes: *const u8,
    offsets: *const u32,
    special: *const u8,
    tokens: u32,
    end_ids: *const u32,
    end_id_count: u32,
    error: *mut GuidanceError,
) -> *mut Guidance {
    let opened = guard(error, || {
        let offsets = slice(offsets, tokens as usize + 1);
        let bytes = slice(bytes, offsets[tokens as usize] as usize);
        let special = slice(special, tokens as usize);
        let end_ids = slice(end_ids, end_id_count as usize);
        let words: Vec<Vec<u8>> = (0..tokens as usize)
            .map(|token| {
                let word = &bytes[offsets[token] as usize..offsets[token + 1] as usize];
                if special[token] == 0 {
                    word.to_vec()
                } else {
                    [&[TokTrie::SPECIAL_TOKEN_MARKER], word].concat()
                }
            })
            .collect();
        let first = *end_ids.first().ok_or("there is no end token")?;
        let trie = TokTrie::from(&TokRxInfo::new(tokens, first), &words).with_eos_tokens(end_ids);
        let env = Arc::new(ApproximateTokEnv::new(trie));
        let mut factory = ParserFactory::new_simple(&(env as toktrie::TokEnv)).map_err(told)?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Guidance { factory })
    });
    opened.map_or(std::ptr::null_mut(), |guidance| Box::into_raw(Box::new(guidance)))
}

/// # Safety
/// `guidance` comes from guidance_open, or is null.
#[no_mangle]
pub unsafe extern "C" fn guidance_close(guidance: *mut Guidance) {
    if !guidance.is_null() {
        drop(Box::from_raw(guidance));
    }
}

fn parse_json(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

fn grammar_of(kind: c_int, text: &str) -> Result<TopLevelGrammar, Failure> {
    match kind {
        0 => Ok(TopLevelGrammar::from_json_schema(json!({}))),
        1 => Ok(TopLevelGrammar::from_json_schema(parse_json(text)?)),
        2 => Ok(TopLevelGrammar::from_regex(text)),
        3 => Ok(TopLevelGrammar::from_lark(text.to_string())),
        4 => Ok(TopLevelGrammar::from_lark(structural_tag::to_lark(&parse_json(text)?)?)),
        _ => Err(format!("there is no guide of kind {kind}")),
    }
}

/// # Safety
/// `text` is a string, or null where the kind has none.
#[no_mangle]
pub unsafe extern "C" fn guidance_compile(
    guidance: *const Guidance,
    kind: c_int,
    text: *const c_char,
    error: *mut GuidanceError,
) -> *mut GuidanceMatcher {
    let compiled = guard(error, || {
        let text = if text.is_null() {
            ""
        } else {
            CStr::from_ptr(text).to_str().map_err(|_| "it is not UTF-8".to_string())?
        };
        let parse = |grammar| (*guidance).factory.create_parser(grammar);
        let parser = parse(grammar_of(kind, text)?).map_err(|error| {
            let message = told_of(kind, error);
            let fails = |schema| matches!(parse(TopLevelGrammar::from_json_schema(schema)), Err(error) if told(&error) == message);
            let place = match parse_json(text) {
                Ok(root) if kind == 1 => schema_place::find(&root, fails),
                _ => String::new(),
            };
            if place.is_empty() { message } else { format!("{message} at {place}") }
        })?;
        let mut matcher = Matcher::new(Ok(parser));
        match matcher.get_error() {
            Some(message) => Err(told(message)),
            None => {
                matcher.is_accepting().map_err(told)?;
                Ok(GuidanceMatcher { matcher })
            }
        }
    });
    compiled.map_or(std::ptr::null_mut(), |matcher| Box::into_raw(Box::new(matcher)))
}

/// # Safety
/// `matcher` comes from guidance_compile or guidance_clone.
#[no_mangle]
pub unsafe extern "C" fn guidance_clone(matcher: *const GuidanceMatcher) -> *mut GuidanceMatcher {
    let cloned = guard(std::ptr::null_mut(), || Ok(GuidanceMatcher { matcher: (*matcher).matcher.deep_clone() }));
    cloned.map_or(std::ptr::null_mut(), |matcher| Box::into_raw(Box::new(matcher)))
}

/// # Safety
/// As for guidance_clone, or null.
#[no_mangle]
pub unsafe extern "C" fn guidance_free(matcher: *mut GuidanceMatcher) {
    if !matcher.is_null() {
        drop(Box::from_raw(matcher));
    }
}

/// # Safety
/// `tokens` are `count`.
#[no_mangle]
pub unsafe extern "C" fn guidance_consume(
    matcher: *mut GuidanceMatcher,
    tokens: *const u32,
    count: usize,
    error: *mut GuidanceError,
) -> c_int {
    let consumed = guard(error, || (*matcher).matcher.consume_tokens(slice(tokens, count)).map_err(told));
    consumed.map_or(-1, |()| 0)
}

/// # Safety
/// `mask` has `words`.
#[no_mangle]
pub unsafe extern "C" fn guidance_mask(
    matcher: *mut GuidanceMatcher,
    mask: *mut u32,
    words: usize,
    error: *mut GuidanceError,
) -> c_int {
    let masked = guard(error, || {
        let allowed = (*matcher).matcher.compute_mask_or_eos().map_err(told)?;
        let to = std::slice::from_raw_parts_mut(mask, words);
        let from = allowed.as_slice();
        let common = from.len().min(words);
        to[..common].copy_from_slice(&from[..common]);
        to[common..].fill(0);
        Ok(())
    });
    masked.map_or(-1, |()| 0)
}

//! Writing HTML.

use std::fmt::{self, Write};

use alloy_primitives::{Address, B256, Bytes, U256};

use crate::profile::model::PathLocation;

/// HTML as it grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// For the macro `put`.
    pub(super) fn put(&mut self, arguments: fmt::Arguments<'_>) {
        self.0.write_fmt(arguments).expect("writing to a string does not fail");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Appends to HTML what `format!` makes of the rest.
macro_rules! put {
    ($html:expr, $($arguments:tt)*) => { $html.put(format_args!($($arguments)*)) };
}
pub(super) use put;

/// Text as HTML shows it, be it in an attribute.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// An address in full.
pub(super) fn address(address: &Address) -> String {
    format!("<code>{address}</code>")
}

/// A sentence, its addresses set as code.
pub(super) fn with_addresses(sentence: &str) -> String {
    let is_address = |word: &str| word.len() == 42 && word.starts_with("0x");
    let word = |word: &str| {
        let bare = word.trim_end_matches(['.', ',', ';']);
        let tail = &word[bare.len()..];
        match is_address(bare) {
            true => format!("<code>{}</code>{tail}", escape(bare)),
            false => escape(word),
        }
    };
    sentence.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// A slot's number without leading zeros; the first and last digits of a long one, and all of
/// them under the pointer.
pub(super) fn slot(slot: &B256) -> String {
    let digits = format!("{:#x}", U256::from_be_bytes(slot.0));
    match digits.len() > 20 {
        true => format!("<code class=\"long\" title=\"{digits}\">{digits}</code>"),
        false => format!("<code>{digits}</code>"),
    }
}

/// A location in plain text, shortened.
pub(super) fn short(location: &PathLocation) -> String {
    let address = short_address(&location.address);
    match &location.slot {
        Some(slot) => format!("slot {} of {address}", short_hex(&slot_digits(slot))),
        None => format!("{} of {address}", location.kind),
    }
}

fn slot_digits(slot: &B256) -> String {
    format!("{:#x}", U256::from_be_bytes(slot.0))
}

/// An address in plain text, shortened.
pub(super) fn short_address(address: &Address) -> String {
    short_hex(&address.to_string())
}

fn short_hex(digits: &str) -> String {
    match digits.len() > 14 {
        true => format!("{}…{}", &digits[..8], &digits[digits.len() - 4..]),
        false => digits.to_owned(),
    }
}

/// What a transaction calls, in plain text.
pub(super) fn call(
    to: Option<&Address>,
    selector: Option<&Bytes>,
    signature: Option<&str>,
) -> String {
    match (to, selector, signature) {
        (None, ..) => "creates a contract".to_owned(),
        (Some(_), None, _) => "plain transfer".to_owned(),
        (Some(_), Some(selector), None) => selector.to_string(),
        (Some(_), Some(selector), Some(signature)) => {
            let name = signature.split('(').next().unwrap_or_default();
            format!("{selector} {name}")
        }
    }
}

/// A number of things, in the singular if it is one.
pub(super) fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", thousands(number as u64))
}

/// A number with its thousands apart.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut apart = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            apart.push('\u{202f}');
        }
        apart.push(digit);
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href='x'>&\""), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
    }

    #[test]
    fn sentences_show_addresses_as_code() {
        let text = format!("meet in {}, most <of> all", Address::ZERO);
        let zero = Address::ZERO;
        assert_eq!(
            with_addresses(&text),
            format!("meet in <code>{zero}</code>, most &lt;of&gt; all")
        );
    }

    #[test]
    fn numbers_are_set_apart_by_thousands() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1_234_567), "1\u{202f}234\u{202f}567");
    }
}

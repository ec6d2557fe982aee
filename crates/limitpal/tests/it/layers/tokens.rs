//! Rust source as words and signs, without comments and literals.

/// Cuts source into identifiers, `::` and single signs.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut rest = text;
    let mut found = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (length, kept) = match first {
            _ if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), false),
            _ if rest.starts_with("/*") => (block_comment(rest), false),
            _ if raw_string(rest).is_some() => (raw_string(rest).unwrap(), false),
            '"' => (string(rest), false),
            '\'' => (quoted(rest), false),
            _ if rest.starts_with("r#") => (2, false),
            _ if is_word(first) => (rest.find(|c| !is_word(c)).unwrap_or(rest.len()), true),
            _ if rest.starts_with("::") => (2, true),
            _ => (first.len_utf8(), !first.is_whitespace()),
        };
        if kept {
            found.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    found
}

pub(super) fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Returns the length of a block comment, those inside it included.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let step = &text[at..];
        if step.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if step.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += step.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Returns the length of `r"…"`, `r#"…"#`, `br"…"` and the like.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        let hashes = text.strip_prefix(prefix).map(|rest| rest.trim_start_matches('#'));
        hashes.is_some_and(|rest| rest.starts_with('"'))
    })?;
    let hashes = text[prefix.len()..].find('"')?;
    let begin = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    Some(text[begin..].find(&close).map_or(text.len(), |end| begin + end + close.len()))
}

/// Returns the length of a string with escapes.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Returns the length of a character literal, or of the tick before a lifetime.
fn quoted(text: &str) -> usize {
    let mut inner = text.char_indices().skip(1);
    match (inner.next(), inner.next()) {
        (Some((_, '\\')), Some(_)) => inner.find(|(_, c)| *c == '\'').map_or(1, |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

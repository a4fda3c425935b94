//! Query strings as Python reads and writes them.

/// The pairs of a query string, in order; `+` and `%XX` decoded.
pub(crate) fn parse(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// `urllib.parse.urlencode` of the pairs.
pub(crate) fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        quote_plus(&mut text, name);
        text.push('=');
        quote_plus(&mut text, value);
    }
    text
}

fn quote_plus(text: &mut String, value: &str) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' | b'~' => {
                text.push(char::from(byte))
            }
            b' ' => text.push('+'),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// The last value of a name.
pub(crate) fn last<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// All values of a name, in order.
pub(crate) fn all<'a>(pairs: &'a [(String, String)], name: &str) -> impl Iterator<Item = &'a str> {
    pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_quoted_and_a_blank_is_a_plus() {
        let pairs = parse("SearchableText=imperv*&x=a%20b+c&y=");
        assert_eq!(
            encode(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            "SearchableText=imperv%2A&x=a+b+c&y="
        );
        assert_eq!(last(&pairs, "y"), Some(""));
    }
}

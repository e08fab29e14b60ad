//! `--conf-uri`: where a document is.

use std::path::PathBuf;
use std::str::FromStr;

use hyper::Uri;

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    /// A URL with the scheme http, a host and no user.
    Http(Uri),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("write it as file:///PATH or http://HOST:PORT/PATH".to_owned());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => file(rest),
            "http" => http(text),
            "https" => Err(
                "https is not here yet: fetch the document with another program and use --config, \
                 or serve it with http on this machine"
                    .to_owned(),
            ),
            _ => Err(format!("{scheme} is not here: use file or http")),
        }
    }
}

fn file(rest: &str) -> Result<Origin, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if !path.starts_with('/') {
        return Err("write it as file:///PATH, from the root on".to_owned());
    }
    let path = unescape(path).ok_or("a % must be followed by two hexadecimal digits")?;
    Ok(Origin::File(path.into()))
}

fn http(text: &str) -> Result<Origin, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("give the user with --conf-user, not in the URL".to_owned());
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("the host is missing".to_owned());
    }
    Ok(Origin::Http(uri))
}

/// `%20` and the like.
fn unescape(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut pieces = path.split('%');
    bytes.extend(pieces.next()?.bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        bytes.push(
            u8::from_str_radix(digits, 16)
                .ok()
                .filter(|_| hexadecimal)?,
        );
        bytes.extend(rest.bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_urls_lead_to_absolute_paths() {
        let file = |path: &str| Ok(Origin::File(path.into()));
        assert_eq!(
            "file:///etc/a.properties".parse(),
            file("/etc/a.properties")
        );
        assert_eq!("FILE://localhost/a%20b".parse(), file("/a b"));
        for wrong in ["file://etc/a", "file:///a%2", "file:///a%+1", "file:///%ff"] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_by_name() {
        let refused = |url: &str| url.parse::<Origin>().unwrap_err();
        assert!(refused("https://a/b").contains("https is not here yet"));
        assert!(refused("classpath://a").contains("classpath is not here"));
        assert!(refused("a.properties").contains("file:///PATH"));
        assert!(refused("http://me:secret@a/b").contains("--conf-user"));
        assert!(!refused("http://me:secret@a/b").contains("secret"));
        assert!("http://[::1]:80/a?b=c".parse::<Origin>().is_ok());
    }
}

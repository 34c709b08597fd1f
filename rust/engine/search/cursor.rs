//! Where a page ended, as a text that only this library accepts, and only for the query that it belongs to.
//!
//! Layout before encoding, little-endian: version 1 (u8), snapshot (u64), digest of the query (32 bytes), kind of the
//! position (u8, always 0), bits of the score (u32), video id (the rest). Then HMAC-SHA256 over all of it (32 bytes). The
//! text is base64 with the URL-safe alphabet, without padding (RFC 4648 §5).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::page::Position;
use super::query::Query;
use crate::catalog::video::{MAX_ID_BYTES, VideoId};
use crate::error::{Error, Result};

const VERSION: u8 = 1;
/// The kind of a position after a hit. There is no other.
const AFTER_HIT: u8 = 0;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/// What is signed begins with this, so that nothing signed with the same secret for another purpose passes for a cursor.
const PURPOSE: &[u8] = b"pixr cursor";
/// Longer text is no cursor, whatever it says.
const MAX_TEXT_BYTES: usize = (1 + 8 + 32 + 1 + 4 + MAX_ID_BYTES + 32) * 4 / 3 + 4;

/// The end of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// The snapshot that was searched, and will be.
    pub snapshot: u64,
    /// `Query::digest` of the query.
    pub digest: [u8; 32],
    /// After which hit to go on.
    pub position: Position,
}

impl Cursor {
    /// The cursor as URL-safe text, signed with the library's secret.
    #[must_use]
    pub fn encode(&self, secret: &[u8; 32]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.snapshot.to_le_bytes());
        bytes.extend(self.digest);
        bytes.push(AFTER_HIT);
        bytes.extend(self.position.score.to_bits().to_le_bytes());
        bytes.extend(self.position.video.as_str().as_bytes());
        let signature = signed(secret, &bytes).finalize().into_bytes();
        bytes.extend(signature);
        to_text(&bytes)
    }

    /// The query's, if it has one; `digest` is the query's.
    ///
    /// # Errors
    /// As `decode`.
    pub(super) fn of(query: &Query, digest: &[u8; 32], secret: &[u8; 32]) -> Result<Option<Self>> {
        query.cursor.as_deref().map(|text| Self::decode(text, secret, digest)).transpose()
    }

    /// Reads what `encode` wrote under the same secret for the query with this digest.
    ///
    /// # Errors
    /// `invalid_cursor` if the text was altered, comes from another library or from before a restore, or belongs to
    /// another query.
    pub fn decode(text: &str, secret: &[u8; 32], digest: &[u8; 32]) -> Result<Self> {
        let wrong = |detail: &str| Error::InvalidCursor { detail: detail.to_owned() };
        let bytes = from_text(text).ok_or_else(|| wrong("it is not a cursor's text"))?;
        let (body, signature) = bytes.split_last_chunk::<32>().ok_or_else(|| wrong("it was cut"))?;
        signed(secret, body).verify_slice(signature).map_err(|_| {
            wrong("its signature doesn't match: it was altered, or comes from another library or from before a restore")
        })?;
        let damaged = || wrong("its content has no meaning");
        let (&version, body) = body.split_first().ok_or_else(damaged)?;
        if version != VERSION {
            return Err(wrong(&format!("it has version {version}, expected {VERSION}")));
        }
        let (snapshot, body) = body.split_first_chunk::<8>().ok_or_else(damaged)?;
        let (query, body) = body.split_first_chunk::<32>().ok_or_else(damaged)?;
        if query != digest {
            return Err(wrong("it belongs to another query; a page needs the query of the page before"));
        }
        let body = body.strip_prefix(&[AFTER_HIT]).ok_or_else(damaged)?;
        let (score, id) = body.split_first_chunk::<4>().ok_or_else(damaged)?;
        let id = std::str::from_utf8(id).map_err(|_| damaged())?;
        let score = f32::from_bits(u32::from_le_bytes(*score));
        let position = Position { score, video: VideoId::new(id).map_err(|_| damaged())? };
        Ok(Self { snapshot: u64::from_le_bytes(*snapshot), digest: *query, position })
    }
}

fn signed(secret: &[u8; 32], body: &[u8]) -> Hmac<Sha256> {
    // Zero-padding to the block length is what HMAC does with a shorter key (RFC 2104).
    let mut key = hmac::digest::Key::<Hmac<Sha256>>::default();
    key[..secret.len()].copy_from_slice(secret);
    let mut code = Hmac::<Sha256>::new(&key);
    code.update(PURPOSE);
    code.update(body);
    code
}

fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0u32, |group, (at, &byte)| group | u32::from(byte) << (16 - 8 * at));
        for at in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(group >> (18 - 6 * at)) as usize & 63]));
        }
    }
    text
}

/// The bytes of a text that `to_text` could have written; no other text is read as the same bytes.
fn from_text(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_TEXT_BYTES || text.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut group = 0u32;
        for (at, letter) in chunk.iter().enumerate() {
            let value = ALPHABET.iter().position(|known| known == letter)?;
            group |= (value as u32) << (18 - 6 * at);
        }
        let [_, decoded @ ..] = group.to_be_bytes();
        let (used, unused) = decoded.split_at(chunk.len() - 1);
        if unused.iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend(used);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: [u8; 32] = [7; 32];
    const DIGEST: [u8; 32] = [9; 32];

    fn cursor() -> Result<Cursor> {
        let position = Position { score: 0.75, video: VideoId::new("vidéo/3")? };
        Ok(Cursor { snapshot: 12, digest: DIGEST, position })
    }

    fn refused(got: &Result<Cursor>, word: &str) -> bool {
        matches!(got, Err(Error::InvalidCursor { detail }) if detail.contains(word))
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        // RFC 4648 §10, and two letters where the alphabets differ.
        for (bytes, text) in
            [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("~~?", "fn4_")]
        {
            assert_eq!(to_text(bytes.as_bytes()), text);
            assert_eq!(from_text(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(from_text("Zh"), None);
        assert_eq!(from_text("Zg=="), None);
        assert_eq!(from_text("Z"), None);
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() -> Result<()> {
        let cursor = cursor()?;
        assert_eq!(Cursor::decode(&cursor.encode(&SECRET), &SECRET, &DIGEST)?, cursor);
        let longest = Cursor { position: Position { score: 1.0, video: VideoId::new("v".repeat(512))? }, ..cursor };
        assert_eq!(Cursor::decode(&longest.encode(&SECRET), &SECRET, &DIGEST)?, longest);
        Ok(())
    }

    #[test]
    fn signatures_are_hmac_sha256() {
        // RFC 4231, test case 1 has a key of 20 bytes 0x0b, which zeros lengthen to 32 without a change.
        let mut secret = [0; 32];
        secret[..20].fill(0x0b);
        let body = b"Hi There";
        let mut expected = Hmac::<Sha256>::new_from_slice(&[0x0b; 20]).unwrap_or_else(|_| unreachable!());
        expected.update(PURPOSE);
        expected.update(body);
        assert_eq!(signed(&secret, body).finalize().into_bytes(), expected.finalize().into_bytes());
    }

    #[test]
    fn cursors_of_other_libraries_and_queries_are_refused() -> Result<()> {
        let text = cursor()?.encode(&SECRET);
        assert!(refused(&Cursor::decode(&text, &[8; 32], &DIGEST), "signature"));
        assert!(refused(&Cursor::decode(&text, &SECRET, &[1; 32]), "another query"));
        assert!(refused(&Cursor::decode("", &SECRET, &DIGEST), "cut"));
        assert!(refused(&Cursor::decode("nonsense!", &SECRET, &DIGEST), "text"));
        assert!(refused(&Cursor::decode(&"A".repeat(5000), &SECRET, &DIGEST), "text"));
        Ok(())
    }

    proptest! {
        #[test]
        fn an_altered_cursor_is_refused(at in 0usize..200, letter in 0usize..64) {
            let text = cursor().map_err(|error| TestCaseError::fail(error.to_string()))?.encode(&SECRET);
            let mut altered = text.clone().into_bytes();
            let at = at % altered.len();
            altered[at] = ALPHABET[letter];
            let altered = String::from_utf8_lossy(&altered).into_owned();
            if altered != text {
                let got = Cursor::decode(&altered, &SECRET, &DIGEST);
                let is_refused = matches!(got, Err(Error::InvalidCursor { .. }));
                prop_assert!(is_refused, "{:?}", got);
            }
        }

        #[test]
        fn no_text_makes_decoding_panic(text in "\\PC{0,80}") {
            prop_assert!(Cursor::decode(&text, &SECRET, &DIGEST).is_err());
        }
    }
}

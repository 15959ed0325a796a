//! Control files as a stream: text in, one paragraph at a time out, in constant memory.
//!
//! A suite's `Packages` has 57 MB and 69,000 paragraphs. The input is cut at blank lines into pieces of about a
//! megabyte, and each piece is parsed without copying its strings.

use std::io::{self, Read};

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParser};

/// One paragraph; its strings live as long as the piece of input they stand in.
pub type Paragraph<'a> = BorrowedParagraph<'a>;

const PIECE: usize = 1 << 20;

/// The largest real paragraphs (Provides of Rust and texlive packages) have some 100 KB.
const LARGEST_PARAGRAPH: usize = 16 << 20;

/// Calls `each` for every paragraph of `input`.
pub fn for_each_paragraph<E>(
    mut input: impl Read,
    each: &mut dyn FnMut(&Paragraph<'_>) -> Result<(), E>,
) -> Result<(), ParagraphError<E>> {
    let mut buffer = Vec::with_capacity(PIECE + PIECE / 2);
    loop {
        let searched = buffer.len().saturating_sub(1);
        let read = input
            .by_ref()
            .take(PIECE as u64)
            .read_to_end(&mut buffer)
            .map_err(ParagraphError::Read)?;
        if read == 0 {
            return parse_piece(&buffer, each);
        }
        if let Some(end) = last_paragraph_end(&buffer, searched) {
            parse_piece(buffer.get(..end).unwrap_or_default(), each)?;
            buffer.drain(..end);
        } else if buffer.len() > LARGEST_PARAGRAPH {
            return Err(ParagraphError::TooLarge);
        }
    }
}

/// The paragraphs of a short text, such as one control file.
pub fn paragraphs(text: &str) -> Result<Vec<Paragraph<'_>>, SyntaxError> {
    BorrowedParser::new(text)
        .parse_all()
        .map_err(|error| SyntaxError(error.to_string()))
}

/// What came before `searched` is known to hold no blank line.
fn last_paragraph_end(buffer: &[u8], searched: usize) -> Option<usize> {
    let new = buffer.get(searched..)?;
    let start = new.windows(2).rposition(|pair| pair == b"\n\n")?;
    Some(searched + start + 2)
}

fn parse_piece<E>(
    piece: &[u8],
    each: &mut dyn FnMut(&Paragraph<'_>) -> Result<(), E>,
) -> Result<(), ParagraphError<E>> {
    let text = std::str::from_utf8(piece).map_err(|_| ParagraphError::NotUtf8)?;
    for paragraph in paragraphs(text).map_err(ParagraphError::Syntax)? {
        each(&paragraph).map_err(ParagraphError::Paragraph)?;
    }
    Ok(())
}

/// The text is not a control file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Debian control file: {0}")]
pub struct SyntaxError(pub String);

/// Why a stream of paragraphs ended early.
#[derive(Debug, thiserror::Error)]
pub enum ParagraphError<E> {
    /// The input failed.
    #[error("{0}")]
    Read(io::Error),
    /// Not text.
    #[error("it is not UTF-8 text")]
    NotUtf8,
    /// One paragraph without end.
    #[error("one of its paragraphs is larger than 16 MiB")]
    TooLarge,
    /// Not a control file.
    #[error("{0}")]
    Syntax(SyntaxError),
    /// The caller did not like a paragraph.
    #[error("{0}")]
    Paragraph(E),
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn names(input: impl Read) -> Result<Vec<String>, ParagraphError<Infallible>> {
        let mut names = Vec::new();
        for_each_paragraph(input, &mut |paragraph| {
            names.extend(paragraph.get_single("Package").map(str::to_owned));
            Ok(())
        })?;
        Ok(names)
    }

    #[test]
    fn for_each_paragraph_across_pieces() {
        let paragraph = |number: usize| {
            format!(
                "Package: p{number}\nDescription: x\n {}\n\n",
                "y".repeat(number % 700)
            )
        };
        let text: String = (0..10_000).map(paragraph).collect();
        assert!(text.len() > 2 * PIECE);
        let expected: Vec<_> = (0..10_000).map(|number| format!("p{number}")).collect();
        assert_eq!(names(text.as_bytes()).expect("parsed"), expected);
        assert_eq!(names(text.trim_end().as_bytes()).expect("parsed"), expected);
    }

    #[test]
    fn for_each_paragraph_refused() {
        assert!(matches!(
            names(&b"Package: \xff\n"[..]),
            Err(ParagraphError::NotUtf8)
        ));
        assert!(matches!(
            names(&b"no field\n"[..]),
            Err(ParagraphError::Syntax(_))
        ));
        assert!(matches!(
            names(io::repeat(b'a')),
            Err(ParagraphError::TooLarge)
        ));
        assert_eq!(names(&b""[..]).expect("parsed"), [""; 0]);
    }
}

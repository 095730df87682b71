//! Parts of a prompt that are no text, and their tokens. The figures are flat, because only the
//! provider decodes an image or counts a file's pages; `usage` corrects them. docs/configuration.md
//! has the table and its sources.

use memchr::memchr;

/// A piece of a prompt that is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Image,
    Audio,
    /// A document or a video.
    File,
}

/// The resolution at which a model reads an image (`detail`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Detail {
    Low,
    #[default]
    Auto,
    High,
}

/// OpenAI's figures: 85 for `low`, 765 for 1024 x 1024 pixels, 1,105 for 2048 x 4096.
const IMAGE: [(Detail, u64); 3] = [(Detail::Low, 85), (Detail::Auto, 765), (Detail::High, 1105)];
/// About eleven pages at Gemini (258 each), one or two at Anthropic (1,500 to 3,000 each).
const FILE: u64 = 3000;
/// A second is 16 KB of MP3 or 32 KB of speech as WAV, and takes 10 tokens at OpenAI, 32 at Gemini.
const AUDIO_BYTES_PER_TOKEN: u64 = 1000;
/// Shorter base64 counts as text, which it may be.
const SHORTEST_BASE64: usize = 256;
/// Bytes of a string that are checked.
const PREFIX: usize = 256;

impl Detail {
    pub(super) fn of(text: &str) -> Self {
        match text {
            "low" => Self::Low,
            "high" => Self::High,
            _ => Self::Auto,
        }
    }

    /// Tokens of one image.
    pub(super) fn tokens(self) -> u64 {
        IMAGE.iter().find(|(detail, _)| *detail == self).map_or(0, |(_, tokens)| *tokens)
    }
}

impl Media {
    /// By the `type` of a part of a message.
    pub(super) fn of_type(name: &str) -> Option<Self> {
        match name {
            "image_url" | "input_image" | "image" | "image_file" | "image_generation_call" => {
                Some(Self::Image)
            }
            "input_audio" | "audio" | "audio_url" => Some(Self::Audio),
            "file" | "input_file" | "document" | "video" | "video_url" => Some(Self::File),
            _ => None,
        }
    }

    /// By the media type of a data URL (RFC 2397); `None` for any other string.
    pub(super) fn of_data_url(text: &str) -> Option<Self> {
        let is_data = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
        let header = text.as_bytes().get(5..).filter(|_| is_data)?;
        let header = header.get(..memchr(b',', header.get(..PREFIX).unwrap_or(header))?)?;
        // A sentence may begin with "data:", too, but has spaces or no media type.
        if !header.iter().all(u8::is_ascii_graphic)
            || !header.contains(&b'/') && !header.ends_with(b";base64")
        {
            return None;
        }
        let is = |kind: &[u8]| header.get(..kind.len()).is_some_and(|own| own.eq_ignore_ascii_case(kind));
        let kinds = [(Self::Image, b"image"), (Self::Audio, b"audio")];
        let found = kinds.into_iter().find(|(_, kind)| is(*kind));
        Some(found.map_or(Self::File, |(media, _)| media))
    }

    /// Tokens of media of so many bytes; of an image, those of the usual detail.
    pub(super) fn tokens(self, bytes: u64) -> u64 {
        match self {
            Self::Image => Detail::Auto.tokens(),
            Self::Audio => bytes.div_ceil(AUDIO_BYTES_PER_TOKEN).min(FILE),
            Self::File => FILE,
        }
    }
}

/// Bytes that so many characters of base64 encode.
pub(super) fn base64_decoded_len(base64: usize) -> u64 {
    (base64 as u64).saturating_mul(3) / 4
}

/// Whether a string is the address of a file.
pub(super) fn is_url(text: &str) -> bool {
    let is_own = |scheme: &&str| text.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
    ["http://", "https://", "http:\\/", "https:\\/", "gs://", "s3://"].iter().any(is_own)
}

/// Whether a string is base64, by its length and its beginning. JSON may escape `/` and `+`, hence
/// the backslash.
pub(super) fn is_base64(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_\\".contains(byte);
    text.len() >= SHORTEST_BASE64 && text.as_bytes().iter().take(PREFIX).all(is_digit)
}

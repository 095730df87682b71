//! Finds the strings of a prompt's JSON that are no text, from quote to quote.

use super::count::TokenCount;
use super::media::{self, Detail, Media};
use crate::http::json::split_string;

/// Levels of nesting that are tracked; the parts of messages are at six or seven.
const DEEPEST: usize = 32;

/// What a member's name says about its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// Nothing.
    Other,
    /// `type`
    Type,
    /// `detail`
    Detail,
    /// The value is this.
    Is(Media),
    /// The value is this if it is an object, an address or base64.
    MayBe(Media),
    /// The value is an object that holds a file of any kind.
    Source,
    /// The same, whose content is text.
    Text,
    /// The file itself, or its address, inside of such an object.
    Content,
    /// The provider's id of a file.
    FileId,
}

impl Key {
    fn of(name: &str) -> Self {
        match name {
            "type" => Self::Type,
            "detail" => Self::Detail,
            "image_url" | "image_base64" => Self::Is(Media::Image),
            "audio_url" => Self::Is(Media::Audio),
            "video_url" | "file_data" | "file_url" => Self::Is(Media::File),
            "image" | "images" | "image_file" => Self::MayBe(Media::Image),
            "audio" | "input_audio" => Self::MayBe(Media::Audio),
            "video" | "file" | "document" => Self::MayBe(Media::File),
            "source" | "inline_data" | "inlineData" => Self::Source,
            "data" | "bytes" | "url" | "result" | "b64_json" => Self::Content,
            "file_id" => Self::FileId,
            _ => Self::Other,
        }
    }

    fn media(self) -> Option<Media> {
        match self {
            Self::Is(media) | Self::MayBe(media) => Some(media),
            _ => None,
        }
    }
}

/// An object or a list that is open.
#[derive(Clone, Copy, Debug)]
struct Frame {
    is_list: bool,
    /// Its name.
    key: Key,
    /// The kind of the message part that it belongs to.
    part: Option<Media>,
    /// Images directly in it, whose tokens depend on a `detail` that may follow them.
    images: u64,
    detail: Detail,
}

pub(super) struct Scanner<'a> {
    json: &'a str,
    at: usize,
    /// The last name.
    key: Key,
    frames: Vec<Frame>,
    /// Open objects and lists below [`DEEPEST`].
    deeper: u64,
    count: &'a mut TokenCount,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(json: &'a str, count: &'a mut TokenCount) -> Self {
        Self { json, at: 0, key: Key::Other, frames: Vec::new(), deeper: 0, count }
    }

    /// Replaces the bytes of strings that are no text. The count has the bytes of the whole JSON
    /// already.
    pub(super) fn run(mut self) {
        while let Some(byte) = self.json.as_bytes().get(self.at) {
            self.at = self.at.saturating_add(1);
            match byte {
                b'"' => self.string(),
                b'{' => self.open(false),
                b'[' => self.open(true),
                b'}' | b']' => self.close(),
                _ => {}
            }
        }
    }

    fn open(&mut self, is_list: bool) {
        if self.frames.len() == DEEPEST {
            self.deeper = self.deeper.saturating_add(1);
            return;
        }
        let key = self.current_key();
        let part = key.media().or_else(|| self.frames.last()?.part);
        self.frames.push(Frame { is_list, key, part, images: 0, detail: Detail::default() });
    }

    fn close(&mut self) {
        if self.deeper > 0 {
            self.deeper = self.deeper.saturating_sub(1);
        } else if let Some(Frame { images, detail, .. }) = self.frames.pop() {
            self.count.add_tokens(images.saturating_mul(detail.tokens()));
        }
    }

    /// The name of a value; the elements of a list have the list's name.
    fn current_key(&self) -> Key {
        self.frames.last().filter(|frame| frame.is_list).map_or(self.key, |list| list.key)
    }

    /// Reads a string from behind its opening quote.
    fn string(&mut self) {
        let rest = self.json.get(self.at..).unwrap_or_default();
        let (text, after) = split_string(rest);
        self.at = self.json.len().saturating_sub(after.len());
        if after.trim_ascii_start().starts_with(':') {
            self.key = Key::of(text);
        } else {
            self.value(text);
        }
    }

    fn value(&mut self, text: &'a str) {
        match (self.current_key(), self.frames.last_mut()) {
            (Key::Type, Some(frame)) => frame.describe(text),
            (Key::Detail, Some(frame)) => frame.detail = Detail::of(text),
            (key, _) => {
                if let Some(media) = self.media(key, text) {
                    self.replace(text, media);
                }
            }
        }
    }

    /// What a string is, if it is no text.
    fn media(&self, key: Key, text: &str) -> Option<Media> {
        let frame = self.frames.last();
        let holder = frame.map_or(Key::Other, |frame| frame.key);
        let part = frame.and_then(|frame| frame.part);
        Media::of_data_url(text).or_else(|| match key {
            Key::Is(media) => Some(media),
            Key::MayBe(media) => (media::is_url(text) || media::is_base64(text)).then_some(media),
            Key::Content if holder.media().is_some() => part,
            Key::Content if holder != Key::Text && media::is_base64(text) => part.or(Some(Media::Image)),
            Key::Content if holder == Key::Source && media::is_url(text) => part.or(Some(Media::Image)),
            Key::FileId => part,
            _ => None,
        })
    }

    /// Counts a string as media in place of text.
    fn replace(&mut self, text: &str, media: Media) {
        self.count.remove_text(text);
        match (media, self.frames.last_mut()) {
            (Media::Image, Some(frame)) => frame.images = frame.images.saturating_add(1),
            _ => self.count.add_tokens(media.tokens(media::base64_decoded_len(text.len()))),
        }
    }
}

impl Frame {
    /// Reads its `type`.
    fn describe(&mut self, kind: &str) {
        match self.key {
            // A document whose content is given as text.
            Key::Source if kind == "text" => self.key = Key::Text,
            _ => self.part = Media::of_type(kind).or(self.part),
        }
    }
}

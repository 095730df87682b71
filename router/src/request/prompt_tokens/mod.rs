//! Estimates the tokens of a prompt from its JSON text, in one pass that copies nothing.
//!
//! Text counts by its bytes, names and braces included: chat templates take tokens as well. A
//! string that is an image, a recording or a file counts as [`media`] and not by its bytes, and a
//! list of token ids by its elements.

mod count;
mod media;
mod scanner;

pub use count::TokenCount;
use media::Media;
use scanner::Scanner;

/// Adds a prompt: valid JSON.
pub fn add_prompt(count: &mut TokenCount, json: &str) {
    #[cfg(test)]
    crate::http::json::count_read(json.len());
    match token_ids(json) {
        Some(ids) => count.add_tokens(ids),
        None => {
            count.add_text(json);
            Scanner::new(json, count).run();
        }
    }
}

/// Adds an image of a form.
pub fn add_image(count: &mut TokenCount) {
    count.add_tokens(Media::Image.tokens(0));
}

/// Adds a recording of a form, of so many bytes.
pub fn add_audio(count: &mut TokenCount, bytes: u64) {
    count.add_tokens(Media::Audio.tokens(bytes));
}

/// The elements of a list of token ids, or of a list of such lists; `None` for anything else.
fn token_ids(json: &str) -> Option<u64> {
    let (mut ids, mut is_within) = (0_u64, false);
    for byte in json.strip_prefix('[')?.bytes() {
        match byte {
            b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E' => {
                ids = ids.saturating_add(u64::from(!is_within));
                is_within = true;
            }
            b'[' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' => is_within = false,
            _ => return None,
        }
    }
    (ids > 0).then_some(ids)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]
mod tests {
    use super::*;
    use crate::random::{Random, SplitMix};

    fn tokens(json: &str) -> u64 {
        let mut count = TokenCount::default();
        add_prompt(&mut count, json);
        count.total()
    }

    /// Asserts that a part of a message counts so many tokens, and a few for its names and braces.
    #[track_caller]
    fn assert_counts(part: &str, flat: u64) {
        let tokens = tokens(&format!(r#"[{{"role":"user","content":[{part}]}}]"#));
        assert!((flat..flat + 60).contains(&tokens), "{tokens} and not {flat}: {part:.200}");
    }

    /// 250,000 bytes of base64, which would be 62,500 tokens as text.
    fn base64() -> String {
        "iVBO/w0K".repeat(31_250)
    }

    #[test]
    fn text_counts_by_its_bytes_whatever_it_speaks_of() {
        for json in [
            r#""data: nothing of the kind, is it""#,
            r#""data:a,b""#,
            r#"[{"role":"user","content":"a \"data:image/png;base64,AAAA\" in a text"}]"#,
            r#"[{"role":"user","content":"\\"},{"role":"user","content":"\"image_url\":"}]"#,
            r#"[{"type":"tool_use","input":{"image":"cat.png","file":"a.txt","url":"https://a.test"}}]"#,
            r#"[{"type":"file_citation","file_id":"file-1"}]"#,
            r#"[{"role":"assistant","audio":{"id":"audio_1"}}]"#,
            "{}",
            "[]",
            "true",
            r#"[1,"a"]"#,
        ] {
            assert_eq!(tokens(json), (json.len() as u64).div_ceil(4), "{json}");
        }
        let long = format!(r#"[{{"role":"user","content":"{}"}}]"#, "x".repeat(100_000));
        assert_eq!(
            tokens(&long),
            (long.len() as u64).div_ceil(4),
            "a content is text, whatever it looks like"
        );
        let document = format!(r#"[{{"source":{{"type":"text","data":"{}"}}}}]"#, "x".repeat(4000));
        assert_eq!(tokens(&document), (document.len() as u64).div_ceil(4));
    }

    #[test]
    fn token_ids_count_by_element() {
        for (json, expected) in
            [("[1,2,3]", 3), ("[[11, 22], [33]]", 3), (" [7]", 1), ("[ 1e3 ,\n-1 ]", 2), ("[1]", 1)]
        {
            assert_eq!(tokens(json.trim()), expected, "{json}");
        }
    }

    #[test]
    fn an_image_counts_by_its_detail_wherever_it_comes_from() {
        let data = format!("data:image/png;base64,{}", base64());
        let escaped = data.replace('/', "\\/");
        for url in [data.as_str(), &escaped, &data.replace("data:", "DATA:"), "https://a.test/cat.png"] {
            for (detail, expected) in [
                ("", 765),
                (r#","detail":"auto""#, 765),
                (r#","detail":"low""#, 85),
                (r#","detail":"high""#, 1105),
            ] {
                let chat = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"{detail}}}}}"#);
                assert_counts(&chat, expected);
                let response = format!(r#"{{"type":"input_image","image_url":"{url}"{detail}}}"#);
                assert_counts(&response, expected);
            }
        }
        let before = format!(r#"{{"image_url":{{"detail":"low","url":"{data}"}},"type":"image_url"}}"#);
        assert_counts(&before, 85);
        assert_counts(r#"{"type":"input_image","file_id":"file-1"}"#, 765);
        assert_counts(r#"{"type":"image_file","image_file":{"file_id":"file-1","detail":"low"}}"#, 85);
    }

    #[test]
    fn images_of_other_apis_and_of_tools_count_alike() {
        let base64 = base64();
        for part in [
            format!(
                r#"{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{base64}"}}}}"#
            ),
            r#"{"type":"image","source":{"type":"url","url":"https://a.test/cat.png"}}"#.to_owned(),
            format!(
                r#"{{"type":"tool_result","content":[{{"type":"image","source":{{"data":"{base64}","type":"base64"}}}}]}}"#
            ),
            format!(
                r#"{{"type":"function_call_output","output":[{{"type":"input_image","image_url":"data:image/png;base64,{base64}"}}]}}"#
            ),
            format!(
                r#"{{"type":"computer_call_output","output":{{"image_url":"data:image/png;base64,{base64}"}}}}"#
            ),
            format!(r#"{{"type":"image_generation_call","result":"{base64}"}}"#),
            format!(r#"{{"image":{{"format":"png","source":{{"bytes":"{base64}"}}}}}}"#),
            format!(r#"{{"inline_data":{{"mime_type":"image/png","data":"{base64}"}}}}"#),
            format!(r#"{{"image":"{base64}"}}"#),
            r#"{"image":"https://a.test/cat.png"}"#.to_owned(),
            format!(r#""data:image/webp;base64,{base64}""#),
        ] {
            assert_counts(&part, 765);
        }
        let two = format!(r#"{{"images":["{base64}","https://a.test/cat.png"]}}"#);
        assert_counts(&two, 2 * 765);
    }

    #[test]
    fn recordings_count_by_their_length_and_files_by_a_flat_figure() {
        let base64 = base64();
        for (part, expected) in [
            (format!(r#"{{"type":"input_audio","input_audio":{{"data":"{base64}","format":"mp3"}}}}"#), 188),
            (
                format!(r#"{{"type":"audio_url","audio_url":{{"url":"data:audio/wav;base64,{base64}"}}}}"#),
                188,
            ),
            (format!(r#"{{"type":"file","file":{{"filename":"a.pdf","file_data":"{base64}"}}}}"#), 3000),
            (r#"{"type":"file","file":{"file_id":"file-1"}}"#.to_owned(), 3000),
            (
                format!(
                    r#"{{"type":"input_file","filename":"a.pdf","file_data":"data:application/pdf;base64,{base64}"}}"#
                ),
                3000,
            ),
            (r#"{"type":"input_file","file_url":"https://a.test/a.pdf"}"#.to_owned(), 3000),
            (r#"{"type":"input_file","file_id":"file-1"}"#.to_owned(), 3000),
            (format!(r#"{{"type":"document","source":{{"type":"base64","data":"{base64}"}}}}"#), 3000),
            (r#"{"type":"document","source":{"type":"url","url":"https://a.test/a.pdf"}}"#.to_owned(), 3000),
            (r#"{"type":"video_url","video_url":{"url":"https://a.test/a.mp4"}}"#.to_owned(), 3000),
        ] {
            assert_counts(&part, expected);
        }
        let hour = format!(r#"{{"type":"input_audio","input_audio":{{"data":"{}"}}}}"#, base64.repeat(100));
        assert_counts(&hour, 3000);
    }

    #[test]
    fn what_lies_very_deep_or_is_cut_off_is_no_reason_to_fall_over() {
        let deep = format!("{}{}", r#"[{"image_url":"#.repeat(50_000), "}]".repeat(50_000));
        assert!(tokens(&deep) > 0);
        for cut in ["\"", "{\"a\":\"\\", "[\"a", "}}]]", "{\"image_url\":", ""] {
            assert!(tokens(cut) <= 4, "{cut}");
        }
    }

    #[test]
    fn no_prompt_counts_more_than_its_text_and_3000_for_each_part() {
        let pieces = [
            "{", "}", "[", "]", ":", ",", "\"", "\\", " ", "7", "\"type\":", "\"image\"", "\"image_url\":",
            "\"data\":", "\"source\":", "\"detail\":\"low\"", "\"data:image/png;base64,A\"", "\"https://a\"",
            "data:", "\u{e9}",
        ];
        let mut random = SplitMix::new(7);
        for _ in 0..20_000 {
            let count = random.below(40);
            let json: String = (0..count).map(|_| pieces[random.below(pieces.len())]).collect();
            let most = (json.len() as u64).div_ceil(4) + 3000 * count as u64;
            assert!(tokens(&json) <= most, "{json}");
        }
    }

    /// Native, opt-level 3: see docs/decisions/reserved-tokens.md.
    #[test]
    #[ignore = "prints its own speed; run it with --release --nocapture"]
    #[expect(clippy::disallowed_methods, reason = "a stopwatch")]
    fn a_megabyte_costs_little() {
        let message = |content: &str| format!(r#"[{{"role":"user","content":"{content}"}}]"#);
        for (what, prompt) in [
            ("short", message("What is the capital of France?")),
            ("prose", message(&"word ".repeat(200_000))),
            ("code", message(&r#"let a = \"b\";\n"#.repeat(60_000))),
            ("ids", format!("[{}1]", "12345,".repeat(160_000))),
        ] {
            let rounds = 200_000_000 / prompt.len();
            let start = std::time::Instant::now();
            for _ in 0..rounds {
                assert!(tokens(std::hint::black_box(&prompt)) > 0);
            }
            let seconds = start.elapsed().as_secs_f64();
            let (bytes, rounds) = (prompt.len() as f64, rounds as f64);
            println!(
                "{what}: {:.0} MB/s, {:.0} ns each",
                bytes * rounds / 1e6 / seconds,
                seconds * 1e9 / rounds
            );
        }
    }
}

use super::tests::{chat, checked, failed};
use super::*;

#[test]
fn a_list_of_anything_is_an_answer() {
    for text in
        ["[]", "[ ]\n", "[[0.5]]", "[-1]", "[7,8]", "[null]", "[true]", "[\"a\"]", "[{}]", "[{\"index\":0}]"]
    {
        assert_eq!(chat(text), PASSES, "{text}");
    }
}

#[test]
fn text_in_brackets_and_a_list_that_is_cut_off_are_none() {
    for text in [
        "[ERROR] upstream unavailable", "[timeout]", "[no healthy upstream]", "[503] Service Unavailable",
        "[--- error ---]", "[{\"id\":\"c", "[{\"id\":\"c\"}", "[\"a\"", "[1,2", "[",
    ] {
        let (status, _) = failed(chat(text), text);
        assert_eq!(status, 502, "{text:?}");
        let start = checked("/chat/completions", &[], &text.as_bytes()[..1], false);
        assert_eq!(start, CheckResult::Undecided, "{text:?}");
    }
}

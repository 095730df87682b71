//! The words with which providers begin a message. Behind others (`Unexpected role ..`) the client's
//! own may follow.

/// In front of a phrase, or of another server's error.
const OWN_WORDS: &str = " - a account an api b by code context does due error exceeded for free gemini has have is \
     it many model models not of organization our project reached request requested requests sorry status \
     such tier the this to tokens too use was window with you your ";

/// Whether all words are of a provider, in lower case.
pub(super) fn are_own(words: &str) -> bool {
    words.split_whitespace().all(is_own_word)
}

/// Whether a word is of a provider: `litellm.BadRequestError:`, `400`, `/chat/completions:`,
/// `vendor/model`, `your`.
fn is_own_word(word: &str) -> bool {
    let is_path = word.contains('/') && word.ends_with(':') == word.starts_with('/');
    let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
    word.is_empty()
        || OWN_WORDS.split(' ').any(|own| own == word)
        || is_path
        || word.ends_with("error")
        || word.ends_with("exception")
        || word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_provider_are_told_from_those_that_name_what_the_client_wrote() {
        for lead in [
            "",
            "your ",
            "you have reached your ",
            "sorry, your account ",
            "the requested ",
            "litellm.badrequesterror: anthropicexception - ",
            "error code: 400 - ",
            "/chat/completions: ",
            "vendor/model-4 ",
        ] {
            assert!(are_own(lead), "{lead}");
        }
        for lead in [
            "unexpected role ",
            "error rendering prompt with jinja template: unknown role ",
            "role: ",
            "messages.0.role: ",
            "§ : ",
            "§: value error, ",
            "a/b: ",
            "/role ",
            "invalid file: ",
        ] {
            assert!(!are_own(lead), "{lead}");
        }
    }
}

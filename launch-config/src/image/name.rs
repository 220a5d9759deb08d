//! Names for images that are built of something else's name.

/// Makes a path component of any text: small letters, and `__` for what an image's name
/// cannot hold. W&B names images so; `image` stands for a text of which nothing is left.
///
/// ```
/// assert_eq!(launch_config::image::safe_name("ent/Proj/Job Name"), "ent__proj__job__name");
/// ```
pub fn safe_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    // How many separators there are since the last letter or digit, and the first of them.
    let mut gap: Option<(char, usize)> = None;
    for c in text.chars().flat_map(char::to_lowercase) {
        let found = match c {
            '.' | '_' | '-' => (c, 1),
            'a'..='z' | '0'..='9' => {
                match gap.take().filter(|_| !name.is_empty()) {
                    Some((only, 1)) => name.push(only),
                    Some(_) => name.push_str("__"),
                    None => {}
                }
                name.push(c);
                continue;
            }
            _ => ('_', 2),
        };
        gap = Some(gap.map_or(found, |(first, count)| (first, count + found.1)));
    }
    if name.is_empty() {
        "image".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::ImageRef;

    #[test]
    fn safe_names_are_the_ones_the_python_agent_makes() {
        for (text, name) in [
            ("a--b", "a__b"),
            ("a.b", "a.b"),
            ("a_-b", "a__b"),
            ("-a-", "a"),
            ("/a/b", "a__b"),
            ("a-b_c.d", "a-b_c.d"),
            ("é", "image"),
            ("___", "image"),
        ] {
            assert_eq!(safe_name(text), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn safe_names_are_names(text in ".{0,20}|[a-z._-]{0,12}") {
            let name = safe_name(&text);
            prop_assert!(name.parse::<ImageRef>().is_ok(), "{name}");
        }
    }
}

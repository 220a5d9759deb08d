//! The one line by which a generated Dockerfile tells what it could not install.

/// What the line begins with; a JSON list of requirements follows.
const MARKER: &str = "launch-failed-packages: ";

/// The packages such a line names, as a person reads them; `None` for any other line.
/// Builders put a warning in its place.
pub(crate) fn failed_packages(line: &str) -> Option<String> {
    // A builder may number and time its lines.
    let (_, list) = line.split_once(MARKER)?;
    let packages: Vec<String> = serde_json::from_str(list.trim()).ok()?;
    Some(format!("`{}`", packages.join("`, `")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_behind_a_builders_number() {
        let line = "#12 0.91 launch-failed-packages: [\"a==1\"]\r";
        assert_eq!(failed_packages(line).as_deref(), Some("`a==1`"));
        assert_eq!(failed_packages("a==1"), None);
    }
}

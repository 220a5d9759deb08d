//! The documented improvements: `docs/differences.md` against the code.

use std::collections::BTreeMap;

use super::{Answer, CATEGORIES, Case};
use crate::root;

/// A documented rule by which we differ from the original.
#[derive(Debug)]
pub struct Improvement {
    /// Its id in `docs/differences.md`.
    pub id: &'static str,
    /// Whether the rule explains our answer to a case: both what the case holds (never
    /// its name) and that our answer is the one the rule promises.
    pub explains: fn(&Case, &Answer) -> bool,
}

/// Rules by id, with the categories they are used in.
type Rules = BTreeMap<String, Vec<String>>;

/// Checks that the document and the code list the same rules for the same categories.
///
/// # Errors
/// What one has and the other has not.
pub fn check_document() -> Result<(), String> {
    let path = root().join("docs/differences.md");
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    compare(&documented(&text)?, &coded())
}

fn compare(documented: &Rules, coded: &Rules) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (id, categories) in coded {
        match documented.get(id) {
            None => wrong.push(format!("rule `{id}` is not in docs/differences.md")),
            Some(listed) if listed != categories => wrong.push(format!(
                "rule `{id}` is for {listed:?} in docs/differences.md, for {categories:?} in the code"
            )),
            Some(_) => {}
        }
    }
    let unused = documented.keys().filter(|id| !coded.contains_key(*id));
    wrong.extend(unused.map(|id| format!("rule `{id}` of docs/differences.md is not in the code")));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

fn coded() -> Rules {
    let mut rules = Rules::new();
    for category in CATEGORIES {
        for rule in category.improvements {
            let categories = rules.entry(rule.id.to_owned()).or_default();
            categories.push(category.name.to_owned());
        }
    }
    sorted(rules)
}

/// Reads the rows ``| `id` | category, category | what | why |``.
fn documented(text: &str) -> Result<Rules, String> {
    let mut rules = Rules::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, categories, what, why] = cells[..] else {
            return Err(format!("docs/differences.md: four cells expected in {row}"));
        };
        if what.is_empty() || why.is_empty() {
            return Err(format!("docs/differences.md: an empty cell in {row}"));
        }
        let categories = categories.split(", ").map(str::to_owned).collect();
        if rules.insert(id.replace('`', ""), categories).is_some() {
            return Err(format!("docs/differences.md: {id} is there twice"));
        }
    }
    Ok(sorted(rules))
}

fn sorted(mut rules: Rules) -> Rules {
    for categories in rules.values_mut() {
        categories.sort();
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rows: &str) -> Rules {
        documented(rows).unwrap()
    }

    #[test]
    fn a_rule_must_be_on_both_sides() {
        let two = rules("| rule | x |\n| `a` | uri, config | w | y |\n| `b` | env | w | y |\n");
        assert_eq!(two["a"], ["config", "uri"]);
        let one = rules("| `a` | config, uri | w | y |\n");
        assert!(compare(&one, &one).is_ok());
        assert!(compare(&one, &two).unwrap_err().contains("not in docs"));
        assert!(compare(&two, &one).unwrap_err().contains("not in the code"));
        let other = rules("| `a` | uri | w | y |\n");
        assert!(compare(&other, &one).unwrap_err().contains("is for"));
    }

    #[test]
    fn a_rule_needs_its_reason() {
        assert!(documented("| `a` | uri | what |  |\n").is_err());
        assert!(documented("| `a` | uri | what |\n").is_err());
        assert!(documented("| `a` | uri | w | y |\n| `a` | uri | w | y |\n").is_err());
    }
}

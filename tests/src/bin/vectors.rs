//! Runs compatibility vectors: `vectors [--improved] FILE...`.
//!
//! Prints `category: N agree, M improved, K differ` per category, then each differing
//! case with where it differs; with `--improved` also which rule of
//! `docs/differences.md` each improved case falls under. Exits with 1 if a case differs,
//! a category is not supported or the document and the code list different rules; with 2
//! if a file cannot be read.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people"
)]

use std::path::Path;
use std::process::ExitCode;

use launch_tests::vectors::{Case, Category, Verdict, category, check_document, read};

fn main() -> ExitCode {
    let (flags, files): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|argument| argument.starts_with("--"));
    if files.is_empty() || flags.iter().any(|flag| flag != "--improved") {
        eprintln!("usage: vectors [--improved] FILE...");
        return ExitCode::from(2);
    }
    if let Err(error) = check_document() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    // A panic is a differing case, and told there.
    std::panic::set_hook(Box::new(|_| {}));
    match run(&files, !flags.is_empty()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// The cases of all files, by category in the order first seen.
fn by_category(files: &[String]) -> Result<Vec<(String, Vec<Case>)>, String> {
    let mut all: Vec<(String, Vec<Case>)> = Vec::new();
    for file in files {
        let file = read(Path::new(file))?;
        match all.iter_mut().find(|(name, _)| *name == file.category) {
            Some((_, cases)) => cases.extend(file.cases),
            None => all.push((file.category, file.cases)),
        }
    }
    Ok(all)
}

fn run(files: &[String], with_improved: bool) -> Result<bool, String> {
    let mut good = true;
    for (name, cases) in by_category(files)? {
        if let Some(category) = category(&name) {
            good &= show(category, &cases, with_improved);
        } else {
            println!("{name}: not supported");
            good = false;
        }
    }
    Ok(good)
}

/// Runs and prints a category; says whether no case differs.
fn show(category: &Category, cases: &[Case], with_improved: bool) -> bool {
    let verdicts: Vec<Verdict> = cases.iter().map(|case| category.judge(case)).collect();
    let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|&v| wanted(v)).count();
    let agree = count(|verdict| matches!(verdict, Verdict::Agree));
    let improved = count(|verdict| matches!(verdict, Verdict::Improved(_)));
    let differ = cases.len() - agree - improved;
    println!(
        "{}: {agree} agree, {improved} improved, {differ} differ",
        category.name
    );
    for (case, verdict) in cases.iter().zip(&verdicts) {
        match verdict {
            Verdict::Differ(lines) => {
                println!("  {} differs", case.name);
                for line in lines {
                    println!("    {line}");
                }
            }
            Verdict::Improved(rule) if with_improved => println!("  {}: {rule}", case.name),
            _ => {}
        }
    }
    differ == 0
}

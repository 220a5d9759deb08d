//! A program that proves who we are ("Executable-sourced credentials" of workload identity
//! federation, AIP-4117).

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use launch_config::secret::Secret;
use serde::Deserialize;
use tokio::process::Command;

use crate::clock;
use crate::credentials::Surroundings;

/// Whoever may write the file could have any program run, so this has to be 1.
const ALLOWED: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";
/// How long a program may take if its file does not say, and what it may say.
const PATIENCE: u64 = 30_000;
const BOUNDS: std::ops::RangeInclusive<u64> = 5_000..=120_000;

/// `credential_source.executable`.
#[derive(Debug, Deserialize)]
pub(super) struct Executable {
    /// The program and its arguments, between blanks.
    command: String,
    timeout_millis: Option<u64>,
    /// Where the program keeps its last answer.
    output_file: Option<PathBuf>,
}

/// What the program is told.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) audience: &'a str,
    pub(super) token_type: &'a str,
    pub(super) email: Option<String>,
}

/// What it answers.
#[derive(Deserialize)]
struct Answer {
    version: u64,
    success: bool,
    token_type: Option<String>,
    id_token: Option<Secret>,
    saml_response: Option<Secret>,
    /// Seconds since 1970.
    expiration_time: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Executable {
    pub(super) async fn subject(
        &self,
        from: &Surroundings,
        asked: &Asked<'_>,
    ) -> Result<Secret, String> {
        if from.get(ALLOWED) != Some("1") {
            return Err(format!(
                "`{ALLOWED}` is not 1, so the file's program is not run"
            ));
        }
        if let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let output = self.run(from, asked).await?;
        Answer::parse(&output)?.token()
    }

    /// The last answer, if it is still good.
    fn kept(&self) -> Option<Secret> {
        let text = fs_err::read(self.output_file.as_ref()?).ok()?;
        let answer = Answer::parse(&text).ok()?;
        answer.expiration_time?;
        answer.token().ok()
    }

    async fn run(&self, from: &Surroundings, asked: &Asked<'_>) -> Result<Vec<u8>, String> {
        let mut words = self.command.split_whitespace();
        let program = words.next().ok_or("the program has no name")?;
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .envs(from.all())
            .env("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", asked.audience)
            .env("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", asked.token_type)
            .env("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(email) = &asked.email {
            command.env("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL", email);
        }
        if let Some(file) = &self.output_file {
            command.env("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", file);
        }
        let output = tokio::time::timeout(self.patience()?, command.output()).await;
        let output = output.map_err(|_| format!("`{program}` does not answer"))?;
        let output = output.map_err(|error| format!("`{program}` does not run: {error}"))?;
        // A failure is told in the answer; what else it prints may hold anything.
        if output.stdout.is_empty() {
            return Err(format!("`{program}` ends with {}", output.status));
        }
        Ok(output.stdout)
    }

    fn patience(&self) -> Result<Duration, String> {
        let millis = self.timeout_millis.unwrap_or(PATIENCE);
        if !BOUNDS.contains(&millis) {
            return Err(format!(
                "`timeout_millis` is {millis}, and 5000 to 120000 are allowed"
            ));
        }
        Ok(Duration::from_millis(millis))
    }
}

impl Answer {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let answer: Self = serde_json::from_slice(text)
            .map_err(|_| "the program answered something else than AIP-4117 says")?;
        if answer.version > 1 {
            return Err(format!(
                "the program answers in version {}, and 1 is known",
                answer.version
            ));
        }
        Ok(answer)
    }

    fn token(self) -> Result<Secret, String> {
        if !self.success {
            let code = self.code.unwrap_or_default();
            let message = self.message.unwrap_or_default();
            return Err(format!("the program says: {message} ({code})"));
        }
        let now = clock::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        if self.expiration_time.is_some_and(|end| end <= now) {
            return Err("the program's token has expired".to_owned());
        }
        let kind = self.token_type.unwrap_or_default();
        let token = match kind.as_str() {
            "urn:ietf:params:oauth:token-type:id_token"
            | "urn:ietf:params:oauth:token-type:jwt" => self.id_token,
            "urn:ietf:params:oauth:token-type:saml2" => self.saml_response,
            _ => {
                return Err(format!(
                    "the program's token is a `{kind}`, which is unknown"
                ));
            }
        };
        token.ok_or_else(|| "the program's answer has no token".to_owned())
    }
}

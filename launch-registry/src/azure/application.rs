//! Applications of Entra that prove who they are with a secret, a certificate, or the token
//! of another issuer.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use launch_config::secret::Secret;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{Lookup, TokenAnswer, now};
use crate::credentials::http::{Http, Question};
use crate::credentials::jwt::{self, Algorithm};
use crate::credentials::{Fresh, Surroundings};

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion is used at once.
const LIFE: u64 = 600;

pub(super) struct Application {
    token_url: Url,
    client: String,
    proof: Proof,
}

enum Proof {
    Secret(Secret),
    Certificate(PathBuf),
    /// A token of another issuer, in a file that is written anew now and then.
    Token(PathBuf),
}

impl Application {
    pub(super) fn of_environment(from: &Surroundings, authority: &Url) -> Result<Self, Lookup> {
        let need = |name| from.need(name).map_err(Lookup::Absent);
        let (tenant, client) = (need("AZURE_TENANT_ID")?, need("AZURE_CLIENT_ID")?);
        let secret = from
            .get("AZURE_CLIENT_SECRET")
            .map(|text| Proof::Secret(Secret::new(text)));
        let certificate = from.get("AZURE_CLIENT_CERTIFICATE_PATH");
        let certificate = certificate.map(|path| Proof::Certificate(path.into()));
        let missing = "neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE_PATH is set";
        let proof = secret
            .or(certificate)
            .ok_or(Lookup::Absent(missing.to_owned()))?;
        Self::new(authority, tenant, client, proof)
    }

    pub(super) fn of_workload(from: &Surroundings, authority: &Url) -> Result<Self, Lookup> {
        let need = |name| from.need(name).map_err(Lookup::Absent);
        let proof = Proof::Token(need("AZURE_FEDERATED_TOKEN_FILE")?.into());
        Self::new(
            authority,
            need("AZURE_TENANT_ID")?,
            need("AZURE_CLIENT_ID")?,
            proof,
        )
    }

    fn new(authority: &Url, tenant: &str, client: &str, proof: Proof) -> Result<Self, Lookup> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if !tenant.chars().all(is_fine) {
            return Err(Lookup::Broken(
                "AZURE_TENANT_ID is no tenant's id".to_owned(),
            ));
        }
        let mut token_url = authority.clone();
        token_url.set_path(&format!("/{tenant}/oauth2/v2.0/token"));
        Ok(Self {
            token_url,
            client: client.to_owned(),
            proof,
        })
    }

    pub(super) async fn token(&self, http: &Http, scope: &str) -> Result<Fresh<Secret>, Lookup> {
        let broken = |why: String| Lookup::Broken(why);
        let proof = self.proof().map_err(broken)?;
        let mut fields = vec![
            ("grant_type", "client_credentials"),
            ("client_id", self.client.as_str()),
            ("scope", scope),
        ];
        if matches!(self.proof, Proof::Secret(_)) {
            fields.push(("client_secret", proof.expose()));
        } else {
            fields.push(("client_assertion_type", ASSERTION));
            fields.push(("client_assertion", proof.expose()));
        }
        let question = Question::form(self.token_url.clone(), &fields, &[&proof]);
        let answer = http.json(&question).await;
        let answer: TokenAnswer = answer.map_err(|refusal| broken(refusal.text))?;
        Ok(answer.fresh())
    }

    fn proof(&self) -> Result<Secret, String> {
        let read = |path: &PathBuf| fs_err::read_to_string(path).map_err(|error| error.to_string());
        match &self.proof {
            Proof::Secret(secret) => Ok(secret.clone()),
            Proof::Token(path) => Ok(Secret::new(read(path)?.trim())),
            Proof::Certificate(path) => {
                let text = fs_err::read(path).map_err(|error| error.to_string())?;
                let wrong = |why| format!("`{}`: {why}", path.display());
                let pem = String::from_utf8(text);
                let pem =
                    pem.map_err(|_| wrong("it is no PEM; `openssl pkcs12 -nodes` makes one"))?;
                self.assertion(&Secret::new(pem)).map_err(wrong)
            }
        }
    }

    /// "Microsoft identity platform application authentication certificate credentials".
    fn assertion(&self, pem: &Secret) -> Result<Secret, &'static str> {
        let certificate = CertificateDer::from_pem_slice(pem.expose().as_bytes());
        let certificate = certificate.map_err(|_| "it holds no certificate in PEM")?;
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate));
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| "this system has no randomness")?;
        let now = now();
        let algorithm = Algorithm::Ps256;
        let header = json!({"alg": algorithm.as_str(), "typ": "JWT", "x5t#S256": thumbprint});
        let claims = json!({
            "aud": self.token_url.as_str(),
            "iss": self.client,
            "sub": self.client,
            "jti": URL_SAFE_NO_PAD.encode(id),
            "nbf": now,
            "iat": now,
            "exp": now + LIFE,
        });
        jwt::signed(algorithm, &header, &claims, pem)
    }
}

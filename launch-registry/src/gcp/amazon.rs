//! A proof by AWS, for Google: a signed request to AWS that says who we are, and that Google
//! sends in our place ("Workload identity federation with AWS", AIP-4117).

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use launch_config::secret::Secret;
use serde_json::json;
use url::Url;

use crate::aws::{AwsCredentials, AwsKeys};
use crate::clock;

const TARGET: &str = "x-goog-cloud-target-resource";

/// The proof for `audience`; `template` is the address of STS with `{region}` in it.
pub(super) async fn subject(audience: &str, template: &str) -> Result<Secret, String> {
    let credentials = AwsCredentials::new();
    let keys = credentials
        .keys()
        .await
        .map_err(|error| error.to_string())?;
    let region = credentials.region().await;
    let region = region.ok_or("AWS's region is not known: set AWS_REGION")?;
    let url = template.replace("{region}", &region);
    signed(audience, &url, &region, &keys)
}

fn signed(audience: &str, url: &str, region: &str, keys: &AwsKeys) -> Result<Secret, String> {
    let parsed = Url::parse(url).map_err(|_| "`regional_cred_verification_url` is no URL")?;
    let host = parsed.host_str().unwrap_or_default();
    let own = [("host", host), (TARGET, audience)];
    let signature = signature(url, region, keys, &own)?;
    let own = own.map(|(name, value)| json!({"key": name, "value": value}));
    let signed = signature
        .iter()
        .map(|(name, value)| json!({"key": name, "value": value}));
    let headers: Vec<_> = own.into_iter().chain(signed).collect();
    let request = json!({"url": url, "method": "POST", "headers": headers}).to_string();
    let encoded = url::form_urlencoded::byte_serialize(request.as_bytes());
    Ok(Secret::new(encoded.collect::<String>()))
}

/// The headers that sign the request.
fn signature(
    url: &str,
    region: &str,
    keys: &AwsKeys,
    headers: &[(&str, &str)],
) -> Result<Vec<(String, String)>, String> {
    let credentials = Credentials::new(
        &keys.access_key_id,
        keys.secret_access_key.expose(),
        keys.session_token
            .as_ref()
            .map(|token| token.expose().to_owned()),
        None,
        "launch",
    );
    let identity: Identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(clock::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let request = SignableRequest::new(
        "POST",
        url,
        headers.iter().copied(),
        SignableBody::Bytes(&[]),
    );
    let request = request.map_err(|error| error.to_string())?;
    let signed = sign(request, &params).map_err(|error| error.to_string())?;
    let (instructions, _) = signed.into_parts();
    let pairs = instructions.headers();
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_signed_and_whole() {
        let keys = AwsKeys::new("AKIAEXAMPLE", Secret::new("planted"))
            .with_session_token(Secret::new("session"));
        let url = "https://sts.eu-west-1.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15";
        let token = signed("//iam.googleapis.com/a", url, "eu-west-1", &keys).unwrap();
        let text: String = url::form_urlencoded::parse(token.expose().as_bytes())
            .map(|(key, _)| key.into_owned())
            .collect();
        let request: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(request["url"], url);
        let header = |name: &str| {
            let headers = request["headers"].as_array().unwrap();
            let is_it = |header: &&serde_json::Value| {
                header["key"].as_str().unwrap().eq_ignore_ascii_case(name)
            };
            headers.iter().find(is_it).unwrap()["value"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(header("host"), "sts.eu-west-1.amazonaws.com");
        assert_eq!(header("x-amz-security-token"), "session");
        let authorization = header("authorization");
        assert!(
            authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/"),
            "{authorization}"
        );
        assert!(authorization.contains(TARGET), "{authorization}");
        assert!(!token.expose().contains("planted"));
    }
}

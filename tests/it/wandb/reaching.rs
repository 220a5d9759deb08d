//! The way to the server, as the environment says it.

use launch_tests::Said;

use super::*;

fn list(world: &World) -> Said {
    world.agent.say(&["queue", "list"])
}

#[test]
fn proxies_are_those_of_the_environment_and_those_for_wandb_come_first() {
    let world = World::new();
    let proxy = world.server.url.clone();
    let world = world
        .env("WANDB_BASE_URL", "http://wandb.invalid")
        .env("HTTP_PROXY", &proxy)
        .env("NO_PROXY", "");
    let _ = list(&world).expect(0);
    let asked = world.state().paths.clone();
    assert_eq!(asked[0], "http://wandb.invalid/graphql");
    let world = world.env("NO_PROXY", "wandb.invalid");
    let _ = list(&world).expect(3);
    let proxies = format!("{{\"http\": \"{proxy}\"}}");
    let world = world.env("WANDB__PROXIES", &proxies);
    let _ = list(&world).expect(0);
    let world = world.env("WANDB_HTTP_PROXY", "http://u:planted@127.0.0.1:1");
    let said = list(&world).expect(3);
    assert!(!format!("{said:?}").contains("planted"), "{said:#?}");
}

#[test]
fn certificates_that_are_not_checked_are_warned_of() {
    let world = World::new().env("WANDB_INSECURE_DISABLE_SSL", "true");
    let said = list(&world).expect(0);
    let _ = said.complains("certificate is not checked (WANDB_INSECURE_DISABLE_SSL)");
    let world = world.env("WANDB_INSECURE_DISABLE_SSL", "false");
    assert!(!list(&world).err.contains("certificate"));
    let world = world.env("REQUESTS_CA_BUNDLE", "/no/such/bundle");
    let _ = list(&world).complains("/no/such/bundle");
}

#[test]
fn exchanged_tokens_are_kept_where_the_library_keeps_them() {
    let world = World::new();
    let token = world.agent.dir("config").join("token");
    fs_err::write(&token, "an.identity.token").unwrap();
    let cache = world.agent.dir("config").join("credentials.json");
    let world = world
        .env("WANDB_IDENTITY_TOKEN_FILE", token.to_str().unwrap())
        .env("WANDB_CREDENTIALS_FILE", cache.to_str().unwrap());
    let _ = list(&world).expect(0);
    let _ = list(&world).expect(0);
    let asked = world.state().paths.clone();
    let exchanges = asked.iter().filter(|path| *path == "/oidc/token").count();
    assert_eq!(exchanges, 1, "{asked:?}");
    let kept: Value = serde_json::from_slice(&fs_err::read(&cache).unwrap()).unwrap();
    let kept = &kept["credentials"][&world.server.url];
    assert_eq!(kept["access_token"], KEY);
}

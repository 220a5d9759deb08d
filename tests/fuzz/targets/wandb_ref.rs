//! W&B addresses, jobs and artifacts say themselves back, and the parts of an address are
//! those of the strict types made from it.
#![no_main]

use launch_config::wandb_ref::{ArtifactRef, JobRef, WandbUrl};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = (
        WandbUrl::is_wandb(text),
        WandbUrl::is_local(text),
        WandbUrl::is_development(text),
    );
    if let Ok(url) = text.parse::<WandbUrl>() {
        assert_eq!(
            url.to_string().parse::<WandbUrl>().expect("it was shown"),
            url
        );
        if let Ok(run) = url.run() {
            assert_eq!(Some(run.run()), url.run_id());
            assert_eq!(Some(run.entity()), url.entity());
        }
        if let Ok(job) = url.job() {
            assert_eq!(
                (Some(job.name()), job.alias()),
                (url.job_name(), url.job_alias())
            );
        }
        let _ = (url.page(), url.kind(), url.project(), url.host());
    }
    if let Ok(job) = text.parse::<JobRef>() {
        assert_eq!(job.to_string(), text);
    }
    if let Ok(artifact) = text.parse::<ArtifactRef>() {
        assert_eq!(
            artifact
                .to_string()
                .parse::<ArtifactRef>()
                .expect("it was shown"),
            artifact
        );
    }
});

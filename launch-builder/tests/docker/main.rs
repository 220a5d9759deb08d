//! Builds with a real Docker Engine.

#![cfg(all(feature = "docker", feature = "conformance"))]
#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it")]

mod archive;
mod cache;
mod dockerfile;
mod dropped;
mod engine;
mod generated;
mod project;
mod reached;
mod session;
#[path = "../context/skip.rs"]
mod skip;
mod wheel;

macro_rules! conforms {
    ($engine:ident: $($name:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            if let Some(engine) = super::engine::Engine::$engine() {
                launch_builder::conformance::$name(&engine).await;
            }
        }
    )*};
}

mod buildkit {
    conforms!(connect:
        same_plan_same_image,
        another_file_another_image,
        a_failing_build_shows_its_end,
        a_changed_context_is_refused,
        a_dropped_build_leaves_nothing,
        a_layout_is_what_it_says,
    );
}

mod classic {
    conforms!(classic:
        same_plan_same_image,
        another_file_another_image,
        a_failing_build_shows_its_end,
        a_changed_context_is_refused,
        a_dropped_build_leaves_nothing,
        a_layout_is_what_it_says,
    );
}

//! `build`: the builder and registry crates by hand.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use launch_builder::context;
use launch_builder::event::{Event, Events};
use launch_builder::plan::{Plan, plan};
use launch_builder::source::{FetchOptions, Fetched, fetch};
use launch_builder::{BuildRequest, BuiltImage, Delivery};
use launch_config::agent::BuilderKind;
use launch_config::image::{Digest, ImageRef};
use serde_json::json;

use super::spec::{BuilderArg, SpecArgs};
use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::global::Global;
use crate::pipeline::{build_spec, local_name};
use crate::printer::Printer;
use crate::settings::Settings;

/// Build the image of a source.
///
/// The tag is the digest of everything that makes the image, so an image that is there is
/// not built again.
#[derive(Debug, Args)]
pub(crate) struct Build {
    #[command(flatten)]
    spec: SpecArgs,
    #[command(flatten)]
    builder: BuilderArg,
    /// Push it to the configured destination, or to `--destination`
    #[arg(long)]
    push: bool,
    /// The repository, without a tag
    #[arg(long, value_name = "REPOSITORY")]
    destination: Option<ImageRef>,
    /// Only print what would be built
    #[arg(long)]
    plan: bool,
    /// The agent's configuration
    #[arg(long, value_name = "FILE")]
    agent_config: Option<PathBuf>,
}

impl Build {
    pub(crate) async fn run(self, global: &Global, printer: &Printer) -> Result<Exit, Failure> {
        let (_, spec) = self.spec.to_spec()?;
        let mut settings = Settings::resolve(global, self.agent_config.as_deref())?;
        settings.builder = self.builder.builder.or(settings.builder);
        let source = spec
            .source()
            .ok_or_else(|| Failure::usage("give a directory or a git URL"))?;
        let destination = self
            .destination
            .clone()
            .or_else(|| settings.config.destination().cloned());
        if self.push && destination.is_none() {
            return Err(Failure::usage("there is nowhere to push to").with_hint(
                "give `--destination REPOSITORY`, or set `builder.destination` in the agent file",
            ));
        }
        let events = events(printer);
        let fetched = fetch(source, &FetchOptions::new(), &events).await?;
        let Fetched::Tree(tree) = fetched else {
            return Err(Failure::usage(format!(
                "`{source}` is an image: there is nothing to build"
            )));
        };
        let platform = settings.config.builder.platform.clone();
        let planned = plan(&tree, &build_spec(&spec, platform.as_deref()))
            .map_err(|error| Failure::from(error).by_user())?;
        let options = planned.context_options();
        let hashed = context::hash_async(planned.context.clone(), options, events.clone()).await?;
        let repository = destination.unwrap_or_else(|| local_name(tree.origin()));
        let image = repository
            .with_tag(&planned.tag(hashed.digest))
            .map_err(|error| Failure::usage(error.to_string()))?;
        if self.plan {
            return show(&planned, hashed.digest, &image, printer);
        }
        let app = App::build(settings).await?;
        let request = BuildRequest::new(planned, image).with_context(hashed.digest);
        self.make(&app, request, &events, printer).await
    }

    async fn make(
        &self,
        app: &App,
        mut request: BuildRequest,
        events: &Events,
        printer: &Printer,
    ) -> Result<Exit, Failure> {
        let image = request.image.clone();
        if self.push
            && let Some(digest) = app.registry.find(&image).await?
        {
            return answer(&image.pin(digest).to_string(), true, printer);
        }
        let kind = self
            .builder
            .builder
            .or(app.settings.builder())
            .unwrap_or(BuilderKind::Docker);
        let builder = app.builder(kind)?;
        let scratch = tempfile::tempdir()?;
        if kind == BuilderKind::Kaniko {
            request = request.with_delivery(Delivery::Registry);
        } else if self.push {
            app.registry.check(&image).await?;
            request = request.with_delivery(Delivery::Layout(scratch.path().join("layout")));
        }
        let built = builder
            .build(request, events)
            .await
            .map_err(build_failure)?;
        match built {
            BuiltImage::Local { image, reused, .. } => answer(&image.to_string(), reused, printer),
            BuiltImage::Pushed(pinned) => answer(&pinned.to_string(), false, printer),
            BuiltImage::Tagged(image) => answer(&image.to_string(), false, printer),
            BuiltImage::Layout(layout) => {
                let silent: launch_registry::PushEvents = Arc::new(|_| {});
                let pinned = app.registry.push(&layout, &image, &silent).await?;
                answer(&pinned.to_string(), false, printer)
            }
            other => {
                Err(Failure::usage(format!("unexpected delivery: {other:?}")).by_surroundings())
            }
        }
    }
}

/// A build that fails is the job's doing, as in `launch`.
fn build_failure(error: launch_builder::Error) -> Failure {
    let is_jobs = matches!(error, launch_builder::Error::Build { .. });
    let mut failure = Failure::from(error);
    if is_jobs {
        failure.exit = Exit::JobFailed;
    }
    failure
}

fn events(printer: &Printer) -> Events {
    let talk = printer.clone();
    Events::new(move |event| match event {
        Event::Log(line) => talk.say(&format!("  | {line}")),
        Event::Warning(text) => talk.warn(&text),
        Event::Skipped(path) => talk.warn(&format!("`{path}` is no file: left out")),
        _ => {}
    })
}

fn answer(image: &str, reused: bool, printer: &Printer) -> Result<Exit, Failure> {
    printer.say(if reused {
        "the image is there: nothing was built"
    } else {
        "built"
    });
    printer.answer(&json!({"image": image, "reused": reused}), || {
        image.to_owned()
    })?;
    Ok(Exit::Done)
}

fn show(
    plan: &Plan,
    context: Digest,
    image: &ImageRef,
    printer: &Printer,
) -> Result<Exit, Failure> {
    let answer = json!({"image": image, "context_digest": context, "plan": plan});
    printer.answer(&answer, || {
        format!("{plan}\ncontext      {context}\nimage        {image}\n")
    })?;
    Ok(Exit::Done)
}

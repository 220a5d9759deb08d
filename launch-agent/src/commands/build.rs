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
use launch_config::secret::Secret;
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
    /// Set an `ARG` of the Dockerfile; it ends in the image's history
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = build_arg)]
    argument: Vec<(String, String)>,
    /// Let steps mount a secret (`RUN --mount=type=secret,id=ID`): `ID` and `env=VARIABLE` or
    /// `src=FILE`
    #[arg(long, value_name = "id=ID,env=VARIABLE|src=FILE", value_parser = secret)]
    secret: Vec<SecretArg>,
    /// Run every step anew
    #[arg(long)]
    no_cache: bool,
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
            .or_else(|| settings.destination().cloned());
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
        let build = build_spec(&spec, platform.as_deref());
        let mut build = build.map_err(|error| Failure::usage(error.to_string()))?;
        build.build_args.extend(self.argument.iter().cloned());
        let planned = plan(&tree, &build).map_err(|error| Failure::from(error).by_user())?;
        let app = App::build(settings).await?;
        let planned = app.with_bases(planned).await;
        let options = planned.context_options();
        let hashed = context::hash_async(planned.context.clone(), options, events.clone()).await?;
        let repository = destination.unwrap_or_else(|| local_name(tree.origin()));
        let image = repository
            .with_tag(&planned.tag(hashed.digest))
            .map_err(|error| Failure::usage(error.to_string()))?;
        if self.plan {
            return show(&planned, hashed.digest, &image, printer);
        }
        let mut request = BuildRequest::new(planned, image).with_context(hashed.digest);
        for secret in &self.secret {
            request = request.with_secret(&secret.id, secret.read()?);
        }
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
        let builder = if self.no_cache {
            app.builder_without_cache(kind)?
        } else {
            app.builder(kind)?
        };
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

/// Where a secret of a build comes from.
#[derive(Debug, Clone)]
struct SecretArg {
    id: String,
    from: SecretSource,
}

#[derive(Debug, Clone)]
enum SecretSource {
    Variable(String),
    File(PathBuf),
}

impl SecretArg {
    fn read(&self) -> Result<Secret, Failure> {
        match &self.from {
            SecretSource::Variable(name) => std::env::var(name).map(Secret::new).map_err(|_| {
                Failure::usage(format!(
                    "secret `{}`: variable `{name}` is not set",
                    self.id
                ))
            }),
            SecretSource::File(path) => {
                let text = fs_err::read_to_string(path);
                let text = text.map_err(|error| Failure::doing("cannot read a secret", &error))?;
                Ok(Secret::new(text))
            }
        }
    }
}

fn build_arg(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// As `docker build --secret` has it.
fn secret(text: &str) -> Result<SecretArg, String> {
    let (mut id, mut from) = (None, None);
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("env", value)) => from = Some(SecretSource::Variable(value.to_owned())),
            Some(("src" | "source", value)) => from = Some(SecretSource::File(value.into())),
            Some(("type", _)) => {}
            _ => return Err(format!("`{part}` is none of `id=`, `env=` and `src=`")),
        }
    }
    let id = id.filter(|id| !id.is_empty()).ok_or("there is no `id=`")?;
    // Without a source, the id is the name of the variable.
    let from = from.unwrap_or_else(|| SecretSource::Variable(id.clone()));
    Ok(SecretArg { id, from })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_named_as_docker_names_them() {
        let read =
            |text: &str| secret(text).map(|secret| format!("{} {:?}", secret.id, secret.from));
        assert_eq!(read("id=a,env=B").unwrap(), "a Variable(\"B\")");
        assert_eq!(read("type=file,id=a,src=/x").unwrap(), "a File(\"/x\")");
        assert_eq!(read("id=TOKEN").unwrap(), "TOKEN Variable(\"TOKEN\")");
        assert!(read("env=B").is_err() && read("a").is_err() && read("id=").is_err());
    }
}

//! A queue item of the vectors, as a request to a runner.

use launch_config::env::{RunContext, job_environment};
use launch_config::id::RunKey;
use launch_config::image::ImageRef;
use launch_config::job::{JobDocument, JobSource, Next, Project, ProjectSource};
use launch_config::load::spec_value;
use launch_config::macros::Macros;
use launch_config::secret::Secret;
use launch_config::spec::{Resource, RunSpec, Service};
use launch_runner::kubernetes::Site;
use launch_runner::run::{CodeMount, CodeSource, RegistryLogin, RunRequest, Workload};
use serde_json::{Map, Value, json};

use super::super::job_spec::{artifact::Artifact, can_build};
use super::TAG;

/// One item, read.
pub(super) struct Item<'a> {
    input: &'a Value,
    spec: RunSpec,
    job: Option<JobDocument>,
    project: Project,
}

impl<'a> Item<'a> {
    pub(super) fn of(input: &'a Value) -> Result<Self, String> {
        let spec = spec_value("launch_spec", &input["launch_spec"]);
        let spec = spec.map_err(|report| report.to_string())?.value;
        let wanted = spec.job.as_ref().filter(|_| spec.source().is_none());
        let artifact = Artifact::of(input);
        let job = wanted
            .map(|job| artifact.document(&job.to_string()))
            .transpose()?;
        let project = Project::of(&spec, job.as_ref(), can_build(input));
        let project = project.map_err(|error| error.to_string())?;
        Ok(Self {
            input,
            spec,
            job,
            project,
        })
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.input[key].as_str().filter(|text| !text.is_empty())
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let value = self.input["env"][name].as_str();
        value.filter(|value| !value.is_empty())
    }

    fn is_direct(&self) -> bool {
        self.input["via"] == "direct"
    }

    fn image(&self) -> Result<ImageRef, String> {
        if let Some(image) = self.text("image") {
            return image.parse().map_err(|_| format!("`{image}` is no image"));
        }
        match &self.project.next {
            Next::UseImage(image) | Next::BaseImage { image, .. } => Ok(image.clone()),
            _ => self.built(),
        }
    }

    /// The image a builder makes: below the destination, else in the registry.
    fn built(&self) -> Result<ImageRef, String> {
        let config = &self.input["agent_config"];
        let places = [
            &config["builder"]["destination"],
            &config["registry"]["uri"],
        ];
        let place = places.into_iter().find_map(Value::as_str);
        let place = place.unwrap_or(&self.project.image_name);
        let place = place.trim_start_matches("https://");
        let image: Result<ImageRef, _> = place.parse();
        let image = image.map_err(|error| error.to_string())?;
        image.with_tag(TAG).map_err(|error| error.to_string())
    }

    pub(super) fn request(&self) -> Result<RunRequest, String> {
        let image = self.image()?;
        let macros = self.macros(&image);
        let id = self.text("item_id").unwrap_or("item");
        let key = RunKey::new(id.parse().map_err(|_| "an item's id")?, 0);
        let overriding = &self.spec.overrides.entry_point;
        let own = self.project.entry_point.as_ref();
        let command = if overriding.is_empty() {
            own.map(|entry| entry.words().to_vec()).unwrap_or_default()
        } else {
            overriding.clone()
        };
        let mut request = RunRequest::new(key, Workload::Image { image, pull: None })
            .with_command(command)
            .with_overriding_command(!overriding.is_empty())
            .with_args(self.spec.overrides.args.iter().cloned())
            .with_resource_args(macros.fill(&self.spec.args_for(Resource::Kubernetes)))
            .with_services(self.services(&macros));
        request
            .env
            .extend(job_environment(&self.spec, &self.context()?));
        if let Some(login) = self.login() {
            request = request.with_login(login);
        }
        if let Some(code) = self.code()? {
            request = request.with_code(code);
        }
        Ok(request)
    }

    fn macros(&self, image: &ImageRef) -> Macros {
        let env = self.input["env"].as_object().into_iter().flatten();
        let env = env.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        Macros::of(&self.spec, "genid000", Some(image)).allow(env)
    }

    fn services(&self, macros: &Macros) -> Vec<Service> {
        let services = self.spec.additional_services.iter().cloned();
        services
            .map(|mut service| {
                if let Value::Object(config) = macros.fill(&Value::Object(service.config)) {
                    service.config = config;
                } else {
                    service.config = Map::new();
                }
                service
            })
            .collect()
    }

    fn context(&self) -> Result<RunContext, String> {
        let server = self.input["base_url"].as_str();
        let key = match self.input.get("api_key") {
            None => Some(Secret::new("a".repeat(40))),
            Some(key) => key.as_str().map(Secret::new),
        };
        let context = RunContext::new("genid000")
            .with_resource(Resource::Kubernetes)
            .with_server(server.unwrap_or("https://api.wandb.ai"), key);
        let mut context = context;
        if self.project.source == ProjectSource::Job {
            context.image.clone_from(&self.project.image);
        }
        if self.is_direct() {
            return Ok(context);
        }
        let queue = self.text("queue").unwrap_or("queue");
        let id = self.text("item_id").unwrap_or("item");
        context.queue_entity = self.input["agent_config"]["entity"]
            .as_str()
            .map(str::to_owned);
        Ok(context.with_job(
            queue.parse().map_err(|_| "a queue's name")?,
            id.parse().map_err(|_| "an item's id")?,
        ))
    }

    /// The login of the registry in the agent's configuration, as the vectors' clouds
    /// give it.
    fn login(&self) -> Option<RegistryLogin> {
        let registry = &self.input["agent_config"]["registry"];
        let address = registry["uri"].as_str()?;
        let (user, password) = match registry["type"].as_str()? {
            "ecr" => ("AWS", "ecr-password"),
            "gcr" => ("oauth2accesstoken", "gar-token"),
            _ => return None,
        };
        Some(RegistryLogin::new(address, user, Secret::new(password)))
    }

    fn code(&self) -> Result<Option<CodeMount>, String> {
        let Next::BaseImage { installs, .. } = &self.project.next else {
            return Ok(None);
        };
        let source = match (self.claim(), self.job.as_ref().map(|job| &job.source)) {
            (Some((claim, directory)), _) => CodeSource::Claim { claim, directory },
            (None, Some(JobSource::Repo { remote, commit })) => CodeSource::Git {
                remote: remote.expose().to_owned(),
                commit: Some(commit.as_str().to_owned()),
            },
            (None, Some(JobSource::Artifact(_))) => {
                let code = self.input["job"]["code"]["path"].as_str();
                CodeSource::Artifact(code.ok_or("the job's code has no name")?.to_owned())
            }
            _ => return Err("there is no code to mount".to_owned()),
        };
        let dir = self.spec.overrides.working_dir.clone();
        let code = CodeMount::new(source).with_working_dir(dir);
        if !installs {
            return Ok(Some(code));
        }
        let job = self.spec.job.as_ref().map(ToString::to_string);
        Ok(Some(code.with_install(job)))
    }

    /// The volume claim of the agent's code, and the directory of this job on it.
    fn claim(&self) -> Option<(String, String)> {
        self.variable("WANDB_LAUNCH_CODE_PVC_MOUNT_PATH")?;
        let claim = self.variable("WANDB_LAUNCH_CODE_PVC_NAME")?;
        let artifact = self.input["job"]["artifact"].as_str()?;
        let name = artifact.rsplit('/').next()?;
        let version = name.rsplit(':').next()?;
        Some((claim.to_owned(), format!("{name}:v{version}")))
    }

    /// What the agent puts on the claim.
    pub(super) fn volume_files(&self) -> Result<Option<Value>, String> {
        let (Some((_, directory)), Some(job), Some(_)) = (self.claim(), &self.job, self.code()?)
        else {
            return Ok(None);
        };
        let told = Artifact::of(self.input).directory(job)?;
        let files = told["project_files"].as_array().into_iter().flatten();
        let files = files
            .filter_map(Value::as_str)
            .filter(|file| !file.starts_with(".git/"));
        Ok(Some(
            files
                .map(|file| json!(format!("{directory}/{file}")))
                .collect(),
        ))
    }

    pub(super) fn site(&self) -> Site {
        let runner = &self.input["backend_config"]["runner"]["namespace"];
        let namespace = runner
            .as_str()
            .map(str::to_owned)
            .or_else(|| self.context_namespace());
        let mut site = Site::new(namespace.as_deref().unwrap_or("default"), "vectors");
        if !self.is_direct() {
            site = site.with_agent("agent-raven-7");
        }
        match self.variable("WANDB_RELEASE_NAME") {
            Some(release) => site.with_release(release),
            None => site,
        }
    }

    fn context_namespace(&self) -> Option<String> {
        let kubeconfig = &self.input["cluster"]["kubeconfig"];
        let args = self.spec.args_for(Resource::Kubernetes);
        let named = args["context"].as_str().filter(|name| !name.is_empty());
        let wanted = named.or(kubeconfig["current"].as_str())?;
        let mut contexts = kubeconfig["contexts"].as_array()?.iter();
        let context = contexts.find(|context| context["name"] == wanted)?;
        context["namespace"].as_str().map(str::to_owned)
    }

    /// W&B's label for what is beside the run: small letters, digits, single dashes.
    pub(super) fn auxiliary_label(&self) -> Option<String> {
        let word = |word: &Option<String>| word.clone().unwrap_or_default();
        let run_id = self.spec.run_id.as_deref().unwrap_or("genid000");
        let (entity, project) = (word(&self.spec.entity), word(&self.spec.project));
        super::plain::safe(&format!("aux-{entity}-{project}-{run_id}"))
    }
}

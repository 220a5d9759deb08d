//! The vocabulary of Launch.
//!
//! Every crate of the workspace speaks in these types, and outsiders who read a
//! launch queue or an agent file can use them alone: no async, no network, no
//! clock. A value that exists has been checked.
//!
//! | module | what it names |
//! | --- | --- |
//! | [`agent`] | the agent file (`launch-config.yaml`) |
//! | [`api_key`], [`netrc`] | the key of W&B, and where it may be |
//! | [`mod@env`] | the environment every run gets |
//! | [`spec`] | the run spec a queue carries; [`source`] where its code is |
//! | [`job`] | W&B jobs, and what becomes of one with a run spec |
//! | [`macros`], [`template`] | what a queue's configuration leaves open |
//! | [`wandb_ref`] | addresses and names of W&B |
//! | [`image`] | image references, digests, pinned images |
//! | [`registry`], [`store`] | addresses of image repositories and object stores |
//! | [`environment`] | what `environment`, `registry` and `builder` mean together |
//! | [`id`] | jobs, attempts and the names derived from them |
//! | [`outcome`] | stages, and why a job ended |
//! | [`policy`] | what a run spec may ask for, and why not |
//! | [`secret`] | values that never print |
//! | [`load`] | files and text to the types above, with every problem in one report |
//!
//! ```
//! use launch_config::image::ImageRef;
//!
//! let image: ImageRef = "localhost:5000/team/iris:v1".parse()?;
//! assert_eq!(image.repository(), "team/iris");
//! assert!("Team/Iris".parse::<ImageRef>().is_err());
//! # Ok::<(), launch_config::image::ParseImageError>(())
//! ```

pub mod agent;
pub mod api_key;
pub mod env;
pub mod environment;
mod fields;
pub mod id;
pub mod image;
pub mod job;
pub mod load;
pub mod macros;
pub mod netrc;
pub mod outcome;
pub mod policy;
mod python_json;
pub mod registry;
pub mod secret;
pub mod source;
pub mod spec;
pub mod store;
pub mod template;
pub mod wandb_ref;
mod yaml;
